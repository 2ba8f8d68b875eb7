//! `cargo xtask interop`: the same answers here and in PEFT, live.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use clap::Args as ClapArgs;
use comfy_table::{CellAlignment, presets};
use fpt_tasks::{SENTINEL, Split, Task, TaskName, read_split, task};
use fpt_train::Experiment;
use serde::{Deserialize, Serialize};

use crate::{data, python, shell};

const SCRIPT: &str = "xtask/interop/interop.py";

/// What the script runs with.
const PACKAGES: [&str; 4] = [
    "torch==2.11.0",
    "transformers==4.57.1",
    "peft==0.21.2",
    "safetensors==0.8.0",
];

/// Examples that PEFT trains with.
const TRAIN_EXAMPLES: usize = 1000;

/// Exchange prompts with PEFT and compare the answers.
///
/// Trains a prompt here and prompts with PEFT, then lets both programs answer the same texts with each of them,
/// decoding greedily. Exits with 1 if any answer differs. Run it from the root of the repository; it needs Python 3
/// and, the first time, the network.
#[derive(ClapArgs)]
pub struct Args {
    /// Experiment file.
    #[arg(default_value = "configs/mini.toml")]
    config: PathBuf,

    /// Task whose texts are answered.
    #[arg(long, default_value = "mnli")]
    task: TaskName,

    /// Texts of the dev split to answer.
    #[arg(long, default_value = "500")]
    examples: NonZeroUsize,

    /// Optimizer steps of each prompt.
    #[arg(long, default_value = "40")]
    steps: NonZeroUsize,

    /// Interpreter that has torch, transformers, peft and safetensors; by default a virtual environment is made in
    /// --out, and kept.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,

    /// Directory for prompts, answers and the virtual environment.
    #[arg(long, default_value = "target/interop")]
    out: PathBuf,

    /// Print the result as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// An example for PEFT to train with.
#[derive(Serialize)]
struct TrainExample<'a> {
    source: &'a str,
    target: String,
}

/// A line of `fpt predict --json`.
#[derive(Deserialize)]
struct Ours {
    answer: String,
}

/// A line of the script's answers.
#[derive(Deserialize)]
struct Theirs {
    answer: String,
    ids: Vec<u32>,
    our_ids: Vec<u32>,
}

/// The answers to all texts with one prompt.
#[derive(Serialize)]
struct Agreement {
    prompt: &'static str,
    examples: usize,
    equal_texts: usize,
    equal_ids: usize,
    distinct_answers: usize,
}

impl Agreement {
    fn is_complete(&self) -> bool {
        self.equal_texts == self.examples && self.equal_ids == self.examples
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    versions: String,
    task: TaskName,
    agreements: Vec<Agreement>,
}

/// Whether all answers agree.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let experiment = Experiment::from_file(&args.config)?;
    if let Some(generate) = &experiment.generate {
        data::ensure(&experiment.data, generate)?;
    }
    let config = experiment.run(&args.task, 0, &[])?;
    let task = task(&args.task)?;
    fs::create_dir_all(&args.out)
        .with_context(|| format!("failed to create {}", args.out.display()))?;
    let python = match &args.python {
        Some(python) => python.clone(),
        None => python::environment(&args.out.join("venv"), &PACKAGES)?,
    };
    let python = Python { program: &python };
    let versions = python.versions()?;
    shell::note(&versions);

    let texts = args.out.join("texts.txt");
    let count = write_texts(&config.data, &*task, args, &texts)?;
    let examples = args.out.join("train.jsonl");
    write_examples(&config.data, &*task, &examples)?;
    let max_new_tokens = config
        .lengths
        .max_target
        .unwrap_or_else(|| task.max_target_length())
        .to_string();

    let fpt = shell::build_fpt()?;
    let steps = args.steps.to_string();
    let tokens = config.prompt.length.to_string();
    let trained_here = args.out.join("fpt");
    shell::remove(&trained_here)?;
    shell::note("training with fpt");
    let mut command = Command::new(&fpt);
    command
        .args(["train", "--method", "pt", "--config"])
        .arg(&args.config)
        .args(["--task", args.task.as_str(), "--out"])
        .arg(&trained_here)
        .args(["--set", &format!("train.steps={steps}")])
        .args(["--set", &format!("eval.every={steps}")]);
    // Its result is not this command's.
    shell::call(command.stdout(Stdio::null()))?;

    let mut prompts = vec![("fpt", trained_here.join("adapter"))];
    for (name, directory, options) in [
        ("PEFT, 1 submodule", "peft_1", &["--submodules", "1"][..]),
        ("PEFT, 2 submodules", "peft_2", &["--submodules", "2"]),
        (
            "PEFT, 2 submodules, .bin",
            "peft_2_bin",
            &["--submodules", "2", "--pickle"],
        ),
    ] {
        let adapter = args.out.join(directory);
        shell::remove(&adapter)?;
        shell::note(&format!("training with {name}"));
        let mut command = python.command("train");
        command
            .args([&config.model, &examples, &adapter])
            .args(["--steps", &steps, "--tokens", &tokens])
            .args(options);
        shell::call(&mut command)?;
        prompts.push((name, adapter));
    }

