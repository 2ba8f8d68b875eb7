//! Schedules: what is trained on, and for how long.

use serde::{Deserialize, Serialize};

use crate::size::Dimension;
use crate::{PartialSize, ScheduleError, Share};

/// A partial (or the full) model and how long the prompt is trained on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Optimizer steps.
    pub steps: usize,
    /// Batches are this share of the run's.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub batch: Share,
    /// Sources are cut to so many tokens, the prompt not counted; absent means as the task has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_source: Option<usize>,
    /// The size of the model.
    pub size: PartialSize,
}

impl Stage {
    /// So many steps on a model of this size, with whole batches and sources.
    pub const fn new(steps: usize, size: PartialSize) -> Self {
        Self {
            steps,
            batch: Share::ALL,
            max_source: None,
            size,
        }
    }
}

const fn whole() -> Share {
    Share::ALL
}

fn is_whole(share: &Share) -> bool {
    *share == Share::ALL
}

/// What the last stage must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The full model, on which the prompt will be used.
    #[default]
    Full,
    /// Anything: a partial model may be trained on alone, as in Table 1 of the paper.
    Partial,
}

/// Stages, one after the other. Never empty, and no stage is.
///
/// Written as `{stages = [...]}`, fully resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Schedule {
    stages: Vec<Stage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    stages: Vec<Stage>,
}

impl Schedule {
    /// A schedule of these stages for a model of size `full`.
    ///
    /// # Errors
    /// When there is no stage, one has no steps, nothing of a stack, more than `full` or no source
    /// token, or when the last is not `full` although `end` wants it.
    pub fn new(stages: Vec<Stage>, full: &PartialSize, end: End) -> Result<Self, ScheduleError> {
        let schedule = Self::try_from(Unchecked { stages })?;
        schedule.check_fits(full)?;
        match end {
            End::Full => schedule.check_end(full)?,
            End::Partial => {}
        }
        Ok(schedule)
    }

    /// The stages, at least one.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Optimizer steps of all stages.
    pub fn steps(&self) -> usize {
        self.stages
            .iter()
            .fold(0, |sum, stage| sum.saturating_add(stage.steps))
    }

    /// Whether the schedule fits a model of size `full`: a schedule that was read knows none.
    ///
    /// # Errors
    /// When a stage is larger.
    pub fn check_fits(&self, full: &PartialSize) -> Result<(), ScheduleError> {
        for (index, stage) in self.stages.iter().enumerate() {
            for (stack, dimension, value, full) in dimensions(&stage.size, full) {
                if value > full {
                    return Err(ScheduleError::TooLarge {
                        key: format!("schedule.stages[{index}].{stack}.{}", dimension.key()),
                        value,
                        full,
                        stack,
                    });
                }
            }
        }
        Ok(())
    }

    fn check_end(&self, full: &PartialSize) -> Result<(), ScheduleError> {
        let Some((stage, last)) = self.stages.iter().enumerate().next_back() else {
            return Ok(());
        };
        match dimensions(&last.size, full).find(|(_, _, value, full)| value != full) {
            None => Ok(()),
            Some((stack, dimension, value, full)) => Err(ScheduleError::EndsPartial {
                stage,
                dimension: format!("{stack}.{}", dimension.key()),
                value,
                full,
            }),
        }
    }
}

impl TryFrom<Unchecked> for Schedule {
    type Error = ScheduleError;

    fn try_from(Unchecked { stages }: Unchecked) -> Result<Self, ScheduleError> {
        if stages.is_empty() {
            return Err(ScheduleError::Empty {
                key: "schedule.stages".into(),
                way_out: "a schedule needs at least one stage",
            });
        }
        for (index, stage) in stages.iter().enumerate() {
            let key = |name: &str| format!("schedule.stages[{index}].{name}");
            if stage.steps == 0 {
                return Err(ScheduleError::ZeroSteps { key: key("steps") });
            }
            if stage.max_source == Some(0) {
                return Err(ScheduleError::ZeroSource {
                    key: key("max_source"),
                });
            }
            for (stack, dimension, value, _) in dimensions(&stage.size, &stage.size) {
                if value == 0 {
                    return Err(ScheduleError::ZeroSize {
                        key: key(&format!("{stack}.{}", dimension.key())),
                        stack,
                    });
                }
            }
        }
        Ok(Self { stages })
    }
}

/// Stack, dimension and both sizes of it.
fn dimensions(
    size: &PartialSize,
    full: &PartialSize,
) -> impl Iterator<Item = (&'static str, Dimension, usize, usize)> {
    [
        ("encoder", size.encoder, full.encoder),
        ("decoder", size.decoder, full.decoder),
    ]
    .into_iter()
    .flat_map(|(stack, size, full)| {
        Dimension::ALL.map(|dimension| (stack, dimension, size.get(dimension), full.get(dimension)))
    })
}
