//! `fpt eval`: scores of a prompt, or of the bare model.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use fpt::{DeviceName, data, model, terminal};
use fpt_report::MarkdownTable;
use fpt_tasks::metrics::{Confusion, LabelScores};
use fpt_tasks::{Example, Gold, Scores, Split, Task, TaskName, Tasks, write_submission};
use fpt_train::{Session, SplitData};
use serde::Serialize;

use super::fitting::Fitting;
use super::weights::WeightsName;
use super::{ConfigArgs, adapter, memory, numbers, print_json, print_line};

/// Score a prompt, or the bare model, on a split of a task by greedy decoding.
///
/// Example: fpt eval runs/mnli --split dev
///
/// Example: fpt eval --config configs/mini.toml --task mnli --adapter runs/mnli
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Directory of a finished run: its configuration and its prompt.
    #[arg(value_name = "RUN")]
    run: Option<PathBuf>,

    #[command(flatten)]
    source: ConfigArgs,

    /// Directory of a run or of a PEFT prompt-tuning adapter, or a .npy file of prompt vectors; without it, and without a
    /// run, the model gets no prompt.
    #[arg(long, value_name = "DIR|FILE")]
    adapter: Option<PathBuf>,

    /// Split: train, dev or test.
    #[arg(long, default_value = "test")]
    split: Split,

    /// Write the answers in the format of the task's leaderboard (GLUE, SuperGLUE, SQuAD; XSum: one a line). Of a split
    /// without answers, such as the test files of the leaderboards, nothing else comes out. In a directory the file
    /// gets the name that the leaderboard expects.
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "limit")]
    submission: Option<PathBuf>,

    /// Write a line of JSON for each example: its id, source, right answers, answer, and whether that is right.
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,

    /// Only the first so many examples.
    #[arg(long, value_name = "N", value_parser = numbers::at_least_one)]
    limit: Option<usize>,

    #[arg(long, default_value = "cpu", help = DeviceName::HELP)]
    device: DeviceName,

    /// What the weights are in; by default what the configuration says.
    #[arg(long, value_enum)]
    weights: Option<WeightsName>,

    /// Print the scores as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    task: TaskName,
    split: Split,
    examples: usize,
    scores: Scores,
    /// Of a task with labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<LabelReport>,
}

#[derive(Serialize)]
struct LabelReport {
    /// Row by row of the right labels, a column for each label, and one for what is none.
    confusion: Confusion,
    by_label: Vec<LabelScores>,
    /// Answers that are no label, percent.
    no_label: f64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let devices = args.device.open_one()?;
    let device = devices.primary().clone();
    let mut resolved = args.source.resolve(args.run.as_deref())?;
    WeightsName::set(args.weights, &mut resolved.config);
    let config = &resolved.config;
    data::require(config, &[args.split], resolved.origin())?;
    let session = Session::load(config, &Tasks::paper(), model::find, &device)?;
    let prompt = adapter(
        args.adapter.as_deref().or(args.run.as_deref()),
        session.model.config().d_model,
        &device,
    )?;
    let data = session.read(args.split)?;
    args.tell_oddities(&data)?;
    let examples = args.limit.unwrap_or(usize::MAX).min(data.tokens.len());
    let bar = terminal::bar(examples, config.task.as_str());
    let labelled = data.examples()[..examples]
        .iter()
        .all(|e| e.target.is_some());
    anyhow::ensure!(
        labelled || args.submission.is_some(),
        "the {} file of {} has no answers to compare with; write a submission with --submission FILE",
        args.split,
        config.task
    );
    let tokens = &data.tokens[..examples];
    let lengths: Vec<usize> = tokens.iter().map(|text| text.source.len()).collect();
    let vectors = prompt.as_ref().map_or(0, |prompt| prompt.shape()[0]);
    let precision = memory::numbers(session.config.precision);
    Fitting::new(&devices, &session.model, precision, vectors).check_batches(
        &lengths,
        session.config.eval.batch_limits(),
        &session.generation(),
    )?;
    let mut progress = |more| {
        bar.inc(more as u64);
        Ok(())
    };
    let answers = session.answer(
        &session.model,
        prompt.as_ref(),
        &data,
        examples,
        &mut progress,
    )?;
    bar.finish_and_clear();
    if let Some(path) = &args.submission {
        submit(&*session.task, data.examples(), &answers, path)?;
    }
    let answered = &data.examples()[..examples];
    if let Some(path) = &args.predictions {
        fpt_files::write(path, prediction_lines(&*session.task, answered, &answers)?)?;
    }
    if !labelled {
        return Ok(());
    }
    let labels = label_report(&*session.task, answered, &answers);
    let scores = session.task.score(answered, &answers)?;
    let report = Report {
        task: config.task.clone(),
        split: args.split,
        examples,
        scores,
        labels,
    };
    if args.json {
        print_json(&report)
    } else {
        report.print()
    }
}