    let mut agreements = Vec::new();
    for (number, (prompt, adapter)) in prompts.iter().enumerate() {
        shell::note(&format!("answering with the prompt of {prompt}"));
        let ours = args.out.join(format!("answers_{number}_fpt.jsonl"));
        let mut command = Command::new(&fpt);
        command
            .args(["predict", "--json", "--model"])
            .arg(&config.model)
            .arg("--adapter")
            .arg(adapter)
            .arg("--input")
            .arg(&texts)
            .args(["--max-new-tokens", &max_new_tokens])
            .stdout(create(&ours)?);
        shell::call(&mut command)?;
        let theirs = args.out.join(format!("answers_{number}_peft.jsonl"));
        let mut command = python.command("answer");
        command
            .args([&config.model, adapter, &texts, &ours, &theirs])
            .args(["--max-new-tokens", &max_new_tokens]);
        shell::call(&mut command)?;
        agreements.push(compare(prompt, count, &lines(&ours)?, &lines(&theirs)?)?);
    }

    let complete = agreements.iter().all(Agreement::is_complete);
    match args.json {
        true => shell::print(&serde_json::to_string_pretty(&Report {
            versions,
            task: args.task.clone(),
            agreements,
        })?)?,
        false => shell::print(&table(&agreements).to_string())?,
    }
    if !complete {
        shell::note(&format!(
            "answers differ; they are in {}",
            args.out.display()
        ));
    }
    Ok(complete)
}

fn compare(
    prompt: &'static str,
    count: usize,
    ours: &[Ours],
    theirs: &[Theirs],
) -> anyhow::Result<Agreement> {
    ensure!(
        ours.len() == count && theirs.len() == count,
        "{count} texts got {} answers here and {} in PEFT",
        ours.len(),
        theirs.len()
    );
    let pairs = || ours.iter().zip(theirs);
    let distinct: BTreeSet<&str> = ours.iter().map(|line| line.answer.as_str()).collect();
    Ok(Agreement {
        prompt,
        examples: count,
        equal_texts: pairs().filter(|(a, b)| a.answer == b.answer).count(),
        equal_ids: theirs
            .iter()
            .filter(|line| line.ids == line.our_ids)
            .count(),
        distinct_answers: distinct.len(),
    })
}

fn table(agreements: &[Agreement]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "Prompt of",
        "Equal texts",
        "Equal ids",
        "Different answers",
    ]);
    for row in agreements {
        table.add_row([
            row.prompt.to_string(),
            format!("{} of {}", row.equal_texts, row.examples),
            format!("{} of {}", row.equal_ids, row.examples),
            row.distinct_answers.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The first texts of the dev split, one a line. Returns their number.
fn write_texts(
    directory: &Path,
    task: &dyn Task,
    args: &Args,
    path: &Path,
) -> anyhow::Result<usize> {
    let dev = read_split(directory, task, Split::Dev)?.evaluation();
    let wanted = args.examples.get();
    ensure!(
        dev.examples.len() >= wanted,
        "the dev split of {} has only {} texts; ask for fewer --examples",
        args.task.as_str(),
        dev.examples.len()
    );
    let mut text = String::new();
    for example in &dev.examples[..wanted] {
        // A text is a line.
        text += &example.source.replace(['\n', '\r'], " ");
        text.push('\n');
    }
    shell::save(path, &text)?;
    Ok(wanted)
}

fn write_examples(directory: &Path, task: &dyn Task, path: &Path) -> anyhow::Result<()> {
    let train = read_split(directory, task, Split::Train)?;
    let mut text = String::new();
    for example in train.examples.iter().take(TRAIN_EXAMPLES) {
        let Some(target) = &example.target else {
            continue;
        };
        let line = TrainExample {
            source: &example.source,
            // As prompts are trained here.
            target: format!("{SENTINEL}{target}"),
        };
        text += &serde_json::to_string(&line)?;
        text.push('\n');
    }
    ensure!(!text.is_empty(), "the train split has no answers");
    shell::save(path, &text)
}

/// An interpreter that runs the script.
struct Python<'a> {
    program: &'a Path,
}

impl Python<'_> {
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.program);
        command
            .args([SCRIPT, name])
            // Everything is here already.
            .env("HF_HUB_OFFLINE", "1");
        command
    }

    fn versions(&self) -> anyhow::Result<String> {
        let output = self
            .command("versions")
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("failed to start {}", self.program.display()))?;
        ensure!(
            output.status.success(),
            "{} can't run {SCRIPT}: it needs {}",
            self.program.display(),
            PACKAGES.join(" ")
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
    }
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("failed to write {}", path.display()))
}

fn lines<T: for<'a> Deserialize<'a>>(path: &Path) -> anyhow::Result<Vec<T>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    text.lines()
        .map(|line| {
            serde_json::from_str(line)
                .with_context(|| format!("unexpected line in {}", path.display()))
        })
        .collect()
}
