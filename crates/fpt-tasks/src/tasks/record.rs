//! ReCoRD: which entity of a news passage is missing from a statement about it?

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::GLUE;
use crate::metrics::{self, paper, record};
use crate::read::{Id, Lines, json_lines};
use crate::text::{count_word, distinct};
use crate::{
    Baseline, Candidate, Example, Gold, PaperFigures, ScoreError, Scores, Sink, Split, Stacks,
    Submission, SubmissionFormat, Task, TaskError, TaskName, Warning, baseline,
};

/// Spans may overlap, but not so that a small file makes huge sources.
const MOST_COVERAGE: usize = 32;
/// Far more than any passage has: each is looked for in all of it.
const MOST_ENTITIES: usize = 1 << 12;
const HIGHLIGHT: &str = "\n@highlight\n";
/// After these a passage needs no further full stop.
const END_MARKS: [char; 5] = ['.', '?', '!', '"', '\''];

/// ReCoRD in SuperGLUE's JSON lines. Source `query: {query} entities: {e1, e2, ...} passage:
/// {passage}`, one example for each distinct answer.
#[derive(Debug, Clone, Copy)]
pub struct Record;

const PAPER: PaperFigures = PaperFigures {
    flops_target: 200,
    t5_large: &[
        ("pt", 81.46),
        ("ld-1/4", 24.75),
        ("ld-1/2", 39.09),
        ("ld-3/4", 59.87),
        ("fr-1/4", 62.90),
        ("fr-1/2", 74.59),
        ("fr-3/4", 79.52),
        ("cr-1/4", 23.99),
        ("cr-1/2", 29.50),
        ("cr-3/4", 58.97),
        ("fpt-ld", 80.23),
        ("fpt-fr", 81.07),
        ("fpt-cr", 81.00),
    ],
};

#[derive(Deserialize)]
struct Line {
    passage: Passage,
    qas: Vec<Query>,
}

#[derive(Deserialize)]
struct Passage {
    text: String,
    entities: Vec<Span>,
}

/// In characters, the end included.
#[derive(Deserialize)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Deserialize)]
struct Query {
    query: String,
    answers: Option<Vec<Answer>>,
    idx: Option<Id>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
}

impl Task for Record {
    fn name(&self) -> TaskName {
        TaskName::RECORD
    }

    fn declaration(&self) -> String {
        "record 1".into()
    }

    fn file(&self, split: Split) -> &str {
        match split {
            Split::Train => "train.jsonl",
            Split::Dev => "val.jsonl",
            Split::Test => "test.jsonl",
        }
    }

    fn expected(&self, _path: &Path) -> &str {
        "one JSON object with passage and qas a line"
    }

    /// Entities are deduplicated in order of appearance. Queries with an empty list of answers are
    /// skipped with a warning; those without the key `answers` have a hidden answer.
    fn scan(
        &self,
        reader: &mut dyn BufRead,
        path: &Path,
        sink: &mut dyn Sink,
    ) -> Result<(), TaskError> {
        let mut group = 0;
        json_lines(
            Lines::new(reader, path),
            sink,
            &mut |line, row: Line, sink| row.scan((path, line), &mut group, sink),
        )
    }

    fn max_target_length(&self) -> usize {
        200
    }

    fn reduced_stacks(&self) -> Stacks {
        Stacks::Both
    }

    /// As the authors: `paper_em` and `paper_f1` (F1 of raw words), whose mean is the mean. As the
    /// official script: `em` and `f1`. All take the best answer. Score
    /// [evaluation sets](crate::Dataset::evaluation), or queries with several answers count repeatedly.
    fn score(&self, examples: &[Example], predictions: &[String]) -> Result<Scores, ScoreError> {
        let pairs = metrics::answers(examples, predictions)?;
        let best = |metric: fn(&str, &str) -> f64| {
            metrics::mean_percent(pairs.iter().map(|(prediction, answers)| {
                let scores = answers.iter().map(|answer| metric(answer, prediction));
                scores.fold(0.0, f64::max)
            }))
        };
        let exact = pairs
            .iter()
            .map(|(p, answers)| f64::from(paper::exact_match(p, answers)));
        let values = [
            ("paper_em", metrics::mean_percent(exact)),
            ("paper_f1", best(paper::word_f1)),
            ("em", best(record::exact_match)),
            ("f1", best(record::f1)),
        ];
        Ok(Scores::new("paper_em", &["paper_em", "paper_f1"], values))
    }

    fn baseline(&self, _train: &[Example], eval: &[Example]) -> Result<Baseline, ScoreError> {
        baseline::most_frequent_entity(self, eval)
    }

    fn submission(&self) -> Submission<'_> {
        Submission {
            file: "ReCoRD.jsonl".into(),
            format: SubmissionFormat::JsonLines,
        }
    }

    fn how_to_get(&self, data: &Path) -> Option<String> {
        let data = data.display();
        Some(format!(
            "(mkdir -p {data} && cd {data} && curl -fLO {GLUE}/superglue/data/v2/ReCoRD.zip && unzip ReCoRD.zip 'ReCoRD/*.jsonl' && mv ReCoRD record)"
        ))
    }

    fn paper(&self) -> Option<PaperFigures> {
        Some(PAPER)
    }
}

