//! What follows from two benchmarks of the same run.

use serde::Serialize;

use super::criterion::Benchmark;
use super::work;

/// The time of one benchmark by that of another.
#[derive(Serialize)]
pub(super) struct Relation {
    pub name: &'static str,
    pub ratio: f64,
    /// The share of FLOPs, where the two differ in nothing else.
    pub flops: Option<f64>,
}

/// Those whose benchmarks were run.
pub(super) fn of(benchmarks: &[Benchmark]) -> anyhow::Result<Vec<Relation>> {
    let time = |name: &str| {
        let found = benchmarks.iter().find(|row| row.name == name)?;
        Some(found.median)
    };
    let ratio = |a: &str, b: &str| Some(time(a)? / time(b)?);
    let mut relations = Vec::new();
    let step = "train_step/mini-mnli";
    if let Some(ratio) = ratio("train_step/mini-mnli, CR 1/4", step) {
        relations.push(Relation {
            name: "a training step on a quarter of layers and neurons, by one on all of the model",
            ratio,
            flops: Some(work::quarter_share()?),
        });
    }
    if let Some(ratio) = ratio("train_step/mini-mnli, padded to 492", step) {
        relations.push(Relation {
            name: "a training step padded to 492 tokens as in the paper, by one padded to its batch",
            ratio,
            flops: None,
        });
    }
    Ok(relations)
}
