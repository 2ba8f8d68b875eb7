//! Trains a prompt for a task that is programmed: `cargo run --package fpt-train --example train_own_task [MODEL]`. What a
//! task is stands in one trait; here it reads a file of its own format. (A task whose files are tables needs no program: it is
//! declared in an experiment file.) MODEL is a directory with `config.json`, weights and a tokenizer; without it the
//! repository's scale model is taken, in whose words the examples are.

use std::error::Error;
use std::fs;
use std::io::{BufRead, Write, stdout};
use std::path::Path;
use std::sync::Arc;

use fpt_tasks::metrics::classification::accuracy;
use fpt_tasks::metrics::single_answers;
use fpt_tasks::{
    Answers, Example, Gold, ScoreError, Scores, Sink, Split, Stacks, Task, TaskError, TaskName,
};
use fpt_train::burn::tensor::Device;
use fpt_train::{Event, Host, MetricRecord, RunConfig, model_directory, train};

const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../datasets/mini-world/model"
);

/// Is a text about somebody's pet, or about food? A file has one text a line, after `pet ` or `food `.
#[derive(Debug)]
struct PetOrFood {
    name: TaskName,
}

impl Task for PetOrFood {
    fn name(&self) -> TaskName {
        self.name.clone()
    }

    /// Whatever changes here makes a run another run.
    fn declaration(&self) -> String {
        "pet-or-food 1".into()
    }

    fn file(&self, split: Split) -> &str {
        match split {
            Split::Train => "train.txt",
            Split::Dev => "dev.txt",
            Split::Test => "test.txt",
        }
    }

    fn expected(&self, _path: &Path) -> &str {
        "lines that begin with `pet ` or `food `"
    }

    fn scan(
        &self,
        reader: &mut dyn BufRead,
        path: &Path,
        sink: &mut dyn Sink,
    ) -> Result<(), TaskError> {
        for (index, line) in reader.lines().enumerate() {
            let line = line.map_err(|source| TaskError::Io {
                path: path.into(),
                source,
            })?;
            let Some((kind @ ("pet" | "food"), text)) = line.split_once(' ') else {
                sink.fault(TaskError::Row {
                    path: path.into(),
                    line: index + 1,
                    reason: "begins with neither `pet ` nor `food `".into(),
                })?;
                continue;
            };
            let word = if kind == "pet" { "cat" } else { "soup" };
            let example = Example {
                id: index.to_string(),
                source: text.into(),
                target: Some(word.into()),
                gold: Gold::Answers(vec![word.into()]),
                group: index,
                candidates: Arc::default(),
            };
            sink.example(index + 1, example);
        }
        Ok(())
    }

    fn max_target_length(&self) -> usize {
        4
    }

    fn reduced_stacks(&self) -> Stacks {
        Stacks::Encoder
    }

    fn labels(&self) -> Vec<&str> {
        vec!["cat", "soup"]
    }

    fn answers(&self) -> Answers {
        Answers::Ranked
    }

    fn score(&self, examples: &[Example], predictions: &[String]) -> Result<Scores, ScoreError> {
        let accuracy = accuracy(single_answers(examples, predictions)?);
        let values = [("accuracy", accuracy)];
        Ok(Scores::new("accuracy", &["accuracy"], values))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = std::env::args().nth(1);
    let directory = std::env::temp_dir().join("pet-or-food");
    run(model.as_deref().unwrap_or(MODEL), &directory, &mut stdout())
}

/// Write data below a directory, and train on them.
pub(crate) fn run(
    model: &str,
    directory: &Path,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error>> {
    let name = TaskName::new("pet-or-food")?;
    let data = directory.join("data");
    write_data(&data.join(name.as_str()))?;

    let mut config = RunConfig::new(name.clone(), model, &data);
    config.train.steps = 90;
    config.train.learning_rate = 0.005;
    config.eval.every = 30;

    let mut host = Host::new(model_directory);
    host.tasks.add(Arc::new(PetOrFood { name }))?;
    let mut told = Vec::new();
    let mut listener = |event: &Event| {
        if let Event::Metric(MetricRecord::Eval { step, dev, .. }) = event {
            told.push(format!("step {step}: {:.0} % on dev", dev.primary_value()));
        }
    };
    let run = directory.join("run");
    let cache = directory.join("cache");
    let devices = [Device::flex()];
    let result = train(&config, &run, &cache, &host, &devices, &mut listener)?;
    for line in told {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "test: {:.0} %", result.reported.primary_value())?;
    writeln!(out, "the prompt: {}", run.join("adapter").display())?;
    Ok(())
}

fn write_data(directory: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    let names = [
        "Anna", "Ben", "Carl", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivan", "Jane", "Kurt", "Lily",
    ];
    let pets = ["cat", "dog", "horse", "goat"].map(|animal| format!("owns a red {animal}"));
    let foods = ["rice", "cheese", "fish", "beans"].map(|food| format!("loves to eat {food}"));
    let mut lines = Vec::new();
    for name in names {
        lines.extend(pets.iter().map(|pet| format!("pet {name} {pet}.\n")));
        lines.extend(foods.iter().map(|food| format!("food {name} {food}.\n")));
    }
    // Of twelve people eight are for training.
    for (split, range) in [("train", 0..64), ("dev", 64..80), ("test", 80..96)] {
        let file = directory.join(split).with_extension("txt");
        fs::write(file, lines[range].concat())?;
    }
    Ok(())
}
