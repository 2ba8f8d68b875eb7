//! What a run will cost.

use fpt_schedule::cost::BatchShape;
use fpt_schedule::{Schedule, cost};
use fpt_t5::Precision;
use fpt_tasks::Task;
use fpt_train::Plan;

/// The cost of a run, for the longest batch that its configuration allows.
pub struct Price {
    /// Linear FLOPs as the paper counts them, of those of prompt tuning on the full model.
    pub linear_share: f64,
    /// All FLOPs, of those of prompt tuning on the full model.
    pub true_share: f64,
    /// FLOPs of all steps, forward and backward.
    pub flops: f64,
    /// Bytes of the largest stage's weights, in f32.
    pub weight_bytes: u64,
    /// Bytes of the activations that the largest stage keeps for its backward pass.
    pub activation_bytes: u64,
}

/// The cost of a run of `task` in this precision.
pub fn price(task: &dyn Task, plan: &Plan, precision: Precision) -> Price {
    let (model, schedule, batch) = (&plan.shape, &plan.schedule, &plan.largest_batch);
    let mut price = Price {
        linear_share: cost::paper_share(model, schedule, paper_target(task)),
        true_share: cost::true_share(model, schedule, batch),
        flops: 0.0,
        weight_bytes: 0,
        activation_bytes: 0,
    };
    for stage in schedule.stages() {
        let batch = batch.of_stage(stage);
        // All batches of a stage are as large, so that rows only multiply: no count of one is too large for its integer.
        let row = BatchShape { rows: 1, ..batch };
        let macs = cost::true_macs(model, &stage.size, &row).total() as f64;
        price.flops += 2.0 * stage.steps as f64 * batch.rows as f64 * macs;
        let weights = cost::weight_bytes(model, &stage.size, precision.bytes());
        price.weight_bytes = price.weight_bytes.max(weights);
        let activations = cost::activation_bytes(model, &stage.size, &batch);
        price.activation_bytes = price.activation_bytes.max(activations);
    }
    price
}

/// Target tokens in the paper's count; of a task that is none of the paper's its limit.
fn paper_target(task: &dyn Task) -> usize {
    let figures = task.paper();
    figures.map_or_else(|| task.max_target_length(), |figures| figures.flops_target)
}

/// `6000 × 6/6 704/704 16/16, ...`: steps, and layers, neurons, heads of encoder and decoder.
pub fn describe(schedule: &Schedule) -> String {
    let stages = schedule.stages().iter().map(|stage| {
        let (encoder, decoder) = (&stage.size.encoder, &stage.size.decoder);
        format!(
            "{} × {}/{} {}/{} {}/{}",
            stage.steps,
            encoder.layers,
            decoder.layers,
            encoder.d_ff,
            decoder.d_ff,
            encoder.heads,
            decoder.heads
        )
    });
    stages.collect::<Vec<_>>().join(", ")
}