impl Line {
    /// The examples of a line, which is at `path` and `line`; `group` is the number of the next query.
    fn scan(
        self,
        (path, line): (&Path, usize),
        group: &mut usize,
        sink: &mut dyn Sink,
    ) -> Result<(), TaskError> {
        let error = |reason: String| TaskError::Row {
            path: path.to_owned(),
            line,
            reason,
        };
        let candidates: Arc<[Candidate]> = match candidates(&self.passage) {
            Ok(candidates) => candidates.into(),
            Err(reason) => return sink.fault(error(reason)),
        };
        let names: Vec<_> = candidates.iter().map(|c| &*c.text).collect();
        let context = format!(
            "entities: {} passage: {}",
            names.join(", "),
            plain_passage(&self.passage.text)
        );
        for query in self.qas {
            sink.field(line, "query", &query.query);
            sink.field(line, "passage", &self.passage.text);
            let base = Example {
                id: query.idx.map_or_else(|| group.to_string(), |idx| idx.0),
                source: format!("query: {} {context}", query.query),
                target: None,
                gold: Gold::Hidden,
                group: *group,
                candidates: Arc::clone(&candidates),
            };
            *group += 1;
            let Some(answers) = query.answers else {
                sink.example(line, base);
                continue;
            };
            let texts = answers.iter().map(|a| &*a.text);
            let answers = distinct(texts.filter(|text| !text.trim().is_empty()));
            if answers.is_empty() {
                let reason = format!("query `{}` has no answers; skipped", base.id);
                sink.skip(line, Warning::at_line(path, line, reason));
            }
            if let Some(answer) = answers.iter().find(|a| !names.contains(a)) {
                sink.fault(error(format!(
                    "answer `{answer}` of query `{}` is none of the passage's entities",
                    base.id
                )))?;
                continue;
            }
            let gold: Vec<_> = answers.iter().map(|&a| a.to_owned()).collect();
            for answer in answers {
                let example = Example {
                    target: Some(answer.to_owned()),
                    gold: Gold::Answers(gold.clone()),
                    ..base.clone()
                };
                sink.example(line, example);
            }
        }
        Ok(())
    }
}

/// The distinct entities of a passage, in order of appearance.
fn candidates(passage: &Passage) -> Result<Vec<Candidate>, String> {
    let text = &*passage.text;
    let entities = passage.entities.len();
    if entities > MOST_ENTITIES {
        return Err(format!(
            "the passage has {entities} entities, more than the {MOST_ENTITIES} supported; keep those that are answers"
        ));
    }
    // Byte offset of every character, and of the end.
    let offsets: Vec<_> = text
        .char_indices()
        .map(|(offset, _)| offset)
        .chain([text.len()])
        .collect();
    let characters = offsets.len() - 1;
    let mut names = Vec::with_capacity(entities);
    let mut covered = 0;
    for &Span { start, end } in &passage.entities {
        if start > end || end >= characters {
            return Err(format!(
                "entity span {start}..={end} is not within the passage of {characters} characters"
            ));
        }
        let name = &text[offsets[start]..offsets[end + 1]];
        covered += name.len();
        if covered > MOST_COVERAGE * text.len() {
            return Err(format!(
                "the entity spans cover the passage more than {MOST_COVERAGE} times"
            ));
        }
        names.push(name);
    }
    let candidates = distinct(names).into_iter().map(|name| Candidate {
        text: name.to_owned(),
        mentions: count_word(text, name),
    });
    Ok(candidates.collect())
}

/// The passage as the authors show it: highlights joined as sentences, a full stop at the end.
fn plain_passage(text: &str) -> String {
    let mut plain = String::with_capacity(text.len() + 8);
    let mut parts = text.split(HIGHLIGHT);
    plain.extend(parts.next());
    let mut previous = plain.chars().next_back();
    for part in parts {
        let ended = previous.is_some_and(|c| END_MARKS.contains(&c));
        plain.push_str(if ended { " " } else { ". " });
        plain.push_str(part);
        previous = part.chars().next_back();
    }
    if !plain.ends_with(END_MARKS) {
        plain.push('.');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out by hand; tests/metrics.rs compares more with the authors' expressions.
    #[test]
    fn passages_read_as_the_authors() {
        for (text, expected) in [
            ("One", "One."),
            (
                "One.\n@highlight\nTwo!\n@highlight\nThree",
                "One. Two! Three.",
            ),
            (
                "One\n@highlight\nTwo\"\n@highlight\n'Three'",
                "One. Two\" 'Three'",
            ),
            ("\n@highlight\nTwo", ". Two."),
            ("One\n@highlight\n\n@highlight\nTwo?", "One. . Two?"),
            ("One.\n@highlight\n@highlight\nTwo", "One. @highlight\nTwo."),
            ("One\n@highlight\n", "One. ."),
        ] {
            assert_eq!(plain_passage(text), expected, "{text:?}");
        }
    }
}
