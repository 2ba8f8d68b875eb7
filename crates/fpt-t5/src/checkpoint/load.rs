//! Reading a Hugging Face checkpoint.

use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::store::{ApplyError, ApplyResult, KeyRemapper, ModuleSnapshot};
use burn::tensor::{Device, FloatDType, Shape, Tensor};

use super::files;
use super::keys::{TO_MODULE, by_own_names, to_hugging_face};
use crate::{FeedForwardKind, T5, T5Config, T5Error};

impl T5 {
    /// Load a model directory in Hugging Face layout: `config.json` and the first there is of `model.safetensors`,
    /// `model.safetensors.index.json` with its shards, `pytorch_model.bin`, and `pytorch_model.bin.index.json` with
    /// its shards. Tensors are read one by one, from safetensors in small parts, so memory peaks at the model itself
    /// (with PyTorch's files, at the model and its largest tensor).
    ///
    /// Weights are converted to f32. Load on a plain device, not on an autodiff one, to keep them frozen:
    /// then they get no gradients, and cost neither memory nor time for them.
    ///
    /// | tensor in the file | module |
    /// |---|---|
    /// | `shared.weight` | `shared` |
    /// | `{s}.block.0.layer.0.SelfAttention.relative_attention_bias.weight` | `{s}.position_bias` |
    /// | `{s}.block.{i}.layer.0.SelfAttention.{q,k,v,o}.weight` | `{s}.block[i].attention` |
    /// | `{s}.block.{i}.layer.0.layer_norm.weight` | `{s}.block[i].attention_norm` |
    /// | `decoder.block.{i}.layer.1.EncDecAttention.{q,k,v,o}.weight` | `decoder.block[i].cross_attention` |
    /// | `decoder.block.{i}.layer.1.layer_norm.weight` | `decoder.block[i].cross_attention_norm` |
    /// | `{s}.block.{i}.layer.{1 or 2}.DenseReluDense.{wi,wi_0,wi_1,wo}.weight` | `{s}.block[i].feed_forward` |
    /// | `{s}.block.{i}.layer.{1 or 2}.layer_norm.weight` | `{s}.block[i].feed_forward_norm` |
    /// | `{s}.final_layer_norm.weight` | `{s}.final_norm` |
    /// | `lm_head.weight` | `lm_head`; dropped where it equals `shared.weight` and the config ties them |
    /// | `{s}.embed_tokens.weight` | passed over: duplicates of `shared.weight`, for which one stands where that is missing |
    /// | `decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight` | passed over: of the first checkpoints, unused |
    ///
    /// A `transformer.` before all names is taken off. All this is as transformers does it.
    ///
    /// `{s}` is `encoder` or `decoder`. Linear weights are stored `[out, in]` and
    /// held as `[in, out]` views of that.
    ///
    /// # Errors
    /// Missing, surplus and misshapen tensors are listed all at once ([`T5Error::Tensors`]); one with a number that is
    /// NaN or infinite is named ([`T5Error::NotFinite`]); see [`T5Error`] for the rest.
    pub fn from_pretrained(directory: impl AsRef<Path>, device: &Device) -> Result<Self, T5Error> {
        let directory = directory.as_ref();
        let config = T5Config::from_file(directory.join("config.json"))?;
        Self::from_weights(&config, &files::find(directory)?, device)
    }

