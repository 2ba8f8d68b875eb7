//! Reading a Hugging Face checkpoint.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData, bf16};

use super::files::{self, StoredTensor};
use super::keys::{HEAD, SHARED, by_own_names, to_hugging_face};
use super::precision::{Layer, Precision};
use crate::{FeedForwardKind, T5, T5Config, T5Error, fused};

impl T5 {
    /// Load a model directory in Hugging Face layout: `config.json` and the first there is of `model.safetensors`,
    /// `model.safetensors.index.json` with its shards, `pytorch_model.bin`, and `pytorch_model.bin.index.json` with
    /// its shards. Tensors are read one by one, from safetensors in small parts, so memory peaks at the model itself
    /// (with PyTorch's files, at the model and its largest tensor).
    ///
    /// Weights are converted to f32; for others see [`T5::from_pretrained_in`]. Load on a plain device, not on an autodiff one, to keep them frozen:
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
        Self::from_pretrained_in(directory, Precision::F32, device)
    }

    /// [`T5::from_pretrained`] with weights as [`T5::into_bf16`] or [`T5::into_int8`] would round them. Each is rounded while
    /// it is read, so that memory peaks at the rounded model.
    ///
    /// # Errors
    /// As [`T5::from_pretrained`], and [`T5Error::Unsupported`] if the device does not have this precision.
    pub fn from_pretrained_in(
        directory: impl AsRef<Path>,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, T5Error> {
        let directory = directory.as_ref();
        let config = T5Config::from_file(directory.join("config.json"))?;
        Self::from_weights(&config, &files::find(directory)?, precision, device)
    }

    /// Load the weights in `path`, one file or an index of several, for `config`; see [`T5::from_pretrained_in`].
    ///
    /// # Errors
    /// As [`T5::from_pretrained_in`].
    pub fn from_weights(
        config: &T5Config,
        path: impl AsRef<Path>,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, T5Error> {
        Self::load(config, path.as_ref(), precision, device)
    }

    /// Not generic: such code would be compiled as the crates that call it are, which may be without optimisation.
    fn load(
        config: &T5Config,
        path: &Path,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, T5Error> {
        check_device(device)?;
        precision.check(device)?;
        let tied = config.tie_word_embeddings;
        let tensors = by_own_names(files::tensors(path)?, tied).map_err(|reason| {
            let path = path.to_path_buf();
            T5Error::Weights { path, reason }
        })?;
        let named = |tensor: StoredTensor| (tensor.name.clone(), tensor);
        let mut tensors: BTreeMap<_, _> = tensors.into_iter().map(named).collect();
        if tied && head_equals_embedding(&tensors)? {
            tensors.remove(HEAD);
        }
        let mut own_head = !tied || tensors.contains_key(HEAD);
        let mut config = config.clone();
        let embedding = tensors.get(SHARED);
        let embedding = embedding.filter(|it| it.shape == [config.vocab_size, config.d_model]);
        if let (Precision::Int8, false, Some(embedding)) = (precision, own_head, embedding) {
            // As `untie_head` does, but of what the file has: an embedding is rounded in another way than a head.
            tensors.insert(HEAD.into(), embedding.clone());
            config.scale_decoder_outputs.get_or_insert(true);
            own_head = true;
        }

        let mut loading = Loading {
            tensors,
            gated: config.feed_forward_proj == FeedForwardKind::GatedGelu,
            precision,
            place: Vec::new(),
            problems: Vec::new(),
            unreadable: None,
        };
        let model = Self::with_head(&config, own_head, device).map(&mut loading);
        loading.finish(path)?;
        Ok(model)
    }
}

/// Whether a head of its own only repeats the embedding. What does not fit is left to be told when it is loaded.
///
/// # Errors
/// As those of reading.
fn head_equals_embedding(tensors: &BTreeMap<String, StoredTensor>) -> Result<bool, T5Error> {
    let (Some(head), Some(embedding)) = (tensors.get(HEAD), tensors.get(SHARED)) else {
        return Ok(false);
    };
    if head.shape != embedding.shape {
        return Ok(false);
    }
    let embedding = embedding.floats()?;
    let (mut rest, mut equal) = (&embedding[..], true);
    head.rows(1, &mut |part| {
        let (same, others) = rest.split_at(part.len().min(rest.len()));
        equal &= same == part;
        rest = others;
    })?;
    Ok(equal)
}

/// Puts the tensors of a checkpoint in the place of parameters that were not made yet, one by one.
struct Loading {
    /// Those that have found no place yet, by Hugging Face's names.
    tensors: BTreeMap<String, StoredTensor>,
    gated: bool,
    precision: Precision,
    /// Names of the modules around, and what they are.
    place: Vec<(String, Layer)>,
    /// All that does not fit, a line each, by the names of the file.
    problems: Vec<String>,
    /// The first tensor that can't be read.
    unreadable: Option<T5Error>,
}

impl ModuleMapper for Loading {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.place.push((name.into(), Layer::of(container_type)));
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.place.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let names: Vec<&str> = self.place.iter().map(|(name, _)| name.as_str()).collect();
        let name = to_hugging_face(&names.join("."), self.gated);
        let layer = self.place.last().map_or(Layer::Other, |(_, layer)| *layer);
        let Some(tensor) = self.tensors.remove(&name) else {
            self.problems.push(format!("  missing: {name}"));
            return param;
        };
        let mut shape = param.lazy_shape().to_vec();
        if layer == Layer::Linear {
            shape.reverse();
        }
        if tensor.shape != shape {
            let found = &tensor.shape;
            let problem = format!("  misshapen: {name} is {found:?}, should be {shape:?}");
            self.problems.push(problem);
        }
        if self.unreadable.is_some() || !self.problems.is_empty() {
            // There will be no model; what else does not fit is still to be told.
            return param;
        }
        match weight(&tensor, layer, self.precision, &param.lazy_device()) {
            Ok(weight) => Param::initialized(param.id, weight),
            Err(error) => {
                self.unreadable = Some(error);
                param
            }
        }
    }
}

impl Loading {
    /// Nothing, if all tensors are in their places.
    ///
    /// # Errors
    /// What could not be read, or does not fit.
    fn finish(mut self, path: &Path) -> Result<(), T5Error> {
        if let Some(error) = self.unreadable {
            return Err(error);
        }
        let surplus = self.tensors.into_keys();
        let surplus = surplus.filter(|name| !name.ends_with("embed_tokens.weight"));
        self.problems
            .extend(surplus.map(|name| format!("  surplus: {name}")));
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort();
        Err(T5Error::Tensors {
            path: path.to_path_buf(),
            problems: self.problems,
        })
    }
}

/// A tensor of a file as the weight of a layer, of a model in this precision. Those of linear layers, `[out, in]` in the
/// file, become views of `[in, out]`: numbers stay where they are, since products read them as they lie in the file,
/// which loads faster and lets generation stream them.
fn weight<const D: usize>(
    tensor: &StoredTensor,
    layer: Layer,
    precision: Precision,
    device: &Device,
) -> Result<Tensor<D>, T5Error> {
    let shape = tensor.shape.clone();
    let weight = match precision.of(layer) {
        Precision::F32 => {
            let data = TensorData::new(tensor.floats()?, shape);
            Tensor::from_data(data, (device, DType::F32))
        }
        Precision::Bf16 => {
            let mut values = Vec::with_capacity(tensor.len());
            tensor.rows(1, &mut |part| {
                values.extend(part.iter().copied().map(nearest));
            })?;
            Tensor::from_data(TensorData::new(values, shape), (device, DType::BF16))
        }
        Precision::Int8 => {
            let (outputs, inputs) = (shape[0], shape[1]);
            let mut rounding = fused::Rounding::new([inputs, outputs]);
            tensor.rows(inputs, &mut |outputs| rounding.push(outputs))?;
            return Ok(rounding.weight());
        }
    };
    Ok(match layer {
        Layer::Linear => weight.swap_dims(0, 1),
        _ => weight,
    })
}

/// The bf16 that is nearest to a finite number, of two the even one: `bf16::from_f32` without its branches, whose way
/// depends on bits that no processor foresees.
fn nearest(x: f32) -> bf16 {
    let bits = x.to_bits();
    let half = 0x7fff + (bits >> 16 & 1);
    bf16::from_bits((bits.wrapping_add(half) >> 16) as u16)
}

/// T5 is computed in f32: its residual stream leaves the range of f16, and the fused operations know f32 only.
fn check_device(device: &Device) -> Result<(), T5Error> {
    match device.settings().float_dtype {
        FloatDType::F32 => Ok(()),
        other => Err(T5Error::Precision {
            dtype: format!("{other:?}").to_lowercase(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rounding_to_bf16_is_that_of_others(bits in any::<u32>()) {
            // With each end: ties, what is nearly one, and what becomes infinite.
            for end in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let x = f32::from_bits(bits & 0xffff_0000 | end);
                prop_assume!(x.is_finite());
                prop_assert_eq!(nearest(x).to_bits(), bf16::from_f32(x).to_bits(), "{}", x);
            }
        }
    }
}
