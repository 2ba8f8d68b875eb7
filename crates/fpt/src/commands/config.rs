//! `fpt config`: experiment files, and those that the program carries.

use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand};
use fpt::experiments::{EXPERIMENTS, EmbeddedExperiment};
use fpt_train::Experiment;

use super::print_line;

/// Experiment files: those that come with this program, and what may stand in them.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Tell their names, and what each is.
    ///
    /// Example: fpt config list
    List,
    Show(ShowArgs),
    Schema(SchemaArgs),
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

/// Print the JSON Schema of experiment files, by which editors complete and explain keys.
///
/// Save it and name it in the first line of an experiment file: `#:schema ./fpt.schema.json`, as Taplo and Even Better TOML
/// read it.
///
/// Example: fpt config schema > fpt.schema.json
#[derive(ClapArgs)]
pub(crate) struct SchemaArgs {}

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
        Command::Schema(SchemaArgs {}) => {
            let schema = schemars::schema_for!(Experiment);
            print_line(&serde_json::to_string_pretty(&schema)?)
        }
    }
}

fn list() -> anyhow::Result<()> {
    for known in &EXPERIMENTS {
        print_line(&format!("{:<14}{}", known.name, known.about))?;
    }
    Ok(())
}
