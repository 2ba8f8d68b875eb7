//! The same work here and in another program, in turns.

mod agreement;
mod ctranslate2;
mod pytorch;
mod race;

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use clap::ValueEnum;
use serde::Serialize;

#[cfg(test)]
pub(super) use race::Setting;
pub(super) use race::{Answering, Comparison, Timing};

use super::worker::Kind;
use crate::python;

/// What both comparisons install is of the same versions.
const TORCH: &str = "torch==2.11.0";
const TRANSFORMERS: &str = "transformers==4.57.1";
const SAFETENSORS: &str = "safetensors==0.8.0";

/// A program to compare with.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Peer {
    /// PyTorch with transformers: the fastest of eager, SDPA and torch.compile, on the same weights and batches.
    Pytorch,
    /// CTranslate2 in float32 and in int8: greedy answers and beam search without a prompt, on the same weights and
    /// texts; the faster of oneDNN and MKL.
    Ctranslate2,
}

impl Peer {
    /// In files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pytorch => "pytorch",
            Self::Ctranslate2 => "ctranslate2",
        }
    }

    /// In tables.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Pytorch => "PyTorch",
            Self::Ctranslate2 => "CTranslate2",
        }
    }

    /// The directory of its virtual environment, and the packages there.
    fn environment(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Pytorch => ("venv", &pytorch::PACKAGES),
            Self::Ctranslate2 => ("venv-ctranslate2", &ctranslate2::PACKAGES),
        }
    }
}

pub(super) struct Options<'a> {
    pub peer: Peer,
    pub out: &'a Path,
    /// This program.
    pub worker: &'a Path,
    pub python: Option<&'a Path>,
    pub alternations: usize,
    pub threads: &'a [NonZeroUsize],
    pub filters: &'a [String],
}

/// How our side computes, in the words of configurations.
struct Way {
    /// What the model's weights are in.
    weights: &'static str,
    /// What backward passes compute again.
    recompute: &'static str,
}

impl Way {
    /// As runs do by default.
    const DEFAULT: Self = Self::with("f32");

    /// With these weights; nothing is computed again.
    const fn with(weights: &'static str) -> Self {
        Self {
            weights,
            recompute: "none",
        }
    }
}

impl Options<'_> {
    fn wants(&self, name: &str) -> bool {
        super::named(name, self.filters)
    }

    /// What starts our side.
    fn ours(&self, directory: &Path, kind: Kind, threads: usize, way: &Way) -> Command {
        let mut command = Command::new(self.worker);
        command
            .arg("bench-worker")
            .arg(directory)
            .arg(kind.name())
            .args(["--weights", way.weights, "--recompute", way.recompute])
            .env("RAYON_NUM_THREADS", threads.to_string());
        command
    }
}

/// What starts a script of the other side, which has all that it needs.
fn their_script(python: &Path, script: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(script).env("HF_HUB_OFFLINE", "1");
    command
}

#[derive(Default)]
pub(super) struct Results {
    pub rows: Vec<Comparison>,
    pub timings: Vec<Timing>,
    /// What ended the comparisons early.
    pub failure: Option<anyhow::Error>,
}

/// Every case with each number of threads. What was measured before one fails is not lost.
pub(super) fn compare(options: &Options<'_>) -> anyhow::Result<Results> {
    let python = match options.python {
        Some(python) => python.to_path_buf(),
        None => {
            let (directory, packages) = options.peer.environment();
            python::environment(&options.out.join(directory), packages)?
        }
    };
    let mut results = Results::default();
    let compared = match options.peer {
        Peer::Pytorch => pytorch::compare(options, &python, &mut results),
        Peer::Ctranslate2 => ctranslate2::compare(options, &python, &mut results),
    };
    match compared {
        Err(error) if results.rows.is_empty() => return Err(error),
        compared => results.failure = compared.err(),
    }
    ensure!(
        !results.rows.is_empty(),
        "no comparison with {} has one of {:?} in its name",
        options.peer.title(),
        options.filters
    );
    Ok(results)
}