    /// Load the weights in `path`, one file or an index of several, for `config`; see [`T5::from_pretrained`].
    ///
    /// # Errors
    /// As [`T5::from_pretrained`].
    pub fn from_weights(
        config: &T5Config,
        path: impl AsRef<Path>,
        device: &Device,
    ) -> Result<Self, T5Error> {
        check_precision(device)?;
        let path = path.as_ref();
        let damaged = |reason: String| T5Error::Weights {
            path: path.to_path_buf(),
            reason,
        };
        let to_module = KeyRemapper::from_patterns(TO_MODULE.to_vec())
            .map_err(|error| damaged(error.to_string()))?;
        let not_finite = files::NotFinite::default();
        let tensors = files::tensors(path, &not_finite)?;
        let tensors = by_own_names(tensors, config.tie_word_embeddings).map_err(damaged)?;
        let (mut tensors, _) = to_module.remap(tensors);
        let own_head =
            !config.tie_word_embeddings || tensors.iter().any(|t| t.name == "lm_head.weight");

        for tensor in tensors.iter_mut().filter(|tensor| is_linear(&tensor.name)) {
            // Until `Turn` sets it right: rows and columns are exchanged without a copy.
            tensor.shape.reverse();
        }

        let mut model = Self::with_head(config, own_head, device);
        let result = model.apply(tensors, None, None, false);

        not_finite.check()?;
        let gated = config.feed_forward_proj == FeedForwardKind::GatedGelu;
        let problems = problems(&result, gated).map_err(damaged)?;
        if !problems.is_empty() {
            return Err(T5Error::Tensors {
                path: path.to_path_buf(),
                problems,
            });
        }
        model = model.map(&mut Turn::default());
        if config.tie_word_embeddings && model.head_equals_embedding() {
            model.lm_head = None;
        }
        Ok(model.no_grad())
    }

    /// Whether a separate head only repeats the embedding.
    fn head_equals_embedding(&self) -> bool {
        self.lm_head.as_ref().is_some_and(|head| {
            head.weight
                .val()
                .transpose()
                .equal(self.shared.weight.val())
                .all()
                .into_scalar::<bool>()
        })
    }
}

/// All that does not fit, a line each, by the names of the file.
///
/// # Errors
/// The first tensor that can't be read, and why.
fn problems(result: &ApplyResult, gated: bool) -> Result<Vec<String>, String> {
    let name = |path: &str| to_hugging_face(path, gated);
    let mut problems = Vec::new();
    for error in &result.errors {
        problems.push(match error {
            ApplyError::ShapeMismatch {
                path,
                expected,
                found,
            } => {
                // Linear weights are transposed on the way in: show the file's orientation.
                let file = |shape: &Shape| {
                    let mut dims: Vec<usize> = shape.iter().copied().collect();
                    if is_linear(path) {
                        dims.reverse();
                    }
                    dims
                };
                format!(
                    "  misshapen: {} is {:?}, should be {:?}",
                    name(path),
                    file(found),
                    file(expected)
                )
            }
            ApplyError::DTypeMismatch { path, found, .. } => {
                format!("  unusable: {} is of type {found:?}", name(path))
            }
            ApplyError::AdapterError { path, message }
            | ApplyError::LoadError { path, message } => {
                return Err(format!("{}: {message}", name(path)));
            }
        });
    }
    for (path, _) in &result.missing {
        problems.push(format!("  missing: {}", name(path)));
    }
    let surplus = |path: &&String| !path.ends_with("embed_tokens.weight");
    for path in result.unused.iter().filter(surplus) {
        problems.push(format!("  surplus: {}", name(path)));
    }
    problems.sort();
    Ok(problems)
}

/// Makes of linear weights whose `[out, in]` numbers were taken for `[in, out]` views of `[in, out]`. Numbers stay where
/// they are: products read them as they lie in the file, which loads faster and lets generation stream them.
#[derive(Default)]
struct Turn {
    containers: Vec<bool>,
}

impl ModuleMapper for Turn {
    fn enter_module(&mut self, _name: &str, container_type: &str) {
        self.containers.push(container_type == "Struct:Linear");
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.containers.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.containers.last() != Some(&true) || D != 2 {
            return param;
        }
        param.map(|weight| {
            let mut file = weight.dims();
            file.reverse();
            weight.reshape(file).swap_dims(0, 1)
        })
    }
}

/// Whether this name of a file, or path of a module, is that of a `Linear`'s weight.
fn is_linear(path: &str) -> bool {
    [
        ".q.", ".k.", ".v.", ".o.", ".wi.", ".wi_0.", ".wi_1.", ".wo.",
    ]
    .iter()
    .any(|part| path.contains(part))
        || path.starts_with("lm_head.")
}

/// T5 is computed in f32: its residual stream leaves the range of f16, and the fused operations know f32 only.
fn check_precision(device: &Device) -> Result<(), T5Error> {
    match device.settings().float_dtype {
        FloatDType::F32 => Ok(()),
        other => Err(T5Error::Precision {
            dtype: format!("{other:?}").to_lowercase(),
        }),
    }
}
