//! The paper's count, behind the FLOPs columns of its tables.

use super::n;
use crate::{ModelShape, PartialSize, Reduce, Schedule, ScheduleConfig, ScheduleError};

/// Encoder positions in the paper: 492 source tokens and the prompt.
pub const PAPER_SOURCE: usize = 512;
/// Vectors of the paper's prompts.
pub const PAPER_PROMPT: usize = 20;

/// A task of the paper, as far as cost depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaperTask {
    /// Its short name.
    pub name: &'static str,
    /// Target tokens in the FLOPs columns. (For MNLI and QQP, 5; the limit in training is 10.)
    pub target: usize,
    /// The stacks that partial models reduce.
    pub reduce: Reduce,
}

/// The five tasks over which the FLOPs columns of Tables 1 and 2 are averages.
pub const PAPER_TASKS: [PaperTask; 5] = [
    PaperTask {
        name: "mnli",
        target: 5,
        reduce: Reduce::Encoder,
    },
    PaperTask {
        name: "qqp",
        target: 5,
        reduce: Reduce::Encoder,
    },
    PaperTask {
        name: "squad2",
        target: 200,
        reduce: Reduce::Both,
    },
    PaperTask {
        name: "record",
        target: 200,
        reduce: Reduce::Both,
    },
    PaperTask {
        name: "xsum",
        target: 512,
        reduce: Reduce::Both,
    },
];

/// Multiply-accumulates of the linear layers in one forward pass of one example, as the paper
/// counts them. `source` is the number of encoder positions ([`PAPER_SOURCE`]), `target` that of
/// decoder positions.
///
/// With S and T positions, `inner = heads * d_kv`, and 3 FFN matrices (2 where it is not gated):
/// an encoder layer has S (4 d·inner + 3 d·d_ff), a decoder layer T (6 d·inner + 3 d·d_ff) and
/// S · 2 d·inner (keys and values of the source), the LM head T·d·vocabulary.
pub fn paper_macs(shape: &ModelShape, size: &PartialSize, source: usize, target: usize) -> u64 {
    let d = n(shape.d_model);
    let matrices = n(if shape.gated { 3 } else { 2 });
    let (s, t) = (n(source), n(target));

    let inner = n(size.encoder.heads) * n(shape.d_kv);
    let encoder = s * (n(4) * d * inner + matrices * d * n(size.encoder.d_ff));
    let inner = n(size.decoder.heads) * n(shape.d_kv);
    let decoder =
        t * (n(6) * d * inner + matrices * d * n(size.decoder.d_ff)) + s * n(2) * d * inner;
    let head = t * d * n(shape.vocabulary);
    (n(size.encoder.layers) * encoder + n(size.decoder.layers) * decoder + head).0
}

/// The paper's count for a schedule, as a share of training the full model for as many steps.
/// `target` is the number of decoder positions. Stages with a limit of source length count as the
/// limit and [`PAPER_PROMPT`], up to [`PAPER_SOURCE`].
pub fn paper_share(shape: &ModelShape, schedule: &Schedule, target: usize) -> f64 {
    let full = paper_macs(shape, &shape.full(), PAPER_SOURCE, target) as f64;
    let stages = schedule.stages().iter().map(|stage| {
        let source = stage.max_source.map_or(PAPER_SOURCE, |max| {
            max.saturating_add(PAPER_PROMPT).min(PAPER_SOURCE)
        });
        let macs = paper_macs(shape, &stage.size, source, target) as f64;
        stage.steps as f64 * stage.batch.value() * macs
    });
    stages.sum::<f64>() / (schedule.steps() as f64 * full)
}

/// [`paper_share`], averaged over [`PAPER_TASKS`]: a FLOPs cell of Table 1 or 2, once multiplied by
/// 100. Each task reduces the stacks that it wants, unless the config says which.
///
/// # Errors
/// When the config doesn't fit the model or the steps.
pub fn paper_average(
    shape: &ModelShape,
    config: &ScheduleConfig,
    steps: usize,
) -> Result<f64, ScheduleError> {
    let mut sum = 0.0;
    for task in PAPER_TASKS {
        let schedule = config.resolve(shape, steps, task.reduce)?;
        sum += paper_share(shape, &schedule, task.target);
    }
    Ok(sum / PAPER_TASKS.len() as f64)
}
