//! Steps that go wrong, and are undone.

use fpt_lab::Lab;
use fpt_train::{Event, MetricRecord, TrainError};

use crate::{change_model, finished, run, scale_head, steps};

/// The largest norm whose square is a number.
const LARGEST: f64 = 1.844_674e19;

/// So small a rate that losses depend on the batch alone, within rounding.
const STILL: &str = "train.learning_rate=1e-6";

/// The batches after a bad one that a run may come to.
const BEHIND: usize = 6;

/// A model on which the gradient of one batch overflows and those of the others do not, its step from 1, and the losses of
/// all batches.
pub(crate) struct BadBatch {
    pub(crate) lab: Lab,
    pub(crate) step: usize,
    losses: Vec<f64>,
}

impl BadBatch {
    pub(crate) fn new() -> Self {
        let lab = Lab::new();
        // So large that the losses are linear in it.
        let large = 1e15;
        scale_head(&lab, large);
        let settings = ["train.steps=30", "eval.every=30", "eval.dev_examples=4"];
        let settings = [&settings[..], &[STILL]].concat();
        let (_, events) = finished(&lab, "still", &settings);
        let norms: Vec<(f64, usize)> = norms(&events).into_iter().zip(1..).collect();
        // Runs go on after it, and must not meet a larger one.
        let found = (BEHIND + 2..=norms.len()).rev().find_map(|count| {
            let mut norms = norms[..count].to_vec();
            norms.sort_by(|(a, _), (b, _)| b.total_cmp(a));
            (norms[0].1 + BEHIND <= count).then_some([norms[0], norms[1]])
        });
        let [(most, step), (next, _)] = found.unwrap_or_else(|| panic!("{norms:?}"));
        let factor = LARGEST / (most * next).sqrt();
        scale_head(&lab, factor);
        let losses = steps(&events).into_iter();
        let losses = losses.map(|(loss, _)| loss * factor).collect();
        Self { lab, step, losses }
    }

    /// Whether a loss is that of a batch, counted from 1.
    fn assert_loss(&self, loss: f64, batch: usize) {
        let expected = self.losses[batch - 1];
        assert!(
            (loss / expected - 1.0).abs() < 1e-3,
            "{loss} is not {expected} of batch {batch}"
        );
    }
}

fn norms(events: &[Event]) -> Vec<f64> {
    let norms = events.iter().filter_map(|event| match event {
        Event::Metric(MetricRecord::Step { gradient_norm, .. }) => Some(*gradient_norm),
        _ => None,
    });
    norms.collect()
}

/// Step and loss of each step, in the order in which they were told.
fn told(events: &[Event]) -> Vec<(usize, f64)> {
    let steps = events.iter().filter_map(|event| match event {
        Event::Metric(MetricRecord::Step { step, loss, .. }) => Some((*step, *loss)),
        _ => None,
    });
    steps.collect()
}

/// Step, and where training went back to, of each that was undone.
fn undone(events: &[Event]) -> Vec<(usize, usize)> {
    let undone = events.iter().filter_map(|event| match event {
        Event::Metric(MetricRecord::Undone {
            step,
            what,
            value,
            examples,
            back_to,
        }) => {
            assert_eq!(
                (what.as_str(), value.as_str()),
                ("norm of the gradient", "inf")
            );
            assert_eq!(examples.len(), 8);
            Some((*step, *back_to))
        }
        _ => None,
    });
    undone.collect()
}

#[test]
fn by_default_the_run_ends_at_the_step() {
    let bad = BadBatch::new();
    let steps = format!("train.steps={}", bad.step);
    let (result, events) = run(&bad.lab, "run", &[STILL, &steps]);
    let TrainError::Failed { source, .. } = result.unwrap_err() else {
        panic!("it kept no metrics");
    };
    assert!(matches!(*source, TrainError::Diverged { step, .. } if step == bad.step));
    assert!(undone(&events).is_empty());
}

