//! `fpt config`: experiment files.

use clap::{Args as ClapArgs, Subcommand};
use fpt::terminal::print_line;
use fpt_train::Experiment;

/// Look at experiment files.
#[derive(Subcommand)]
pub(crate) enum Command {
    Schema(SchemaArgs),
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
        Command::Schema(SchemaArgs {}) => {
            let schema = schemars::schema_for!(Experiment);
            print_line(&serde_json::to_string_pretty(&schema)?)
        }
    }
}
