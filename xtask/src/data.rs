//! `cargo xtask data`: the task files of the mini-world.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Generate the task data that an experiment asks for, as `fpt data generate` does.
#[derive(ClapArgs)]
pub struct Args {
    /// Experiment file.
    #[arg(default_value = "configs/mini.toml")]
    config: PathBuf,
}

/// Generate the data, and print their directory.
pub fn run(args: &Args) -> anyhow::Result<()> {
    fpt::generate::generate(&args.config)
}
