//! Our side of a comparison, in a process of its own: its threads and its memory are its own.

use std::io::{self, BufRead};
use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Device;
use clap::{Args as ClapArgs, ValueEnum};
use fpt::{peak_memory, terminal};
use fpt_t5::{Precision, Recompute, T5};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::large::LargeData;
use super::texts::Texts;
use super::work::Work;

/// What is done once for each line on standard input.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    Train,
    Generate,
    /// Answer texts without a prompt.
    Answer,
    /// Read and tokenize a large training file, and pad its batches of an epoch.
    Tokenize,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Generate => "generate",
            Self::Answer => "answer",
            Self::Tokenize => "tokenize",
        }
    }
}

/// Do the work of a directory once for each line on standard input.
#[derive(ClapArgs)]
pub struct Args {
    directory: PathBuf,
    kind: Kind,
    /// As configurations have it under `precision`.
    #[arg(long, value_parser = word::<Precision>)]
    weights: Precision,
    /// As configurations have it under `train.recompute`.
    #[arg(long, value_parser = word::<Recompute>)]
    recompute: Recompute,
}

/// A value of a configuration that is one word.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_value(text.into())
}

/// The answer to a line.
#[derive(Serialize, Deserialize)]
pub(super) struct Answer {
    pub seconds: f64,
    pub peak_memory: Option<u64>,
    /// The last loss, the ids, or the number of tokens.
    pub result: Value,
}

/// Do it, and print an `Answer` each time.
pub fn run(args: &Args) -> anyhow::Result<()> {
    // As `fpt` does: inside the pool, small operations need not be handed to another thread.
    rayon::ThreadPoolBuilder::new()
        .build()?
        .install(|| answer(args))
}

fn work(args: &Args) -> anyhow::Result<Work> {
    let mut work = Work::load(&args.directory, args.weights)?;
    work.model = work.model.recomputing(args.recompute);
    Ok(work)
}

fn answer(args: &Args) -> anyhow::Result<()> {
    let mut pass: Box<dyn FnMut() -> anyhow::Result<Value>> = match args.kind {
        Kind::Tokenize => {
            let data = LargeData::load(&args.directory)?;
            Box::new(move || Ok(data.tokens()?.into()))
        }
        Kind::Train => {
            let mut work = work(args)?;
            Box::new(move || Ok(work.train().into()))
        }
        Kind::Generate => {
            let work = work(args)?;
            Box::new(move || Ok(work.answer().into()))
        }
        Kind::Answer => {
            let texts = Texts::load(&args.directory)?;
            let device = Device::flex();
            let model = T5::from_pretrained_in(&args.directory, args.weights, &device)?;
            Box::new(move || Ok(texts.answer(&model).into()))
        }
    };
    for line in io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        let result = pass()?;
        let answer = Answer {
            seconds: start.elapsed().as_secs_f64(),
            peak_memory: peak_memory(),
            result,
        };
        terminal::print_line(&serde_json::to_string(&answer)?)?;
    }
    Ok(())
}
