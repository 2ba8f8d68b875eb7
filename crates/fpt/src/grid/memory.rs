//! How many runs memory suffices for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fpt_partial::shape;
use fpt_schedule::memory::{PeakBytes, SPARE};
use fpt_tasks::{PadTo, Split, TaskName, Tasks, read_split};
use fpt_train::{Experiment, Plan, RunConfig};

use crate::memory::{peaks, settings};
use crate::model;

/// The most bytes that a step of one of `runs` takes on the processor: on a batch of examples as long as the longest of its
/// training data, which are known by their characters, of which no token has less than one.
///
/// # Errors
/// If the model's shape is not known, or a schedule does not fit it.
pub(super) fn largest<'a>(
    experiment: &Experiment,
    runs: impl IntoIterator<Item = &'a RunConfig>,
) -> anyhow::Result<u64> {
    let model = shape(&model::config(experiment)?);
    let mut longest: BTreeMap<(PathBuf, TaskName), Option<usize>> = BTreeMap::new();
    let mut largest = 0;
    for config in runs {
        let mut plan = Plan::new(config, &*config.task(&Tasks::paper())?, &model)?;
        if let PadTo::Multiple(multiple) = config.lengths.pad_to {
            let data = (config.data.clone(), config.task.clone());
            let tokens = *longest
                .entry(data)
                .or_insert_with(|| longest_source(config));
            let padded = tokens.map(|tokens| tokens.next_multiple_of(multiple.max(1)));
            let batch = &mut plan.largest_batch;
            batch.source = padded.map_or(batch.source, |padded| padded.min(batch.source));
        }
        let peaks = peaks(&plan, &settings(config, true));
        largest = largest.max(peaks.iter().map(PeakBytes::total).max().unwrap_or(0));
    }
    Ok(largest)
}

/// The most tokens that a source of the training data can have; `None` if they can't be read, which the runs will tell.
fn longest_source(config: &RunConfig) -> Option<usize> {
    let data = read_split(
        &config.data,
        &*config.task(&Tasks::paper()).ok()?,
        Split::Train,
    )
    .ok()?;
    let lengths = data.examples.iter().map(|it| it.source.chars().count());
    // The space before the first word, and the end.
    lengths.max().map(|longest| longest + 2)
}

/// How many runs of `largest` bytes each `free` bytes suffice for, at least one.
pub(super) fn fitting(largest: u64, free: u64) -> usize {
    let usable = (free as f64 * (1.0 - SPARE)) as u64;
    usize::try_from(usable / largest.max(1)).map_or(usize::MAX, |fitting| fitting.max(1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fpt_lab::Lab;

    use super::*;

    #[test]
    fn memory_limits_the_runs() {
        assert_eq!(fitting(2 << 30, 16 << 30), 7);
        assert_eq!(fitting(80 << 30, 16 << 30), 1);
        assert_eq!(fitting(0, 1 << 30), 966_367_641);
    }

    #[test]
    fn a_run_is_as_large_as_its_longest_batch() {
        let lab = Lab::new();
        let of = |overrides: &[&str]| {
            let experiment = Experiment::from_file(lab.path("lab.toml")).unwrap();
            let overrides: Vec<_> = overrides.iter().map(ToString::to_string).collect();
            let task = TaskName::MNLI;
            let config = experiment.run(&task, 0, &overrides).unwrap();
            largest(&experiment, [&config]).unwrap()
        };
        let one = of(&[]);
        assert!(
            one > 4_000_000,
            "{one}: the model alone has a million weights"
        );
        assert!(of(&["train.batch_size=64"]) > 4 * one);
        // Nothing is longer than the data, unless it is padded.
        let long = "lengths.max_source=5000";
        assert_eq!(of(&[long]), of(&["lengths.max_source=4000"]));
        assert!(of(&[long, "lengths.pad_to={fixed={source=5000,target=12}}"]) > 4 * of(&[long]));
    }
}
