//! `fpt data`: task files, looked at or generated.

mod look;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args as ClapArgs, Subcommand};
use fpt::generate::generate;
use fpt::model;
use fpt_t5::T5Tokenizer;
use fpt_tasks::check::{CheckOptions, Report, check};
use fpt_tasks::{PAPER_SOURCE_LENGTH, Split, Task, TaskName, Tasks};
use fpt_train::{Experiment, RunConfig};
use serde::Serialize;

use super::{numbers, print_json, print_line};
use look::Look;
pub(crate) use look::show_examples;

/// Look at task data, or generate them.
#[derive(Subcommand)]
pub(crate) enum Command {
    Check(CheckArgs),
    Generate(GenerateArgs),
}

/// Generate the task data that an experiment's [generate] section asks for, in the native formats of the five tasks.
///
/// They go to the directory that the experiment names, which is printed. What lies there already is kept if it was made by the
/// same settings.
///
/// Example: fpt data generate mine.toml
#[derive(ClapArgs)]
pub(crate) struct GenerateArgs {
    /// Experiment file.
    config: PathBuf,
}

/// Read the data of a task and tell what is in them and what is wrong with them.
///
/// Shows counts, the balance of labels, percentiles of lengths, duplicates, and every problem with its line, not
/// only the first; then some examples as the model sees them. With a model, lengths are counted in tokens too, and
/// characters that it does not know and label words that it can't tell apart are named. Without FILE all splits of the
/// experiment's tasks are looked at, and whether they share sources. The exit status is 1 if training could not use the
/// data.
///
/// Example: fpt data check --config reviews.toml
///
/// Example: fpt data check --task mnli data/mnli/train.tsv --model google/t5-large-lm-adapt
#[derive(ClapArgs)]
pub(crate) struct CheckArgs {
    /// Task: one of the experiment's, mnli, qqp, squad2, record or xsum.
    #[arg(long)]
    task: Option<TaskName>,

    /// A file; without it all splits of the experiment.
    #[arg(value_name = "FILE")]
    path: Option<PathBuf>,

    /// An experiment: lengths are counted with its model's tokenizer, and compared with where it cuts sources.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Model, by directory or name, with whose tokenizer lengths are counted in tokens as well.
    #[arg(long, value_name = "DIR|NAME")]
    model: Option<PathBuf>,

    /// Tokens that sources will be cut to; by default as --config says, or the paper's 492.
    #[arg(long, value_name = "N", value_parser = numbers::at_least_one)]
    max_source: Option<usize>,

    /// Show at most so many problems; all are counted.
    #[arg(long, default_value_t = 100, value_name = "N")]
    problems: usize,

    /// Print JSON: a line for each file.
    #[arg(long)]
    json: bool,
}

/// A file, and as what it is read.
struct Checked {
    task: Arc<dyn Task>,
    path: PathBuf,
    /// The splits that are in it; none where only the file is known.
    splits: Vec<Split>,
    run: Option<RunConfig>,
}

/// What was found in a file.
#[derive(Serialize)]
struct Found<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(flatten)]
    look: Option<&'a Look>,
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Check(args) => check_files(args),
        Command::Generate(args) => generate(&args.config),
    }
}

fn check_files(args: &CheckArgs) -> anyhow::Result<()> {
    let mut unusable = Vec::new();
    let mut tokenizer = Tokenizer::default();
    for checked in args.files()? {
        let of_run = checked.run.as_ref().map(|run| &run.model);
        let tokenizer = match args.model.as_ref().or(of_run) {
            Some(model) => Some(tokenizer.of(model)?),
            None => None,
        };
        if !args.check(&checked, tokenizer)? {
            unusable.push(checked.path.display().to_string());
        }
    }
    if !unusable.is_empty() {
        bail!(
            "{} can't be used: see the problems above",
            unusable.join(", ")
        );
    }
    Ok(())
}

/// The tokenizer of the model that was asked for last.
#[derive(Default)]
struct Tokenizer(Option<(PathBuf, T5Tokenizer)>);

impl Tokenizer {
    fn of(&mut self, model: &Path) -> anyhow::Result<&T5Tokenizer> {
        if self.0.as_ref().is_none_or(|(known, _)| known != model) {
            let found = T5Tokenizer::from_directory(model::directory(model)?)?;
            self.0 = Some((model.to_path_buf(), found));
        }
        let (_, found) = self.0.as_ref().context("there is no tokenizer")?;
        Ok(found)
    }
}

impl CheckArgs {
    /// What is to be looked at.
    fn files(&self) -> anyhow::Result<Vec<Checked>> {
        let experiment = self.config.as_ref().map(Experiment::from_file);
        let experiment = experiment.transpose()?;
        let Some(experiment) = &experiment else {
            let (Some(task), Some(path)) = (&self.task, &self.path) else {
                bail!("give a file with its --task, or an experiment with --config");
            };
            return Ok(vec![Checked {
                task: Tasks::paper().get(task)?,
                path: path.clone(),
                splits: Vec::new(),
                run: None,
            }]);
        };
        let registry = experiment.registry(&Tasks::paper())?;
        let names = match (&self.task, &self.path, experiment.tasks.names()) {
            (Some(task), _, _) => vec![task.clone()],
            (None, Some(_), names @ [_, _, ..]) => {
                let names: Vec<_> = names.iter().map(TaskName::as_str).collect();
                bail!(
                    "as which task is the file to be read? Give --task: {}",
                    names.join(", ")
                )
            }
            (None, _, names) => names.to_vec(),
        };
        let mut files: Vec<Checked> = Vec::new();
        for name in names {
            let task = registry.get(&name)?;
            let run = experiment.run(&name, 0, &[])?;
            let checked = |path, splits| Checked {
                task: Arc::clone(&task),
                path,
                splits,
                run: Some(run.clone()),
            };
            if let Some(path) = &self.path {
                files.push(checked(path.clone(), Vec::new()));
                continue;
            }
            for split in Split::ALL {
                let Some(path) = task.path(&run.data, split) else {
                    continue;
                };
                let of_task = files.iter_mut().filter(|file| file.task.name() == name);
                match of_task.into_iter().find(|file| file.path == path) {
                    Some(known) => known.splits.push(split),
                    None => files.push(checked(path, vec![split])),
                }
            }
        }
        Ok(files)
    }

    /// Whether training could use the file; tells all that is found.
    fn check(&self, file: &Checked, tokenizer: Option<&T5Tokenizer>) -> anyhow::Result<bool> {
        let count = |text: &str| match tokenizer {
            Some(tokenizer) => match tokenizer.encode(text) {
                Ok(ids) => Ok(ids.len()),
                Err(error) => Err(error.to_string()),
            },
            None => Ok(0),
        };
        let of_run = file.run.as_ref().map(|run| run.lengths.max_source);
        let options = CheckOptions {
            tokens: tokenizer.is_some().then_some(&count),
            max_source: self.max_source.or(of_run).unwrap_or(PAPER_SOURCE_LENGTH),
            max_problems: self.problems,
        };
        let report = check(&*file.task, &file.path, &options)?;
        let look = if report.is_readable() {
            Some(Look::at(file, tokenizer)?)
        } else {
            None
        };
        if self.json {
            print_json(&Found {
                report: &report,
                look: look.as_ref(),
            })?;
        } else {
            print_line(report.to_string().trim_end())?;
            if let Some(look) = &look {
                print_line(look.to_string().trim_end())?;
                print_line("")?;
            }
        }
        Ok(report.is_readable() && look.is_none_or(|look| look.is_usable()))
    }
}
