//! Data as the model will see them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use fpt::terminal;
use fpt_t5::T5Tokenizer;
use fpt_tasks::{Answers, Dataset, Example, SENTINEL, Split, Task, read_split};
use fpt_train::RunConfig;
use serde::Serialize;

use super::Checked;

/// So many examples are shown.
const SHOWN: usize = 3;
/// So many characters of a text.
const MOST: usize = 300;
/// So many unknown characters or words are named.
const NAMED: usize = 20;

/// What is in a file, beyond its problems.
#[derive(Serialize)]
pub(super) struct Look {
    /// Some examples.
    shown: Vec<Shown>,
    /// How many examples each split has, where a file is shared.
    splits: BTreeMap<Split, usize>,
    /// Characters or words of the texts that the tokenizer does not know, and how often they occur.
    unknown: BTreeMap<String, usize>,
    /// The label words with their tokens.
    labels: Vec<Label>,
    /// What is wrong with them.
    label_problems: Vec<String>,
    /// How many sources two splits have in common.
    shared: Vec<(Split, Split, usize)>,
}

#[derive(Serialize)]
struct Shown {
    source: String,
    target: Option<String>,
}

#[derive(Serialize)]
struct Label {
    word: String,
    tokens: usize,
}

impl Look {
    pub(super) fn at(file: &Checked, tokenizer: Option<&T5Tokenizer>) -> anyhow::Result<Self> {
        let task = &*file.task;
        let data = match file.splits[..] {
            [first, ..] => splits_of(file, first)?,
            [] => vec![(None, task.read(&file.path)?)],
        };
        let texts = || data.iter().flat_map(|(_, data)| &data.examples);
        let (labels, label_problems) = labels(task, tokenizer, file.run.as_ref())?;
        Ok(Self {
            shown: spread(&texts().collect::<Vec<_>>()),
            splits: match data.len() {
                0 | 1 => BTreeMap::new(),
                _ => data
                    .iter()
                    .filter_map(|(split, data)| Some(((*split)?, data.examples.len())))
                    .collect(),
            },
            unknown: tokenizer.map_or_else(BTreeMap::new, |it| unknown(it, texts())),
            labels,
            label_problems,
            shared: shared(file, &data),
        })
    }

    /// Whether training can tell the labels apart.
    pub(super) fn is_usable(&self) -> bool {
        self.label_problems.is_empty()
    }
}

/// The splits that are in a file.
fn splits_of(file: &Checked, first: Split) -> anyhow::Result<Vec<(Option<Split>, Dataset)>> {
    // One that has the file for itself may be without answers, as test files are.
    if file.splits.len() == 1 && first == Split::Test {
        return Ok(vec![(Some(first), file.task.read(&file.path)?)]);
    }
    let Some(run) = &file.run else {
        return Ok(Vec::new());
    };
    let read = |&split: &Split| Ok((Some(split), read_split(&run.data, &*file.task, split)?));
    file.splits.iter().map(read).collect()
}

/// Some examples, spread evenly.
fn spread(examples: &[&Example]) -> Vec<Shown> {
    let count = SHOWN.min(examples.len());
    let chosen = (0..count).map(|place| examples[place * examples.len() / count]);
    chosen
        .map(|example| Shown {
            source: beginning(&example.source),
            target: example.target.as_deref().map(beginning),
        })
        .collect()
}

fn beginning(text: &str) -> String {
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_owned(),
    }
}

/// What becomes `<unk>`: characters, or of a tokenizer that knows words only, words.
fn unknown<'a>(
    tokenizer: &T5Tokenizer,
    examples: impl Iterator<Item = &'a Example>,
) -> BTreeMap<String, usize> {
    let Some(unk) = tokenizer.token_to_id("<unk>") else {
        return BTreeMap::new();
    };
    let is_unknown = |text: &str| {
        let ids = tokenizer.encode(text);
        ids.is_ok_and(|ids| ids.contains(&unk))
    };
    let mut words: HashMap<&str, usize> = HashMap::new();
    for example in examples {
        let target = example.target.as_deref().unwrap_or_default();
        for word in example
            .source
            .split_whitespace()
            .chain(target.split_whitespace())
        {
            *words.entry(word).or_default() += 1;
        }
    }
    words.retain(|word, _| is_unknown(word));
    let letters = ('a'..='z').filter(|letter| is_unknown(&letter.to_string()));
    let knows_letters = letters.count() < 13;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (word, count) in words {
        if !knows_letters {
            counts.insert(word.to_owned(), count);
            continue;
        }
        for character in word.chars().map(String::from) {
            *counts.entry(character).or_default() += count;
        }
    }
    if knows_letters {
        counts.retain(|character, _| is_unknown(character));
    }
    counts
}

