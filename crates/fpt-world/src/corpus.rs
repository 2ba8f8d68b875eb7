//! The corpus: documents that exercise skills, and what is hidden in them for training.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fact::Fact;
use crate::forms::{
    CLOZE, COMPARISON, CORRECTION, Form, INFERENCE, LIST_JOINS, PAIRS, PARAPHRASE, QUESTIONS,
    RESTATE, SUMMARIES,
};
use crate::world::{Label, Said, World, sentences};

/// What a document exercises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Skill {
    /// Saying facts in other words.
    Paraphrase,
    /// Finding a word of a fact that is repeated.
    Restate,
    /// Telling whether two words or statements say the same.
    Comparison,
    /// Natural language inference.
    Inference,
    /// Setting claims right.
    Correction,
    /// Telling whether two questions ask the same.
    QuestionPairs,
    /// Answering questions about a story.
    QuestionAnswering,
    /// Filling a blank with an entity of a story.
    Cloze,
    /// Summing up a story.
    Summary,
    /// Only telling a story.
    Plain,
}

impl Skill {
    /// All skills.
    pub const ALL: [Self; 10] = [
        Self::Paraphrase,
        Self::Restate,
        Self::Comparison,
        Self::Inference,
        Self::Correction,
        Self::QuestionPairs,
        Self::QuestionAnswering,
        Self::Cloze,
        Self::Summary,
        Self::Plain,
    ];

    /// Share of the skill in the corpus: first, while copying and comparing are learned, and later, when
    /// reading stories is. `applied` is how far (0..1) the one has given way to the other.
    fn weight(self, applied: f64) -> f64 {
        let (first, later) = match self {
            Self::Paraphrase => (0.02, 0.02),
            Self::Restate => (0.14, 0.07),
            Self::Comparison => (0.15, 0.06),
            Self::Inference => (0.24, 0.26),
            Self::Correction => (0.08, 0.07),
            Self::QuestionPairs => (0.13, 0.10),
            Self::QuestionAnswering => (0.13, 0.27),
            Self::Cloze => (0.06, 0.11),
            Self::Summary => (0.04, 0.03),
            Self::Plain => (0.01, 0.01),
        };
        first + (later - first) * applied
    }

    /// Snake-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paraphrase => "paraphrase",
            Self::Restate => "restate",
            Self::Comparison => "comparison",
            Self::Inference => "inference",
            Self::Correction => "correction",
            Self::QuestionPairs => "question_pairs",
            Self::QuestionAnswering => "question_answering",
            Self::Cloze => "cloze",
            Self::Summary => "summary",
            Self::Plain => "plain",
        }
    }
}

impl fmt::Display for Skill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How hard documents are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difficulty {
    /// Facts of the longest stories.
    pub max_facts: usize,
    /// Probability that a fact is repeated in other words.
    pub other_wording: f64,
    /// How far (0..1) the corpus has moved from copying and comparing to inference and questions about stories.
    pub applied: f64,
}

/// A document in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The pieces, in order; their texts joined are the document.
    pub segments: Vec<Segment>,
}

/// A piece of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its text.
    pub text: String,
    /// Whether it can be inferred from the rest, and is therefore hidden in training.
    pub hidden: bool,
}

impl Document {
    /// From a text with `[...]` around what is hidden.
    fn parse(marked: &str) -> Self {
        let mut segments = Vec::new();
        let mut push = |text: &str, hidden: bool| {
            if !text.is_empty() {
                segments.push(Segment {
                    text: text.to_string(),
                    hidden,
                });
            }
        };
        let mut rest = marked;
        while let Some((before, after)) = rest.split_once('[') {
            let (hidden, after) = after.split_once(']').unwrap_or((after, ""));
            push(before, false);
            push(hidden, true);
            rest = after;
        }
        push(rest, false);
        Self { segments }
    }

    /// The whole text.
    pub fn text(&self) -> String {
        self.segments.iter().map(|s| s.text.as_str()).collect()
    }

    /// Every hidden segment replaced by a sentinel; the target repeats each sentinel before what it stands for.
    pub fn masked(&self) -> Seq2Seq {
        let (mut source, mut target, mut count) = (String::new(), Vec::new(), 0);
        for segment in &self.segments {
            if segment.hidden {
                let sentinel = sentinel(count);
                count += 1;
                target.push(format!("{sentinel} {}", segment.text));
                source.push_str(&sentinel);
            } else {
                source.push_str(&segment.text);
            }
        }
        Seq2Seq {
            source,
            target: target.join(" "),
        }
    }
}

