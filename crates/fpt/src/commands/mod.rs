//! The commands, a file each, and what several of them share.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod convert;
pub(crate) mod cost;
pub(crate) mod data;
pub(crate) mod devices;
pub(crate) mod doctor;
mod dry_run;
pub(crate) mod eval;
mod fitting;
pub(crate) mod init;
pub(crate) mod man;
mod memory;
mod numbers;
pub(crate) mod predict;
mod progress;
pub(crate) mod report;
pub(crate) mod reproduce;
mod requeue;
pub(crate) mod similarity;
mod source;
pub(crate) mod sweep;
pub(crate) mod synthetic;
pub(crate) mod train;
pub(crate) mod transfer;
mod weights;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use fpt::stop;
use fpt::terminal::{print_json, print_line, print_table};
use fpt_prompt::{SoftPrompt, load_prompt};
use source::{ConfigArgs, RunArgs};

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

/// A prompt, where one is given: a directory of a PEFT adapter, a run, or a `.npy` file.
fn adapter(
    path: Option<&Path>,
    d_model: usize,
    device: &Device,
) -> anyhow::Result<Option<SoftPrompt>> {
    path.map(|path| load_prompt(adapter_of(path), d_model, device))
        .transpose()
        .map_err(Into::into)
}

/// Where the adapter lies: in a directory of a run, `adapter`.
fn adapter_of(path: &Path) -> PathBuf {
    let of_run = path.join("adapter");
    if path.join("config.toml").exists() && of_run.is_dir() {
        of_run
    } else {
        path.to_path_buf()
    }
}
