//! Which run goes to which device.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs dealt out to devices: run `i` goes to device `i mod n`. Each job serves one device, and takes its runs in turn;
/// so with as many jobs as devices there is one run on each.
pub(crate) struct Placement {
    runs: usize,
    /// For each device that is used, how many of its runs were taken.
    taken: Vec<AtomicUsize>,
}

impl Placement {
    /// `runs` on `devices`, `jobs` at a time. Of more devices than jobs the last are not used.
    pub(crate) fn new(runs: usize, jobs: usize, devices: usize) -> Self {
        let used = devices.min(jobs).max(1);
        Self {
            runs,
            taken: (0..used).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// The device that a job serves.
    pub(crate) fn device(&self, job: usize) -> usize {
        job % self.taken.len()
    }

    /// The next run of a device that no job has taken; `None` after the last.
    pub(crate) fn next(&self, device: usize) -> Option<usize> {
        let turn = self.taken[device].fetch_add(1, Ordering::Relaxed);
        let run = turn * self.taken.len() + device;
        (run < self.runs).then_some(run)
    }
}

/// How many runs go on at a time: as many as asked for; by default one for each card, or one for each core where the
/// processor computes.
pub(crate) fn jobs(
    asked: Option<usize>,
    devices: usize,
    on_cards: bool,
    cores: usize,
    runs: usize,
) -> usize {
    let default = if on_cards { devices } else { cores };
    asked.unwrap_or(default).min(runs).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runs of each device, in order.
    fn dealt(runs: usize, jobs: usize, devices: usize) -> Vec<Vec<usize>> {
        let placement = Placement::new(runs, jobs, devices);
        let taken = |device| std::iter::from_fn(|| placement.next(device)).collect();
        (0..placement.taken.len()).map(taken).collect()
    }

    #[test]
    fn runs_are_dealt_out_in_turn() {
        assert_eq!(dealt(5, 2, 2), [vec![0, 2, 4], vec![1, 3]]);
        assert_eq!(dealt(2, 3, 3), [vec![0], vec![1], vec![]]);
        // One device has all, however many jobs there are.
        assert_eq!(dealt(4, 8, 1), [vec![0, 1, 2, 3]]);
        // What no job serves gets no run.
        assert_eq!(dealt(3, 1, 2), [vec![0, 1, 2]]);
        assert_eq!(dealt(0, 1, 1), [Vec::<usize>::new()]);
    }

    #[test]
    fn jobs_share_devices_evenly() {
        let placement = Placement::new(9, 4, 2);
        let devices: Vec<_> = (0..4).map(|job| placement.device(job)).collect();
        assert_eq!(devices, [0, 1, 0, 1]);
    }

    #[test]
    fn one_run_for_each_card_or_core() {
        assert_eq!(jobs(None, 2, true, 16, 75), 2);
        assert_eq!(jobs(None, 1, false, 16, 75), 16);
        assert_eq!(jobs(Some(3), 2, true, 16, 75), 3);
        assert_eq!(jobs(None, 2, true, 16, 1), 1);
    }
}
