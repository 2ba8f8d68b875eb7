//! `fpt bench step`.

use burn::tensor::Device;
use clap::{Args as ClapArgs, ValueEnum};
use fpt::bytes::Bytes;
use fpt::{DeviceName, Devices, terminal};
use fpt_partial::shape;
use fpt_schedule::cost::{BatchShape, parameters, true_macs};
use fpt_schedule::memory::{StepSettings, peak};
use fpt_schedule::{ModelShape, PartialSize, Reduce};
use fpt_t5::{Recompute, T5, T5Config, reads_wait};
use fpt_tasks::TokenBatch;
use fpt_train::{MOST_EXAMPLES, MOST_STEPS, MOST_TOKENS, Step};
use indicatif::ProgressBar;
use serde::Serialize;

use super::stages::{self, StageTimes};
use super::{MemoryUse, Times, timed};
use crate::commands::synthetic::{self, Draw, PrecisionName, Training};
use crate::commands::{memory, numbers, print_json, print_line};

/// Of weights, tokens and prompt.
const SEED: u64 = 0;

/// Time training steps of a T5 with random weights, which are made on the device: forward, backward and optimizer, as
/// in training. Steps before those that are timed cover what a device does once, such as compiling and choosing kernels.
///
/// Example: fpt bench step --model-shape mini --batch 8 --source 64 --target 8 --steps 3
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// mini (the scale model), t5-base, t5-large or t5-xl (of v1.1), or the directory of a model, for its shape.
    #[arg(long, value_name = "SHAPE|DIR", default_value = "t5-large")]
    model_shape: String,

    /// Examples a step.
    #[arg(long, default_value_t = 32, value_parser = numbers::count::<MOST_EXAMPLES>)]
    batch: usize,

    /// Source tokens, all of them real; the prompt's 20 vectors go before them.
    #[arg(long, default_value_t = 512, value_parser = numbers::count::<MOST_TOKENS>)]
    source: usize,

    /// Target tokens.
    #[arg(long, default_value_t = 10, value_parser = numbers::count::<MOST_TOKENS>)]
    target: usize,

    /// Vectors of the prompt.
    #[arg(long, default_value_t = 20, value_parser = numbers::count::<MOST_TOKENS>)]
    prompt: usize,

    /// The numbers of the weights.
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionName,

    /// Steps that are timed.
    #[arg(long, default_value_t = 10, value_parser = numbers::count_or_none::<MOST_STEPS>)]
    steps: usize,

    /// Steps before those.
    #[arg(long, default_value_t = 3, value_parser = numbers::count_or_none::<MOST_STEPS>)]
    warmup: usize,

    #[arg(long, default_value = "cpu", help = DeviceName::HELP)]
    device: DeviceName,

    /// What the backward pass computes again instead of keeping it.
    #[arg(long, value_enum, default_value = "none")]
    recompute: RecomputeName,

    /// What the device's products reach, in TFLOP/s, as `fpt bench products` measures it: steps are put in relation to it.
    #[arg(long, value_name = "TFLOPS", value_parser = numbers::positive)]
    peak_tflops: Option<f64>,

    /// Time the partial models of the paper, too (layers, FFN neurons and both at a quarter, a half and three quarters),
    /// how long it takes to make them, and what follows for the methods that train on them in stages.
    #[arg(long)]
    stages: bool,

    /// Which stacks partial models reduce: encoder, as the paper does for tasks with short targets, or both.
    #[arg(long, value_enum, default_value = "both")]
    reduce: ReduceName,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum ReduceName {
    Encoder,
    Both,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum RecomputeName {
    None,
    Attention,
    Layers,
}

impl From<RecomputeName> for Recompute {
    fn from(name: RecomputeName) -> Self {
        match name {
            RecomputeName::None => Self::None,
            RecomputeName::Attention => Self::Attention,
            RecomputeName::Layers => Self::Layers,
        }
    }
}

impl From<ReduceName> for Reduce {
    fn from(name: ReduceName) -> Self {
        match name {
            ReduceName::Encoder => Self::Encoder,
            ReduceName::Both => Self::Both,
        }
    }
}

#[derive(Serialize)]
struct Report {
    model: String,
    device: String,
    precision: &'static str,
    batch: BatchShape,
    parameters: u64,
    /// Time to make the random weights.
    init_seconds: f64,
    full: StepTimes,
    /// The peak of memory on the device as it is predicted.
    predicted_bytes: u64,
    memory: MemoryUse,
    #[serde(skip_serializing_if = "Option::is_none")]
    stages: Option<StageTimes>,
}

/// How long a step takes.
#[derive(Serialize)]
pub(super) struct StepTimes {
    pub(super) ms: Times,
    /// Of forward and backward pass, by the shapes.
    pub(super) flops: f64,
    pub(super) flops_per_second: f64,
    /// Of what products reach, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) of_peak: Option<f64>,
    /// The loss of the last step.
    pub(super) loss: f64,
}

/// Steps that are asked for before a device that computes on its own is waited for.
const STEPS_AT_ONCE: usize = 5;

/// What is timed.
pub(super) struct Bench<'a> {
    pub(super) device: Device,
    pub(super) shape: ModelShape,
    pub(super) dims: BatchShape,
    pub(super) reduce: Reduce,
    args: &'a Args,
    tokens: TokenBatch,
    bar: ProgressBar,
}

