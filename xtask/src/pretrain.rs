//! `cargo xtask pretrain`: the scale model's weights.

use std::path::PathBuf;
use std::time::Duration;

use burn::tensor::Device;
use clap::Args as ClapArgs;
use fpt::grid::Stopped;
use fpt::{revision, stop, terminal};
use fpt_pretrain::{Host, PretrainConfig, PretrainError, PretrainEvent, pretrain};

const PARTS: &str = "\
The shipped model is made in three parts, of which each goes on from the model of the one before:
  cargo xtask pretrain
  cargo xtask pretrain --config configs/pretrain-mini-second.toml --out target/pretrain-second/model
  cargo xtask pretrain --config configs/pretrain-mini-third.toml --out target/pretrain-third/model";

/// Pre-train the scale model on the generated corpus.
///
/// Writes config.json, model.safetensors, the tokenizer's files and pretrain.json (configuration, revision,
/// loss curve, skills), all at once; what lay in --out is set aside. A run that was killed or stopped goes on from its last
/// checkpoint when the same command is given again, and comes to the same weights, to the bit. SIGINT (Ctrl-C), SIGTERM,
/// SIGHUP and SIGUSR1 end it after the step, with a checkpoint and exit status 128 + signal; a second one ends it at once.
#[derive(ClapArgs)]
#[command(after_help = PARTS)]
pub struct Args {
    /// Recipe.
    #[arg(long, default_value = "configs/pretrain-mini.toml")]
    config: PathBuf,

    /// Where the model goes.
    #[arg(long, default_value = "target/pretrain-first/model")]
    out: PathBuf,

    /// Directory of the checkpoints [default: `state` beside the model]
    #[arg(long)]
    state: Option<PathBuf>,

    /// Print a line every so many steps instead of a progress bar.
    #[arg(long, value_name = "STEPS")]
    log_every: Option<usize>,

    /// Stop after so much time, such as 3h, with a checkpoint and exit status 75.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    time_limit: Option<Duration>,
}

/// Pre-train, and print how long it took.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let config = PretrainConfig::from_file(&args.config)?;
    let bar = match args.log_every {
        Some(_) => indicatif::ProgressBar::hidden(),
        None => terminal::bar(config.steps, "pretrain"),
    };
    stop::listen()?;
    if let Some(limit) = args.time_limit {
        stop::after(limit);
    }
    let state = args.state.clone();
    let state = state.unwrap_or_else(|| args.out.with_file_name("state"));
    let host = Host {
        out: &args.out,
        state: &state,
        revision: revision(),
        device: &Device::flex(),
        stop: &stop::is_asked,
    };
    let mut smoothed: Option<f64> = None;
    let mut taken = 0;
    let outcome = pretrain(&config, &host, &mut |event| match event {
        PretrainEvent::Resumed { step } => {
            stop::at_work();
            taken = step;
            terminal::note(&format!("goes on after step {step}"));
            bar.set_position(step as u64);
            bar.reset_eta();
        }
        PretrainEvent::Step { step, loss } => {
            stop::at_work();
            taken = step;
            let mean = smoothed.map_or(loss, |mean| 0.98 * mean + 0.02 * loss);
            smoothed = Some(mean);
            bar.set_position(step as u64);
            bar.set_message(format!("loss {mean:.3}"));
            if args
                .log_every
                .is_some_and(|every| step.is_multiple_of(every))
            {
                terminal::note(&format!("step {step}: loss {mean:.4}"));
            }
        }
        PretrainEvent::Skills { step, skills } => {
            let list: Vec<String> = skills
                .iter()
                .map(|(skill, accuracy)| format!("{skill} {accuracy:.1}"))
                .collect();
            bar.suspend(|| terminal::note(&format!("step {step}: skills {}", list.join(", "))));
        }
        PretrainEvent::Warning { message } => {
            bar.suspend(|| terminal::note(&format!("warning: {message}")));
        }
        PretrainEvent::SetAside { path } => bar.suspend(|| {
            terminal::note(&format!(
                "what was in {} is in {} now",
                args.out.display(),
                path.display()
            ));
        }),
        _ => {}
    });
    bar.finish_and_clear();
    if let Err(PretrainError::Stopped) = outcome {
        terminal::note(&format!(
            "stopped by {} after step {taken}; the same command goes on from there",
            stop::reason()
        ));
        return Err(Stopped.into());
    }
    let log = outcome?;
    terminal::print_line(&format!(
        "{} weights in {} after {:.0} s",
        log.parameters,
        args.out.display(),
        log.seconds
    ))
}
