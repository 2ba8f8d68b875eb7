//! `fpt completions`: scripts with which shells complete commands.

use clap::{Args as ClapArgs, Command};
use clap_complete::{Shell, generate};

use super::print_line;

/// Print a script with which a shell completes the commands and options of fpt.
///
/// Example: fpt completions bash > ~/.local/share/bash-completion/completions/fpt
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Shell.
    shell: Shell,
}

pub(crate) fn run(args: &Args, mut command: Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    generate(args.shell, &mut command, "fpt", &mut script);
    print_line(String::from_utf8(script)?.trim_end())
}
