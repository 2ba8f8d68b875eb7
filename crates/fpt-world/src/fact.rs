//! Facts: a relation with its slots filled.

use std::collections::BTreeMap;

use crate::relation::{QuestionKind, Relation, Slot};

/// A relation between entities, such as "Anna lives in Kiel".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The relation.
    pub relation: Relation,
    /// What fills its slots.
    pub filling: BTreeMap<Slot, String>,
}

impl Fact {
    /// What fills a slot; empty if the relation has none such.
    pub fn get(&self, slot: Slot) -> &str {
        self.filling.get(&slot).map_or("", String::as_str)
    }

    /// The fact with one slot filled otherwise.
    #[must_use]
    pub fn with(&self, slot: Slot, value: impl Into<String>) -> Self {
        let mut changed = self.clone();
        changed.filling.insert(slot, value.into());
        changed
    }

    /// The fact with its two people exchanged.
    #[must_use]
    pub(crate) fn swapped(&self) -> Self {
        self.with(Slot::P, self.get(Slot::Q))
            .with(Slot::Q, self.get(Slot::P))
    }

    /// What a story can say only once: a person's home, an object's way.
    pub fn key(&self) -> (&'static str, String) {
        let kind = match self.relation {
            Relation::Home => "home",
            Relation::Job => "job",
            Relation::Pet => "pet",
            Relation::Food => "food",
            // An object that was given was not sold as well.
            Relation::Give | Relation::Sell => "own",
            Relation::Go => "go",
        };
        (kind, self.get(self.relation.key()).to_string())
    }

    /// `template` with the slots filled.
    pub fn render(&self, template: &str) -> String {
        let mut text = template.to_string();
        for (slot, value) in &self.filling {
            text = text.replace(slot.marker(), value);
        }
        text
    }

    /// The fact in its `wording`-th statement.
    pub fn state(&self, wording: usize) -> String {
        self.render(self.relation.statements()[wording])
    }

    /// What answers a question of this kind about the fact.
    pub fn answer(&self, kind: &QuestionKind) -> String {
        let parts: Vec<&str> = kind.asked.iter().map(|&slot| self.get(slot)).collect();
        parts.join(" ")
    }
}

/// The different answers that `facts` hold to a question of `kind` about `about`, in order.
pub fn answers(facts: &[Fact], about: &Fact, kind: &QuestionKind) -> Vec<String> {
    let mut found = Vec::new();
    for fact in facts {
        let matches = fact.relation == about.relation
            && kind
                .visible
                .iter()
                .all(|&slot| fact.get(slot) == about.get(slot));
        if matches {
            let answer = fact.answer(kind);
            if !found.contains(&answer) {
                found.push(answer);
            }
        }
    }
    found
}