impl Args {
    /// Tell what is odd about the data.
    ///
    /// # Errors
    /// If it keeps answers from being handed in.
    fn tell_oddities(&self, data: &SplitData) -> anyhow::Result<()> {
        let warnings = data.dataset.warnings.to_string();
        if !warnings.is_empty() {
            terminal::note(&format!("warning: {warnings}"));
        }
        for line in &data.cut {
            terminal::note(&format!("warning: {line}"));
        }
        match data.dataset.warnings.skipped() {
            Some((count, first)) if self.submission.is_some() => anyhow::bail!(
                "{count} rows of the {} file have no answer to hand in, and leaderboards want one for each; mend them, or \
                 leave out --submission. The first: {first}",
                self.split
            ),
            _ => Ok(()),
        }
    }
}

impl Report {
    fn print(&self) -> anyhow::Result<()> {
        for (name, value) in &self.scores.values {
            let mark = if *name == self.scores.primary {
                "*"
            } else {
                " "
            };
            print_line(&format!("{mark} {name:<16} {value:6.2}"))?;
        }
        match &self.labels {
            Some(labels) => print_line(&labels.describe()),
            None => Ok(()),
        }
    }
}

/// A line of JSON for each answer.
fn prediction_lines(
    task: &dyn Task,
    examples: &[Example],
    answers: &[String],
) -> anyhow::Result<String> {
    let mut lines = String::new();
    for (example, answer) in examples.iter().zip(answers) {
        let gold = match &example.gold {
            Gold::Hidden => None,
            Gold::Answers(right) => Some(right),
        };
        let line = serde_json::json!({
            "id": example.id, "source": example.source, "gold": gold, "answer": answer,
            "right": task.is_right(example, answer),
        });
        lines.push_str(&serde_json::to_string(&line)?);
        lines.push('\n');
    }
    Ok(lines)
}

/// How labels were answered with labels; `None` of a task without.
fn label_report(task: &dyn Task, examples: &[Example], answers: &[String]) -> Option<LabelReport> {
    let pairs = examples.iter().zip(answers.iter().map(String::as_str));
    let confusion = Confusion::of_task(task, pairs)?;
    Some(LabelReport {
        by_label: confusion.by_label(),
        no_label: confusion.no_label(),
        confusion,
    })
}

impl LabelReport {
    fn describe(&self) -> String {
        let labels = self.confusion.labels();
        let mut table = MarkdownTable::new(
            ["label", "precision", "recall", "F1", "examples"]
                .into_iter()
                .map(str::to_owned)
                .chain(labels.iter().map(|label| format!("as {label}")))
                .chain(["no label".to_owned()]),
        );
        for (place, scores) in self.by_label.iter().enumerate() {
            let LabelScores {
                label,
                precision,
                recall,
                f1,
                support,
                ..
            } = scores;
            let rates = [precision, recall, f1].map(|rate| format!("{rate:.2}"));
            let counts = self.confusion.row(place).iter().map(usize::to_string);
            let row = [label.clone()].into_iter().chain(rates);
            table.add_row(row.chain([support.to_string()]).chain(counts));
        }
        let table = table.with_numbers_in(1..labels.len() + 6);
        format!(
            "\n{table}\n{:.2} % of the answers are no label",
            self.no_label
        )
    }
}

/// Write answers as a leaderboard takes them, under a temporary name first; in a directory under the leaderboard's.
fn submit(
    task: &dyn Task,
    examples: &[Example],
    answers: &[String],
    path: &Path,
) -> anyhow::Result<()> {
    let path = if path.is_dir() {
        &path.join(&*task.submission().file)
    } else {
        path
    };
    let mut bytes = Vec::new();
    let submitted = write_submission(task, examples, answers, &mut bytes)?;
    fpt_files::write(path, bytes)?;
    let replaced = match submitted.replaced {
        0 => String::new(),
        replaced => format!("; {replaced} were no label and went out as the task's default"),
    };
    terminal::note(&format!(
        "{} predictions in {}{replaced}",
        submitted.written,
        path.display()
    ));
    Ok(())
}
