//! Training sets of real ones' sizes, made of the scale model's sentences.

use std::path::{Path, PathBuf};

use anyhow::Context;
use fpt_t5::T5Tokenizer;
use fpt_tasks::{
    Lengths, Mnli, PadTo, Split, Squad2, Task, TokenBatch, TrainBatches, Xsum, read_split, tokenize,
};
use fpt_world::world::{World, sentences};
use fpt_world::{TaskOptions, write_mnli};
use serde_json::json;

/// The lines of MNLI's training file.
pub(super) const MNLI_LINES: usize = 392_702;
/// The articles of XSum's training file.
pub(super) const XSUM_ARTICLES: usize = 204_045;
/// The paragraphs of SQuAD's training file: 42 MB.
pub(super) const SQUAD_PARAGRAPHS: usize = 19_035;
const SQUAD_QUESTIONS: usize = 7;
/// Mean lengths in characters.
const SQUAD_PARAGRAPH: usize = 735;
const XSUM_ARTICLE: usize = 2200;
const BATCH: usize = 32;

/// A task that has a large training set.
pub(super) struct Large {
    task: &'static dyn Task,
    /// Makes the file `path` of `<directory>/<task>`, of so many lines, paragraphs or articles.
    make: fn(directory: &Path, path: &Path, size: usize) -> anyhow::Result<()>,
}

pub(super) const MNLI: Large = Large {
    task: &Mnli,
    make: |directory, _, size| {
        let options = TaskOptions {
            seed: 1,
            train: size,
            dev: 10,
            test: 10,
        };
        Ok(write_mnli(directory, &options)?)
    },
};

pub(super) const SQUAD2: Large = Large {
    task: &Squad2,
    make: |_, path, size| Ok(fpt_files::write(path, squad(size))?),
};

pub(super) const XSUM: Large = Large {
    task: &Xsum,
    make: |_, path, size| Ok(fpt_files::write(path, xsum(size))?),
};

pub(super) struct LargeData {
    task: &'static dyn Task,
    tokenizer: T5Tokenizer,
    directory: PathBuf,
}

impl LargeData {
    /// Write the training file of a task, `<task>/<file>`, of so many lines, paragraphs or articles, and the scale
    /// model's tokenizer; files that are there already are kept.
    pub(super) fn save(
        directory: &Path,
        large: &Large,
        size: usize,
        model: &Path,
    ) -> anyhow::Result<()> {
        let copy = directory.join("tokenizer.json");
        if copy.exists() {
            return Ok(());
        }
        let path = large.task.path(directory, Split::Train);
        let path = path.context("there is no training split")?;
        let parent = directory.join(large.task.name().as_str());
        std::fs::create_dir_all(&parent)
            .with_context(|| format!("failed to create {}", parent.display()))?;
        (large.make)(directory, &path, size)?;
        std::fs::copy(model.join("tokenizer.json"), &copy)
            .with_context(|| format!("failed to write {}", copy.display()))?;
        Ok(())
    }

    /// What [`LargeData::save`] wrote.
    pub(super) fn load(directory: &Path) -> anyhow::Result<Self> {
        let found = |task: &&'static dyn Task| {
            let path = task.path(directory, Split::Train);
            path.is_some_and(|path| path.exists())
        };
        let mut tasks = [MNLI, SQUAD2, XSUM].into_iter().map(|large| large.task);
        Ok(Self {
            task: tasks.find(found).context("there are no large data")?,
            tokenizer: T5Tokenizer::from_directory(directory)?,
            directory: directory.to_path_buf(),
        })
    }

    /// Read, tokenize, and pad an epoch's batches. Returns the number of source and target tokens.
    pub(super) fn tokens(&self) -> anyhow::Result<usize> {
        let data = read_split(&self.directory, self.task, Split::Train)?;
        let limits = Lengths {
            max_source: 492,
            max_target: self.task.max_target_length(),
        };
        let encode = |text: &str| self.tokenizer.encode(text);
        let tokens = tokenize(&data.examples, encode, limits)?.examples;
        let lengths = tokens.iter().map(|e| e.source.len()).collect();
        let batches = TrainBatches::new(lengths, BATCH, 0)?;
        for step in 0..batches.steps_per_epoch() {
            let batch = TokenBatch::new(&tokens, batches.indices(step), PadTo::Multiple(4));
            std::hint::black_box(batch);
        }
        Ok(tokens.iter().map(|e| e.source.len() + e.target.len()).sum())
    }
}

/// Stories until there are so many characters.
fn text(world: &mut World, length: usize) -> String {
    let mut text = String::new();
    while text.len() < length {
        let people = world.people(4);
        let facts = world.story(4, &people);
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&sentences(&world.tell(&facts)));
    }
    text
}

/// SQuAD 2.0's JSON. The questions are not about their paragraphs: nothing is learned from them.
fn squad(paragraphs: usize) -> String {
    let mut world = World::new(2);
    let paragraphs: Vec<_> = (0..paragraphs)
        .map(|paragraph| {
            let context = text(&mut world, SQUAD_PARAGRAPH);
            let questions: Vec<_> = (0..SQUAD_QUESTIONS)
                .map(|number| {
                    let (_, question) = world.question(4, 1.0 / 3.0);
                    let answers: Vec<_> = question
                        .answer
                        .iter()
                        .map(|answer| json!({ "text": answer, "answer_start": 0 }))
                        .collect();
                    json!({
                        "id": format!("{paragraph}-{number}"),
                        "question": question.text() + "?",
                        "is_impossible": answers.is_empty(),
                        "answers": answers,
                    })
                })
                .collect();
            json!({ "context": context, "qas": questions })
        })
        .collect();
    json!({ "version": "v2.0", "data": [{ "title": "Stories", "paragraphs": paragraphs }] })
        .to_string()
}

/// XSum's table of articles and summaries.
fn xsum(articles: usize) -> String {
    let mut world = World::new(3);
    let rows = (0..articles).map(|_| {
        let summary = world.summary(2, 0).text;
        text(&mut world, XSUM_ARTICLE) + "\t" + &summary + "\n"
    });
    rows.collect()
}
