//! Prompts that one program trains and both answer with.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, ensure};
use fpt::terminal;
use fpt_tasks::{SENTINEL, Split, Task, Tasks, read_split};
use fpt_train::RunConfig;
use serde::{Deserialize, Serialize};

use super::Args;
use crate::{python, shell};

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
pub(super) struct Agreement {
    pub prompt: &'static str,
    pub examples: usize,
    pub equal_texts: usize,
    pub equal_ids: usize,
    pub distinct_answers: usize,
}

impl Agreement {
    pub(super) fn is_complete(&self) -> bool {
        self.equal_texts == self.examples && self.equal_ids == self.examples
    }
}

/// Both programs, and what they work with.
pub(super) struct Exchange<'a> {
    args: &'a Args,
    config: &'a RunConfig,
    task: Arc<dyn Task>,
    /// This project's program.
    fpt: PathBuf,
    python: Python,
    /// What the other program is made of.
    pub versions: String,
    /// What is answered, a text a line, and so many of them.
    texts: PathBuf,
    count: usize,
}

impl<'a> Exchange<'a> {
    /// Find or make the programs, and write the texts.
    pub(super) fn prepare(args: &'a Args, config: &'a RunConfig) -> anyhow::Result<Self> {
        let program = match &args.python {
            Some(python) => python.clone(),
            None => python::environment(&args.out.join("venv"), &PACKAGES)?,
        };
        let python = Python { program };
        let versions = python.versions()?;
        terminal::note(&versions);
        let texts = args.out.join("texts.txt");
        let task = config.task(&Tasks::paper())?;
        Ok(Self {
            args,
            config,
            count: write_texts(&config.data, &*task, args, &texts)?,
            task,
            fpt: shell::build_fpt()?,
            python,
            versions,
            texts,
        })
    }

    /// A prompt of this program. Returns the directory of the adapter.
    pub(super) fn train_here(&self) -> anyhow::Result<PathBuf> {
        let out = self.args.out.join("fpt");
        shell::remove(&out)?;
        terminal::note("training with fpt");
        let steps = self.args.steps;
        let mut command = Command::new(&self.fpt);
        command
            .args(["train", "--method", "pt", "--config"])
            .arg(&self.args.config)
            .args(["--task", self.args.task.as_str(), "--out"])
            .arg(&out)
            .args(["--set", &format!("train.steps={steps}")])
            .args(["--set", &format!("eval.every={steps}")]);
        // Its result is not this command's.
        shell::call(command.stdout(Stdio::null()))?;
        Ok(out.join("adapter"))
    }

    /// Prompts of PEFT, of each form that it writes, by name.
    pub(super) fn train_there(&self) -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
        let examples = self.args.out.join("train.jsonl");
        write_examples(&self.config.data, &*self.task, &examples)?;
        let steps = self.args.steps.to_string();
        let tokens = self.config.prompt.length.to_string();
        let mut prompts = Vec::new();
        for (name, directory, options) in [
            ("PEFT, 1 submodule", "peft_1", &["--submodules", "1"][..]),
            ("PEFT, 2 submodules", "peft_2", &["--submodules", "2"]),
            (
                "PEFT, 2 submodules, .bin",
                "peft_2_bin",
                &["--submodules", "2", "--pickle"],
            ),
        ] {
            let adapter = self.args.out.join(directory);
            shell::remove(&adapter)?;
            terminal::note(&format!("training with {name}"));
            let mut command = self.python.command("train");
            command
                .args([&self.config.model, &examples, &adapter])
                .args(["--steps", &steps, "--tokens", &tokens])
                .args(options);
            shell::call(&mut command)?;
            prompts.push((name, adapter));
        }
        Ok(prompts)
    }

    /// Let both programs answer all texts with a prompt.
    pub(super) fn answer(
        &self,
        number: usize,
        prompt: &'static str,
        adapter: &Path,
    ) -> anyhow::Result<Agreement> {
        terminal::note(&format!("answering with the prompt of {prompt}"));
        let (model, out) = (&self.config.model, &self.args.out);
        let max_new_tokens = self.config.limits(&*self.task).max_target.to_string();
        let ours = out.join(format!("answers_{number}_fpt.jsonl"));
        let mut command = Command::new(&self.fpt);
        command
            .args(["predict", "--json", "--model"])
            .arg(model)
            .arg("--adapter")
            .arg(adapter)
            .arg("--input")
            .arg(&self.texts)
            .args(["--max-new-tokens", &max_new_tokens])
            .stdout(create(&ours)?);
        shell::call(&mut command)?;
        let theirs = out.join(format!("answers_{number}_peft.jsonl"));
        let mut command = self.python.command("answer");
        command
            .args([model.as_path(), adapter, &self.texts, &ours, &theirs])
            .args(["--max-new-tokens", &max_new_tokens]);
        shell::call(&mut command)?;
        compare(prompt, self.count, &lines(&ours)?, &lines(&theirs)?)
    }
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
        args.task,
        dev.examples.len()
    );
    let mut text = String::new();
    for example in &dev.examples[..wanted] {
        // A text is a line.
        text += &example.source.replace(['\n', '\r'], " ");
        text.push('\n');
    }
    fpt_files::write(path, &text)?;
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
    Ok(fpt_files::write(path, &text)?)
}

/// An interpreter that runs the script.
struct Python {
    program: PathBuf,
}

impl Python {
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
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
