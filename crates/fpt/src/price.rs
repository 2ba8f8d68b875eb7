//! What a run will cost.

use fpt_schedule::cost::{self, BatchShape};
use fpt_schedule::{ModelShape, Schedule};
use fpt_tasks::{Task, task};
use fpt_train::{RunConfig, default_reduce};

/// The cost of a run, for the longest batch that its configuration allows.
pub struct Price {
    /// Its stages.
    pub schedule: Schedule,
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

/// The cost of a run on a model of this shape.
pub fn price(config: &RunConfig, model: &ModelShape) -> anyhow::Result<Price> {
    let task = task(&config.task)?;
    let schedule = config
        .schedule
        .resolve(model, config.train.steps, default_reduce(&*task))?;
    let target = config
        .lengths
        .max_target
        .unwrap_or_else(|| task.max_target_length());
    let source = config.lengths.max_source;
    // So many of the longest examples fit into a batch.
    let rows = match config.train.batch_tokens {
        Some(tokens) => config.train.batch_size.min((tokens / source).max(1)),
        None => config.train.batch_size,
    };
    let batch = BatchShape {
        rows,
        source,
        target,
        prompt: config.prompt.length,
    };
    let mut price = Price {
        linear_share: cost::paper_share(model, &schedule, paper_target(&*task)),
        true_share: cost::true_share(model, &schedule, &batch),
        flops: 0.0,
        weight_bytes: 0,
        activation_bytes: 0,
        schedule,
    };
    for stage in price.schedule.stages() {
        let batch = batch.cut(stage.max_source);
        let macs = cost::true_macs(model, &stage.size, &batch);
        price.flops += 2.0 * stage.steps as f64 * (macs.forward + macs.backward) as f64;
        let weights = cost::weight_bytes(model, &stage.size, size_of::<f32>());
        price.weight_bytes = price.weight_bytes.max(weights);
        let activations = cost::activation_bytes(model, &stage.size, &batch);
        price.activation_bytes = price.activation_bytes.max(activations);
    }
    Ok(price)
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

#[cfg(test)]
mod tests {
    use fpt_tasks::Tasks;

    use super::*;

    /// `fpt-schedule` knows no tasks, so it has a list of its own.
    #[test]
    fn the_tasks_of_the_papers_count_are_the_tasks() {
        let tasks = Tasks::paper();
        let ours = tasks.iter().map(|task| {
            let target = task.paper().map(|figures| figures.flops_target);
            (task.name().to_string(), target, default_reduce(task))
        });
        let theirs = cost::PAPER_TASKS
            .iter()
            .map(|task| (task.name.to_string(), Some(task.target), task.reduce));
        assert_eq!(ours.collect::<Vec<_>>(), theirs.collect::<Vec<_>>());
    }

    #[test]
    fn labels_that_are_passed_over_are_those_that_pad() {
        assert_eq!(fpt_tasks::IGNORED_LABEL, fpt_t5::IGNORED_LABEL);
    }
}
