//! The work that is timed: a frozen model, batches and a prompt, also written down for another program to do.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use fpt_files::numbers;
use fpt_partial::{PartialSize, Selection, even_layers, full_size, shape};
use fpt_prompt::{PromptInit, SoftPrompt};
use fpt_schedule::cost::{BatchShape, true_macs};
use fpt_t5::{Generation, Lm, Precision, SaveOptions, T5, T5Config};
use fpt_tasks::{EvalBatches, PadTo, Split, TaskName, Tasks, TokenBatch, TrainBatches};
use fpt_train::{
    Experiment, RunConfig, Session, Step, TrainConfig, adafactor, batch_tensors, model_directory,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

/// The experiment that the scale model's work is taken from.
pub const EXPERIMENT: &str = "configs/mini.toml";

/// Examples in a training step of the scale model, the paper's: not the experiment's, which may change, so that figures compare.
const TRAIN_BATCH: usize = 32;

/// Vectors of a prompt.
const PROMPT: usize = 20;

/// A shape of T5 v1.1 and of its batches; its weights are random.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Its name in results.
    pub name: &'static str,
    d_model: usize,
    d_ff: usize,
    heads: usize,
    layers: usize,
    rows: usize,
    source: usize,
    target: usize,
}

/// As T5-small v1.1.
pub const SMALL: Shape = Shape {
    name: "t5-small-like",
    d_model: 512,
    d_ff: 1024,
    heads: 6,
    layers: 8,
    rows: 8,
    source: 128,
    target: 8,
};

/// As T5-base v1.1.
pub const BASE: Shape = Shape {
    name: "t5-base-like",
    d_model: 768,
    d_ff: 2048,
    heads: 12,
    layers: 12,
    rows: 4,
    ..SMALL
};

/// Of batches whose activations are more than the weights.
pub const SMALL_512: Shape = Shape {
    name: "t5-small-like, 512 tokens",
    source: 512,
    ..SMALL
};

/// The same of T5-base.
pub const BASE_512: Shape = Shape {
    name: "t5-base-like, 512 tokens",
    source: 512,
    ..BASE
};

/// Which batches are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Batches {
    /// Random ones, as training takes them.
    Train,
    /// Sorted by length, as evaluation takes them.
    Evaluate,
}

/// A model and what it is to do.
pub struct Work {
    /// The frozen model.
    pub model: T5,
    /// The prompt that is trained, or answered with.
    pub prompt: SoftPrompt,
    /// What it is trained on, or answers.
    pub batches: Vec<TokenBatch>,
    settings: Settings,
    device: Device,
    optimizer: ModuleOptimizer,
}

/// `settings.json`.
#[derive(Serialize, Deserialize)]
struct Settings {
    max_new_tokens: usize,
    train: TrainConfig,
}

/// A quarter of the layers, and a quarter of the neurons of each, as compound reduction (CR) leaves.
pub fn quarter(config: &T5Config) -> Selection {
    let mut selection = Selection::full(config);
    for stack in [&mut selection.encoder, &mut selection.decoder] {
        let keep = even_layers(stack.layers.len(), stack.layers.len() / 4);
        let of = |lists: &[Vec<usize>], share: usize| -> Vec<Vec<usize>> {
            keep.iter()
                .filter_map(|&layer| lists.get(layer))
                .map(|list| list[..list.len() / share].to_vec())
                .collect()
        };
        stack.neurons = of(&stack.neurons, 4);
        stack.heads = of(&stack.heads, 1);
        stack.cross_heads = of(&stack.cross_heads, 1);
        stack.layers = keep;
    }
    selection
}

/// The FLOPs of a training step on a quarter of the scale model, as a share of those on all of it.
pub fn quarter_share() -> anyhow::Result<f64> {
    let work = Work::mini(&TaskName::MNLI, Batches::Train, 1, None)?;
    let batch = &work.batches[0];
    let batch = BatchShape {
        rows: batch.size,
        source: batch.source_len,
        target: batch.target_len,
        prompt: work.prompt.shape()[0],
    };
    let config = work.model.config();
    let step = |size: &PartialSize| {
        let macs = true_macs(&shape(config), size, &batch);
        (macs.forward + macs.backward) as f64
    };
    Ok(step(&quarter(config).size()) / step(&full_size(config)))
}

