//! `fpt man`: manual pages.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Command};
use clap_mangen::Man;

use super::print_line;

/// Print the manual page of fpt, or write the pages of all commands into a directory.
///
/// Example: fpt man --out ~/.local/share/man/man1
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Directory for all pages, fpt.1, fpt-train.1 and so on; without it the page of fpt itself is printed.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, command: Command) -> anyhow::Result<()> {
    let mut command = command;
    command.build();
    let Some(directory) = &args.out else {
        return print_line(String::from_utf8(page(&command)?)?.trim_end());
    };
    fpt_files::create_directory(directory)?;
    for command in all(&command) {
        let name = command.get_display_name().unwrap_or(command.get_name());
        fpt_files::write(directory.join(format!("{name}.1")), page(command)?)?;
    }
    print_line(&directory.display().to_string())
}

/// A command and those below it, but for `help`, which has nothing that their pages have not.
fn all(command: &Command) -> Vec<&Command> {
    let below = command
        .get_subcommands()
        .filter(|it| it.get_name() != "help" && !it.is_hide_set());
    std::iter::once(command)
        .chain(below.flat_map(all))
        .collect()
}

fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}
