//! Copies of programs: jobs may wait for days, and whoever builds meanwhile changes nothing about them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use fpt_files::Fingerprint;

/// Digits of a program's hash in its name.
const DIGITS: usize = 12;

/// Where the copy of `program` lies, or would, below `directory`: under its name and its SHA-256. A copy is its own.
///
/// # Errors
/// If it can't be read.
pub(super) fn place(program: &Path, directory: &Path) -> anyhow::Result<PathBuf> {
    if program.parent() == Some(directory) {
        return Ok(program.to_path_buf());
    }
    let mut hash = Fingerprint::new();
    hash.file(program)?;
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    Ok(directory.join(format!("{name}-{}", &hash.hex()[..DIGITS])))
}

/// Make that copy, unless it is there.
///
/// # Errors
/// If it can't be written.
pub(super) fn copy(program: &Path, directory: &Path) -> anyhow::Result<PathBuf> {
    let place = place(program, directory)?;
    if !place.exists() {
        fpt_files::create_directory(directory)?;
        fpt_files::write_with(&place, |copy| {
            let mut program = File::open(program)?;
            io::copy(&mut program, copy)?;
            copy.set_permissions(program.metadata()?.permissions())
        })?;
    }
    Ok(place)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_program_is_kept_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let (program, kept) = (directory.path().join("fpt"), directory.path().join("kept"));
        fs::write(&program, "#!/bin/sh\necho one").unwrap();
        fs::set_permissions(
            &program,
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let one = copy(&program, &kept).unwrap();
        fs::write(&program, "#!/bin/sh\necho two").unwrap();
        let two = copy(&program, &kept).unwrap();
        assert_ne!(one, two);
        let said = std::process::Command::new(&one).output().unwrap();
        assert_eq!(said.stdout, b"one\n");
        assert_eq!(copy(&one, &kept).unwrap(), one);
        assert_eq!(fs::read_dir(&kept).unwrap().count(), 2);
    }
}
