//! Project automation: `cargo xtask reproduce`, `pretrain`, `data`.

mod data;
mod pretrain;
mod reproduce;
mod shell;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The pre-training allocates and frees the same shapes at every step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Reproduce the experiments and make what ships with the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Reproduce(reproduce::Args),
    Pretrain(pretrain::Args),
    Data(data::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Reproduce(args) => reproduce::run(&args),
        Command::Pretrain(args) => pretrain::run(&args),
        Command::Data(args) => data::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::note(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}
