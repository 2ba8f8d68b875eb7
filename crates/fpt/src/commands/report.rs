//! `fpt report`: what the runs of a directory come to.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Make the report of finished runs, from their directories alone.
///
/// Writes index.html, a page for each run in pages, report.md, results.json and results.csv into the directory, and
/// prints the tables. Runs lie directly below it, one a directory; several seeds of a method become mean ± standard
/// deviation. The pages of runs show texts beside answers where the data still lie where the runs read them.
///
/// Example: fpt report runs/mini
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Directory of the run directories.
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Print the results as JSON instead of tables.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    fpt::report(&args.directory, args.json)
}
