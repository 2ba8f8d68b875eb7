//! SQuAD 2.0: answer a question about a paragraph, or say that it does not answer it.

use std::{io::BufRead, path::Path, sync::Arc};

use serde::Deserialize;

use super::Task;
use crate::{
    Dataset, Example, Gold, ScoreError, Scores, Split, TaskError, TaskKind, Warning, Warnings,
    metrics::{
        self,
        classification::{accuracy, binary_f1},
        paper, squad,
    },
    read::{json_error, strip_bom},
    text::distinct,
};

/// What is generated when there is no answer.
const NO_ANSWER: &str = "no answer";

/// SQuAD 2.0 in its own JSON. Source `question: {question} context: {context}`, target the first
/// answer, or `no answer`.
#[derive(Debug, Clone, Copy)]
pub struct Squad2;

#[derive(Deserialize)]
struct Document {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    id: String,
    question: String,
    answers: Option<Vec<Answer>>,
    is_impossible: Option<bool>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
}

impl Task for Squad2 {
    fn kind(&self) -> TaskKind {
        TaskKind::Squad2
    }

    fn file(&self, split: Split) -> &'static str {
        match split {
            Split::Train => "train-v2.0.json",
            Split::Dev => "dev-v2.0.json",
            Split::Test => "test-v2.0.json",
        }
    }

    /// A question is impossible when it has no answers; where `is_impossible` says otherwise, a
    /// warning is counted. A question without the key `answers` has a hidden answer.
    fn read_from(&self, reader: &mut dyn BufRead, path: &Path) -> Result<Dataset, TaskError> {
        let text = read_text(reader, path)?;
        let document: Document =
            serde_json::from_str(strip_bom(&text)).map_err(|e| json_error(path, None, &e))?;
        let mut examples = Vec::new();
        let mut warnings = Warnings::default();
        let paragraphs = document.data.into_iter().flat_map(|a| a.paragraphs);
        for paragraph in paragraphs {
            for question in paragraph.qas {
                if let (Some(answers), Some(impossible)) =
                    (&question.answers, question.is_impossible)
                    && answers.is_empty() != impossible
                {
                    warnings.push(Warning {
                        place: format!("{}: question `{}`", path.display(), question.id),
                        reason: format!(
                            "is_impossible is {impossible} but there are {} answers; the answers count",
                            answers.len()
                        ),
                    });
                }
                examples.push(example(&paragraph.context, question, examples.len()));
            }
        }
        if examples.is_empty() {
            return Err(TaskError::Empty {
                path: path.to_owned(),
                expected: "SQuAD 2.0 JSON: data, paragraphs, qas",
            });
        }
        Ok(Dataset { examples, warnings })
    }

    fn max_target_length(&self) -> usize {
        200
    }

    /// As the authors: `paper_em` (any answer, or `no answer`), `paper_accuracy` (the first
    /// answer), `paper_f1` (F1 of "has an answer"), whose mean is the mean. As the official
    /// script: `em` and `f1` over all, `has_ans_*` and `no_ans_*` over the parts that exist; the
    /// prediction `no answer` stands for its empty string.
    fn score(&self, examples: &[Example], predictions: &[String]) -> Result<Scores, ScoreError> {
        let pairs = metrics::answers(examples, predictions)?;
        let golds = |answers: &[String]| match answers {
            [] => vec![NO_ANSWER.to_owned()],
            _ => answers.to_vec(),
        };
        let paper_em = metrics::mean_percent(pairs.iter().map(|(prediction, answers)| {
            f64::from(paper::exact_match(prediction, &golds(answers)))
        }));
        let firsts = pairs
            .iter()
            .map(|&(p, answers)| (p, answers.first().map_or(NO_ANSWER, |a| a.trim())));
        // The authors compare the first answer with "no answer", not whether there is one.
        let answerable = firsts
            .clone()
            .map(|(p, first)| (p != NO_ANSWER, first != NO_ANSWER));
        let mut values = vec![
            ("paper_em", paper_em),
            ("paper_accuracy", accuracy(firsts.clone())),
            ("paper_f1", binary_f1(answerable)),
        ];
        values.extend(squad::v2(pairs.iter().map(|&(p, answers)| {
            let prediction = if p == NO_ANSWER { "" } else { p };
            (prediction, answers)
        })));
        let mean = ["paper_accuracy", "paper_em", "paper_f1"];
        Ok(Scores::new("paper_em", &mean, values))
    }
}

fn example(context: &str, question: Question, group: usize) -> Example {
    let gold = question.answers.map_or(Gold::Hidden, |answers| {
        let texts = distinct(answers.iter().map(|a| &*a.text));
        Gold::Answers(texts.into_iter().map(str::to_owned).collect())
    });
    let target = match &gold {
        Gold::Hidden => None,
        Gold::Answers(texts) => Some(texts.first().map_or(NO_ANSWER, |t| t).to_owned()),
    };
    Example {
        id: question.id,
        source: format!("question: {} context: {context}", question.question),
        target,
        gold,
        group,
        candidates: Arc::default(),
    }
}

/// The whole text, or the line at which it stops being UTF-8.
fn read_text(reader: &mut dyn BufRead, path: &Path) -> Result<String, TaskError> {
    let mut bytes = Vec::new();
    let read = reader.read_to_end(&mut bytes);
    read.map_err(|source| TaskError::Io {
        path: path.to_owned(),
        source,
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        TaskError::Utf8 {
            path: path.to_owned(),
            line: 1 + valid.iter().filter(|&&b| b == b'\n').count(),
        }
    })
}