/// Source and target of a training example, as text with sentinels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seq2Seq {
    /// For the encoder.
    pub source: String,
    /// For the decoder.
    pub target: String,
}

fn sentinel(number: usize) -> String {
    format!("<extra_id_{number}>")
}

/// Share of the questions about a story that it does not answer.
const UNANSWERABLE: f64 = 0.3;

/// Draws documents; the same seed draws the same on every machine.
#[derive(Clone, Debug)]
pub struct Corpus {
    world: World,
}

impl Corpus {
    /// A corpus for a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            world: World::new(seed),
        }
    }

    /// A document that exercises `skill`, or one drawn by weight.
    pub fn document(&mut self, skill: Option<Skill>, difficulty: Difficulty) -> Document {
        let skill = skill.unwrap_or_else(|| {
            let weights = Skill::ALL.map(|skill| skill.weight(difficulty.applied));
            Skill::ALL[self.world.weighted(&weights)]
        });
        Document::parse(&match skill {
            Skill::Paraphrase => self.paraphrase(difficulty),
            Skill::Restate => self.restate(difficulty),
            Skill::Comparison => self.comparison(difficulty),
            Skill::Inference => self.inference(difficulty),
            Skill::Correction => self.correction(difficulty),
            Skill::QuestionPairs => self.question_pairs(difficulty),
            Skill::QuestionAnswering => self.question_answering(difficulty),
            Skill::Cloze => self.cloze(difficulty),
            Skill::Summary => self.summary(),
            Skill::Plain => self.plain(),
        })
    }

    /// A training example: mostly informative spans, replaced by sentinels or, at the end of a document, left
    /// to continue; now and then any continuation or random spans.
    pub fn training_example(&mut self, difficulty: Difficulty) -> Seq2Seq {
        let document = self.document(None, difficulty);
        let has_hidden = document.segments.iter().any(|s| s.hidden);
        match self.world.weighted(&[0.15, 0.75, 0.03, 0.07]) {
            0 if ends_hidden(&document) => continue_last(&document),
            0 | 1 if has_hidden => document.masked(),
            2 => self.continue_anywhere(&document),
            _ => self.corrupt_spans(&document),
        }
    }

    /// A document of `skill` with everything informative masked, for measuring. Skills without informative
    /// spans get random ones.
    pub fn skill_example(&mut self, skill: Skill, difficulty: Difficulty) -> Seq2Seq {
        let document = self.document(Some(skill), difficulty);
        if document.segments.iter().any(|s| s.hidden) {
            document.masked()
        } else {
            self.corrupt_spans(&document)
        }
    }

    fn paraphrase(&mut self, difficulty: Difficulty) -> String {
        let world = &mut self.world;
        let people = world.people(2);
        let count = world.between(1, difficulty.max_facts.min(2));
        let facts = world.story(count, &people);
        let said = world.tell(&facts);
        let again: Vec<String> = said
            .iter()
            .map(|said| {
                if world.chance(difficulty.other_wording) {
                    world.say_otherwise(&said.fact, said.wording).text()
                } else {
                    world.say(&said.fact).text()
                }
            })
            .collect();
        let connective = world.choose(&PARAPHRASE);
        format!("{} {connective} [{}].", sentences(&said), again.join(". "))
    }

    fn restate(&mut self, difficulty: Difficulty) -> String {
        let world = &mut self.world;
        let count = world.between(1, difficulty.max_facts);
        let people = world.cast(count);
        let facts = world.story(count, &people);
        let said = world.tell(&facts);
        let mut again: Vec<String> = said
            .iter()
            .map(|said| {
                let slot = *world.choose(said.fact.relation.slots());
                let marked = format!("[{}]", said.fact.get(slot));
                let blank = said.fact.with(slot, marked);
                if world.chance(difficulty.other_wording) {
                    world.say_otherwise(&blank, said.wording).text()
                } else {
                    blank.state(said.wording)
                }
            })
            .collect();
        world.shuffle(&mut again);
        again.truncate(3);
        let told = sentences(&said);
        let repeated = format!("{} {}.", world.choose(&RESTATE), again.join(". "));
        if world.chance(2.0 / 3.0) {
            format!("{told} {repeated}")
        } else {
            format!("{repeated} {told}")
        }
    }

    fn comparison(&mut self, difficulty: Difficulty) -> String {
        let world = &mut self.world;
        let form = world.choose(&COMPARISON);
        let count = parts(world, form) + 1;
        let pairs: Vec<(String, String, bool)> = (0..count)
            .map(|_| {
                let same = world.chance(0.5);
                let people = world.people(2);
                let fact = world.any_fact(&people);
                if world.chance(0.4) {
                    let slot = *world.choose(fact.relation.slots());
                    let first = fact.get(slot).to_string();
                    let second = if same {
                        first.clone()
                    } else {
                        world.other(slot, &[&first])
                    };
                    return (first, second, same);
                }
                let first = world.say(&fact);
                let about = if same { fact } else { world.contradict(&fact) };
                let second = world.reword(&about, first.wording, difficulty.other_wording);
                (first.text(), second.text(), same)
            })
            .collect();
        assemble(form, pairs, |part, (first, second, same)| {
            part.replace("{v}", form.words[usize::from(same)])
                .replace("{a}", &first)
                .replace("{b}", &second)
        })
    }

    fn inference(&mut self, difficulty: Difficulty) -> String {
        let form = self.world.choose(&INFERENCE);
        let count = parts(&mut self.world, form);
        let (premise, claims) = self.claims(difficulty, count);
        assemble(form, claims, |part, (claim, label)| {
            part.replace("{v}", form.words[label as usize])
                .replace("{h}", &claim.text())
        })
        .replace("{s}", &sentences(&premise))
    }

    fn correction(&mut self, difficulty: Difficulty) -> String {
        let form = self.world.choose(&CORRECTION);
        let count = parts(&mut self.world, form);
        let (premise, claims) = self.claims(difficulty, count);
        assemble(form, claims, |part, (claim, label)| {
            let truth = match label {
                Label::Entailment => form.words[0].to_string(),
                Label::Neutral => form.words[1].to_string(),
                Label::Contradiction => truth(&premise, &claim.fact),
            };
            part.replace("{v}", &truth).replace("{h}", &claim.text())
        })
        .replace("{s}", &sentences(&premise))
    }

    /// A premise and `count` claims about it.
    fn claims(&mut self, difficulty: Difficulty, count: usize) -> (Vec<Said>, Vec<(Said, Label)>) {
        let world = &mut self.world;
        let people = world.people(2);
        let length = world.between(1, difficulty.max_facts.min(3));
        let facts = world.story(length, &people);
        let premise = world.tell(&facts);
        let claims = (0..count)
            .map(|_| {
                let label = *world.choose(&Label::ALL);
                let other = difficulty.other_wording;
                (world.hypothesis(&premise, &people, label, other), label)
            })
            .collect();
        (premise, claims)
    }

    fn question_pairs(&mut self, difficulty: Difficulty) -> String {
        let world = &mut self.world;
        let form = world.choose(&PAIRS);
        let pairs: Vec<_> = (0..parts(world, form))
            .map(|_| world.question_pair(difficulty.other_wording))
            .collect();
        assemble(form, pairs, |part, pair| {
            part.replace("{v}", form.words[usize::from(pair.duplicate)])
                .replace("{a}", &pair.first)
                .replace("{b}", &pair.second)
        })
    }

    fn question_answering(&mut self, difficulty: Difficulty) -> String {
        let world = &mut self.world;
        let count = world.between(1, difficulty.max_facts);
        let (facts, first) = world.question(count, UNANSWERABLE);
        let mut questions = vec![(first.text(), first.answer)];
        for _ in 0..world.between(0, 2) {
            let answerable = !world.chance(UNANSWERABLE);
            if let Some(more) = world.question_about(&facts, answerable) {
                questions.push((more.text(), more.answer));
            }
        }
        world.shuffle(&mut questions);
        let form = world.choose(&QUESTIONS);
        let said = world.tell(&facts);
        assemble(form, questions, |part, (question, answer)| {
            part.replace("{v}", answer.as_deref().unwrap_or(form.words[0]))
                .replace("{q}", &question)
        })
        .replace("{s}", &sentences(&said))
    }

    fn cloze(&mut self, difficulty: Difficulty) -> String {
        let world = &mut self.world;
        let count = world.between(2, difficulty.max_facts);
        let cloze = world.cloze(count);
        let (form, blank) = *world.choose(&CLOZE);
        let join = *world.choose(&LIST_JOINS);
        let query = Said {
            fact: cloze.query.fact.with(cloze.blank, blank),
            wording: cloze.query.wording,
        };
        form.replace("{v}", &cloze.answer)
            .replace("{q}", &query.text())
            .replace("{l}", &cloze.entities.join(join))
            .replace("{s}", &sentences(&cloze.story))
    }

    fn summary(&mut self) -> String {
        let world = &mut self.world;
        let (form, style) = *world.choose(&SUMMARIES);
        let distractors = world.between(0, 2);
        let summary = world.summary(distractors, style);
        form.replace("{v}", &summary.text)
            .replace("{s}", &sentences(&summary.story))
    }

    fn plain(&mut self) -> String {
        let world = &mut self.world;
        let count = world.between(2, 4);
        let people = world.cast(count);
        let facts = world.story(count, &people);
        sentences(&world.tell(&facts))
    }

    /// The first 40 to 90 % of the words, and up to 16 that follow.
    fn continue_anywhere(&mut self, document: &Document) -> Seq2Seq {
        let text = document.text();
        let words: Vec<&str> = text.split(' ').collect();
        let percent = self.world.between(40, 89);
        let cut = (words.len() * percent / 100).max(1);
        let end = words.len().min(cut + 16);
        Seq2Seq {
            source: words[..cut].join(" "),
            target: words[cut..end].join(" "),
        }
    }

    /// Up to three spans of up to three words, replaced by sentinels.
    fn corrupt_spans(&mut self, document: &Document) -> Seq2Seq {
        let text = document.text();
        let words: Vec<&str> = text.split(' ').collect();
        let mut cuts: Vec<usize> = (0..self.world.between(1, 3))
            .map(|_| self.world.between(1, words.len() - 1))
            .collect();
        cuts.sort_unstable();
        let (mut source, mut target, mut position, mut count) = (Vec::new(), Vec::new(), 0, 0);
        for cut in cuts {
            if cut < position {
                continue;
            }
            let end = (cut + self.world.between(1, 3)).min(words.len());
            source.extend(words[position..cut].iter().map(|w| (*w).to_string()));
            source.push(sentinel(count));
            target.push(format!("{} {}", sentinel(count), words[cut..end].join(" ")));
            count += 1;
            position = end;
        }
        source.extend(words[position..].iter().map(|w| (*w).to_string()));
        Seq2Seq {
            source: source.join(" "),
            target: target.join(" "),
        }
    }
}