#[test]
fn a_batch_is_skipped() {
    let bad = BadBatch::new();
    let steps = format!("train.steps={}", bad.step + 1);
    let settings = [STILL, "train.on_nonfinite=skip", "eval.every=99"];
    let settings = [&settings[..], &[&steps]].concat();
    let (result, events) = finished(&bad.lab, "run", &settings);
    assert_eq!(undone(&events), [(bad.step, bad.step - 1)]);
    assert_eq!((result.steps, result.skipped_batches), (bad.step + 1, 1));
    let told = told(&events);
    let taken: Vec<usize> = told.iter().map(|(step, _)| *step).collect();
    assert!(taken.iter().copied().eq(1..=bad.step + 1), "{taken:?}");
    for (step, loss) in told {
        bad.assert_loss(loss, step + usize::from(step >= bad.step));
    }
    // What was computed in vain was computed, and belongs to the stage.
    assert_eq!(result.flops, result.stages[0].flops);
}

#[test]
fn a_run_goes_back_to_where_it_was_evaluated_last() {
    let bad = BadBatch::new();
    let before = bad.step - 1;
    let every = [2, 3, 5]
        .into_iter()
        .find(|every| !before.is_multiple_of(*every));
    let every = every.unwrap();
    let anchor = before - before % every;
    let last = bad.step + 1;
    let (each, steps) = (format!("eval.every={every}"), format!("train.steps={last}"));
    let settings = [STILL, "train.on_nonfinite=rewind", &each, &steps];
    let (result, events) = finished(&bad.lab, "run", &settings);
    assert_eq!(undone(&events), [(bad.step, anchor)]);
    let behind = bad.step - anchor;
    assert_eq!((result.steps, result.skipped_batches), (last, behind));
    let told = told(&events);
    let taken: Vec<usize> = told.iter().map(|(step, _)| *step).collect();
    let expected = (1..bad.step).chain(anchor + 1..=last);
    assert!(taken.iter().copied().eq(expected), "{taken:?}");
    for (place, (step, loss)) in told.into_iter().enumerate() {
        let again = place >= before;
        bad.assert_loss(loss, step + if again { behind } else { 0 });
    }
    let evaluated = events.iter().filter_map(|event| match event {
        Event::Metric(MetricRecord::Eval { step, .. }) => Some(*step),
        _ => None,
    });
    let evaluated: Vec<usize> = evaluated.collect();
    let expected = (1..=last).filter(|step| step.is_multiple_of(every) || *step == last);
    assert!(expected.eq(evaluated.iter().copied()), "{evaluated:?}");
}

#[test]
fn a_training_that_always_goes_wrong_ends() {
    for on_nonfinite in ["skip", "rewind"] {
        let lab = Lab::new();
        change_model(&lab, |model| {
            let norm = &mut model.encoder.final_norm.weight;
            *norm = burn::module::Param::from_tensor(norm.val() * 1e37);
        });
        let on_nonfinite = format!("train.on_nonfinite={on_nonfinite}");
        let (result, events) = run(&lab, "run", &[&on_nonfinite]);
        let TrainError::Failed { source, .. } = result.unwrap_err() else {
            panic!("it kept no metrics");
        };
        let TrainError::Diverged { step, what, .. } = *source else {
            panic!("{source}");
        };
        assert_eq!((step, what), (1, "loss"));
        let undone = |event: &&Event| matches!(event, Event::Metric(MetricRecord::Undone { .. }));
        assert_eq!(events.iter().filter(undone).count(), 10);
    }
}

/// A loss and a gradient may be sound, and what the optimizer makes of them not.
#[test]
fn an_update_that_overflows_is_skipped_too() {
    let lab = Lab::new();
    let settings = [
        "train.learning_rate=1e39",
        "train.on_nonfinite=skip",
        "train.steps=3",
    ];
    let (result, events) = run(&lab, "run", &settings);
    assert!(result.is_err());
    let what = events.iter().filter_map(|event| match event {
        Event::Metric(MetricRecord::Undone { what, value, .. }) => {
            assert!(["NaN", "inf", "-inf"].contains(&value.as_str()));
            Some(what.as_str())
        }
        _ => None,
    });
    assert!(what.eq(std::iter::repeat_n("prompt", 10)));
}
