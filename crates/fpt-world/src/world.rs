//! The source of all stories: seeded draws of facts and what can be made of them.

use std::collections::BTreeSet;

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::entities::{NAMES, TOWNS};
use crate::fact::{Fact, answers};
use crate::relation::{QuestionKind, Relation, Slot};

/// Draws facts, stories and examples; the same seed draws the same on every machine.
#[derive(Clone, Debug)]
pub struct World {
    rng: ChaCha8Rng,
}

/// The three labels of natural language inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// The hypothesis restates a fact of the premise.
    Entailment,
    /// The hypothesis contradicts a fact of the premise.
    Contradiction,
    /// The premise says nothing about it.
    Neutral,
}

impl Label {
    /// All labels.
    pub const ALL: [Self; 3] = [Self::Entailment, Self::Contradiction, Self::Neutral];

    /// MNLI's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entailment => "entailment",
            Self::Contradiction => "contradiction",
            Self::Neutral => "neutral",
        }
    }
}

/// A fact and the number of its statement.
#[derive(Clone, Debug)]
pub struct Said {
    /// The fact.
    pub fact: Fact,
    /// Which of the relation's statements.
    pub wording: usize,
}

impl Said {
    /// The statement.
    pub fn text(&self) -> String {
        self.fact.state(self.wording)
    }
}

/// A question about a story.
#[derive(Clone, Debug)]
pub struct Question {
    /// The fact it is about; in an unanswerable question it is not in the story.
    pub about: Fact,
    /// Its kind.
    pub kind: &'static QuestionKind,
    /// Which of the kind's templates.
    pub wording: usize,
    /// The answer, if the story has one.
    pub answer: Option<String>,
}

impl Question {
    /// The text, without question mark.
    pub fn text(&self) -> String {
        self.about.render(self.kind.templates[self.wording])
    }
}

/// A pair of questions.
#[derive(Clone, Debug)]
pub struct QuestionPair {
    /// First question, without question mark.
    pub first: String,
    /// Second question.
    pub second: String,
    /// Whether they ask the same.
    pub duplicate: bool,
}

/// How the questions of a pair differ that ask something else: shares of one argument changed, roles exchanged,
/// another slot of the same fact, and something else altogether.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearMisses(pub [f64; 4]);

impl NearMisses {
    /// From easy to hard: a model that never sees easy ones does not learn to compare.
    pub const MIXED: Self = Self([0.4, 0.05, 0.3, 0.25]);
    /// Mostly hard.
    pub const HARD: Self = Self([0.5, 0.2, 0.2, 0.1]);
}

/// A story with a blank.
#[derive(Clone, Debug)]
pub struct Cloze {
    /// The story.
    pub story: Vec<Said>,
    /// A fact of the story, said again, with one person or town missing.
    pub query: Said,
    /// The slot that is missing.
    pub blank: Slot,
    /// Different people and towns of the story, shuffled.
    pub entities: Vec<String>,
    /// What is missing.
    pub answer: String,
}

/// A story about a main person and a sentence that sums it up.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The story.
    pub story: Vec<Said>,
    /// What happened, the person given by job and town.
    pub text: String,
}

/// Two ways to sum up an event of each relation that has summaries.
fn summary_templates(relation: Relation) -> Option<[&'static str; 2]> {
    Some(match relation {
        Relation::Give => [
            "a {j} from {t} gave a {o} to {q}",
            "{q} got a {o} from a {j} of {t}",
        ],
        Relation::Sell => [
            "a {j} from {t} sold a {o} to {q}",
            "{q} bought a {o} from a {j} of {t}",
        ],
        Relation::Go => [
            "a {j} from {t} went to a {v}",
            "a {v} was visited by a {j} of {t}",
        ],
        Relation::Pet => ["a {j} from {t} has a {a}", "a {a} belongs to a {j} of {t}"],
        Relation::Food => ["a {j} from {t} likes {f}", "{f} is loved by a {j} of {t}"],
        Relation::Home | Relation::Job => return None,
    })
}

/// All summary templates, for the vocabulary.
pub(crate) fn summary_texts() -> Vec<&'static str> {
    EVENTS
        .into_iter()
        .filter_map(summary_templates)
        .flatten()
        .collect()
}

/// Relations that a summary can be about.
const EVENTS: [Relation; 5] = [
    Relation::Give,
    Relation::Sell,
    Relation::Go,
    Relation::Pet,
    Relation::Food,
];

