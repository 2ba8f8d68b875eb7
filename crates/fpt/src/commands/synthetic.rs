//! Models with random weights and batches of random tokens: for what is about a device, not about a task.

use std::path::Path;

use anyhow::Context;
use burn::module::{Module, ModuleMapper, Param};
use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, Distribution, FloatDType, Tensor, TensorData};
use clap::ValueEnum;
use fpt_prompt::SoftPrompt;
use fpt_schedule::memory::Numbers;
use fpt_t5::{Precision, T5, T5Config};
use fpt_tasks::{PadTo, TokenBatch, TokenizedExample};
use fpt_train::{Step, TrainConfig, adafactor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::memory;

/// Ids below are not words.
const FIRST_WORD: u32 = 3;

/// The numbers that a model's weights are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionName {
    /// 32 bits.
    F32,
    /// Weights and what products with them take in bf16; sums, norms, softmax and loss stay f32.
    Bf16,
}

impl PrecisionName {
    fn precision(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
        }
    }

    /// As in a configuration.
    pub(crate) fn name(self) -> &'static str {
        self.precision().name()
    }

    pub(crate) fn numbers(self) -> Numbers {
        memory::numbers(self.precision())
    }

    pub(crate) fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::Bf16 => FloatDType::BF16,
        }
    }
}

/// Where random weights are drawn.
pub(crate) enum Draw {
    /// Here: the same numbers whatever the device.
    Host(u64),
    /// On the device, which is fast.
    Device(u64),
}

/// The configuration of a shape by name: that of a T5 v1.1, or of a model's directory.
pub(crate) fn config_of(shape: &str) -> anyhow::Result<T5Config> {
    let [d_model, d_kv, d_ff, heads, layers, vocabulary] = match shape {
        "mini" => [64, 12, 112, 4, 12, 368],
        "t5-base" => [768, 64, 2048, 12, 12, 32128],
        "t5-large" => [1024, 64, 2816, 16, 24, 32128],
        "t5-xl" => [2048, 64, 5120, 32, 24, 32128],
        directory => {
            let file = Path::new(directory).join("config.json");
            anyhow::ensure!(
                file.is_file(),
                "--model-shape {directory} is neither mini, t5-base, t5-large or t5-xl nor the directory of a model"
            );
            return Ok(T5Config::from_file(file)?);
        }
    };
    t5(json!({
        "d_model": d_model, "d_kv": d_kv, "d_ff": d_ff, "num_heads": heads, "num_layers": layers,
        "vocab_size": vocabulary, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false,
    }))
}

/// The configuration with these keys of `config.json`.
pub(crate) fn t5(keys: serde_json::Value) -> anyhow::Result<T5Config> {
    serde_json::from_value(keys).context("no configuration of a T5")
}

/// A frozen T5 with random weights, laid out as those of a checkpoint are.
pub(crate) fn model(
    config: &T5Config,
    precision: PrecisionName,
    draw: &Draw,
    device: &Device,
) -> T5 {
    let rng = match *draw {
        Draw::Host(seed) => Some(ChaCha8Rng::seed_from_u64(seed)),
        Draw::Device(seed) => {
            device.seed(seed);
            None
        }
    };
    // Nothing has been drawn yet: parameters are made when they are first used.
    let drawn = T5::init(config, device).map(&mut Weights {
        config,
        precision,
        rng,
        path: Vec::new(),
    });
    drawn.no_grad()
}

/// Puts random weights in the place of those that would be drawn.
struct Weights<'a> {
    config: &'a T5Config,
    precision: PrecisionName,
    /// Where they are drawn on the host.
    rng: Option<ChaCha8Rng>,
    path: Vec<(String, String)>,
}

impl Weights<'_> {
    /// Mean and standard deviation, as transformers draws them; but the head's logits are small, and norms differ.
    fn distribution(&self) -> (f64, f64) {
        let inverse_root = |width: usize| (width as f64).powf(-0.5);
        let config = self.config;
        let owner = self.path.iter().rev().nth(1).map_or("", |(name, _)| name);
        match owner {
            "shared" => (0.0, 1.0),
            "q" => (0.0, inverse_root(config.d_model * config.d_kv)),
            "k" | "v" | "wi_0" | "wi_1" | "lm_head" | "position_bias" => {
                (0.0, inverse_root(config.d_model))
            }
            "o" => (0.0, inverse_root(config.num_heads * config.d_kv)),
            "wo" => (0.0, inverse_root(config.d_ff)),
            _ => (1.0, 0.1),
        }
    }

    fn draw<const D: usize>(&mut self, shape: [usize; D], device: &Device) -> Tensor<D> {
        let (mean, std) = self.distribution();
        match &mut self.rng {
            None => Tensor::random(shape, Distribution::Normal(mean, std), device),
            Some(rng) => {
                let count = shape.iter().product();
                let values: Vec<f32> = (0..count).map(|_| normal(rng, mean, std)).collect();
                Tensor::from_data(TensorData::new(values, shape), device)
            }
        }
    }
}