/// The configuration of a run of the scale model.
pub fn mini_config(task: &TaskName) -> anyhow::Result<RunConfig> {
    let experiment = Experiment::from_file(EXPERIMENT)?;
    Ok(experiment.run(task, 0, &[])?)
}

/// A T5 v1.1 with random weights, always the same.
pub(super) fn random_model(shape: &Shape, device: &Device) -> anyhow::Result<T5> {
    device.seed(0);
    // The rest is as in any T5 v1.1.
    let config: T5Config = serde_json::from_value(serde_json::json!({
        "vocab_size": 32128,
        "d_model": shape.d_model,
        "d_kv": 64,
        "d_ff": shape.d_ff,
        "num_heads": shape.heads,
        "num_layers": shape.layers,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": false,
    }))?;
    Ok(T5::init(&config, device))
}

impl Work {
    /// `count` batches of a task of the scale model, whose files must be there, padded as `pad` says or else as the
    /// experiment does.
    pub fn mini(
        task: &TaskName,
        kind: Batches,
        count: usize,
        pad: Option<PadTo>,
    ) -> anyhow::Result<Self> {
        let device = Device::flex();
        let config = mini_config(task)?;
        let session = Session::load(&config, &Tasks::paper(), model_directory, &device)?;
        let data = session.read(match kind {
            Batches::Train => Split::Train,
            Batches::Evaluate => Split::Dev,
        })?;
        let lengths: Vec<usize> = data.tokens.iter().map(|e| e.source.len()).collect();
        let pad = pad.unwrap_or(match kind {
            Batches::Train => config.lengths.pad_to,
            Batches::Evaluate => PadTo::Multiple(1),
        });
        let rows: Vec<Vec<usize>> = match kind {
            Batches::Train => {
                let batches = TrainBatches::new(lengths, TRAIN_BATCH, 0)?;
                (0..count).map(|step| batches.indices(step)).collect()
            }
            Batches::Evaluate => EvalBatches::new(&lengths, config.eval.batch_size)?
                .iter()
                .take(count)
                .collect(),
        };
        let batches = rows
            .into_iter()
            .map(|rows| TokenBatch::new(&data.tokens, rows, pad))
            .collect();
        Ok(Self {
            prompt: session.fresh_prompt(0, &device.clone().autodiff())?,
            batches,
            optimizer: adafactor(&config.train),
            settings: Settings {
                max_new_tokens: config.limits(&*session.task).max_target,
                train: config.train,
            },
            model: session.model,
            device,
        })
    }

    /// `count` batches of random ids for a model with random weights.
    pub fn random(shape: &Shape, count: usize) -> anyhow::Result<Self> {
        let device = Device::flex();
        let model = random_model(shape, &device)?;
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut ids = |count: usize| -> Vec<i32> {
            (0..count).map(|_| random.random_range(2..32000)).collect()
        };
        let batches = (0..count)
            .map(|_| TokenBatch {
                indices: (0..shape.rows).collect(),
                size: shape.rows,
                source_len: shape.source,
                target_len: shape.target,
                source: ids(shape.rows * shape.source),
                source_mask: vec![true; shape.rows * shape.source],
                labels: ids(shape.rows * shape.target),
            })
            .collect();
        let encode = |_: &str| Ok::<_, fpt_t5::T5Error>(Vec::new());
        let prompt =
            PromptInit::Uniform.prompt(PROMPT, &model, 0, encode, &device.clone().autodiff())?;
        let train = mini_config(&TaskName::MNLI)?.train;
        Ok(Self {
            model,
            prompt,
            batches,
            optimizer: adafactor(&train),
            settings: Settings {
                max_new_tokens: 64,
                train,
            },
            device,
        })
    }

