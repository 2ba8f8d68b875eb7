//! Kills: SIGKILL at random moments, which leaves no time for anything.

use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::campaign::{Campaign, Trial};
use super::contents::progress;
use super::{Ground, place_for};

/// Of so many kills in a row one may hit; then the run is left alone for once, so that it comes to an end.
const IN_A_ROW: usize = 12;

/// Kill at random moments and start again at once, until it comes to an end.
pub(super) struct Kills<'a>(pub(super) &'a Ground);

impl Campaign for Kills<'_> {
    fn name(&self) -> &'static str {
        "kills"
    }

    fn trial(
        &mut self,
        number: usize,
        left: usize,
        random: &mut ChaCha8Rng,
    ) -> anyhow::Result<Trial> {
        let victim = self.0.victim(number);
        let directory = place_for(&self.0.place, &format!("kills-{number}"))?;
        let out = directory.join("run");
        let mut trial = Trial::new(victim, &directory);
        while trial.faults.len() < left.min(IN_A_ROW) {
            let after = victim.moment(random);
            // What a grid has started is told to stop by the grid's end, or is killed with it.
            let with_children = random.random_bool(0.5);
            let mut running = victim.start(&[], &out)?;
            if running.end_within(after)? {
                let ended = running.end()?;
                if !ended.status.success() {
                    trial.differences.push(ended.to_string());
                } else if trial.faults.is_empty() {
                    victim.took(ended.took);
                }
                break;
            }
            if with_children {
                running.kill_all()?;
            } else {
                running.kill()?;
            }
            trial.faults.push(moment("killed", after, &progress(&out)));
        }
        trial.differences.extend(victim.differences(&out));
        Ok(trial)
    }
}

/// A fault, when it happened, and how far the run was.
pub(super) fn moment(fault: &str, after: Duration, progress: &str) -> String {
    format!("{fault} after {:.3} s, {progress}", after.as_secs_f64())
}
