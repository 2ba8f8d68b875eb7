//! From texts back to facts, and what follows from them.

use std::collections::BTreeMap;

use fpt_world::fact::Fact;
use fpt_world::relation::{QuestionKind, Relation, Slot};
use fpt_world::world::Label;

type Filling = BTreeMap<Slot, String>;

/// A question: its kind and what it mentions.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub relation: Relation,
    pub kind: &'static QuestionKind,
    pub mentions: Filling,
}

impl PartialEq for Asked {
    fn eq(&self, other: &Self) -> bool {
        (self.relation, self.kind.asked, &self.mentions)
            == (other.relation, other.kind.asked, &other.mentions)
    }
}

fn slot(marker: &str) -> Option<Slot> {
    Some(match marker {
        "{p}" => Slot::P,
        "{q}" => Slot::Q,
        "{t}" => Slot::T,
        "{j}" => Slot::J,
        "{a}" => Slot::A,
        "{c}" => Slot::C,
        "{f}" => Slot::F,
        "{o}" => Slot::O,
        "{v}" => Slot::V,
        "{d}" => Slot::D,
        _ => return None,
    })
}

/// What fills the slots of `template` in `text`, if it was made from it.
fn filling(template: &str, text: &str) -> Option<Filling> {
    let (template, text): (Vec<_>, Vec<_>) =
        (template.split(' ').collect(), text.split(' ').collect());
    if template.len() != text.len() {
        return None;
    }
    let mut filling = Filling::new();
    for (expected, word) in template.into_iter().zip(text) {
        match slot(expected) {
            Some(slot) if slot.domain().contains(&word) => {
                filling.insert(slot, word.to_owned());
            }
            None if expected == word => {}
            _ => return None,
        }
    }
    Some(filling)
}

/// The only element.
fn only<T: std::fmt::Debug>(found: Vec<T>, text: &str) -> T {
    let [one] = <[T; 1]>::try_from(found)
        .unwrap_or_else(|found| panic!("{text:?} has {} readings: {found:?}", found.len()));
    one
}

fn statement_readings(text: &str) -> Vec<Fact> {
    Relation::ALL
        .into_iter()
        .flat_map(|relation| relation.statements().iter().map(move |t| (relation, t)))
        .filter_map(|(relation, template)| {
            let filling = filling(template, text)?;
            Some(Fact { relation, filling })
        })
        .collect()
}

/// The fact that a statement without its full stop states.
pub(crate) fn statement(text: &str) -> Fact {
    only(statement_readings(text), text)
}

/// The facts of a text of statements.
pub(crate) fn story(text: &str) -> Vec<Fact> {
    let text = text.trim_end_matches('.');
    text.split(". ").map(statement).collect()
}

fn question_readings(text: &str) -> Vec<Asked> {
    let kinds = Relation::ALL.into_iter().flat_map(|relation| {
        relation
            .questions()
            .iter()
            .map(move |kind| (relation, kind))
    });
    kinds
        .flat_map(|(relation, kind)| kind.templates.iter().map(move |t| (relation, kind, t)))
        .filter_map(|(relation, kind, template)| {
            let mentions = filling(template, text)?;
            Some(Asked {
                relation,
                kind,
                mentions,
            })
        })
        .collect()
}

/// What a question without its question mark asks.
pub(crate) fn question(text: &str) -> Asked {
    only(question_readings(text), text)
}

/// What the ends of some pieces of text say, where they say anything.
fn endings<'a, T: std::fmt::Debug>(
    pieces: impl Iterator<Item = &'a str>,
    readings: fn(&str) -> Vec<T>,
) -> Vec<T> {
    pieces
        .filter_map(|piece| {
            let words: Vec<&str> = piece.split(' ').collect();
            let mut found: Vec<T> = (0..words.len())
                .flat_map(|from| readings(&words[from..].join(" ")))
                .collect();
            assert!(found.len() <= 1, "{piece:?} has readings {found:?}");
            found.pop()
        })
        .collect()
}

/// All questions in a text of any form.
pub(crate) fn questions_in(text: &str) -> Vec<Asked> {
    endings(text.split_terminator('?'), question_readings)
}

/// All statements in a text of any form, if they end in a full stop.
pub(crate) fn statements_in(text: &str) -> Vec<Fact> {
    endings(text.split_terminator(['.', '?']), statement_readings)
}

/// The different answers that a story has to a question.
pub(crate) fn answers(story: &[Fact], asked: &Asked) -> Vec<String> {
    let mut found: Vec<String> = story
        .iter()
        .filter(|fact| fact.relation == asked.relation)
        .filter(|fact| {
            let mut mentions = asked.mentions.iter();
            mentions.all(|(slot, value)| &fact.filling[slot] == value)
        })
        .map(|fact| {
            let words: Vec<&str> = asked.kind.asked.iter().map(|s| fact.get(*s)).collect();
            words.join(" ")
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether two facts cannot both be true.
fn excludes(known: &Fact, claimed: &Fact) -> bool {
    let same = |slot| known.get(slot) == claimed.get(slot);
    known != claimed
        && known.relation == claimed.relation
        && match known.relation {
            // An object changes hands once, by giving or selling.
            Relation::Give | Relation::Sell => same(Slot::O),
            // One is in one place on one day.
            Relation::Go => same(Slot::P) && same(Slot::D),
            // One home, job, pet and favorite food each.
            Relation::Home | Relation::Job | Relation::Pet | Relation::Food => same(Slot::P),
        }
}

/// What a premise says about a claim.
pub(crate) fn verdict(premise: &[Fact], claim: &Fact) -> Label {
    if premise.contains(claim) {
        Label::Entailment
    } else if premise.iter().any(|known| excludes(known, claim)) {
        Label::Contradiction
    } else {
        Label::Neutral
    }
}
