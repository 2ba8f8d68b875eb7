//! Settings with which a step fits a device.

use super::{Numbers, Recompute, StepSettings, peak};
use crate::cost::BatchShape;
use crate::{ModelShape, PartialSize};

/// The share of a device's memory that is left to its driver and to what its allocator rounds up.
pub const SPARE: f64 = 0.1;

/// The smallest change of `settings` with which a step of each of `stages` fits `memory` bytes, but for [`SPARE`]:
/// none; attention recomputed; then bf16, too; then batches in 2, 4, 8 ... parts; and last, whole layers recomputed,
/// in as few parts as will do. `None` if nothing helps.
pub fn fit(
    shape: &ModelShape,
    stages: &[(PartialSize, BatchShape)],
    settings: &StepSettings,
    memory: u64,
) -> Option<StepSettings> {
    let limit = (memory as f64 * (1.0 - SPARE)) as u64;
    let fits = |settings: &StepSettings| {
        let mut peaks = stages
            .iter()
            .map(|(size, batch)| peak(shape, size, batch, settings).total());
        peaks.all(|peak| peak <= limit)
    };
    let rows = stages.iter().map(|(_, batch)| batch.rows).max();
    candidates(settings, rows.unwrap_or(1))
        .into_iter()
        .find(fits)
}

/// Settings from the least change to the greatest; each also has what goes before.
fn candidates(settings: &StepSettings, rows: usize) -> Vec<StepSettings> {
    let at_least = |least: Recompute| match settings.recompute {
        Recompute::None => least,
        Recompute::Attention if least == Recompute::Layers => least,
        given => given,
    };
    let attention = StepSettings {
        recompute: at_least(Recompute::Attention),
        ..*settings
    };
    let bf16 = StepSettings {
        precision: Numbers::Bf16,
        ..attention
    };
    let first = settings.accumulate.max(1);
    let parts: Vec<usize> = std::iter::successors(Some(first), |parts| parts.checked_mul(2))
        .take_while(|&parts| parts <= rows.max(first))
        .collect();
    let in_parts = |of: StepSettings| {
        let one = move |&accumulate: &usize| StepSettings { accumulate, ..of };
        parts.iter().map(one).collect::<Vec<_>>()
    };
    let layers = StepSettings {
        recompute: Recompute::Layers,
        ..bf16
    };
    let mut all = vec![*settings, attention];
    all.extend(in_parts(bf16));
    all.extend(in_parts(layers));
    all
}
