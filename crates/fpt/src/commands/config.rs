//! `fpt config`: the experiments that the program carries.

use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand};
use fpt::experiments::{EXPERIMENTS, EmbeddedExperiment};

use super::print_line;

/// Experiments that come with this program, as files to change.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Tell their names, and what each is.
    ///
    /// Example: fpt config list
    List,
    Show(ShowArgs),
}

/// Print an experiment file.
///
/// Its data belong into `data` beside it. The one that is called `mini` makes them itself, and its model comes with this program.
///
/// Example: fpt config show mini > mine.toml
#[derive(ClapArgs)]
pub(crate) struct ShowArgs {
    /// Its name, as `fpt config list` has it.
    name: String,
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::List => list(),
        Command::Show(args) => {
            let named = EmbeddedExperiment::named(&args.name).with_context(|| {
                let names: Vec<_> = EXPERIMENTS.iter().map(|known| known.name).collect();
                format!(
                    "no experiment `{}` comes with this program; there are {}",
                    args.name,
                    names.join(", ")
                )
            })?;
            print_line(named.text().trim_end())
        }
    }
}

fn list() -> anyhow::Result<()> {
    for known in &EXPERIMENTS {
        print_line(&format!("{:<14}{}", known.name, known.about))?;
    }
    Ok(())
}
