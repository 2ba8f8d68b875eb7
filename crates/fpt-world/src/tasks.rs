//! The five tasks in the native file formats of MNLI, QQP, SQuAD 2.0, ReCoRD and XSum.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

use fpt_files::create_directory;
use fpt_tasks::{Split, Task};
use serde_json::json;

use crate::WorldError;
use crate::relation::{QuestionKind, Relation};
use crate::world::{Label, NearMisses, QuestionPair, Said, World, everybody, sentences};

/// Changes whenever the same options would give other files.
pub const GENERATOR_VERSION: u32 = 4;

/// Sizes and seed; the sizes hold for each task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskOptions {
    /// Seed.
    pub seed: u64,
    /// Training examples.
    pub train: usize,
    /// Dev examples.
    pub dev: usize,
    /// Test examples, with labels.
    pub test: usize,
}

/// How often a draw may repeat what is there before the world counts as exhausted.
const MOST_REPEATS: usize = 10_000;
/// Facts of a story that is asked about.
const STORY: usize = 4;
/// Probability that an entailed hypothesis is worded otherwise than the premise.
const OTHER_WORDING: f64 = 0.8;

/// A kind of example: how it is drawn, what makes it different from others, and its file.
trait Format {
    type Example;
    /// What is decided about an example once and kept while its draws repeat others: else labels of which the
    /// world has few different examples would become rare.
    type Plan: Copy;
    /// The task, which knows its name and those of its files.
    const TASK: &'static dyn Task;

    fn plan(world: &mut World) -> Self::Plan;
    fn draw(world: &mut World, plan: Self::Plan) -> Self::Example;
    /// Two examples with the same key are duplicates.
    fn key(example: &Self::Example) -> String;
    /// The content of a file.
    fn file(examples: &[Self::Example], split: Split) -> String;
}

/// Write all splits of all tasks to `<directory>/<task>/<file>`. No example occurs twice in a task, in one
/// split or in two. The same options write the same bytes on every machine.
///
/// # Errors
/// [`WorldError::File`], and [`WorldError::Exhausted`] if more examples are asked for than there are.
pub fn write_tasks(directory: impl AsRef<Path>, options: &TaskOptions) -> Result<(), WorldError> {
    let directory = directory.as_ref();
    write_task::<Mnli>(directory, options)?;
    write_task::<Qqp>(directory, options)?;
    write_task::<Squad2>(directory, options)?;
    write_task::<Record>(directory, options)?;
    write_task::<Xsum>(directory, options)
}

/// Write MNLI alone, as [`write_tasks`] does; for data of a real set's size.
///
/// # Errors
/// As [`write_tasks`].
pub fn write_mnli(directory: impl AsRef<Path>, options: &TaskOptions) -> Result<(), WorldError> {
    write_task::<Mnli>(directory.as_ref(), options)
}

fn write_task<F: Format>(directory: &Path, options: &TaskOptions) -> Result<(), WorldError> {
    let name = F::TASK.name();
    let directory = directory.join(name.as_str());
    create_directory(&directory)?;
    // Each task has a stream of its own, and test and dev come first: asking for more training examples
    // leaves them as they are.
    let salt: u64 = name
        .as_str()
        .bytes()
        .fold(0, |hash, byte| hash * 31 + u64::from(byte));
    let mut world = World::new(options.seed ^ (salt << 20));
    let mut seen = HashSet::new();
    for (split, count) in [
        (Split::Test, options.test),
        (Split::Dev, options.dev),
        (Split::Train, options.train),
    ] {
        let mut examples = Vec::new();
        for _ in 0..count {
            let plan = F::plan(&mut world);
            let fresh = (0..MOST_REPEATS)
                .map(|_| F::draw(&mut world, plan))
                .find(|example| seen.insert(F::key(example)));
            examples.push(fresh.ok_or(WorldError::Exhausted {
                task: name.clone(),
                found: seen.len(),
            })?);
        }
        fpt_files::write(
            directory.join(F::TASK.file(split)),
            F::file(&examples, split),
        )?;
    }
    Ok(())
}