    /// Write the model in Hugging Face's layout, `batches.safetensors` and `settings.json`.
    pub fn save(&self, directory: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(directory)
            .with_context(|| format!("failed to create {}", directory.display()))?;
        self.model
            .save_pretrained(directory, SaveOptions::default())?;
        let mut tensors = vec![(
            "prompt".to_string(),
            bytes(&self.prompt.values(), f32::to_le_bytes),
            self.prompt.shape().to_vec(),
            Dtype::F32,
        )];
        for (number, batch) in self.batches.iter().enumerate() {
            let source = vec![batch.size, batch.source_len];
            let mask: Vec<i32> = batch.source_mask.iter().map(|&m| i32::from(m)).collect();
            for (name, values, shape) in [
                ("input_ids", &batch.source, source.clone()),
                ("attention_mask", &mask, source),
                ("labels", &batch.labels, vec![batch.size, batch.target_len]),
            ] {
                let name = format!("{number}.{name}");
                tensors.push((name, bytes(values, i32::to_le_bytes), shape, Dtype::I32));
            }
        }
        let mut views = Vec::new();
        for (name, data, shape, dtype) in &tensors {
            views.push((name, TensorView::new(*dtype, shape.clone(), data)?));
        }
        safetensors::serialize_to_file(views, None, &directory.join("batches.safetensors"))?;
        let settings = serde_json::to_string(&self.settings)?;
        fs::write(directory.join("settings.json"), settings)
            .with_context(|| format!("failed to write to {}", directory.display()))
    }

    /// What [`Work::save`] wrote, with the model's weights in this precision.
    pub fn load(directory: &Path, precision: Precision) -> anyhow::Result<Self> {
        let device = Device::flex();
        let model = T5::from_pretrained_in(directory, precision, &device)?;
        let text = fs::read_to_string(directory.join("settings.json"))?;
        let settings: Settings = serde_json::from_str(&text)?;
        let file = fs::read(directory.join("batches.safetensors"))?;
        let file = SafeTensors::deserialize(&file)?;
        let tensors: HashMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
        let tensor = |name: String| {
            tensors
                .get(&name)
                .with_context(|| format!("batches.safetensors has no {name}"))
        };
        let prompt = tensor("prompt".into())?;
        let shape = [prompt.shape()[0], prompt.shape()[1]];
        let prompt = SoftPrompt::from_values(
            numbers(prompt.data(), f32::from_le_bytes).collect(),
            shape,
            &device.clone().autodiff(),
        );
        let mut batches = Vec::new();
        while tensors.contains_key(&format!("{}.labels", batches.len())) {
            let get = |name: &str| tensor(format!("{}.{name}", batches.len()));
            let (source, labels) = (get("input_ids")?, get("labels")?);
            let mask = numbers(get("attention_mask")?.data(), i32::from_le_bytes);
            batches.push(TokenBatch {
                indices: (0..source.shape()[0]).collect(),
                size: source.shape()[0],
                source_len: source.shape()[1],
                target_len: labels.shape()[1],
                source: numbers(source.data(), i32::from_le_bytes).collect(),
                source_mask: mask.map(|m| m == 1).collect(),
                labels: numbers(labels.data(), i32::from_le_bytes).collect(),
            });
        }
        ensure!(!batches.is_empty(), "batches.safetensors holds no batch");
        Ok(Self {
            model,
            prompt,
            batches,
            optimizer: adafactor(&settings.train),
            settings,
            device,
        })
    }

    /// A training step on each batch. Returns the last loss.
    pub fn train(&mut self) -> f64 {
        let mut last = 0.0;
        for batch in &self.batches {
            let step = Step::new(&self.model, &self.prompt, batch, &self.device);
            let prompt = self.prompt.clone();
            self.prompt =
                self.optimizer
                    .step(self.settings.train.learning_rate, prompt, step.gradients);
            last = Step::read(step.values).map_or(f64::NAN, |[loss, _]| loss);
        }
        last
    }

    /// The greedy answers to each batch.
    pub fn answer(&self) -> Vec<Vec<u32>> {
        let prompt = burn::module::Module::valid(&self.prompt);
        let generation = Generation::greedy(self.settings.max_new_tokens);
        let mut answers = Vec::new();
        for batch in &self.batches {
            let batch = batch_tensors(batch, &self.device);
            let prefix = Some(prompt.weight.val());
            answers.extend(
                self.model
                    .answer(prefix, batch.source, batch.mask, &generation),
            );
        }
        answers
    }
}

fn bytes<T: Copy>(values: &[T], convert: fn(T) -> [u8; 4]) -> Vec<u8> {
    values.iter().copied().flat_map(convert).collect()
}