impl Bench<'_> {
    /// Steps on `model`, which is of this size.
    pub(super) fn time(&self, model: &T5, size: &PartialSize) -> anyhow::Result<StepTimes> {
        let (args, device) = (self.args, &self.device);
        let d_model = model.config().d_model;
        let prompt = synthetic::prompt(args.prompt, d_model, SEED, device);
        let mut training = Training::new(model, prompt)?;
        for _ in 0..args.warmup {
            training.step(&self.tokens, device)?;
            self.bar.inc(1);
        }
        // As in training: where reads wait, the device computes a step while the host prepares the next ones.
        let at_once = if reads_wait(device) { STEPS_AT_ONCE } else { 1 };
        let mut times = Vec::new();
        let mut loss = f64::NAN;
        for _ in 0..args.steps.div_ceil(at_once).max(1) {
            let (values, time) = timed(device, || {
                let steps = (0..at_once).map(|_| training.advance(&self.tokens, device));
                steps.last()
            })?;
            times.push(time.div_f64(at_once as f64));
            self.bar.inc(at_once as u64);
            if let Some(values) = values {
                [loss, _] = Step::read(values)?;
            }
        }
        let ms = Times::new(times);
        let flops = 2.0 * true_macs(&self.shape, size, &self.dims).total() as f64;
        let flops_per_second = flops / ms.median * 1e3;
        Ok(StepTimes {
            of_peak: args
                .peak_tflops
                .map(|peak| flops_per_second / (peak * 1e12)),
            ms,
            flops,
            flops_per_second,
            loss,
        })
    }
}

impl Args {
    fn dims(&self) -> BatchShape {
        BatchShape {
            rows: self.batch,
            source: self.source,
            target: self.target,
            prompt: self.prompt,
        }
    }

    /// Bytes that a step takes at its peak, if the device has them.
    fn predicted(&self, shape: &ModelShape, devices: &Devices) -> anyhow::Result<u64> {
        let settings = self.settings(devices);
        let peak = peak(shape, &shape.full(), &self.dims(), &settings).total();
        // What is there all in all: the prediction may be a little off, and the device tells the rest.
        if let Some(memory) = devices.free_memory(0) {
            anyhow::ensure!(
                peak <= memory,
                "such a step needs about {} of memory, but {} are free: lower --batch, --source, --target or --prompt, or \
                 choose --recompute layers",
                Bytes(peak),
                Bytes(memory)
            );
        }
        Ok(peak)
    }

    fn settings(&self, devices: &Devices) -> StepSettings {
        StepSettings {
            precision: self.precision.numbers(),
            recompute: memory::priced(self.recompute.into()),
            layout: memory::layout(devices.are_processor()),
            ..StepSettings::default()
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let config: T5Config = synthetic::config_of(&args.model_shape)?;
    let shape = shape(&config);
    let steps = (args.warmup + args.steps.max(1)) * if args.stages { stages::COUNT } else { 1 };
    let devices = args.device.open_one()?;
    let predicted_bytes = args.predicted(&shape, &devices)?;
    let bench = Bench {
        device: devices.primary().clone(),
        shape,
        dims: args.dims(),
        reduce: args.reduce.into(),
        args,
        tokens: synthetic::batch(
            [args.batch, args.source, args.target],
            config.vocab_size,
            false,
            SEED,
        ),
        bar: terminal::bar(steps, "steps"),
    };
    let device = &bench.device;
    let draw = Draw::Device(SEED);
    let (model, init) = timed(device, || {
        synthetic::model(&config, args.precision, &draw, device)
    })?;
    let model = model.recomputing(args.recompute.into());
    let full = bench.time(&model, &shape.full())?;
    let memory = MemoryUse::now(device);
    let stages = if args.stages {
        Some(stages::time(&bench, &model, &full)?)
    } else {
        None
    };
    bench.bar.finish_and_clear();
    let report = Report {
        model: args.model_shape.clone(),
        device: devices.name(),
        precision: args.precision.name(),
        batch: bench.dims,
        parameters: parameters(&shape, &shape.full()),
        init_seconds: init.as_secs_f64(),
        full,
        predicted_bytes,
        memory,
        stages,
    };
    if args.json {
        return print_json(&report);
    }
    print_line(&describe(&report))
}

fn describe(report: &Report) -> String {
    let dims = &report.batch;
    let of_peak = (report.full.of_peak).map_or_else(String::new, |share| {
        format!(", {:.1} % of the products'", 100.0 * share)
    });
    let bytes =
        |bytes: Option<u64>| bytes.map_or_else(|| "unknown".into(), |b| Bytes(b).to_string());
    let mut lines = vec![
        format!(
            "{} in {} on {}, {} × {}+{}/{}: {:.2} ms a step ({:.2} to {:.2}), {:.3} TFLOP/s{of_peak}",
            report.model,
            report.precision,
            report.device,
            dims.rows,
            dims.prompt,
            dims.source,
            dims.target,
            report.full.ms.median,
            report.full.ms.least,
            report.full.ms.most,
            report.full.flops_per_second / 1e12,
        ),
        format!(
            "memory: {} predicted; {} held by the device's allocator, {} in use; process {}",
            Bytes(report.predicted_bytes),
            bytes(report.memory.device_reserved),
            bytes(report.memory.device_in_use),
            bytes(report.memory.process_peak),
        ),
        format!("weights made in {:.2} s", report.init_seconds),
    ];
    if let Some(stages) = &report.stages {
        lines.push(stages.describe());
    }
    lines.join("\n")
}
