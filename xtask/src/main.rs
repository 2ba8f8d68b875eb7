//! Project automation: `cargo xtask reproduce`, `report`, `records`, `search`, `pretrain`, `data`, `interop`, `torture`,
//! `load`, `bench`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fpt::grid::{Stopped, Submitted};
use fpt::terminal::Telling;
use fpt::{stop, terminal};
use xtask::{bench, data, interop, load, pretrain, records, reproduce, search, torture};

/// The pre-training allocates and frees the same shapes at every step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Reproduce the experiments and make what ships with the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(flatten)]
    telling: Telling,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Reproduce(reproduce::Args),
    Report(ReportArgs),
    Records(records::Args),
    Search(search::Args),
    Pretrain(pretrain::Args),
    Data(data::Args),
    Interop(interop::Args),
    Torture(torture::Args),
    Load(load::Args),
    Bench(bench::Args),
    #[command(hide = true)]
    BenchWorker(bench::WorkerArgs),
}

/// Make the report of finished runs again, from their directories alone.
#[derive(clap::Args)]
struct ReportArgs {
    /// Directory of the runs.
    #[arg(default_value = "runs/mini")]
    directory: PathBuf,

    /// Print the results as JSON instead of tables.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Cli { telling, command } = terminal::arguments();
    if let Err(error) = telling.begin() {
        terminal::error(&error);
        return ExitCode::FAILURE;
    }
    let result = match command {
        Command::Reproduce(args) => reproduce::run(&args),
        Command::Report(args) => fpt::report(&args.directory, args.json),
        Command::Records(args) => records::run(&args),
        Command::Search(args) => search::run(&args),
        Command::Torture(args) => torture::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Pretrain(args) => pretrain::run(&args),
        Command::Data(args) => data::run(&args),
        Command::BenchWorker(args) => bench::run_worker(&args),
        Command::Bench(args) => return ended(bench::run(&args)),
        Command::Interop(args) => return ended(interop::run(&args)),
    };
    ended(result.map(|()| true))
}

/// The exit status of what came to its end, well or not, or failed.
fn ended(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // It has said so.
        Err(error) if error.is::<Stopped>() => ExitCode::from(stop::exit_status()),
        Err(error) if error.is::<Submitted>() => ExitCode::SUCCESS,
        Err(error) => {
            terminal::error(&error);
            ExitCode::FAILURE
        }
    }
}