/// By Box and Muller.
fn normal(rng: &mut ChaCha8Rng, mean: f64, std: f64) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    let angle = std::f64::consts::TAU * rng.random::<f64>();
    (mean + std * radius * angle.cos()) as f32
}

impl ModuleMapper for Weights<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.push((name.into(), container_type.into()));
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let device = param.lazy_device();
        let mut shape = [0; D];
        for (size, given) in shape.iter_mut().zip(param.lazy_shape().iter()) {
            *size = *given;
        }
        let container = self.path.last().map_or("", |(_, kind)| kind);
        let (linear, embedding) = (
            container == "Struct:Linear",
            container == "Struct:Embedding",
        );
        if linear {
            shape.reverse();
        }
        let mut weight = self.draw(shape, &device);
        if (linear || embedding) && self.precision == PrecisionName::Bf16 {
            weight = weight.cast(FloatDType::BF16);
        }
        if linear {
            weight = weight.swap_dims(0, 1);
        }
        Param::initialized(param.id, weight)
    }
}

/// A batch of random words. Every source but the first is a little shorter than `source`, if `uneven`.
pub(crate) fn batch(
    [rows, source, target]: [usize; 3],
    vocabulary: usize,
    uneven: bool,
    seed: u64,
) -> TokenBatch {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let vocabulary = (vocabulary as u32).max(FIRST_WORD + 1);
    let mut words = |count: usize| -> Vec<u32> {
        (0..count)
            .map(|_| rng.random_range(FIRST_WORD..vocabulary))
            .collect()
    };
    let shorter = |length: usize, row: usize| {
        let less = if uneven { row * length / (2 * rows) } else { 0 };
        (length - less).max(1)
    };
    let examples: Vec<_> = (0..rows)
        .map(|row| TokenizedExample {
            source: words(shorter(source, row)),
            target: words(shorter(target, row)),
        })
        .collect();
    TokenBatch::new(&examples, (0..rows).collect(), PadTo::Multiple(1))
}

/// A prompt of random vectors, to be trained on `device`.
pub(crate) fn prompt(length: usize, d_model: usize, seed: u64, device: &Device) -> SoftPrompt {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values = (0..length * d_model).map(|_| rng.random_range(-0.5..0.5));
    let device = device.clone().autodiff();
    SoftPrompt::from_values(values.collect(), [length, d_model], &device)
}

/// A prompt that is trained as the paper does.
pub(crate) struct Training<'a> {
    pub(crate) model: &'a T5,
    pub(crate) prompt: SoftPrompt,
    pub(crate) learning_rate: f64,
    optimizer: ModuleOptimizer,
}

impl<'a> Training<'a> {
    pub(crate) fn new(model: &'a T5, prompt: SoftPrompt) -> anyhow::Result<Self> {
        let config: TrainConfig = serde_json::from_value(json!({
            "steps": 1, "batch_size": 1, "learning_rate": 0.3, "weight_decay": 1e-5, "gradient_clip": 1.0,
        }))
        .context("no settings of a training")?;
        Ok(Self {
            model,
            prompt,
            learning_rate: config.learning_rate,
            optimizer: adafactor(&config),
        })
    }

    /// One step; returns its loss.
    pub(crate) fn step(&mut self, batch: &TokenBatch, device: &Device) -> anyhow::Result<f64> {
        let [loss, _] = Step::read(self.advance(batch, device))?;
        Ok(loss)
    }

    /// One step; returns its loss and gradient norm, `[2]`, unread.
    pub(crate) fn advance(&mut self, batch: &TokenBatch, device: &Device) -> Tensor<1> {
        let step = Step::new(self.model, &self.prompt, batch, device);
        let prompt = self.prompt.clone();
        self.prompt = self
            .optimizer
            .step(self.learning_rate, prompt, step.gradients);
        step.values
    }
}
