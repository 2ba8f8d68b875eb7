//! Steps whose numbers are still on the device.

use std::time::Instant;

use burn::tensor::Tensor;

use crate::TrainError;
use crate::record::{Log, MetricRecord};
use crate::state::State;
use crate::step::read_values;

/// Steps between two reads on devices where reads wait: so long a device never waits for the host.
const STEPS_A_READ: usize = 8;

/// The last steps, whose loss and gradient norm are still on the device. To read them waits for all that was asked of
/// the device before, so this is done for several steps at once, and always before anything is decided or told: a prompt
/// is evaluated, and with it kept, only after all its steps are known to be sound. Until then a step that diverges may
/// be followed by others, which come to nothing with it.
pub(crate) struct Unread {
    /// So many steps are read at once.
    at_once: usize,
    /// When the first of the steps began.
    since: Instant,
    steps: Vec<Taken>,
}

/// A step that was taken.
struct Taken {
    /// Loss and gradient norm, `[2]`.
    values: Tensor<1>,
    /// Floating-point operations so far.
    flops: f64,
    /// Tokens so far.
    tokens: u64,
}

/// How many steps are read at once, given whether reads wait for the device.
pub(crate) fn steps_a_read(reads_wait: bool) -> usize {
    if reads_wait { STEPS_A_READ } else { 1 }
}

impl Unread {
    /// None so far.
    pub(crate) fn new(at_once: usize) -> Self {
        Self {
            at_once,
            since: Instant::now(),
            steps: Vec::with_capacity(at_once),
        }
    }

    /// A step begins.
    pub(crate) fn begin(&mut self) {
        if self.steps.is_empty() {
            self.since = Instant::now();
        }
    }

    /// A step was taken, the last one of `state`. Its numbers are `values`, `[2]`.
    pub(crate) fn push(&mut self, values: Tensor<1>, state: &State) {
        let (flops, tokens) = (state.counters.flops, state.counters.tokens);
        self.steps.push(Taken {
            values,
            flops,
            tokens,
        });
    }

    /// Whether all were read.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether it is time to read.
    pub(crate) fn is_full(&self) -> bool {
        self.steps.len() >= self.at_once
    }

    /// Read them all: count their time and tell of each, up to the first that went wrong,
    /// which is returned.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device failed.
    pub(crate) fn read(
        &mut self,
        state: &mut State,
        log: &mut Log<'_>,
    ) -> Result<Option<Unsound>, TrainError> {
        let (values, counted): (Vec<_>, Vec<_>) = self
            .steps
            .drain(..)
            .map(|step| (step.values, (step.flops, step.tokens)))
            .unzip();
        let count = counted.len();
        if count == 0 {
            return Ok(None);
        }
        let values = read_values(values)?;
        let counters = &mut state.counters;
        let (before, took) = (counters.training, self.since.elapsed());
        counters.training += took;
        let first = counters.step - count;
        let steps = values.into_iter().zip(counted);
        for (place, ([loss, gradient_norm], (flops, tokens))) in (1..).zip(steps) {
            let step = first + place;
            if let Some(unsound) = judge(step, loss, gradient_norm) {
                return Ok(Some(unsound));
            }
            state.losses.push(loss);
            // The last one's is the exact time.
            let seconds = if place == count {
                counters.training
            } else {
                before + took.mul_f64(place as f64 / count as f64)
            };
            log.emit(MetricRecord::Step {
                step,
                loss,
                gradient_norm,
                seconds: seconds.as_secs_f64(),
                flops,
                tokens,
            })?;
        }
        Ok(None)
    }
}

/// What of a step is infinite or NaN.
pub(crate) struct Unsound {
    /// From 1.
    pub(crate) step: usize,
    pub(crate) what: &'static str,
    pub(crate) value: f64,
}

/// What a step has spoiled the prompt with, if anything.
fn judge(step: usize, loss: f64, gradient_norm: f64) -> Option<Unsound> {
    let values = [("loss", loss), ("norm of the gradient", gradient_norm)];
    let unsound = values.into_iter().find(|(_, value)| !value.is_finite());
    unsound.map(|(what, value)| Unsound { step, what, value })
}
