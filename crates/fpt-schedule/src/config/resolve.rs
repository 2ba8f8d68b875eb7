//! From what is written to stages.

use super::{ScheduleConfig, StackConfig, StageConfig};
use crate::size::Dimension;
use crate::{
    Amount, End, Method, ModelShape, PartialSize, Reduce, Reduction, Schedule, ScheduleError,
    Share, StackSize, Stage,
};

/// An amount and the key that it stands under.
type Keyed = (Amount, String);

impl ScheduleConfig {
    /// The stages for a model of this shape and a run of so many steps. `default_reduce` is what
    /// the task wants where [`reduce`](Self::reduce) is absent.
    ///
    /// # Errors
    /// When the stages don't fit the model or the steps, or are none; see [`ScheduleError`].
    pub fn resolve(
        &self,
        shape: &ModelShape,
        steps: usize,
        default_reduce: Reduce,
    ) -> Result<Schedule, ScheduleError> {
        if steps == 0 {
            return Err(ScheduleError::NoSteps);
        }
        let full = shape.full();
        let reduce = self.reduce.unwrap_or(default_reduce);
        let whole = |size| Stage::new(steps, size);
        let (stages, end) = match (self.method, self.stages.as_slice()) {
            (Some(method), [_, ..]) => {
                return Err(ScheduleError::MethodAndStages {
                    method: method.to_string(),
                });
            }
            (None, stages @ [_, ..]) => (explicit(stages, &full, steps, reduce)?, self.end),
            (None | Some(Method::Pt), []) => (vec![whole(full)], End::Full),
            (Some(Method::Partial(reduction, share)), []) => {
                let size = reduced(&full, reduce, |dimension| {
                    reduction
                        .reduces(dimension)
                        .then(|| (Amount::Share(share), "schedule.method".into()))
                })?;
                (vec![whole(size)], End::Partial)
            }
            (Some(Method::Fpt(reduction)), []) => {
                (self.fpt(reduction, &full, steps, reduce)?, End::Full)
            }
        };
        Schedule::new(stages, &full, end)
    }

    /// The partial stages, then the full model.
    fn fpt(
        &self,
        reduction: Reduction,
        full: &PartialSize,
        steps: usize,
        reduce: Reduce,
    ) -> Result<Vec<Stage>, ScheduleError> {
        if self.partial_steps.is_empty() {
            return Err(ScheduleError::Empty {
                key: "schedule.partial_steps".into(),
                way_out: "name the steps of at least one partial stage, or choose the method pt",
            });
        }
        for dimension in Dimension::ALL {
            let (name, values) = self.sizes(dimension);
            if reduction.reduces(dimension) && values.len() != self.partial_steps.len() {
                return Err(ScheduleError::Lengths {
                    key: format!("schedule.{name}"),
                    values: values.len(),
                    stages: self.partial_steps.len(),
                });
            }
        }
        let mut taken = 0_usize;
        let mut stages = Vec::with_capacity(self.partial_steps.len() + 1);
        for (index, amount) in self.partial_steps.iter().enumerate() {
            let steps = stage_steps(*amount, steps, || {
                format!("schedule.partial_steps[{index}]")
            })?;
            let size = reduced(full, reduce, |dimension| {
                let (name, values) = self.sizes(dimension);
                reduction
                    .reduces(dimension)
                    .then(|| (values[index], format!("schedule.{name}[{index}]")))
            })?;
            taken = taken.saturating_add(steps);
            stages.push(Stage::new(steps, size));
        }
        let rest = rest(steps, taken, "schedule.partial_steps", || {
            "the full model".into()
        })?;
        stages.push(Stage::new(rest, *full));
        Ok(stages)
    }

    /// The key and the sizes of the partial stages.
    fn sizes(&self, dimension: Dimension) -> (&'static str, &[Amount]) {
        match dimension {
            Dimension::Layers => ("depth", &self.depth),
            Dimension::DFf => ("width", &self.width),
            Dimension::Heads => ("heads", &self.heads),
        }
    }
}

