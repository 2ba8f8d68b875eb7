//! Python programs that this one is compared with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fpt::terminal;

use crate::shell;

/// A virtual environment with the packages; one that is complete is used again.
pub(crate) fn environment(directory: &Path, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let python = if cfg!(windows) {
        directory.join("Scripts").join("python.exe")
    } else {
        directory.join("bin").join("python")
    };
    let stamp_path = directory.join("packages.txt");
    let stamp = packages.join("\n") + "\n";
    if fs::read_to_string(&stamp_path).is_ok_and(|found| found == stamp) {
        return Ok(python);
    }
    terminal::note(&format!(
        "making a virtual environment in {}",
        directory.display()
    ));
    let system = if cfg!(windows) { "python" } else { "python3" };
    shell::call(
        Command::new(system)
            .args(["-m", "venv", "--clear"])
            .arg(directory),
    )?;
    shell::call(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .args(packages)
            // What pip says is no result of this command.
            .stdout(Stdio::null()),
    )?;
    // The stamp comes last, so that an environment that is half made is made again.
    fpt_files::write(&stamp_path, &stamp)?;
    Ok(python)
}
