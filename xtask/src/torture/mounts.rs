//! File systems for a campaign: mounted, cut off, filled, and unmounted again. Only root may do so.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::shell;

/// Bytes of an image.
const IMAGE: u64 = 256 << 20;
/// How long a file system may be in use after its processes were killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: from now on nothing is written to the device, neither data nor
/// journal. This is how the kernel's own tests cut the power of a file system at a moment.
const SHUTDOWN: &str = r#"my $how = pack("L", 2); open(my $at, "<", $ARGV[0]) or die $!; ioctl($at, 0x8004587D, $how) or die $!"#;

/// A mounted file system, which goes with this value.
pub(super) struct Mounted {
    at: PathBuf,
}

/// What is missing on this machine to mount file systems, and how to get it.
pub(super) fn missing(programs: &[&str]) -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("it needs Linux".into());
    }
    let user = Command::new("id").arg("-u").output();
    if !user.is_ok_and(|it| it.stdout == b"0\n") {
        return Some("it needs root, to mount file systems".into());
    }
    let absent = programs.iter().find(|program| !is_there(program));
    absent.map(|program| format!("it needs {program}, which is not installed"))
}

/// Whether a program can be started.
pub(super) fn is_there(program: &str) -> bool {
    let started = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    !started.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// An ext4 of nothing in the file `image`.
pub(super) fn make_image(image: &Path) -> anyhow::Result<()> {
    // What a campaign before this one left there is no file system any more.
    let file = File::create(image)?;
    file.set_len(IMAGE)?;
    shell::call(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image))
}

/// Let the file system in `image`, which is not mounted, be checked, and what a cut left in it be mended.
pub(super) fn check_image(image: &Path) -> anyhow::Result<()> {
    let output = Command::new("e2fsck").arg("-p").arg(image).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    // 1: errors were corrected.
    let is_well = output.status.code().is_some_and(|code| code <= 1);
    ensure!(is_well, "e2fsck {}: {said}", output.status);
    Ok(())
}

impl Mounted {
    /// The ext4 in a file at the directory `at`.
    pub(super) fn image(image: &Path, at: &Path, options: &str) -> anyhow::Result<Self> {
        let options = ["loop", options].join(if options.is_empty() { "" } else { "," });
        Self::new(&["-t", "ext4", "-o", &options], image, at)
    }

    /// An empty file system in memory at the directory `at`.
    pub(super) fn memory(bytes: u64, at: &Path) -> anyhow::Result<Self> {
        let options = format!("size={bytes}");
        Self::new(&["-t", "tmpfs", "-o", &options], Path::new("none"), at)
    }

    fn new(arguments: &[&str], what: &Path, at: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(at)?;
        let mounted = Self {
            at: at.to_path_buf(),
        };
        shell::call(Command::new("mount").args(arguments).arg(what).arg(at))?;
        Ok(mounted)
    }

    /// Cut the power: what was not written to the device is lost.
    pub(super) fn cut(&self) -> anyhow::Result<()> {
        shell::call(Command::new("perl").args(["-e", SHUTDOWN]).arg(&self.at))
    }

    /// Let ext4 come upon an error in itself, after which it is read-only if it was mounted so.
    pub(super) fn fail(&self) -> anyhow::Result<()> {
        let found = Command::new("findmnt")
            .args(["--noheadings", "--output", "SOURCE", "--mountpoint"])
            .arg(&self.at)
            .output()?;
        let device = String::from_utf8_lossy(&found.stdout);
        let name = Path::new(device.trim()).file_name();
        let name = name.context("findmnt does not say what is mounted")?;
        let trigger = Path::new("/sys/fs/ext4").join(name);
        fs::write(trigger.join("trigger_fs_error"), "1").context("ext4 has no errors on request")
    }

    /// Fill what is free, to the last byte that a file can have.
    pub(super) fn fill(&self) -> anyhow::Result<()> {
        let mut filler = File::create(self.at.join("filler"))?;
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![0; size];
            loop {
                match filler.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Make one in memory larger.
    pub(super) fn enlarge(&self, bytes: u64) -> anyhow::Result<()> {
        let options = format!("remount,size={bytes}");
        shell::call(Command::new("mount").args(["-o", &options]).arg(&self.at))
    }

    /// Unmount it, once its processes are gone.
    pub(super) fn unmount(self) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            match unmount(&self.at) {
                Err(_) if start.elapsed() < PATIENCE => std::thread::sleep(PATIENCE / 1000),
                result => return result,
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Where that fails, the next campaign tries again.
        let _ = release(&self.at);
    }
}

/// Unmount what a campaign that was stopped has left at `at`.
pub(super) fn release(at: &Path) -> anyhow::Result<()> {
    if !at.is_dir() {
        return Ok(());
    }
    while output(Command::new("findmnt").arg("--mountpoint").arg(at))?
        .status
        .success()
    {
        let done = output(Command::new("umount").arg("--lazy").arg(at))?;
        ensure!(done.status.success(), "{} can't be unmounted", at.display());
    }
    Ok(())
}

fn unmount(at: &Path) -> anyhow::Result<()> {
    let done = output(Command::new("umount").arg(at))?;
    if !done.status.success() {
        bail!("{}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}

fn output(command: &mut Command) -> anyhow::Result<Output> {
    let name = command.get_program().to_os_string();
    let output = command.output();
    output.with_context(|| format!("failed to start {}", name.display()))
}