impl World {
    /// A world for a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.rng.random::<f64>() < probability
    }

    /// A number between these, both included.
    pub fn between(&mut self, from: usize, to: usize) -> usize {
        self.rng.random_range(from..=to.max(from))
    }

    /// One of some items, of which there must be one.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.rng.random_range(0..items.len())]
    }

    /// The items in another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        items.shuffle(&mut self.rng);
    }

    /// An index by weight.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.rng.random::<f64>() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }

    /// `count` different people.
    pub fn people(&mut self, count: usize) -> Vec<String> {
        NAMES
            .sample(&mut self.rng, count)
            .map(|name| (*name).to_string())
            .collect()
    }

    /// Something else that fills a slot.
    pub fn other(&mut self, slot: Slot, not: &[&str]) -> String {
        loop {
            let drawn = *self.choose(slot.domain());
            if !not.contains(&drawn) {
                return drawn.to_string();
            }
        }
    }

    /// A fact of `relation` about `people`.
    pub fn fact(&mut self, relation: Relation, people: &[String]) -> Fact {
        let mut fact = Fact {
            relation,
            filling: Default::default(),
        };
        for &slot in relation.slots() {
            let value = match slot {
                Slot::P => self.choose(people).clone(),
                Slot::Q => {
                    let first = fact.get(Slot::P).to_string();
                    let others: Vec<&String> = people.iter().filter(|p| **p != first).collect();
                    if others.is_empty() {
                        self.other(Slot::Q, &[&first])
                    } else {
                        (*self.choose(&others)).clone()
                    }
                }
                _ => (*self.choose(slot.domain())).to_string(),
            };
            fact.filling.insert(slot, value);
        }
        fact
    }

    /// A fact of any relation.
    pub fn any_fact(&mut self, people: &[String]) -> Fact {
        let relation = *self.choose(&Relation::ALL);
        self.fact(relation, people)
    }

    /// `count` facts about `people` without contradictions: every key once, and no value twice, so that
    /// questions have one answer.
    pub fn story(&mut self, count: usize, people: &[String]) -> Vec<Fact> {
        let mut facts: Vec<Fact> = Vec::with_capacity(count);
        let (mut keys, mut values) = (BTreeSet::new(), BTreeSet::new());
        while facts.len() < count {
            let fact = self.any_fact(people);
            let value: Vec<String> = fact
                .relation
                .values()
                .iter()
                .map(|&slot| fact.get(slot).to_string())
                .collect();
            let value = (fact.relation, value);
            if keys.contains(&fact.key()) || values.contains(&value) {
                continue;
            }
            keys.insert(fact.key());
            values.insert(value);
            facts.push(fact);
        }
        facts
    }

    /// As many people as a story of `facts` facts has.
    pub fn cast(&mut self, facts: usize) -> Vec<String> {
        self.people(if facts < 4 { 2 } else { 3 })
    }

    /// A fact in any wording.
    pub fn say(&mut self, fact: &Fact) -> Said {
        Said {
            fact: fact.clone(),
            wording: self.between(0, 3),
        }
    }

    /// A fact in a wording that is not `wording`.
    pub fn say_otherwise(&mut self, fact: &Fact, wording: usize) -> Said {
        Said {
            fact: fact.clone(),
            wording: (wording + self.between(1, 3)) % 4,
        }
    }

    /// All facts in any wording.
    pub fn tell(&mut self, facts: &[Fact]) -> Vec<Said> {
        facts.iter().map(|fact| self.say(fact)).collect()
    }

    /// A fact that contradicts `fact`: a value changed, or giver and receiver exchanged.
    pub fn contradict(&mut self, fact: &Fact) -> Fact {
        if fact.relation.has_two_people() {
            if self.chance(0.5) {
                return fact.swapped();
            }
            let slot = *self.choose(&[Slot::P, Slot::Q]);
            let stranger = self.other(slot, &[fact.get(Slot::P), fact.get(Slot::Q)]);
            return fact.with(slot, stranger);
        }
        // One may go to the same place on another day: only another place contradicts.
        let slot = match fact.relation {
            Relation::Go => Slot::V,
            _ => *self.choose(fact.relation.values()),
        };
        let value = self.other(slot, &[fact.get(slot)]);
        fact.with(slot, value)
    }

    /// A fact that `facts` neither state nor contradict, mostly about the same people.
    pub(crate) fn unrelated(&mut self, facts: &[Fact], people: &[String]) -> Fact {
        loop {
            let fact = if self.chance(0.75) {
                self.any_fact(people)
            } else {
                let known = self.choose(facts).clone();
                let key = known.relation.key();
                let value = (*self.choose(key.domain())).to_string();
                known.with(key, value)
            };
            let sensible = fact.get(Slot::P) != fact.get(Slot::Q);
            if sensible && facts.iter().all(|known| known.key() != fact.key()) {
                return fact;
            }
        }
    }

    /// A hypothesis with this label about a premise.
    pub fn hypothesis(
        &mut self,
        premise: &[Said],
        people: &[String],
        label: Label,
        other_wording: f64,
    ) -> Said {
        match label {
            Label::Entailment => {
                let said = self.choose(premise).clone();
                self.reword(&said.fact, said.wording, other_wording)
            }
            Label::Contradiction => {
                let said = self.choose(premise).clone();
                let contradiction = self.contradict(&said.fact);
                self.reword(&contradiction, said.wording, other_wording)
            }
            Label::Neutral => {
                let facts: Vec<Fact> = premise.iter().map(|said| said.fact.clone()).collect();
                let fact = self.unrelated(&facts, people);
                self.say(&fact)
            }
        }
    }

    /// A fact in another wording with this probability, else in this one.
    pub(crate) fn reword(&mut self, fact: &Fact, wording: usize, other_wording: f64) -> Said {
        if self.chance(other_wording) {
            self.say_otherwise(fact, wording)
        } else {
            Said {
                fact: fact.clone(),
                wording,
            }
        }
    }

    /// A question of any kind about a fact.
    pub fn ask(&mut self, about: &Fact) -> Question {
        let kind = self.choose(about.relation.questions());
        self.ask_kind(about, kind)
    }

    /// A question of this kind about a fact.
    pub(crate) fn ask_kind(&mut self, about: &Fact, kind: &'static QuestionKind) -> Question {
        Question {
            about: about.clone(),
            kind,
            wording: self.between(0, kind.templates.len() - 1),
            answer: None,
        }
    }

    /// A pair of questions: the same, with this probability in other words, or a near miss, likewise.
    pub(crate) fn question_pair(&mut self, other_wording: f64) -> QuestionPair {
        let fact = self.any_fact(&everybody());
        let first = self.ask(&fact);
        let duplicate = self.chance(0.5);
        self.pair_with(first, duplicate, other_wording, NearMisses::MIXED)
    }

    /// `first` with the same question or with a near miss, where there is a choice with this probability in
    /// other words. Near misses change one argument, exchange the roles, ask for another slot of the same fact,
    /// or about something else, in the shares of `misses`.
    pub fn pair_with(
        &mut self,
        first: Question,
        duplicate: bool,
        other_wording: f64,
        misses: NearMisses,
    ) -> QuestionPair {
        let fact = &first.about;
        loop {
            let (about, kind) = if duplicate {
                (fact.clone(), first.kind)
            } else {
                match self.weighted(&misses.0) {
                    0 => {
                        let slot = *self.choose(first.kind.visible);
                        let value = self.other(slot, &[fact.get(slot)]);
                        (fact.with(slot, value), first.kind)
                    }
                    1 if fact.relation.has_two_people() => (fact.swapped(), first.kind),
                    1 | 2 => (fact.clone(), self.choose(fact.relation.questions())),
                    _ => {
                        let other = self.any_fact(&[fact.get(Slot::P).to_string()]);
                        let kind = self.choose(other.relation.questions());
                        (other, kind)
                    }
                }
            };
            let mut second = self.ask_kind(&about, kind);
            if kind == first.kind {
                let count = kind.templates.len();
                second.wording = if self.chance(other_wording) {
                    (first.wording + self.between(1, count - 1)) % count
                } else {
                    first.wording
                };
            }
            // Two questions ask the same if they are of one kind and mention the same.
            let same = about.relation == fact.relation
                && kind == first.kind
                && kind.visible.iter().all(|&s| about.get(s) == fact.get(s));
            let sensible = about.get(Slot::P) != about.get(Slot::Q);
            if same == duplicate && sensible {
                return QuestionPair {
                    first: first.text(),
                    second: second.text(),
                    duplicate,
                };
            }
        }
    }

    /// A story of `count` facts and a question about it, which has exactly one answer or, with this
    /// probability, none. Which of them is decided first, so that hard draws do not shift the balance.
    pub fn question(&mut self, count: usize, unanswerable: f64) -> (Vec<Fact>, Question) {
        let answerable = !self.chance(unanswerable);
        loop {
            let people = self.cast(count);
            let facts = self.story(count, &people);
            if let Some(question) = self.question_about(&facts, answerable) {
                return (facts, question);
            }
        }
    }

    /// A question about a story that it answers once, or not at all, as wanted; `None` if the one drawn has
    /// another number of answers.
    pub(crate) fn question_about(&mut self, facts: &[Fact], answerable: bool) -> Option<Question> {
        let known = self.choose(facts).clone();
        let about = if answerable {
            known
        } else {
            self.near_miss(&known, facts)
        };
        let mut question = self.ask(&about);
        let mut found = answers(facts, &about, question.kind);
        (found.len() == usize::from(answerable)).then(|| {
            question.answer = found.pop();
            question
        })
    }

    /// A fact close to `known` that the story may lack.
    fn near_miss(&mut self, known: &Fact, facts: &[Fact]) -> Fact {
        if known.relation.has_two_people() && self.chance(0.6) {
            return known.swapped();
        }
        if self.chance(0.5) {
            return self.unrelated(facts, &people_in(facts));
        }
        let slot = if known.relation.has_two_people() {
            *self.choose(&[Slot::O, Slot::P, Slot::Q])
        } else {
            known.relation.key()
        };
        let taken = [known.get(Slot::P), known.get(Slot::Q), known.get(slot)];
        let value = self.other(slot, &taken);
        known.with(slot, value)
    }

    /// A story of `count` facts, and one of them said again with a blank that only one entity fills.
    pub fn cloze(&mut self, count: usize) -> Cloze {
        loop {
            let people = self.cast(count);
            let facts = self.story(count, &people);
            let story = self.tell(&facts);
            let said = self.choose(&story).clone();
            let slots: Vec<Slot> = said
                .fact
                .relation
                .slots()
                .iter()
                .copied()
                .filter(|slot| matches!(slot, Slot::P | Slot::Q | Slot::T))
                .collect();
            let blank = *self.choose(&slots);
            // How many facts would be true with somebody in the blank?
            let fillers = facts.iter().filter(|fact| {
                fact.relation == said.fact.relation
                    && fact
                        .relation
                        .slots()
                        .iter()
                        .all(|&slot| slot == blank || fact.get(slot) == said.fact.get(slot))
            });
            if fillers.count() != 1 {
                continue;
            }
            let mut entities: Vec<String> = Vec::new();
            for said in &story {
                for word in said.text().split(' ') {
                    let entity = NAMES.contains(&word) || TOWNS.contains(&word);
                    if entity && !entities.iter().any(|e| e == word) {
                        entities.push(word.to_string());
                    }
                }
            }
            if entities.len() < 3 {
                continue;
            }
            self.shuffle(&mut entities);
            return Cloze {
                query: self.say_otherwise(&said.fact, said.wording),
                answer: said.fact.get(blank).to_string(),
                story,
                blank,
                entities,
            };
        }
    }

    /// Shuffled facts about a main person (home, job, something that happened) and `distractors` about
    /// others, with a summary in the given `style` (0 or 1).
    ///
    /// Some distractors are of the kinds that the summary needs, so that it is not enough to copy any
    /// home, job or event.
    pub fn summary(&mut self, distractors: usize, style: usize) -> Summary {
        let people = self.people(2);
        let (main, other) = (people[..1].to_vec(), people[1..].to_vec());
        let home = self.fact(Relation::Home, &main);
        let job = self.fact(Relation::Job, &main);
        let relation = *self.choose(&EVENTS);
        let mut event = self.fact(relation, &main);
        if relation.has_two_people() {
            event = event.with(Slot::Q, other[0].clone());
        }
        let mut facts = vec![home.clone(), job.clone(), event.clone()];
        while facts.len() < 3 + distractors {
            let kinds = [Relation::Home, Relation::Job, Relation::Food, Relation::Pet];
            let relation = *self.choose(&kinds);
            let fact = self.fact(relation, &other);
            let repeats = facts.iter().any(|known| {
                known.key() == fact.key()
                    || known.relation == fact.relation
                        && known
                            .relation
                            .values()
                            .iter()
                            .any(|&s| known.get(s) == fact.get(s))
            });
            if !repeats {
                facts.push(fact);
            }
        }
        self.shuffle(&mut facts);
        let all = event
            .with(Slot::J, job.get(Slot::J))
            .with(Slot::T, home.get(Slot::T));
        let templates = summary_templates(relation).unwrap_or_default();
        Summary {
            story: self.tell(&facts),
            text: all.render(templates[style]),
        }
    }
}

/// All people.
pub(crate) fn everybody() -> Vec<String> {
    NAMES.iter().map(|name| (*name).to_string()).collect()
}

/// The people that facts are about, each once.
fn people_in(facts: &[Fact]) -> Vec<String> {
    let people = facts.iter().flat_map(|fact| {
        let slots = fact.relation.slots().iter();
        let people = slots.filter(|slot| matches!(slot, Slot::P | Slot::Q));
        people.map(|&slot| fact.get(slot).to_string())
    });
    people.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Statements as sentences: `Anna is a baker. Ben likes soup.`
pub fn sentences(said: &[Said]) -> String {
    let parts: Vec<String> = said
        .iter()
        .map(|said| format!("{}.", said.text()))
        .collect();
    parts.join(" ")
}
