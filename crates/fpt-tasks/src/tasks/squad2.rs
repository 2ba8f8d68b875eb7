//! SQuAD 2.0: answer a question about a paragraph, or say that it does not answer it.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::metrics::classification::{accuracy, binary_f1};
use crate::metrics::paper::{self, NO_ANSWER};
use crate::metrics::{self, squad};
use crate::read::{Id, Places, json_error, read_text, strip_bom};
use crate::text::distinct;
use crate::{
    Example, Gold, PaperFigures, ScoreError, Scores, Sink, Split, Stacks, Submission,
    SubmissionFormat, Task, TaskError, TaskName, Warning,
};

/// SQuAD 2.0 in its own JSON. Source `question: {question} context: {context}`, target the first
/// answer, or `no answer`.
#[derive(Debug, Clone, Copy)]
pub struct Squad2;

const PAPER: PaperFigures = PaperFigures {
    flops_target: 200,
    t5_large: &[
        ("pt", 76.09),
        ("ld-1/4", 48.14),
        ("ld-1/2", 52.87),
        ("ld-3/4", 63.97),
        ("fr-1/4", 66.68),
        ("fr-1/2", 72.65),
        ("fr-3/4", 74.73),
        ("cr-1/4", 48.62),
        ("cr-1/2", 50.90),
        ("cr-3/4", 63.42),
        ("fpt-ld", 75.89),
        ("fpt-fr", 76.26),
        ("fpt-cr", 75.63),
    ],
};

// Parts stay text until they are parsed one by one, so that an error in one of them hides none of
// the others.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Article<'a> {
    #[serde(borrow)]
    paragraphs: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Paragraph<'a> {
    context: String,
    #[serde(borrow)]
    qas: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Question {
    id: Id,
    question: String,
    answers: Option<Vec<Answer>>,
    is_impossible: Option<bool>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
}

impl Task for Squad2 {
    fn name(&self) -> TaskName {
        TaskName::SQUAD2
    }

    fn declaration(&self) -> String {
        "squad2 1".into()
    }

    fn file(&self, split: Split) -> &str {
        match split {
            Split::Train => "train-v2.0.json",
            Split::Dev => "dev-v2.0.json",
            Split::Test => "test-v2.0.json",
        }
    }

    fn expected(&self, _path: &Path) -> &str {
        "SQuAD 2.0 JSON: data, paragraphs, qas"
    }

    /// A question is impossible when it has no answers; where `is_impossible` says otherwise, a
    /// warning is counted. Answers without words, which the official script does not count either,
    /// are none, with a warning. A question without the key `answers` has a hidden answer.
    fn scan(
        &self,
        reader: &mut dyn BufRead,
        path: &Path,
        sink: &mut dyn Sink,
    ) -> Result<(), TaskError> {
        let text = read_text(reader, path, sink)?;
        let text = strip_bom(&text);
        let document: Document<'_> =
            serde_json::from_str(text).map_err(|e| json_error(path, None, &e))?;
        let mut places = Places::new(path, text);
        let mut group = 0;
        for article in document.data {
            let Some(article) = parse::<Article<'_>>(article, &mut places, sink)? else {
                continue;
            };
            for paragraph in article.paragraphs {
                let Some(paragraph) = parse::<Paragraph<'_>>(paragraph, &mut places, sink)? else {
                    continue;
                };
                for question in paragraph.qas {
                    let line = places.line(question);
                    let Some(question) = parse::<Question>(question, &mut places, sink)? else {
                        continue;
                    };
                    sink.field(line, "question", &question.question);
                    sink.field(line, "context", &paragraph.context);
                    let answers = Answers::of(&question);
                    for reason in answers.oddities(&question) {
                        let place = format!("{}: question `{}`", path.display(), question.id.0);
                        sink.warn(line, Warning { place, reason });
                    }
                    let gold = answers.gold();
                    sink.example(line, example(&paragraph.context, question, gold, group));
                    group += 1;
                }
            }
        }
        Ok(())
    }

    fn max_target_length(&self) -> usize {
        200
    }

    fn reduced_stacks(&self) -> Stacks {
        Stacks::Both
    }

    /// `answer` or `no answer`.
    fn label<'a>(&self, example: &'a Example) -> Option<&'a str> {
        match &example.gold {
            Gold::Answers(answers) if answers.is_empty() => Some(NO_ANSWER),
            _ => Some("answer"),
        }
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

    fn submission(&self) -> Submission<'_> {
        Submission {
            file: "predictions.json".into(),
            format: SubmissionFormat::JsonObject {
                no_answer: NO_ANSWER,
            },
        }
    }

    /// By the authors' exact match.
    fn is_right(&self, example: &Example, answer: &str) -> Option<bool> {
        match &example.gold {
            Gold::Hidden => None,
            Gold::Answers(right) if right.is_empty() => Some(answer.trim() == NO_ANSWER),
            Gold::Answers(right) => Some(paper::exact_match(answer, right)),
        }
    }

    fn how_to_get(&self, data: &Path) -> Option<String> {
        let data = data.display();
        Some(format!(
            "(mkdir -p {data}/squad2 && cd {data}/squad2 && curl -fL --remote-name-all \
             'https://rajpurkar.github.io/SQuAD-explorer/dataset/{{train,dev}}-v2.0.json')"
        ))
    }

    fn paper(&self) -> Option<PaperFigures> {
        Some(PAPER)
    }
}

