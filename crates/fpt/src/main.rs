//! The command-line program of Fast Prompt Tuning.

mod allocator;
mod commands;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use fpt::grid::{Stopped, Submitted};
use fpt::terminal::Telling;
use fpt::{stop, terminal};
use fpt_train::TrainError;

/// Train, evaluate and use soft prompts for frozen T5 models.
///
/// A soft prompt is a handful of trained vectors that go before a text's embeddings; the model itself is never
/// changed. Prompts are read and written as PEFT adapters.
#[derive(Parser)]
#[command(name = "fpt", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    telling: Telling,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(commands::init::Args),
    Train(commands::train::Args),
    Eval(commands::eval::Args),
    Predict(commands::predict::Args),
    Cost(commands::cost::Args),
    #[command(subcommand)]
    Data(commands::data::Command),
    Convert(commands::convert::Args),
    Similarity(commands::similarity::Args),
    Transfer(commands::transfer::Args),
    Report(commands::report::Args),
    Reproduce(commands::reproduce::Args),
    Sweep(commands::sweep::Args),
    #[command(subcommand)]
    Config(commands::config::Command),
    #[command(subcommand)]
    Bench(commands::bench::Command),
    Doctor(commands::doctor::Args),
    Devices(commands::devices::Args),
    Completions(commands::completions::Args),
    Man(commands::man::Args),
}

fn main() -> ExitCode {
    let Cli { telling, command } = terminal::arguments();
    if let Err(error) = telling.begin() {
        terminal::error(&error);
        return ExitCode::FAILURE;
    }
    if matches!(
        command,
        Command::Train(_)
            | Command::Eval(_)
            | Command::Predict(_)
            | Command::Transfer(_)
            | Command::Bench(_)
    ) {
        allocator::keep_freed_memory();
    }
    let run = || match command {
        Command::Init(args) => commands::init::run(&args),
        Command::Train(args) => commands::train::run(&args),
        Command::Eval(args) => commands::eval::run(&args),
        Command::Predict(args) => commands::predict::run(&args),
        Command::Cost(args) => commands::cost::run(&args),
        Command::Data(command) => commands::data::run(&command),
        Command::Convert(args) => commands::convert::run(&args),
        Command::Similarity(args) => commands::similarity::run(&args),
        Command::Transfer(args) => commands::transfer::run(&args),
        Command::Report(args) => commands::report::run(&args),
        Command::Reproduce(args) => commands::reproduce::run(&args),
        Command::Sweep(args) => commands::sweep::run(&args),
        Command::Config(command) => commands::config::run(&command),
        Command::Bench(command) => commands::bench::run(&command),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Devices(args) => commands::devices::run(&args),
        Command::Completions(args) => commands::completions::run(&args, Cli::command()),
        Command::Man(args) => commands::man::run(&args, Cli::command()),
    };
    // Inside the pool, small parallel operations need not be handed to another thread. The number of threads
    // is that of the cores, or RAYON_NUM_THREADS.
    let result = match rayon::ThreadPoolBuilder::new().build() {
        // The pool outlives `main`: a thread that has spoken with a graphics driver and ends while the process unloads
        // that driver frees memory twice (Mesa's OpenGL: "corrupted double-linked list" in one of 50 runs).
        Ok(pool) => Box::leak(Box::new(pool)).install(run),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // It has said so.
            let run_stopped = matches!(error.downcast_ref(), Some(TrainError::Stopped));
            if run_stopped || error.is::<Stopped>() {
                return ExitCode::from(stop::exit_status());
            }
            if error.is::<Submitted>() {
                return ExitCode::SUCCESS;
            }
            // A reader that stops early, such as `head`, is no mistake.
            if broken_pipe(&error) {
                return ExitCode::SUCCESS;
            }
            terminal::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