/// A row of a tab-separated file. The world's texts have no tabs.
fn push_row(file: &mut String, cells: &[&str]) {
    file.push_str(&cells.join("\t"));
    file.push('\n');
}

struct Mnli;

struct Inference {
    premise: String,
    hypothesis: String,
    label: Label,
}

impl Format for Mnli {
    type Example = Inference;
    type Plan = ();
    const TASK: &'static dyn Task = &fpt_tasks::Mnli;

    fn plan(_world: &mut World) {}

    fn draw(world: &mut World, (): ()) -> Inference {
        let people = world.people(2);
        let facts = world.story(2, &people);
        let said = world.tell(&facts);
        let label = *world.choose(&Label::ALL);
        let hypothesis = world.hypothesis(&said, &people, label, OTHER_WORDING);
        Inference {
            premise: sentences(&said),
            hypothesis: sentences(&[hypothesis]),
            label,
        }
    }

    fn key(example: &Inference) -> String {
        format!("{}\t{}", example.premise, example.hypothesis)
    }

    fn file(examples: &[Inference], split: Split) -> String {
        // Train has one annotation beside the gold label, dev has five.
        let annotations = if split == Split::Train { 1 } else { 5 };
        let mut header = vec![
            "index".to_string(),
            "promptID".into(),
            "pairID".into(),
            "genre".into(),
            "sentence1_binary_parse".into(),
            "sentence2_binary_parse".into(),
            "sentence1_parse".into(),
            "sentence2_parse".into(),
            "sentence1".into(),
            "sentence2".into(),
        ];
        header.extend((1..=annotations).map(|number| format!("label{number}")));
        header.push("gold_label".into());
        let mut file = header.join("\t") + "\n";
        for (index, example) in examples.iter().enumerate() {
            let (index, pair) = (
                index.to_string(),
                format!("{index}{}", &example.label.name()[..1]),
            );
            let mut row = vec![index.as_str(), &index, &pair, "world", "", "", "", ""];
            row.extend([example.premise.as_str(), &example.hypothesis]);
            row.extend(std::iter::repeat_n(example.label.name(), annotations + 1));
            push_row(&mut file, &row);
        }
        file
    }
}

struct Qqp;

impl Format for Qqp {
    type Example = QuestionPair;
    /// Whether the questions are duplicates.
    type Plan = bool;
    const TASK: &'static dyn Task = &fpt_tasks::Qqp;

    fn plan(world: &mut World) -> bool {
        world.chance(0.5)
    }

    fn draw(world: &mut World, duplicate: bool) -> QuestionPair {
        // Some kinds have few different duplicates. Kinds are drawn by that number, duplicates or not, so
        // that they do not run out and the kind alone says nothing about the label.
        let kinds: Vec<(Relation, &'static QuestionKind)> = Relation::ALL
            .into_iter()
            .flat_map(|relation| {
                relation
                    .questions()
                    .iter()
                    .map(move |kind| (relation, kind))
            })
            .collect();
        let weights: Vec<f64> = kinds
            .iter()
            .map(|(_, kind)| kind.rephrasings() as f64)
            .collect();
        let (relation, kind) = kinds[world.weighted(&weights)];
        let fact = world.fact(relation, &everybody());
        let first = world.ask_kind(&fact, kind);
        world.pair_with(first, duplicate, 1.0, NearMisses::HARD)
    }

    fn key(example: &Self::Example) -> String {
        // The same pair the other way round is a duplicate too.
        let mut pair = [example.first.as_str(), &example.second];
        pair.sort_unstable();
        pair.join("\t")
    }

    fn file(examples: &[Self::Example], _split: Split) -> String {
        let mut file = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n".to_string();
        for (index, example) in examples.iter().enumerate() {
            let duplicate = u8::from(example.duplicate);
            // Writing to a string can't fail.
            let _ = writeln!(
                file,
                "{index}\t{}\t{}\t{}?\t{}?\t{duplicate}",
                2 * index + 1,
                2 * index + 2,
                example.first,
                example.second,
            );
        }
        file
    }
}

struct Squad2;

struct Answering {
    context: String,
    question: String,
    answer: Option<String>,
}

impl Format for Squad2 {
    type Example = Answering;
    type Plan = ();
    const TASK: &'static dyn Task = &fpt_tasks::Squad2;

