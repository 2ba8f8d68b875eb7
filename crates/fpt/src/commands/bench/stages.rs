//! Steps of partial models, and what follows for training in stages.

use fpt_partial::{Selection, even_layers, partial};
use fpt_report::MarkdownTable;
use fpt_schedule::cost::{true_macs, true_share};
use fpt_schedule::{Method, PartialSize, Reduction, Schedule, ScheduleConfig, StackSize};
use fpt_t5::T5;
use serde::Serialize;

use super::step::{Bench, StepTimes};
use super::timed;

/// Reductions that the paper has.
const REDUCTIONS: [Reduction; 3] = [
    Reduction::LayerDropping,
    Reduction::FfnReduction,
    Reduction::Compound,
];
const SHARES: [&str; 3] = ["1/4", "1/2", "3/4"];
/// Models whose steps are timed: the full one, and the partial ones.
pub(super) const COUNT: usize = 1 + REDUCTIONS.len() * SHARES.len();
/// Of the schedules: the paper's. Only shares of it matter.
const STEPS: usize = 30_000;

/// Partial models, and methods that train on them.
#[derive(Serialize)]
pub(super) struct StageTimes {
    partial: Vec<Partial>,
    methods: Vec<Share>,
}

#[derive(Serialize)]
struct Partial {
    method: Method,
    size: PartialSize,
    step: StepTimes,
    /// Time to make the model.
    expansion_ms: f64,
    /// Percent of a step on the full model.
    wall_percent: f64,
    flops_percent: f64,
}

/// A method of several stages, in percent of as many steps on the full model.
#[derive(Serialize)]
struct Share {
    method: Method,
    wall_percent: f64,
    flops_percent: f64,
    /// Time to make the models of all its stages.
    expansion_ms: f64,
}

pub(super) fn time(bench: &Bench<'_>, full: &T5, whole: &StepTimes) -> anyhow::Result<StageTimes> {
    let macs = |size: &PartialSize| true_macs(&bench.shape, size, &bench.dims).total() as f64;
    let all = bench.shape.full();
    let mut partials: Vec<Partial> = Vec::new();
    for reduction in REDUCTIONS {
        for share in SHARES {
            let method: Method = format!("{}-{share}", reduction.name()).parse()?;
            let size = schedule(bench, method)?.stages()[0].size;
            let selection = spread(&bench.shape.full(), &size);
            // Once before, as the first of its kind may have to be compiled.
            drop(timed(&bench.device, || partial(full, &selection))?);
            let (model, expansion) = timed(&bench.device, || partial(full, &selection))?;
            let step = bench.time(&model?, &size)?;
            partials.push(Partial {
                method,
                size,
                expansion_ms: 1e3 * expansion.as_secs_f64(),
                wall_percent: 100.0 * step.ms.median / whole.ms.median,
                flops_percent: 100.0 * macs(&size) / macs(&all),
                step,
            });
        }
    }
    let mut methods = Vec::new();
    for reduction in REDUCTIONS {
        let method: Method = format!("fpt-{}", reduction.name()).parse()?;
        let schedule = schedule(bench, method)?;
        let (mut wall, mut expansion_ms) = (0.0, 0.0);
        for stage in schedule.stages() {
            let known = partials.iter().find(|partial| partial.size == stage.size);
            let ms = known.map_or(whole.ms.median, |partial| partial.step.ms.median);
            wall += stage.steps as f64 * ms;
            expansion_ms += known.map_or(0.0, |partial| partial.expansion_ms);
        }
        methods.push(Share {
            method,
            wall_percent: 100.0 * wall / (schedule.steps() as f64 * whole.ms.median),
            flops_percent: 100.0 * true_share(&bench.shape, &schedule, &bench.dims),
            expansion_ms,
        });
    }
    Ok(StageTimes {
        partial: partials,
        methods,
    })
}

fn schedule(bench: &Bench<'_>, method: Method) -> anyhow::Result<Schedule> {
    let config = ScheduleConfig {
        method: Some(method),
        ..ScheduleConfig::default()
    };
    Ok(config.resolve(&bench.shape, STEPS, bench.reduce)?)
}

/// Layers, neurons and heads spread evenly.
fn spread(full: &PartialSize, size: &PartialSize) -> Selection {
    let stack = |full: &StackSize, size: &StackSize, cross: bool| {
        let each = |all: usize, keep: usize| vec![even_layers(all, keep); size.layers];
        fpt_partial::StackSelection {
            layers: even_layers(full.layers, size.layers),
            neurons: each(full.d_ff, size.d_ff),
            heads: each(full.heads, size.heads),
            cross_heads: if cross {
                each(full.heads, size.heads)
            } else {
                Vec::new()
            },
        }
    };
    Selection {
        encoder: stack(&full.encoder, &size.encoder, false),
        decoder: stack(&full.decoder, &size.decoder, true),
    }
}

impl StageTimes {
    pub(super) fn describe(&self) -> String {
        let mut table =
            MarkdownTable::new(["method", "ms a step", "wall %", "FLOPs %", "expansion ms"]);
        for row in &self.partial {
            table.add_row([
                row.method.to_string(),
                format!("{:.2}", row.step.ms.median),
                format!("{:.1}", row.wall_percent),
                format!("{:.1}", row.flops_percent),
                format!("{:.2}", row.expansion_ms),
            ]);
        }
        for row in &self.methods {
            table.add_row([
                row.method.to_string(),
                String::new(),
                format!("{:.1}", row.wall_percent),
                format!("{:.1}", row.flops_percent),
                format!("{:.2}", row.expansion_ms),
            ]);
        }
        table.with_numbers_in(1..5).to_string()
    }
}
