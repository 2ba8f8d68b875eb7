//! What a run came to, and what it took.

use fpt_tasks::Scores;
use fpt_train::RunResult;

use crate::html::{Cell, TableView};
use crate::results::Run;
use crate::results::origin::date;

/// All metrics on all that was evaluated in the end.
pub(super) fn scores(result: &RunResult) -> TableView {
    let split = result.split.to_string();
    let mut columns: Vec<(String, &Scores)> = vec![
        ("dev".into(), &result.dev),
        (split.clone(), &result.reported),
    ];
    let full = result.reported_full.as_ref();
    columns.extend(full.map(|scores| (format!("{split}, full model"), scores)));
    let bare = result.no_prompt.as_ref();
    columns.extend(bare.map(|scores| (format!("{split}, no prompt"), scores)));
    let row = |metric: &String| {
        let value = |(_, scores): &(String, &Scores)| {
            let value = scores.values.get(metric);
            Cell::number(value.map_or("-".into(), |value| format!("{value:.2}")))
        };
        let name = Cell::text(metric).emphasis(*metric == result.metric);
        [name]
            .into_iter()
            .chain(columns.iter().map(value))
            .collect()
    };
    TableView {
        caption: format!(
            "Scores of the best prompt, percent; in bold the metric of the tables. The {} scores {:.2}.",
            result.baseline.name, result.baseline.value
        ),
        header: [&"metric".to_string()]
            .into_iter()
            .chain(columns.iter().map(|(name, _)| name))
            .cloned()
            .collect(),
        rows: result.reported.values.keys().map(row).collect(),
    }
}

/// What it took, and the files of the run, which lie in `files`.
pub(super) fn facts(run: &Run, files: &str) -> Vec<(String, Vec<Cell>)> {
    let result = &run.finished.result;
    let seconds = &result.seconds;
    let memory = result
        .peak_memory
        .map(|bytes| format!("{:.0} MB", bytes as f64 / 1e6));
    let unknown = || "not recorded".to_string();
    let predictions = run.finished.predictions_file();
    let names = [
        "config.toml",
        "result.json",
        "metrics.jsonl",
        predictions.as_str(),
        "adapter/",
    ];
    let there = names
        .into_iter()
        .filter(|name| run.finished.directory.join(name).exists());
    let texts = [
        (
            "Steps",
            format!("{}, best after {}", result.steps, result.best_step),
        ),
        ("FLOPs", format!("{:.3e}", result.flops)),
        (
            "Seconds",
            format!(
                "loading {:.1}, scoring {:.1}, training {:.1}, evaluating {:.1}{}",
                seconds.load,
                seconds.score,
                seconds.train,
                seconds.evaluate,
                seconds
                    .cpu
                    .map_or_else(String::new, |cpu| format!("; of processors {cpu:.1}"))
            ),
        ),
        ("Peak memory", memory.unwrap_or_else(unknown)),
        (
            "Finished",
            result.finished_seconds.map_or_else(unknown, date),
        ),
        (
            "Processor",
            result.processor.clone().unwrap_or_else(unknown),
        ),
        ("Device", result.device.clone()),
        ("Program", result.revision.clone()),
    ];
    let texts = texts.map(|(name, text)| (name.to_string(), vec![Cell::text(text)]));
    let files = there.map(|name| Cell::text(name).href(format!("{files}/{name}")));
    texts
        .into_iter()
        .chain([("Files".to_string(), files.collect())])
        .collect()
}
