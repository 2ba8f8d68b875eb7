//! The commands, a file each, and what several of them share.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod cost;
pub(crate) mod data;
pub(crate) mod devices;
pub(crate) mod doctor;
mod dry_run;
pub(crate) mod eval;
mod fitting;
pub(crate) mod man;
mod memory;
mod numbers;
pub(crate) mod predict;
pub(crate) mod report;
pub(crate) mod similarity;
pub(crate) mod synthetic;
pub(crate) mod train;
pub(crate) mod transfer;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use fpt::stop;
use fpt::terminal::{print_json, print_line, print_table};
use fpt_prompt::{SoftPrompt, load_prompt};
use fpt_schedule::Method;
use fpt_tasks::TaskName;
use fpt_train::{Experiment, RunConfig};

/// Which run of which experiment.
#[derive(Args)]
pub(crate) struct RunArgs {
    /// Experiment file, such as configs/mini.toml.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// Task: mnli, qqp, squad2, record or xsum.
    #[arg(long)]
    pub task: TaskName,

    /// Seed of data order and prompt initialisation.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// How to train: pt (the full model), ld-1/4, fr-1/2, cr-3/4 (partial models alone: layers dropped, FFN
    /// neurons left out, both), hd-1/2 (attention heads left out), or fpt-ld, fpt-fr, fpt-cr, fpt-hd (progressive
    /// training). By default as the experiment says.
    #[arg(long)]
    pub method: Option<Method>,

    /// Change a setting, such as train.steps=50 or prompt.length=10; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

impl RunArgs {
    /// The run, and the experiment that it is of.
    fn resolve(&self) -> anyhow::Result<(Experiment, RunConfig)> {
        let experiment = Experiment::from_file(&self.config)?;
        let mut overrides = self.overrides.clone();
        if let Some(method) = self.method {
            overrides.push(format!("schedule.method={method}"));
        }
        let config = experiment.run(&self.task, self.seed, &overrides)?;
        Ok((experiment, config))
    }
}

/// What started this program, where it must not outlive that.
#[derive(Args)]
pub(crate) struct Parent {
    /// Stop when standard input ends: it is a pipe of the program that started this one.
    #[arg(long, hide = true)]
    with_parent: bool,
}

impl Parent {
    /// Stop with it, if so asked.
    fn watch(&self) {
        if self.with_parent {
            stop::at_end_of_input();
        }
    }
}

/// A prompt, where one is given: a directory of a PEFT adapter, or a `.npy` file.
fn adapter(
    path: Option<&Path>,
    d_model: usize,
    device: &Device,
) -> anyhow::Result<Option<SoftPrompt>> {
    path.map(|path| load_prompt(path, d_model, device))
        .transpose()
        .map_err(Into::into)
}
