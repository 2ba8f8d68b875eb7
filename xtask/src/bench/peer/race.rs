//! Two programs that do a pass each, in turns.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context;
use fpt::terminal;
use serde::Serialize;

use super::super::stats::{median, quartiles};
use super::super::worker::{Answer, Kind};
use super::agreement::Agreement;
use super::{Peer, Results};

/// Passes of each variant of the peer, the first of which is not counted, before the best is taken.
const PROBES: usize = 3;

/// What is compared.
#[derive(Clone, Serialize)]
pub(in crate::bench) struct Setting {
    pub peer: Peer,
    pub case: &'static str,
    pub kind: &'static str,
    pub threads: usize,
    #[serde(flatten)]
    pub answering: Option<Answering>,
}

/// How texts are answered.
#[derive(Clone, Serialize)]
pub(in crate::bench) struct Answering {
    /// Texts of a batch.
    pub rows: usize,
    /// 1 is greedy decoding.
    pub beams: usize,
    /// What each program keeps weights as, and computes products of.
    pub our_weights: &'static str,
    pub their_weights: &'static str,
}

/// One timing.
#[derive(Serialize)]
pub(in crate::bench) struct Timing {
    #[serde(flatten)]
    pub setting: Setting,
    pub program: &'static str,
    pub variant: &'static str,
    /// Counted from 0; absent for the search for the best variant.
    pub alternation: Option<usize>,
    pub seconds: f64,
    pub peak_memory: Option<u64>,
}

/// A row of the table.
#[derive(Serialize)]
pub(in crate::bench) struct Comparison {
    #[serde(flatten)]
    pub setting: Setting,
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

impl Setting {
    /// With one thread.
    pub(super) fn new(peer: Peer, kind: Kind, case: &'static str) -> Self {
        Self {
            peer,
            case,
            kind: kind.name(),
            threads: 1,
            answering: None,
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.kind, self.case)?;
        if let Some(Answering {
            rows,
            beams,
            our_weights,
            their_weights,
        }) = &self.answering
        {
            let peer = self.peer.title();
            write!(
                out,
                ", batch: {rows}, beams: {beams}, {our_weights} and {peer}'s {their_weights}"
            )?;
        }
        write!(out, ", threads: {}", self.threads)
    }
}

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

/// The same work for both programs.
pub(super) struct Race {
    pub setting: Setting,
    /// Batches of a pass.
    pub batches: usize,
    /// The name of what is run, and what starts it.
    pub ours: (&'static str, Command),
    /// Ways to do it, of which the fastest is compared.
    pub theirs: Vec<(&'static str, Command)>,
    pub agreement: Agreement,
}

impl Race {
    fn timing(
        &self,
        program: &'static str,
        variant: &'static str,
        alternation: Option<usize>,
        answer: &Answer,
    ) -> Timing {
        Timing {
            setting: self.setting.clone(),
            program,
            variant,
            alternation,
            seconds: answer.seconds,
            peak_memory: answer.peak_memory,
        }
    }

    /// The number of the peer's fastest variant.
    fn best(&mut self, timings: &mut Vec<Timing>) -> anyhow::Result<usize> {
        if self.theirs.len() == 1 {
            return Ok(0);
        }
        let peer = self.setting.peer;
        let mut best = (0, f64::INFINITY);
        for number in 0..self.theirs.len() {
            let (variant, command) = &mut self.theirs[number];
            let (variant, mut program) = (*variant, Program::start(command)?);
            for probe in 0..PROBES {
                match program.pass() {
                    Ok(answer) if probe > 0 => {
                        timings.push(self.timing(peer.name(), variant, None, &answer));
                        if answer.seconds < best.1 {
                            best = (number, answer.seconds);
                        }
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let name = peer.name();
                        terminal::note(&format!("{name}'s {variant} does not run: {error}"));
                        break;
                    }
                }
            }
            program.end()?;
        }
        Ok(best.0)
    }

    /// So many timed passes of each program; the results get a comparison and all timings.
    pub(super) fn run(mut self, alternations: usize, results: &mut Results) -> anyhow::Result<()> {
        terminal::note(&self.setting.to_string());
        let timings = &mut results.timings;
        let best = self.best(timings)?;
        let variants = [self.ours.0, self.theirs[best].0];
        let mut ours = Program::start(&mut self.ours.1)?;
        let mut theirs = Program::start(&mut self.theirs[best].1)?;
        // The first passes show that the work is the same; they and the next warm up.
        let agreement = self
            .agreement
            .of(&ours.pass()?.result, &theirs.pass()?.result)?;
        ours.pass()?;
        theirs.pass()?;
        let mut seconds = [Vec::new(), Vec::new()];
        let mut memory = [None, None];
        for alternation in 0..alternations {
            for (side, name, program) in [
                (0, "fpt", &mut ours),
                (1, self.setting.peer.name(), &mut theirs),
            ] {
                let answer = program.pass()?;
                timings.push(self.timing(name, variants[side], Some(alternation), &answer));
                seconds[side].push(answer.seconds);
                memory[side] = answer.peak_memory;
            }
        }
        ours.end()?;
        theirs.end()?;
        let [ours, theirs] = seconds;
        let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
        results.rows.push(Comparison {
            setting: self.setting,
            batches: self.batches,
            alternations,
            ours: median(&ours),
            theirs: median(&theirs),
            variant: variants[1],
            ratio: median(&ratios),
            ratio_quartiles: quartiles(&ratios),
            peak_memory: match memory {
                [Some(ours), Some(theirs)] => Some([ours, theirs]),
                _ => None,
            },
            agreement,
        });
        Ok(())
    }
}
