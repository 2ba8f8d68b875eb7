//! Disks that are full, or read-only, from a random moment on, and are mended.

use std::path::Path;

use rand_chacha::ChaCha8Rng;

use super::campaign::{Campaign, Trial};
use super::contents::progress;
use super::kills::moment;
use super::mounts::{Mounted, check_image, make_image, missing};
use super::victim::Victim;
use super::{Ground, place_for};

/// Bytes of a file system in memory, at first and once it has been full.
const MEMORY: [u64; 2] = [64 << 20, 128 << 20];

/// Runs in a file system in memory that becomes full at a random moment. Once they have ended it is enlarged.
pub(super) struct FullDisk<'a>(pub(super) &'a Ground);

impl Campaign for FullDisk<'_> {
    fn name(&self) -> &'static str {
        "full-disks"
    }

    fn missing(&self) -> Option<String> {
        missing(&["mount", "umount", "findmnt"])
    }

    fn trial(
        &mut self,
        number: usize,
        _left: usize,
        random: &mut ChaCha8Rng,
    ) -> anyhow::Result<Trial> {
        let victim = self.0.victim(number);
        let directory = place_for(&self.0.place, "full")?;
        let at = directory.join("disk");
        let disk = Mounted::memory(MEMORY[0], &at)?;
        let mut trial = Trial::new(victim, &directory);
        meet(victim, &at, &mut trial, "full", random, || disk.fill())?;
        disk.enlarge(MEMORY[1])?;
        trial
            .differences
            .extend(victim.differences(&at.join("run")));
        if !trial.faults.is_empty() && !at.join("filler").is_file() {
            trial.differences.push("the filler is gone".into());
        }
        disk.unmount()?;
        Ok(trial)
    }
}

/// Runs on an ext4 that comes upon an error at a random moment, and is read-only then. Once they have ended it is
/// checked and mounted again. (Nobody can make a file system read-only by hand while a file of it is being written.)
pub(super) struct ReadOnly<'a>(pub(super) &'a Ground);

impl Campaign for ReadOnly<'_> {
    fn name(&self) -> &'static str {
        "read-only-disks"
    }

    fn missing(&self) -> Option<String> {
        missing(&["mkfs.ext4", "e2fsck", "mount", "umount", "findmnt"])
    }

    fn trial(
        &mut self,
        number: usize,
        _left: usize,
        random: &mut ChaCha8Rng,
    ) -> anyhow::Result<Trial> {
        let victim = self.0.victim(number);
        let directory = place_for(&self.0.place, "read-only")?;
        let (image, at) = (directory.join("image"), directory.join("disk"));
        make_image(&image)?;
        let disk = Mounted::image(&image, &at, "errors=remount-ro")?;
        let mut trial = Trial::new(victim, &directory);
        meet(victim, &at, &mut trial, "read-only", random, || disk.fail())?;
        disk.unmount()?;
        check_image(&image)?;
        let disk = Mounted::image(&image, &at, "")?;
        trial
            .differences
            .extend(victim.differences(&at.join("run")));
        disk.unmount()?;
        Ok(trial)
    }
}

/// Let `victim` make `run` in the directory `at`, on which `fault` comes at a random moment, and end by itself.
fn meet(
    victim: &Victim,
    at: &Path,
    trial: &mut Trial,
    name: &str,
    random: &mut ChaCha8Rng,
    fault: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let after = victim.moment(random);
    let out = at.join("run");
    let mut running = victim.start(&[], &out)?;
    if !running.end_within(after)? {
        let how_far = progress(&out);
        fault()?;
        trial.faults.push(moment(name, after, &how_far));
    }
    let ended = running.end()?;
    if trial.faults.is_empty() {
        victim.took(ended.took);
    }
    let directory = at.display().to_string();
    trial.judge(victim, &ended, at, |said| said.contains(&directory));
    Ok(())
}
