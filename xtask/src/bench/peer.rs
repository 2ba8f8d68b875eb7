//! The same work here and in PyTorch, in turns.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use fpt::terminal;
use fpt_tasks::TaskName;
use serde::Serialize;
use serde_json::Value;

use super::large::{self, Large, LargeData, MNLI_LINES, SQUAD_PARAGRAPHS, XSUM_ARTICLES};
use super::stats::{median, quartiles};
use super::work::{BASE, Batches, EXPERIMENT, SMALL, Work};
use super::worker::{Answer, Kind};
use crate::{python, shell};

const SCRIPT: &str = "xtask/bench/peer.py";
const PACKAGES: [&str; 4] = [
    "datasets==4.4.1",
    "torch==2.11.0",
    "transformers==4.57.1",
    "safetensors==0.8.0",
];
/// Passes of each variant of the peer, the first of which is not counted, before the best is taken.
const PROBES: usize = 3;
/// The losses of the two sides may differ by this share.
const LOSS_TOLERANCE: f64 = 1e-3;
/// So many answers must be the same: random weights make near ties, which rounding decides.
const SAME_ANSWERS: f64 = 0.9;

/// One timing.
#[derive(Serialize)]
pub(super) struct Timing {
    pub case: &'static str,
    pub kind: &'static str,
    pub threads: usize,
    pub program: &'static str,
    pub variant: &'static str,
    /// Counted from 0; absent for the search for the best variant.
    pub alternation: Option<usize>,
    pub seconds: f64,
    pub peak_memory: Option<u64>,
}

/// A row of the table.
#[derive(Serialize)]
pub(super) struct Comparison {
    pub case: &'static str,
    pub kind: &'static str,
    pub threads: usize,
    /// Batches of a pass.
    pub batches: usize,
    /// Median seconds of a pass.
    pub ours: f64,
    pub theirs: f64,
    /// The peer's fastest variant.
    pub variant: &'static str,
    /// Passes of each program that were timed.
    pub alternations: usize,
    /// Ours by theirs: median of the alternations' ratios and its quartiles.
    pub ratio: f64,
    pub ratio_quartiles: [f64; 2],
    pub peak_memory: Option<[u64; 2]>,
    /// The largest relative difference of the first losses, or the share of equal answers.
    pub agreement: f64,
}

struct Case {
    name: &'static str,
    kind: Kind,
    /// The most turns of each program, where one takes minutes.
    turns: Option<usize>,
    /// Writes the work into a directory, and returns the number of batches of a pass.
    save: fn(&Path) -> anyhow::Result<usize>,
}

fn save(work: anyhow::Result<Work>, directory: &Path) -> anyhow::Result<usize> {
    let work = work?;
    work.save(directory)?;
    Ok(work.batches.len())
}

fn large(large: &Large, size: usize, directory: &Path) -> anyhow::Result<usize> {
    let model = fpt_train::Experiment::from_file(EXPERIMENT)?.model;
    LargeData::save(directory, large, size, &model)?;
    Ok(1)
}

const CASES: [Case; 10] = [
    Case {
        name: "mini-mnli",
        kind: Kind::Train,
        turns: None,
        save: |to| save(Work::mini(&TaskName::MNLI, Batches::Train, 4, None), to),
    },
    Case {
        name: "mini-squad2",
        kind: Kind::Train,
        turns: None,
        save: |to| save(Work::mini(&TaskName::SQUAD2, Batches::Train, 4, None), to),
    },
    Case {
        name: SMALL.name,
        kind: Kind::Train,
        turns: None,
        save: |to| save(Work::random(&SMALL, 1), to),
    },
    Case {
        name: BASE.name,
        kind: Kind::Train,
        turns: None,
        save: |to| save(Work::random(&BASE, 1), to),
    },
    Case {
        name: "mini-xsum",
        kind: Kind::Generate,
        turns: None,
        save: |to| save(Work::mini(&TaskName::XSUM, Batches::Evaluate, 2, None), to),
    },
    Case {
        name: SMALL.name,
        kind: Kind::Generate,
        turns: None,
        save: |to| save(Work::random(&SMALL, 1), to),
    },
    Case {
        name: "393 k lines of MNLI",
        kind: Kind::Tokenize,
        turns: None,
        save: |to| large(&large::MNLI, MNLI_LINES, to),
    },
    Case {
        name: "133 k questions of SQuAD, 42 MB",
        kind: Kind::Tokenize,
        turns: None,
        save: |to| large(&large::SQUAD2, SQUAD_PARAGRAPHS, to),
    },
    Case {
        name: "20 k articles of XSum",
        kind: Kind::Tokenize,
        turns: None,
        save: |to| large(&large::XSUM, 20_000, to),
    },
    Case {
        name: "XSum whole, 204 k articles",
        kind: Kind::Tokenize,
        turns: Some(2),
        save: |to| large(&large::XSUM, XSUM_ARTICLES, to),
    },
];