/// The labels with the number of their tokens, and what is wrong with them.
fn labels(
    task: &dyn Task,
    tokenizer: Option<&T5Tokenizer>,
    run: Option<&RunConfig>,
) -> anyhow::Result<(Vec<Label>, Vec<String>)> {
    let Some(tokenizer) = tokenizer else {
        return Ok((Vec::new(), Vec::new()));
    };
    let most = run.map_or_else(
        || task.max_target_length(),
        |run| run.limits(task).max_target,
    );
    let unk = tokenizer.token_to_id("<unk>");
    let mut found: Vec<(&str, Vec<u32>)> = Vec::new();
    let mut problems = Vec::new();
    for word in task.labels() {
        let ids = tokenizer.encode(&format!("{SENTINEL}{word}"))?;
        if ids.len() > most {
            problems.push(format!(
                "the label `{word}` has {} tokens, but targets are cut to {most}: raise `max_target`",
                ids.len()
            ));
        }
        if unk.is_some_and(|unk| ids.contains(&unk)) {
            problems.push(format!(
                "the label `{word}` has something that the model does not know, so that it can't say it: take another word"
            ));
        }
        if let Some((other, _)) = found.iter().find(|(_, known)| *known == ids) {
            problems.push(format!(
                "the labels `{other}` and `{word}` have the same tokens"
            ));
        }
        found.push((word, ids));
    }
    // Generating stops at the shorter one only if the model says so: a warning of trouble, but no more.
    if task.answers() == Answers::Generated {
        for (word, ids) in &found {
            let begins = |(_, other): &&(&str, Vec<u32>)| {
                other.len() > ids.len() && other.starts_with(&ids[..ids.len() - 1])
            };
            if let Some((longer, _)) = found.iter().find(begins) {
                terminal::note(&format!(
                    "note: the label `{longer}` begins with the tokens of `{word}`, which makes them harder to tell apart"
                ));
            }
        }
    }
    let labels = found.into_iter().map(|(word, ids)| Label {
        word: word.to_owned(),
        tokens: ids.len(),
    });
    Ok((labels.collect(), problems))
}

/// How many sources the splits of the run have in common, told with the first of its files. `known` are those that were read.
fn shared(file: &Checked, known: &[(Option<Split>, Dataset)]) -> Vec<(Split, Split, usize)> {
    let is_first = file.splits.contains(&Split::Train);
    let Some(run) = file.run.as_ref().filter(|_| is_first) else {
        return Vec::new();
    };
    let sources = |data: &Dataset| -> HashSet<String> {
        let examples = data.examples.iter();
        examples.map(|example| example.source.clone()).collect()
    };
    let of_split = |split: Split| {
        if let Some((_, data)) = known.iter().find(|(known, _)| *known == Some(split)) {
            return Some((split, sources(data)));
        }
        let path = file.task.path(&run.data, split)?;
        // What is wrong with the others is told when it is their turn.
        let data = path
            .exists()
            .then(|| read_split(&run.data, &*file.task, split))?;
        Some((split, sources(&data.ok()?)))
    };
    let sources: Vec<_> = Split::ALL.into_iter().filter_map(of_split).collect();
    let mut found = Vec::new();
    for (place, (split, texts)) in sources.iter().enumerate() {
        for (other, others) in &sources[place + 1..] {
            let count = texts.intersection(others).count();
            if count > 0 {
                found.push((*split, *other, count));
            }
        }
    }
    found
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (split, count) in &self.splits {
            writeln!(f, "{split}: {count} examples of the file")?;
        }
        for (split, other, count) in &self.shared {
            writeln!(f, "warning: {count} sources of {split} are in {other}, too")?;
        }
        let mut unknown: Vec<_> = self.unknown.iter().collect();
        unknown.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        if !unknown.is_empty() {
            let named = unknown.iter().take(NAMED);
            let named = named.map(|(character, count)| format!("{character} ({count})"));
            let more = match unknown.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            writeln!(
                f,
                "warning: the model does not know, and reads as <unk>: {}{more}",
                named.collect::<Vec<_>>().join(", ")
            )?;
        }
        for label in &self.labels {
            writeln!(f, "label word {}: {} tokens", label.word, label.tokens)?;
        }
        for problem in &self.label_problems {
            writeln!(f, "error: {problem}")?;
        }
        for shown in &self.shown {
            writeln!(f, "{shown}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.as_deref().unwrap_or("(hidden)");
        write!(f, "source  {}\ntarget  {target}", self.source)
    }
}

/// Tell the user how some training examples read, and how labels are spread: before a model is fetched or loaded.
pub(crate) fn show_examples(task: &dyn Task, data: &Dataset) {
    let examples: Vec<_> = data.examples.iter().collect();
    for shown in spread(&examples) {
        terminal::note(&shown.to_string());
    }
    let mut labels: BTreeMap<&str, usize> = BTreeMap::new();
    for label in data
        .examples
        .iter()
        .filter_map(|example| task.label(example))
    {
        *labels.entry(label).or_default() += 1;
    }
    let labels = labels
        .iter()
        .map(|(label, count)| format!("{label} {count}"));
    let labels: Vec<_> = labels.collect();
    let labels = match labels.len() {
        0 => String::new(),
        _ => format!(": {}", labels.join(", ")),
    };
    terminal::note(&format!(
        "{} training examples{labels}",
        data.examples.len()
    ));
}
