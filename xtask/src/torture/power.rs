//! Power cuts: all that has not been written to the device is lost.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::campaign::{Campaign, Trial};
use super::contents::progress;
use super::kills::moment;
use super::mounts::{Mounted, check_image, is_there, make_image, missing};
use super::saved::Saved;
use super::strace;
use super::victim::{Ended, Victim};
use super::{Ground, place_for};

/// Of so many cuts in a row one may hit.
const IN_A_ROW: usize = 3;
/// After so much time at most the power is cut of a machine on which a run has finished. An ext4 writes its journal
/// every five seconds.
const AFTER_THE_END: f64 = 10.0;

/// Runs on an ext4 of their own in a file. At random moments the file system is shut down as by a power cut, its
/// processes are killed, and it is mounted again, which replays its journal. Every third trial cuts after the end.
pub(super) struct Power<'a> {
    pub(super) ground: &'a Ground,
    /// Whether to let syncing do nothing, so that one sees that the campaign would notice.
    pub(super) unsynced: bool,
}

impl Campaign for Power<'_> {
    fn name(&self) -> &'static str {
        "power-cuts"
    }

    fn missing(&self) -> Option<String> {
        let programs = ["mkfs.ext4", "e2fsck", "mount", "umount", "findmnt", "perl"];
        let strace = self.unsynced && !is_there("strace");
        missing(&programs).or_else(|| strace.then(strace::missing))
    }

    fn trial(
        &mut self,
        number: usize,
        left: usize,
        random: &mut ChaCha8Rng,
    ) -> anyhow::Result<Trial> {
        let victim = self.ground.victim(number);
        let directory = place_for(&self.ground.place, "power")?;
        let (image, at) = (directory.join("image"), directory.join("disk"));
        make_image(&image)?;
        let mut trial = Trial::new(victim, &directory);
        // As often as there are victims, so that each meets both.
        let after_the_end = (number / 3) % 3 == 2;
        let cuts = if after_the_end {
            1
        } else {
            random.random_range(1..=IN_A_ROW)
        };
        for _ in 0..cuts.min(left) {
            let disk = Mounted::image(&image, &at, "")?;
            let time = if after_the_end {
                Duration::from_secs_f64(random.random_range(0.0..AFTER_THE_END))
            } else {
                victim.moment(random)
            };
            let Cut { before, ended } =
                self.cut(victim, &disk, &at.join("run"), after_the_end, time)?;
            if let Some(ended) = ended.as_ref().filter(|ended| !ended.status.success()) {
                // What lies there after the cut before this one can't be gone on with.
                trial.differences.push(ended.to_string());
                break;
            }
            disk.unmount()?;
            let disk = Mounted::image(&image, &at, "")?;
            let out = at.join("run");
            let after = Saved::of(&out);
            trial.differences.extend(before.lost(&after));
            let is_finished = ended.is_some();
            if let Some(ended) = ended {
                if trial.faults.is_empty() {
                    victim.took(ended.took);
                }
                trial.differences.extend(before.not_finished(&after));
            }
            let when = if after_the_end { "cut, its end" } else { "cut" };
            trial.faults.push(moment(when, time, &progress(&out)));
            disk.unmount()?;
            check_image(&image)?;
            if is_finished {
                break;
            }
        }
        let disk = Mounted::image(&image, &at, "")?;
        (trial.differences).extend(victim.differences(&at.join("run")));
        disk.unmount()?;
        Ok(trial)
    }
}

/// What was there when the power was cut, and how the victim had ended, if it had.
struct Cut {
    before: Saved,
    ended: Option<Ended>,
}

impl Power<'_> {
    /// Cut the power of `disk`, on which `victim` makes `out`, after some time.
    fn cut(
        &self,
        victim: &Victim,
        disk: &Mounted,
        out: &Path,
        after_the_end: bool,
        time: Duration,
    ) -> anyhow::Result<Cut> {
        let tracer = if self.unsynced {
            strace::without_sync()
        } else {
            Vec::<OsString>::new()
        };
        let mut running = victim.start(&tracer, out)?;
        if !after_the_end && !running.end_within(time)? {
            let before = Saved::of(out);
            disk.cut()?;
            running.kill_all()?;
            return Ok(Cut {
                before,
                ended: None,
            });
        }
        let ended = Some(running.end()?);
        if after_the_end {
            std::thread::sleep(time);
        }
        let before = Saved::of(out);
        disk.cut()?;
        Ok(Cut { before, ended })
    }
}
