//! Weights before the first step.

use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use fpt_t5::{T5, T5Config};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::stream::{INIT, stream};
use crate::{PretrainConfig, PretrainError};

/// Initial bias of a matching head for its own position.
const NOT_ITSELF: f32 = -3.0;

/// Hugging Face's initialisation of T5, but for four things:
///
/// - the relative bias is large, so that heads look at different distances from the start;
/// - the head of the vocabulary starts as the embedding;
/// - output projections start at zero, so that every layer starts as the identity and eight layers do not
///   drown each other in noise;
/// - half of the heads start as matching heads: their keys equal their queries, and they do not look at
///   themselves, so they look for their own token elsewhere. That is the first step of whatever compares or
///   copies; skills that compare two sentences do not emerge in time without it.
///
/// The numbers are drawn here, not by the device, so that they are the same on every machine.
pub(crate) fn initial(config: &PretrainConfig, vocab_size: usize, device: &Device) -> T5 {
    let model = T5::init(&config.model_config(vocab_size), device);
    model.map(&mut Initializer {
        config,
        rng: ChaCha8Rng::seed_from_u64(stream(config.seed, INIT)),
        path: Vec::new(),
        embedding: Vec::new(),
        queries: Vec::new(),
    })
}

/// The weights of the model in the directory `start`, to be trained on.
///
/// # Errors
/// [`PretrainError::Model`] if it can't be read, and [`PretrainError::Config`] if it has another shape.
pub(crate) fn go_on(
    start: &Path,
    config: &PretrainConfig,
    vocab_size: usize,
    device: &Device,
) -> Result<T5, PretrainError> {
    let model = T5::from_pretrained(start, &device.clone().without_autodiff())?;
    // What else a file says is none of the model's shape.
    let wanted = T5Config {
        others: model.config().others.clone(),
        ..config.model_config(vocab_size)
    };
    if *model.config() != wanted {
        return Err(PretrainError::Config {
            path: start.to_path_buf(),
            reason: "the model to go on from has another shape than [model]".into(),
        });
    }
    Ok(model.map(&mut Trainable { device }))
}

/// Makes every weight a leaf that is trained, in memory of its own.
struct Trainable<'a> {
    device: &'a Device,
}

impl ModuleMapper for Trainable<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, _) = param.consume();
        let value = Tensor::from_data(value.into_data(), self.device);
        Param::initialized(id, value.require_grad())
    }
}

/// Replaces every parameter, in the order of the module's fields.
struct Initializer<'a> {
    config: &'a PretrainConfig,
    rng: ChaCha8Rng,
    path: Vec<String>,
    /// The embedding, `[vocabulary, d_model]`, for the head.
    embedding: Vec<f32>,
    /// The queries of the attention being visited, `[d_model, inner]`, for its keys.
    queries: Vec<f32>,
}

impl Initializer<'_> {
    /// Normally distributed numbers, by Box and Muller: `rand_distr` would do the same, but changes features of
    /// crates below Burn.
    fn normal(&mut self, count: usize, std: f64) -> Vec<f32> {
        let draw = |_| {
            let radius = (-2.0 * (1.0 - self.rng.random::<f64>()).ln()).sqrt();
            let angle = std::f64::consts::TAU * self.rng.random::<f64>();
            (std * radius * angle.cos()) as f32
        };
        (0..count).map(draw).collect()
    }

    /// How many of the heads start as matching heads.
    fn matching_heads(&self) -> usize {
        self.config.model.num_heads / 2
    }

    /// The values of the parameter at the current path, row by row.
    fn values(&mut self, shape: &[usize]) -> Vec<f32> {
        let model = &self.config.model;
        let (d_model, d_kv) = (model.d_model as f64, model.d_kv as f64);
        let count = shape.iter().product();
        let owner = match self.path.as_slice() {
            [.., owner, _weight] => owner.as_str(),
            _ => "",
        };
        match owner {
            "shared" => {
                self.embedding = self.normal(count, 1.0);
                self.embedding.clone()
            }
            "lm_head" => {
                let (rows, columns) = (shape[0], shape[1]);
                let scale = d_model.powf(-0.5) as f32;
                let transposed =
                    (0..count).map(|i| self.embedding[i % columns * rows + i / columns]);
                transposed.map(|value| value * scale).collect()
            }
            "position_bias" => {
                let mut values = self.normal(count, self.config.bias_std);
                values[..self.matching_heads()].fill(NOT_ITSELF);
                values
            }
            "q" => {
                let std = (d_model * d_kv).powf(-0.5);
                let mut values = self.normal(count, std);
                // The product of equal queries and keys keeps its size: each takes the geometric mean.
                let scale = d_kv.powf(0.25) as f32;
                let matching = self.matching_heads() * model.d_kv;
                for row in values.chunks_exact_mut(shape[1]) {
                    row[..matching].iter_mut().for_each(|value| *value *= scale);
                }
                self.queries.clone_from(&values);
                values
            }
            "k" => {
                let mut values = self.normal(count, d_model.powf(-0.5));
                let matching = self.matching_heads() * model.d_kv;
                let queries = self.queries.chunks_exact(shape[1]);
                for (row, query) in values.chunks_exact_mut(shape[1]).zip(queries) {
                    row[..matching].copy_from_slice(&query[..matching]);
                }
                values
            }
            "v" | "wi_0" | "wi_1" => self.normal(count, d_model.powf(-0.5)),
            "o" | "wo" => vec![0.0; count],
            // Norms.
            _ => vec![1.0; count],
        }
    }
}

impl ModuleMapper for Initializer<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        let dims: Vec<usize> = shape.iter().copied().collect();
        let device = param.lazy_device();
        let data = TensorData::new(self.values(&dims), shape);
        Param::initialized(param.id, Tensor::from_data(data, &device).require_grad())
    }
}
