//! Run directories that tests write.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use fpt_tasks::TaskName;
use fpt_train::Experiment;
use serde_json::{Value, json};

/// A run: task, method, seed, test score, FLOPs, seconds, and the lines of its metrics.
pub(crate) struct Fake<'a>(
    pub(crate) TaskName,
    pub(crate) &'a str,
    pub(crate) u64,
    pub(crate) f64,
    pub(crate) f64,
    pub(crate) f64,
    pub(crate) Vec<Value>,
);

fn scores(value: f64) -> Value {
    json!({ "primary": "accuracy", "values": { "accuracy": value } })
}

pub(crate) fn eval(step: usize, flops: f64, dev: f64, test: Option<f64>) -> Value {
    json!({
        "event": "eval", "step": step, "examples": 10, "dev": scores(dev), "best": test.is_some(), "flops": flops,
        "reported": test.map(scores),
    })
}

pub(crate) fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

/// One after the other with names that end in `-s0`, `-s1` and so on: a minute a run.
fn finished_seconds(name: &str) -> u64 {
    let place = |text: &str| text.parse::<u64>().ok();
    let seed = name.rsplit_once("-s").and_then(|(_, seed)| place(seed));
    let kind = u64::from(name.contains("cr")) + 2 * u64::from(name.contains("qqp"));
    1_700_000_000 + 60 * (4 * seed.unwrap_or(0) + kind)
}

impl Fake<'_> {
    /// Write it into `directory`, as begun with the prompt of the adapter `init`.
    pub(crate) fn write(self, directory: &Path, name: &str, init: Option<&str>) {
        let Self(task, method, seed, test, flops, seconds, metrics) = self;
        let mut overrides = vec![format!("schedule.method={method}")];
        overrides
            .extend(init.map(|path| format!("prompt.init={{kind=\"adapter\", path={path:?}}}")));
        let experiment = Experiment::from_file(shipped("configs/mini.toml")).unwrap();
        let config = experiment.run(&task, seed, &overrides).unwrap();
        let size = json!({ "layers": 2, "d_ff": 4, "heads": 1 });
        let result = json!({
            "task": task, "method": config.schedule.label(), "seed": seed, "metric": "accuracy",
            "baseline": { "name": "majority", "value": 33.0 }, "no_prompt": scores(10.0), "dev": scores(80.0),
            "split": "test", "reported": scores(test), "evaluated": if method.starts_with("ld") { "stage" } else { "full" }, "best_step": 8, "steps": 8, "final_loss": 0.5,
            "stages": [{
                "size": { "encoder": size, "decoder": size }, "steps": 8, "flops": flops, "seconds": seconds,
                "expansion_seconds": 0.0, "weight_bytes": 1,
            }],
            "flops": flops, "seconds": { "load": 1.0, "train": seconds, "evaluate": 2.0 },
            "peak_memory": 200_000_000, "revision": "r1", "version": "0", "device": "cpu",
            "processor": "A Processor (AVX2)", "finished_seconds": finished_seconds(name),
        });
        let run = directory.join(name);
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join("config.toml"), toml::to_string(&config).unwrap()).unwrap();
        fs::write(run.join("result.json"), result.to_string()).unwrap();
        let inputs = json!({
            "model": "m", "tokenizer": "t", "task": task, "splits": { "train": "a", "dev": task, "test": "c" },
        });
        fs::write(run.join("inputs.json"), inputs.to_string()).unwrap();
        let lines: Vec<String> = metrics.iter().map(Value::to_string).collect();
        fs::write(run.join("metrics.jsonl"), lines.join("\n")).unwrap();
    }
}

/// Prompt tuning and FPT-CR on two tasks with these seeds; FPT-CR gains `gain(task, seed)` points.
pub(crate) fn grid(path: &Path, seeds: u64, gain: impl Fn(usize, u64) -> f64) {
    for seed in 0..seeds {
        for (place, task) in [TaskName::MNLI, TaskName::QQP].into_iter().enumerate() {
            let curve = vec![
                eval(4, 600.0, 60.0, Some(50.0)),
                eval(8, 1000.0, 80.0, Some(70.0)),
            ];
            let name = |method: &str| format!("{task}-{method}-s{seed}");
            Fake(task.clone(), "pt", seed, 70.0, 1000.0, 20.0, curve).write(
                path,
                &name("pt"),
                None,
            );
            // At 800 FLOPs prompt tuning is half-way from 50 to 70.
            let score = 60.0 + gain(place, seed);
            let curve = vec![eval(6, 600.0, 70.0, None), eval(8, 800.0, 75.0, None)];
            Fake(task.clone(), "fpt-cr", seed, score, 800.0, 15.0, curve).write(
                path,
                &name("cr"),
                None,
            );
        }
    }
}
