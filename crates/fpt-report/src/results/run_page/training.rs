//! How a run learned.

use fpt_schedule::{PartialSize, StackSize};
use fpt_train::{MetricRecord, RunResult};

use crate::html::{Cell, Curves, Item, Look, Panels, Series, TableView};
use crate::results::Run;

/// Points of a curve at most: more than a chart has room for.
const MOST_POINTS: usize = 200;

/// Score and loss over the steps, and the stages.
pub(super) fn training(run: &Run, look: Look) -> Vec<Item> {
    let (mut scores, mut losses) = (Vec::new(), Vec::new());
    for record in &run.metrics {
        match record {
            MetricRecord::Eval { step, dev, .. } => {
                scores.push((*step as f64, dev.primary_value()));
            }
            MetricRecord::Step { step, loss, .. } => losses.push((*step as f64, *loss)),
            _ => {}
        }
    }
    let stages = &run.finished.result.stages;
    let ends = stages.iter().scan(0.0, |sum, stage| {
        *sum += stage.steps as f64;
        Some(*sum)
    });
    let ends: Vec<f64> = ends.take(stages.len().saturating_sub(1)).collect();
    let chart = |caption: &str, y_label: &str, points: Vec<(f64, f64)>| Curves {
        caption: caption.into(),
        x_label: "steps".into(),
        y_label: y_label.into(),
        series: vec![Series {
            label: run.schedule().label(),
            look,
            points: thinned(&points),
            boundaries: ends.clone(),
            ..Series::default()
        }],
    };
    let metric = format!("{}, %", run.finished.result.metric);
    let charts = Panels {
        caption: "Dev score and loss while training.".into(),
        panels: vec![
            chart("dev score, full model", &metric, scores),
            chart("training loss", "nats a token", losses),
        ],
        shared: false,
    };
    let has_data = charts
        .panels
        .iter()
        .any(|panel| panel.series.iter().any(|series| !series.points.is_empty()));
    let charts = has_data.then_some(Item::Panels(charts));
    charts
        .into_iter()
        .chain([Item::Table(stage_table(&run.finished.result))])
        .collect()
}

/// Means of neighbours, so that there are no more than a chart has room for.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let group = points.len().div_ceil(MOST_POINTS).max(1);
    let mean = |points: &[(f64, f64)]| {
        let count = points.len() as f64;
        let sum = points
            .iter()
            .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / count, sum.1 / count)
    };
    points.chunks(group).map(mean).collect()
}

fn stage_table(result: &RunResult) -> TableView {
    let stack = |stack: &StackSize| format!("{} / {} / {}", stack.layers, stack.d_ff, stack.heads);
    let rows = result.stages.iter().zip(1..).map(|(stage, number)| {
        let PartialSize { encoder, decoder } = &stage.size;
        let dev = stage
            .dev
            .as_ref()
            .map(|scores| format!("{:.2}", scores.primary_value()));
        vec![
            Cell::text(number.to_string()),
            Cell::number(stack(encoder)),
            Cell::number(stack(decoder)),
            Cell::number(stage.steps.to_string()),
            Cell::number(format!("{:.3e}", stage.flops)),
            Cell::number(format!("{:.1}", stage.seconds)),
            Cell::number(dev.unwrap_or_else(|| "-".into())),
        ]
    });
    TableView {
        caption: "Stages: layers / FFN width / heads of the model that is trained on, and the dev score on it at the end \
                  of the stage, where it is not the full one."
            .into(),
        header: ["stage", "encoder", "decoder", "steps", "FLOPs", "seconds", "dev, %"]
            .map(String::from)
            .into(),
        rows: rows.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_curves_are_thinned() {
        let points: Vec<(f64, f64)> = (0..1000).map(|i| (f64::from(i), 1.0)).collect();
        let thinned = thinned(&points);
        assert_eq!((thinned.len(), thinned[0]), (200, (2.0, 1.0)));
    }
}
