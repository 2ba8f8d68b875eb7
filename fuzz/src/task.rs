//! All that is done with a file of a task.

use std::io::sink;
use std::path::Path;

use fpt_tasks::{CheckOptions, Task, check_from, write_submission};

use crate::{named, told};

/// Reads `bytes` as a file of `task` that is called `name`, checks it, scores its own answers and others, and hands them
/// in.
///
/// # Panics
/// If an error does not name the file, if reading and checking don't agree, or a score is no percentage.
pub fn read_task(task: &dyn Task, name: &str, bytes: &[u8]) {
    let path = Path::new(name);
    let dataset = named(task.read_from(&mut &*bytes, path), path);
    let report = check_from(task, &mut &*bytes, path, &CheckOptions::default());
    let report = report.expect("of bytes in memory");
    assert_eq!(report.is_readable(), dataset.is_some(), "{report}");
    _ = report.to_string();
    let Some(dataset) = dataset else { return };
    for warning in dataset.warnings.first() {
        _ = warning.to_string();
    }
    let examples = dataset.evaluation().examples;
    let own = examples.iter().map(|example| {
        let target = example.target.as_ref();
        target.unwrap_or(&example.source).clone()
    });
    let own: Vec<_> = own.collect();
    let mut other = own.clone();
    other.rotate_left(1);
    for predictions in [own, other] {
        if let Some(scores) = told(task.score(&examples, &predictions)) {
            let values = scores.values.values();
            assert!(
                values.clone().all(|it| (0.0..=100.1).contains(it)),
                "{scores:?}"
            );
        }
        told(write_submission(task, &examples, &predictions, &mut sink()));
    }
    if let Some(baseline) = told(task.baseline(&examples, &examples)) {
        assert!((0.0..=100.1).contains(&baseline.value()));
    }
}