    fn plan(_world: &mut World) {}

    fn draw(world: &mut World, (): ()) -> Answering {
        let (facts, question) = world.question(STORY, 1.0 / 3.0);
        Answering {
            context: sentences(&world.tell(&facts)),
            question: question.text() + "?",
            answer: question.answer,
        }
    }

    fn key(example: &Answering) -> String {
        format!("{}\t{}", example.context, example.question)
    }

    fn file(examples: &[Answering], split: Split) -> String {
        let data: Vec<_> = examples
            .iter()
            .enumerate()
            .map(|(index, example)| {
                let answers: Vec<_> = example
                    .answer
                    .iter()
                    .map(|answer| {
                        let start = mentions(&example.context, answer).next().unwrap_or(0);
                        json!({ "text": answer, "answer_start": start })
                    })
                    .collect();
                json!({
                    "title": format!("Story {index}"),
                    "paragraphs": [{
                        "context": example.context,
                        "qas": [{
                            "id": format!("{split}-{index}"),
                            "question": example.question,
                            "answers": answers,
                            "is_impossible": example.answer.is_none(),
                        }],
                    }],
                })
            })
            .collect();
        json!({ "version": "v2.0", "data": data }).to_string() + "\n"
    }
}

struct Record;

struct Blank {
    passage: String,
    query: String,
    entities: Vec<String>,
    answer: String,
}

impl Format for Record {
    type Example = Blank;
    type Plan = ();
    const TASK: &'static dyn Task = &fpt_tasks::Record;

    fn plan(_world: &mut World) {}

    fn draw(world: &mut World, (): ()) -> Blank {
        let cloze = world.cloze(STORY);
        let query = Said {
            fact: cloze.query.fact.with(cloze.blank, "@placeholder"),
            wording: cloze.query.wording,
        };
        Blank {
            passage: sentences(&cloze.story),
            query: sentences(&[query]),
            entities: cloze.entities,
            answer: cloze.answer,
        }
    }

    fn key(example: &Blank) -> String {
        format!("{}\t{}", example.passage, example.query)
    }

    fn file(examples: &[Blank], _split: Split) -> String {
        let mut file = String::new();
        for (index, example) in examples.iter().enumerate() {
            // Inclusive ends, counted in characters.
            let span = |entity: &String, start: usize| json!({ "start": start, "end": start + entity.chars().count() - 1 });
            let entities: Vec<_> = example
                .entities
                .iter()
                .flat_map(|entity| {
                    mentions(&example.passage, entity).map(move |start| span(entity, start))
                })
                .collect();
            let answers: Vec<_> = mentions(&example.passage, &example.answer)
                .take(1)
                .map(|start| {
                    let mut answer = span(&example.answer, start);
                    answer["text"] = json!(example.answer);
                    answer
                })
                .collect();
            let line = json!({
                "source": "mini-world",
                "passage": { "text": example.passage, "entities": entities },
                "qas": [{ "query": example.query, "answers": answers, "idx": index }],
                "idx": index,
            });
            let _ = writeln!(file, "{line}");
        }
        file
    }
}

struct Xsum;

impl Format for Xsum {
    type Example = (String, String);
    type Plan = ();
    const TASK: &'static dyn Task = &fpt_tasks::Xsum;

    fn plan(_world: &mut World) {}

    fn draw(world: &mut World, (): ()) -> (String, String) {
        let summary = world.summary(2, 0);
        (sentences(&summary.story), summary.text)
    }

    fn key((document, _): &(String, String)) -> String {
        document.clone()
    }

    fn file(examples: &[(String, String)], _split: Split) -> String {
        let mut file = String::new();
        for (document, summary) in examples {
            push_row(&mut file, &[document, summary]);
        }
        file
    }
}

/// Where `words` stand in `text` as whole words, in characters.
fn mentions<'a>(text: &'a str, words: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(words).filter_map(move |(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + words.len()..].chars().next();
        let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        (!inside(before) && !inside(after)).then(|| text[..start].chars().count())
    })
}