/// A program that does a pass when it's asked to.
struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        Ok(Self {
            child,
            input: input.context("the program has no input")?,
            output: BufReader::new(output.context("the program has no output")?),
        })
    }

    fn pass(&mut self) -> anyhow::Result<Answer> {
        // If the program has ended, reading fails with the better message.
        let _ = writeln!(self.input);
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).context("the program ended without an answer")
    }

    fn end(mut self) -> anyhow::Result<()> {
        drop(self.input);
        self.child.wait()?;
        Ok(())
    }
}

pub(super) struct Options<'a> {
    pub out: &'a Path,
    /// This program.
    pub worker: &'a Path,
    pub python: Option<&'a Path>,
    pub alternations: usize,
    pub filters: &'a [String],
}

/// Every case with one and with two threads.
pub(super) fn compare(options: &Options<'_>) -> anyhow::Result<(Vec<Comparison>, Vec<Timing>)> {
    let python = match options.python {
        Some(python) => python.to_path_buf(),
        None => python::environment(&options.out.join("venv"), &PACKAGES)?,
    };
    let (mut rows, mut timings) = (Vec::new(), Vec::new());
    for case in &CASES {
        let label = format!(
            "{}/{}",
            case.kind.name(),
            case.name.replace([' ', ','], "-")
        );
        if !super::named(&label, options.filters) {
            continue;
        }
        let directory = options.out.join(label.replace('/', "-"));
        let batches = (case.save)(&directory)?;
        for threads in [1, 2] {
            let race = Race {
                case,
                directory: &directory,
                threads,
                python: &python,
                worker: options.worker,
                batches,
            };
            let turns = case.turns.unwrap_or(usize::MAX).min(options.alternations);
            rows.push(race.run(turns, &mut timings)?);
        }
        shell::remove(&directory)?;
    }
    ensure!(
        !rows.is_empty(),
        "no comparison has one of {:?} in its name",
        options.filters
    );
    Ok((rows, timings))
}

struct Race<'a> {
    case: &'a Case,
    directory: &'a Path,
    threads: usize,
    python: &'a Path,
    worker: &'a Path,
    batches: usize,
}