/// What `premise` says instead of `claim`, which contradicts it: the values that differ.
fn truth(premise: &[Said], claim: &Fact) -> String {
    let told = premise.iter().find(|said| said.fact.key() == claim.key());
    let values = claim.relation.values().iter().filter_map(|&slot| {
        let true_value = told?.fact.get(slot);
        (true_value != claim.get(slot)).then_some(true_value)
    });
    values.collect::<Vec<_>>().join(" and ")
}

/// How many parts a document of this form gets.
fn parts<const N: usize>(world: &mut World, form: &Form<N>) -> usize {
    match form.join {
        "" => 1,
        _ => world.between(1, 3),
    }
}

/// The form with its parts filled in; a form that has room for one takes the first.
fn assemble<const N: usize, T>(
    form: &Form<N>,
    items: Vec<T>,
    render: impl Fn(&str, T) -> String,
) -> String {
    let limit = if form.join.is_empty() { 1 } else { items.len() };
    let parts: Vec<String> = items
        .into_iter()
        .take(limit)
        .map(|item| render(form.part, item))
        .collect();
    form.whole.replace("{parts}", &parts.join(form.join))
}

/// Whether nothing but punctuation follows the last hidden segment.
fn ends_hidden(document: &Document) -> bool {
    match document.segments.as_slice() {
        [.., last] if last.hidden => true,
        [.., hidden, last] => hidden.hidden && last.text.trim() == ".",
        _ => false,
    }
}

/// Everything before the last hidden segment, which is to be continued.
fn continue_last(document: &Document) -> Seq2Seq {
    let last = document
        .segments
        .iter()
        .rposition(|segment| segment.hidden)
        .unwrap_or(0);
    let join =
        |segments: &[Segment]| -> String { segments.iter().map(|s| s.text.as_str()).collect() };
    Seq2Seq {
        source: join(&document.segments[..last]).trim_end().to_string(),
        target: join(&document.segments[last..]),
    }
}