/// A part of the document; one that is something else is a fault.
fn parse<'a, T: Deserialize<'a>>(
    part: &'a RawValue,
    places: &mut Places<'_>,
    sink: &mut dyn Sink,
) -> Result<Option<T>, TaskError> {
    places.line(part);
    match serde_json::from_str(part.get()) {
        Ok(parsed) => Ok(Some(parsed)),
        Err(error) => sink.fault(places.error(&error)).map(|()| None),
    }
}

/// What a question has for answers.
struct Answers<'a> {
    /// Those with words, each once; `None` where they are hidden.
    texts: Option<Vec<&'a str>>,
    /// One that has none, and how many there are.
    without_words: Option<(&'a str, usize)>,
}

impl<'a> Answers<'a> {
    fn of(question: &'a Question) -> Self {
        let Some(answers) = &question.answers else {
            return Self {
                texts: None,
                without_words: None,
            };
        };
        let texts = answers.iter().map(|answer| &*answer.text);
        let (with, without): (Vec<_>, Vec<_>) =
            texts.partition(|text| !squad::normalize_answer(text).is_empty());
        Self {
            texts: Some(distinct(with)),
            without_words: without.first().map(|first| (*first, without.len())),
        }
    }

    /// What is odd about them, and what is made of it.
    fn oddities(&self, question: &Question) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some((first, count)) = self.without_words {
            reasons.push(format!(
                "{count} of its answers have no words (`{first}`); they count as none"
            ));
        }
        let count = self.texts.as_ref().map(Vec::len);
        if let (Some(count), Some(impossible)) = (count, question.is_impossible)
            && (count == 0) != impossible
        {
            reasons.push(format!(
                "is_impossible is {impossible} but there are {count} answers; the answers count"
            ));
        }
        reasons
    }

    fn gold(&self) -> Gold {
        let Some(texts) = &self.texts else {
            return Gold::Hidden;
        };
        Gold::Answers(texts.iter().map(|&text| text.to_owned()).collect())
    }
}

fn example(context: &str, question: Question, gold: Gold, group: usize) -> Example {
    let target = match &gold {
        Gold::Hidden => None,
        Gold::Answers(texts) => Some(texts.first().map_or(NO_ANSWER, |t| t).to_owned()),
    };
    Example {
        id: question.id.0,
        source: format!("question: {} context: {context}", question.question),
        target,
        gold,
        group,
        candidates: Arc::default(),
    }
}
