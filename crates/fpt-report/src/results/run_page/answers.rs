//! The answers of a run beside what they should be, where the examples are still there.

use std::collections::HashMap;
use std::path::PathBuf;

use fpt_tasks::metrics::Confusion;
use fpt_tasks::{Example, Gold, Split, Tasks, read_split};
use fpt_train::{Prediction, content_of_examples};

use crate::results::Run;

/// The examples that runs were reported on, each file read once. A run directory has answers, but no examples: they are
/// read from where the run's configuration says, and are taken only if their content is what the run read.
#[derive(Default)]
pub(in crate::results) struct Examples {
    known: HashMap<(Option<PathBuf>, String, Split), Option<Known>>,
}

/// Examples, and their content's hash.
struct Known {
    examples: Vec<Example>,
    content: String,
}

impl Examples {
    /// Of the reported split of a run; `None` where they are not there any more, or others.
    pub(in crate::results) fn of(&mut self, run: &Run) -> Option<&[Example]> {
        let config = &run.finished.config;
        let split = run.finished.result.split;
        let task = config.task(&Tasks::paper()).ok()?;
        let place = (task.path(&config.data, split), task.declaration(), split);
        let known = self.known.entry(place).or_insert_with(|| {
            let examples = read_split(&config.data, &*task, split).ok()?.examples;
            let content = content_of_examples(&examples);
            Some(Known { examples, content })
        });
        let known = known.as_ref()?;
        let read = run.inputs.splits.get(&split)?;
        (*read == known.content).then_some(&known.examples)
    }
}

/// An answer beside what it should be.
pub(super) struct Answer<'a> {
    pub(super) example: &'a Example,
    pub(super) text: &'a str,
    /// What it scores by itself, percent.
    pub(super) score: f64,
}

impl Answer<'_> {
    /// What would be right.
    pub(super) fn gold(&self) -> String {
        match (&self.example.target, &self.example.gold) {
            (_, Gold::Answers(answers)) if !answers.is_empty() => answers.join(" | "),
            (Some(target), _) => target.clone(),
            (None, _) => String::new(),
        }
    }
}

/// The answers to examples.
pub(super) struct Answers<'a> {
    /// In the order of the examples.
    pub(super) all: Vec<Answer<'a>>,
    /// Which label was taken for which, where the task is one of labels.
    pub(super) confusion: Option<Confusion>,
}

impl<'a> Answers<'a> {
    /// `None` where answers and examples do not fit together, or nothing says what is right.
    pub(super) fn of(
        run: &Run,
        examples: &'a [Example],
        predictions: &'a [Prediction],
    ) -> Option<Self> {
        let task = run.finished.config.task(&Tasks::paper()).ok()?;
        let pairs = || examples.iter().zip(predictions);
        if examples.len() != predictions.len() || pairs().any(|(e, p)| e.id != p.id) {
            return None;
        }
        let answer = |(example, prediction): (&'a Example, &'a Prediction)| {
            let text = prediction.prediction.as_str();
            let scores = task.score(
                std::slice::from_ref(example),
                std::slice::from_ref(&prediction.prediction),
            );
            Some(Answer {
                example,
                text,
                score: scores.ok()?.primary_value(),
            })
        };
        let all: Option<Vec<Answer<'a>>> = pairs().map(answer).collect();
        all.filter(|all| !all.is_empty()).map(|all| Self {
            confusion: Confusion::of_task(&*task, all.iter().map(|it| (it.example, it.text))),
            all,
        })
    }

    /// So many with the best scores, or with the worst; of equal ones the first. What is right is not among the worst, nor
    /// what scores nothing among the best.
    pub(super) fn extreme(&self, best: bool, count: usize) -> Vec<&Answer<'a>> {
        let fits = |answer: &&Answer<'_>| {
            if best {
                answer.score > 0.0
            } else {
                answer.score < 100.0
            }
        };
        let mut chosen: Vec<&Answer<'a>> = self.all.iter().filter(fits).collect();
        chosen.sort_by(|a, b| {
            let by_score = a.score.total_cmp(&b.score);
            if best { by_score.reverse() } else { by_score }
        });
        chosen.truncate(count);
        chosen
    }
}
