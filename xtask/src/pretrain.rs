//! `cargo xtask pretrain`: the scale model's weights.

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args as ClapArgs;
use fpt_pretrain::{PretrainConfig, PretrainEvent, pretrain};

use crate::shell;

/// Pre-train the scale model on the generated corpus.
///
/// Writes config.json, model.safetensors, the tokenizer's files and pretrain.json (configuration, revision,
/// loss curve, skills). An interrupted run goes on where it was saved last.
#[derive(ClapArgs)]
pub struct Args {
    /// Recipe.
    #[arg(long, default_value = "configs/pretrain-mini.toml")]
    config: PathBuf,

    /// Where the model goes.
    #[arg(long, default_value = "datasets/mini-world/model")]
    out: PathBuf,

    /// Where the state for resuming is kept.
    #[arg(long, default_value = "target/pretrain")]
    state: PathBuf,

    /// Print a line every so many steps instead of a progress bar.
    #[arg(long, value_name = "STEPS")]
    log_every: Option<usize>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let config = PretrainConfig::from_file(&args.config)?;
    let bar = match args.log_every {
        Some(_) => indicatif::ProgressBar::hidden(),
        None => shell::bar(config.steps, "pretrain"),
    };
    let mut smoothed: Option<f64> = None;
    let log = pretrain(
        &config,
        &args.out,
        &args.state,
        &shell::revision(),
        &Device::flex(),
        &mut |event| match event {
            PretrainEvent::Resumed { step } => {
                shell::note(&format!("resumed after step {step}"));
                bar.set_position(step as u64);
                bar.reset_eta();
            }
            PretrainEvent::Step { step, loss } => {
                let mean = smoothed.map_or(loss, |mean| 0.98 * mean + 0.02 * loss);
                smoothed = Some(mean);
                bar.set_position(step as u64);
                bar.set_message(format!("loss {mean:.3}"));
                if args
                    .log_every
                    .is_some_and(|every| step.is_multiple_of(every))
                {
                    shell::note(&format!("step {step}: loss {mean:.4}"));
                }
            }
            PretrainEvent::Skills { step, skills } => {
                let list: Vec<String> = skills
                    .iter()
                    .map(|(skill, accuracy)| format!("{skill} {accuracy:.1}"))
                    .collect();
                bar.suspend(|| shell::note(&format!("step {step}: skills {}", list.join(", "))));
            }
            _ => {}
        },
    )?;
    bar.finish_and_clear();
    shell::print(&format!(
        "{} weights in {} after {:.0} s",
        log.parameters,
        args.out.display(),
        log.seconds
    ))
}