/// The stages of the general form.
fn explicit(
    configs: &[StageConfig],
    full: &PartialSize,
    steps: usize,
    reduce: Reduce,
) -> Result<Vec<Stage>, ScheduleError> {
    let key = |index: usize| format!("schedule.stages[{index}]");
    let mut taken = 0_usize;
    let mut open = None;
    let mut stages = Vec::with_capacity(configs.len());
    for (index, config) in configs.iter().enumerate() {
        let steps = match (config.steps, open) {
            (Some(amount), _) => stage_steps(amount, steps, || format!("{}.steps", key(index)))?,
            (None, None) => {
                open = Some(index);
                0
            }
            (None, Some(first)) => {
                return Err(ScheduleError::TwoRests {
                    first: format!("{}.steps", key(first)),
                    second: format!("{}.steps", key(index)),
                });
            }
        };
        taken = taken.saturating_add(steps);
        stages.push(Stage {
            steps,
            batch: config.batch.unwrap_or(Share::ALL),
            max_source: config.max_source,
            size: config.size(full, reduce, &key(index))?,
        });
    }
    match open {
        Some(index) => {
            stages[index].steps = rest(steps, taken, "schedule.stages", || key(index))?;
        }
        None if taken != steps => return Err(ScheduleError::StepsMismatch { taken, steps }),
        None => {}
    }
    Ok(stages)
}

impl StageConfig {
    fn size(
        &self,
        full: &PartialSize,
        reduce: Reduce,
        key: &str,
    ) -> Result<PartialSize, ScheduleError> {
        let both = StackConfig {
            layers: self.layers,
            d_ff: self.d_ff,
            heads: self.heads,
        };
        let stack = |name, full: &StackSize, own: Option<StackConfig>, is_reduced: bool| {
            stack_size(full, name, |dimension| {
                let own = own.and_then(|own| own.get(dimension));
                let general = both.get(dimension).filter(|_| is_reduced);
                own.map(|amount| (amount, format!("{key}.{name}.{}", dimension.key())))
                    .or_else(|| {
                        general.map(|amount| (amount, format!("{key}.{}", dimension.key())))
                    })
            })
        };
        Ok(PartialSize {
            encoder: stack("encoder", &full.encoder, self.encoder, true)?,
            decoder: stack(
                "decoder",
                &full.decoder,
                self.decoder,
                reduce == Reduce::Both,
            )?,
        })
    }
}

impl StackConfig {
    const fn get(&self, dimension: Dimension) -> Option<Amount> {
        match dimension {
            Dimension::Layers => self.layers,
            Dimension::DFf => self.d_ff,
            Dimension::Heads => self.heads,
        }
    }
}

/// The full model with the same amounts for all stacks that are reduced.
fn reduced(
    full: &PartialSize,
    reduce: Reduce,
    amount: impl Fn(Dimension) -> Option<Keyed>,
) -> Result<PartialSize, ScheduleError> {
    Ok(PartialSize {
        encoder: stack_size(&full.encoder, "encoder", &amount)?,
        decoder: match reduce {
            Reduce::Encoder => full.decoder,
            Reduce::Both => stack_size(&full.decoder, "decoder", &amount)?,
        },
    })
}

/// A stack with these amounts of itself; all where there is no amount.
fn stack_size(
    full: &StackSize,
    stack: &'static str,
    amount: impl Fn(Dimension) -> Option<Keyed>,
) -> Result<StackSize, ScheduleError> {
    let size = |dimension| {
        let full = full.get(dimension);
        let Some((amount, key)) = amount(dimension) else {
            return Ok(full);
        };
        match amount.of(full) {
            0 => Err(ScheduleError::ZeroSize { key, stack }),
            value if value > full => Err(ScheduleError::TooLarge {
                key,
                value,
                full,
                stack,
            }),
            value => Ok(value),
        }
    };
    Ok(StackSize {
        layers: size(Dimension::Layers)?,
        d_ff: size(Dimension::DFf)?,
        heads: size(Dimension::Heads)?,
    })
}

fn stage_steps(
    amount: Amount,
    steps: usize,
    key: impl Fn() -> String,
) -> Result<usize, ScheduleError> {
    match amount.of(steps) {
        0 => Err(ScheduleError::ZeroSteps { key: key() }),
        steps => Ok(steps),
    }
}

fn rest(
    steps: usize,
    taken: usize,
    key: &str,
    name: impl Fn() -> String,
) -> Result<usize, ScheduleError> {
    if taken >= steps {
        return Err(ScheduleError::NoStepsLeft {
            key: key.into(),
            taken,
            steps,
            rest: name(),
        });
    }
    Ok(steps - taken)
}