impl Race<'_> {
    fn ours(&self) -> anyhow::Result<Program> {
        Program::start(
            Command::new(self.worker)
                .arg("bench-worker")
                .arg(self.directory)
                .arg(self.case.kind.name())
                .env("RAYON_NUM_THREADS", self.threads.to_string()),
        )
    }

    fn theirs(&self, variant: &str) -> anyhow::Result<Program> {
        Program::start(
            Command::new(self.python)
                .arg(SCRIPT)
                .arg(self.directory)
                .args([self.case.kind.name(), variant, &self.threads.to_string()])
                .env("OMP_NUM_THREADS", self.threads.to_string())
                .env("HF_HUB_OFFLINE", "1"),
        )
    }

    fn variants(&self) -> &'static [&'static str] {
        match self.case.kind {
            Kind::Train => &["eager", "sdpa", "compile"],
            // Compiled with a cache that grows, it compiles for minutes and is slower than with one of a fixed length.
            Kind::Generate => &["eager", "sdpa", "compile-static"],
            Kind::Tokenize => &["datasets.map"],
        }
    }

    fn timing(
        &self,
        program: &'static str,
        variant: &'static str,
        alternation: Option<usize>,
        answer: &Answer,
    ) -> Timing {
        Timing {
            case: self.case.name,
            kind: self.case.kind.name(),
            threads: self.threads,
            program,
            variant,
            alternation,
            seconds: answer.seconds,
            peak_memory: answer.peak_memory,
        }
    }

    /// The peer's fastest variant.
    fn best(&self, timings: &mut Vec<Timing>) -> anyhow::Result<&'static str> {
        if let [only] = self.variants() {
            return Ok(only);
        }
        let mut best = ("eager", f64::INFINITY);
        for &variant in self.variants() {
            let mut program = self.theirs(variant)?;
            for probe in 0..PROBES {
                match program.pass() {
                    Ok(answer) if probe > 0 => {
                        timings.push(self.timing("pytorch", variant, None, &answer));
                        if answer.seconds < best.1 {
                            best = (variant, answer.seconds);
                        }
                    }
                    Ok(_) => {}
                    Err(error) => {
                        terminal::note(&format!("pytorch's {variant} does not run: {error}"));
                        break;
                    }
                }
            }
            program.end()?;
        }
        Ok(best.0)
    }

    fn run(&self, alternations: usize, timings: &mut Vec<Timing>) -> anyhow::Result<Comparison> {
        let (case, kind) = (self.case.name, self.case.kind);
        terminal::note(&format!(
            "{} {case}, threads: {}",
            kind.name(),
            self.threads
        ));
        let variant = self.best(timings)?;
        let (mut ours, mut theirs) = (self.ours()?, self.theirs(variant)?);
        // The first passes show that the work is the same; they and the next warm up.
        let agreement = agreement(kind, &ours.pass()?.result, &theirs.pass()?.result)?;
        ours.pass()?;
        theirs.pass()?;
        let mut seconds = [Vec::new(), Vec::new()];
        let mut memory = [None, None];
        for alternation in 0..alternations {
            for (side, name, program, variant) in [
                (0, "fpt", &mut ours, "fused"),
                (1, "pytorch", &mut theirs, variant),
            ] {
                let answer = program.pass()?;
                timings.push(self.timing(name, variant, Some(alternation), &answer));
                seconds[side].push(answer.seconds);
                memory[side] = answer.peak_memory;
            }
        }
        ours.end()?;
        theirs.end()?;
        let [ours, theirs] = seconds;
        let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
        Ok(Comparison {
            case,
            kind: kind.name(),
            threads: self.threads,
            batches: self.batches,
            alternations,
            ours: median(&ours),
            theirs: median(&theirs),
            variant,
            ratio: median(&ratios),
            ratio_quartiles: quartiles(&ratios),
            peak_memory: match memory {
                [Some(ours), Some(theirs)] => Some([ours, theirs]),
                _ => None,
            },
            agreement,
        })
    }
}

/// How far the two sides agree on what they computed from the same start.
fn agreement(kind: Kind, ours: &Value, theirs: &Value) -> anyhow::Result<f64> {
    match kind {
        Kind::Train => {
            let (a, b) = ours.as_f64().zip(theirs.as_f64()).context("no loss")?;
            let difference = (a - b).abs() / b.abs();
            ensure!(
                difference < LOSS_TOLERANCE,
                "the losses differ: {a} here, {b} in PyTorch"
            );
            Ok(difference)
        }
        Kind::Tokenize => {
            ensure!(
                ours == theirs,
                "the numbers of tokens differ: {ours} here, {theirs} in datasets"
            );
            Ok(1.0)
        }
        Kind::Generate => {
            let rows = |value: &Value| -> anyhow::Result<Vec<Vec<u32>>> {
                let mut rows: Vec<Vec<u32>> = serde_json::from_value(value.clone())?;
                for row in &mut rows {
                    // transformers pads rows that have ended.
                    let length = row.iter().rposition(|&id| id != 0).map_or(0, |at| at + 1);
                    row.truncate(length);
                }
                Ok(rows)
            };
            let (ours, theirs) = (rows(ours)?, rows(theirs)?);
            ensure!(
                ours.len() == theirs.len() && !ours.is_empty(),
                "the numbers of answers differ"
            );
            let same = ours.iter().zip(&theirs).filter(|(a, b)| a == b).count();
            let share = same as f64 / ours.len() as f64;
            ensure!(
                share >= SAME_ANSWERS,
                "only {same} of {} answers are the same",
                ours.len()
            );
            Ok(share)
        }
    }
}
