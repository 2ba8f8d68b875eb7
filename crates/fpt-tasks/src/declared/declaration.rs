//! What a declaration says, as it is written.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Metric;
use crate::{Split, Stacks};

/// A task in a few lines: which files, and how their rows become texts. [`DeclaredTask`](super::DeclaredTask) makes a
/// [`Task`](crate::Task) of it.
///
/// Templates are [minijinja](https://docs.rs/minijinja)'s: `{{ text }}` stands for the column `text`, and `{{ row["a b"] }}`
/// for one whose name is no word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Declaration {
    /// The text for the encoder, such as `"review: {{ text }}"`.
    pub source: String,
    /// The text to generate, such as `"{{ stars }}"`. Where the file has not its columns, or nothing in them, the answer is
    /// hidden.
    pub target: String,
    /// What is measured; the first is that of tables, and the best prompt is chosen by it. Absent means accuracy where there
    /// are labels, else exact match and ROUGE-L.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// The label, as the file has it, that `f1` is of; absent means the second of two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<String>,
    /// How an answer is found: `"labels"`, the most probable of the label words, or `"generate"`. Absent means labels where
    /// there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerBy>,
    /// The limit on the target, in tokens with the sentinel and `</s>`; absent means 10 where there are labels, else 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_target: Option<usize>,
    /// The stacks that partial models reduce; absent means the encoder where there are labels, else both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce: Option<Stacks>,
    /// The files: `{ train = "train.csv", dev = "dev.csv", test = "test.csv" }`, or one for all with `holdout`. Their
    /// extension says what they are: csv, tsv, jsonl, json or parquet.
    pub files: Files,
    /// What is set aside of the training file for the splits that have none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<Holdout>,
    /// What may stand in the target, each with the word that it means to the model: `{ "1" = "bad", "2" = "good" }`, or a
    /// list where both are the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
}

/// How an answer is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum AnswerBy {
    /// The most probable of the labels.
    Labels,
    /// What the model generates.
    Generate,
}

/// The files of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Files {
    /// Of the training examples.
    pub train: PathBuf,
    /// Of the dev examples, unless they are held out of the training file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev: Option<PathBuf>,
    /// Of the test examples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
}

/// What is set aside of the training file. Rows of the same source stay together, labels are spread evenly, and the order
/// of the rows does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Holdout {
    /// For dev.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev: Option<Part>,
    /// For test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Part>,
    /// Of the draw.
    #[serde(default)]
    pub seed: u64,
}

/// How much: a share between 0 and 1, or a number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Part {
    /// So many rows.
    Rows(usize),
    /// This share of them.
    Share(f64),
}

/// The labels as files have them, each with its word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Labels(pub BTreeMap<String, String>);

impl Declaration {
    /// The least that a declaration says; everything else may be set afterwards.
    pub fn new(source: impl Into<String>, target: impl Into<String>, files: Files) -> Self {
        Self {
            source: source.into(),
            target: target.into(),
            files,
            metrics: Vec::new(),
            positive: None,
            answer: None,
            max_target: None,
            reduce: None,
            holdout: None,
            labels: None,
        }
    }
}

impl Files {
    /// The file of a split, where it has one of its own.
    pub fn of(&self, split: Split) -> Option<&PathBuf> {
        match split {
            Split::Train => Some(&self.train),
            Split::Dev => self.dev.as_ref(),
            Split::Test => self.test.as_ref(),
        }
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [Some(&mut self.train), self.dev.as_mut(), self.test.as_mut()]
            .into_iter()
            .flatten()
    }
}

impl Holdout {
    /// What is set aside for a split.
    pub fn of(&self, split: Split) -> Option<Part> {
        match split {
            Split::Train => None,
            Split::Dev => self.dev,
            Split::Test => self.test,
        }
    }
}

impl Part {
    /// Of so many rows.
    pub(super) fn rows(self, of: usize) -> usize {
        match self {
            Self::Rows(rows) => rows,
            Self::Share(share) => (share * of as f64).round() as usize,
        }
    }
}

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FilesVisitor)
    }
}

/// A path, or a table of them.
struct FilesVisitor;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTable {
    train: PathBuf,
    dev: Option<PathBuf>,
    test: Option<PathBuf>,
}

impl<'de> Visitor<'de> for FilesVisitor {
    type Value = Files;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file, or { train = \"…\", dev = \"…\", test = \"…\" }")
    }

    fn visit_str<E>(self, path: &str) -> Result<Files, E> {
        Ok(Files {
            train: path.into(),
            dev: None,
            test: None,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Files, A::Error> {
        let FileTable { train, dev, test } =
            FileTable::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Files { train, dev, test })
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartVisitor)
    }
}

struct PartVisitor;

impl Visitor<'_> for PartVisitor {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a share between 0 and 1, such as 0.1, or a number of rows")
    }

    fn visit_f64<E: serde::de::Error>(self, share: f64) -> Result<Part, E> {
        if share > 0.0 && share < 1.0 {
            return Ok(Part::Share(share));
        }
        Err(E::invalid_value(serde::de::Unexpected::Float(share), &self))
    }

    fn visit_u64<E: serde::de::Error>(self, rows: u64) -> Result<Part, E> {
        match usize::try_from(rows) {
            Ok(rows) if rows > 0 => Ok(Part::Rows(rows)),
            _ => Err(E::invalid_value(
                serde::de::Unexpected::Unsigned(rows),
                &self,
            )),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, rows: i64) -> Result<Part, E> {
        match u64::try_from(rows) {
            Ok(rows) => self.visit_u64(rows),
            Err(_) => Err(E::invalid_value(serde::de::Unexpected::Signed(rows), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LabelsVisitor)
    }
}

/// A table of labels and words, or a list of words.
struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels with their words, { \"1\" = \"bad\", … }, or a list of words")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Labels, A::Error> {
        let words = Vec::<String>::deserialize(SeqAccessDeserializer::new(list))?;
        let pairs = words.into_iter().map(|word| (word.clone(), word));
        Ok(Labels(pairs.collect()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Labels, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(Labels)
    }
}
