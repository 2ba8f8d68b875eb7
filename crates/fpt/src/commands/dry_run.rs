//! `fpt train --dry-run`: what a run would do, cost and need.

use std::path::{Path, PathBuf};

use anyhow::Context;
use fpt::bytes::Bytes;
use fpt::price::price;
use fpt::{data, model};
use fpt_hub::ModelSource;
use fpt_partial::shape;
use fpt_schedule::{Share, Stage};
use fpt_t5::T5Config;
use fpt_tasks::{Split, Task, Tasks};
use fpt_train::{Experiment, Plan, RunConfig};
use serde::Serialize;

use super::memory::{MemoryPlan, settings};
use super::{print_json, print_line};

/// What a run is and needs.
#[derive(Serialize)]
struct Shown<'a> {
    config: &'a RunConfig,
    model: ModelPlan,
    data: Vec<DataPlan>,
    stages: &'a [Stage],
    linear_percent: f64,
    true_percent: f64,
    flops: f64,
    weight_bytes: u64,
    activation_bytes: u64,
    memory: MemoryPlan,
    missing: Vec<Missing>,
}

#[derive(Serialize)]
struct ModelPlan {
    name: String,
    directory: Option<PathBuf>,
    d_model: usize,
    layers: [usize; 2],
    d_ff: usize,
    heads: usize,
    vocabulary: usize,
}

#[derive(Serialize)]
struct DataPlan {
    split: Split,
    path: PathBuf,
    bytes: Option<u64>,
}

/// Something that is not on this machine, and how to get it.
#[derive(Serialize)]
struct Missing {
    what: String,
    how: String,
}

/// What is known of the device.
pub(super) struct Target {
    /// Whether it is the processor.
    pub(super) is_processor: bool,
    /// Its memory in bytes.
    pub(super) memory: Option<u64>,
}

pub(super) fn show(
    experiment: Option<(&Experiment, &Path)>,
    config: &RunConfig,
    target: &Target,
    json: bool,
) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    let name = config.model.display().to_string();
    let directory = model::on_this_machine(&config.model)?;
    if directory.is_none() {
        missing.push(Missing {
            what: format!("the model {name}"),
            how: how_to_get_model(&config.model),
        });
    }
    let known = match (&directory, experiment) {
        (Some(directory), _) => Some(T5Config::from_file(directory.join("config.json"))?),
        (None, Some((experiment, _))) => model::known_config(experiment)?,
        (None, None) => None,
    };
    let model_config = known.with_context(|| model::unknown(&config.model))?;
    let task = config.task(&Tasks::paper())?;
    let splits = data::of_training(config, &*task);
    let absent = data::missing(config, &*task, &splits, experiment);
    missing.extend(absent.into_iter().map(|absent| Missing {
        what: format!("the {} split, {}", absent.split, absent.path.display()),
        how: absent.how,
    }));
    let plan = Plan::new(config, &*task, &shape(&model_config))?;
    let price = price(&*task, &plan, config.precision);
    let settings = settings(config, target.is_processor);
    let shown = Shown {
        config,
        model: ModelPlan {
            name,
            directory,
            d_model: model_config.d_model,
            layers: [model_config.num_layers, model_config.decoder_layers()],
            d_ff: model_config.d_ff,
            heads: model_config.num_heads,
            vocabulary: model_config.vocab_size,
        },
        data: data_plan(config, &*task, &splits),
        stages: plan.schedule.stages(),
        linear_percent: 100.0 * price.linear_share,
        true_percent: 100.0 * price.true_share,
        flops: price.flops,
        weight_bytes: price.weight_bytes,
        activation_bytes: price.activation_bytes,
        memory: MemoryPlan::new(&plan, settings, target.memory),
        missing,
    };
    if json {
        print_json(&shown)
    } else {
        print_line(&describe(&shown)?)
    }
}

/// The files of the splits that a run reads, each once.
fn data_plan(config: &RunConfig, task: &dyn Task, splits: &[Split]) -> Vec<DataPlan> {
    let mut data = Vec::new();
    for &split in splits {
        let Some(path) = task.path(&config.data, split) else {
            continue;
        };
        if data.iter().any(|known: &DataPlan| known.path == path) {
            continue;
        }
        let bytes = std::fs::metadata(&path).ok().map(|file| file.len());
        data.push(DataPlan { split, path, bytes });
    }
    data
}

fn describe(plan: &Shown<'_>) -> anyhow::Result<String> {
    let config = plan.config;
    let mut lines = vec![
        format!(
            "{} on {}, seed {}",
            config.schedule.label(),
            config.task,
            config.seed
        ),
        plan.model.describe(),
    ];
    lines.extend(plan.data.iter().map(DataPlan::describe));
    let stages = plan.stages.iter().enumerate();
    lines.extend(stages.map(|(index, stage)| {
        let peak = plan.memory.stage(index);
        format!("{}; peak {peak}", describe_stage(stage, index + 1))
    }));
    lines.push(format!(
        "cost    {:.1} % of prompt tuning's FLOPs ({:.1} % as the paper counts); at most {:.2e} FLOPs, all batches at \
         their longest",
        plan.true_percent, plan.linear_percent, plan.flops
    ));
    lines.extend(plan.memory.describe());
    let heading = if plan.missing.is_empty() {
        "Everything it needs is here."
    } else {
        "Missing on this machine:"
    };
    lines.push(heading.into());
    for missing in &plan.missing {
        lines.push(format!("- {}\n  {}", missing.what, missing.how));
    }
    lines.push(format!("\n{}", toml::to_string_pretty(config)?.trim_end()));
    Ok(lines.join("\n"))
}

impl ModelPlan {
    fn describe(&self) -> String {
        format!(
            "model   {}: {}+{} layers, d_model {}, d_ff {}, {} heads, vocabulary {}{}",
            self.name,
            self.layers[0],
            self.layers[1],
            self.d_model,
            self.d_ff,
            self.heads,
            self.vocabulary,
            here(self.directory.is_some()),
        )
    }
}

impl DataPlan {
    fn describe(&self) -> String {
        let size = self
            .bytes
            .map_or(String::new(), |bytes| format!(", {}", Bytes(bytes)));
        format!(
            "data    {}: {}{size}{}",
            self.split,
            self.path.display(),
            here(self.bytes.is_some())
        )
    }
}

fn describe_stage(stage: &Stage, number: usize) -> String {
    let (encoder, decoder) = (&stage.size.encoder, &stage.size.decoder);
    let mut line = format!(
        "stage {number} {} steps; encoder {} layers, d_ff {}, {} heads; decoder {} layers, d_ff {}, {} heads",
        stage.steps,
        encoder.layers,
        encoder.d_ff,
        encoder.heads,
        decoder.layers,
        decoder.d_ff,
        decoder.heads
    );
    if stage.batch != Share::ALL {
        line += &format!("; {} of a batch", stage.batch);
    }
    if let Some(tokens) = stage.max_source {
        line += &format!("; sources of {tokens} tokens at most");
    }
    line
}

fn here(here: bool) -> &'static str {
    if here { "" } else { " (missing)" }
}

fn how_to_get_model(model: &Path) -> String {
    match ModelSource::parse(&model.to_string_lossy()) {
        Ok(ModelSource::Hub(id)) => format!(
            "is downloaded by the run itself; beforehand: hf download {} --revision {}",
            id.repository(),
            id.revision()
        ),
        _ => format!("hf download OWNER/NAME --local-dir {}", model.display()),
    }
}
