//! What the weights of a model are in.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use crate::generate::RoundedHead;
use crate::{T5, T5Error, fused};

/// The numbers that a frozen model computes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats. On CUDA products of matrices too are f32, not TF32.
    #[default]
    F32,
    /// Weights, and what products with them take, activations and gradients, in bf16 with sums in f32; residual stream,
    /// softmax, statistics of norms, loss, prompt and optimizer in f32. See [`T5::into_bf16`].
    Bf16,
    /// Weights in a byte each, with a scale for each block of at most 128, and what they multiply rounded in the same way; all
    /// else in f32. On processors only. See [`T5::into_int8`].
    Int8,
}

impl Precision {
    /// As in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// Bytes of a weight, but for the few of norms and positions, which are f32 always.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
            Self::Int8 => 1,
        }
    }

    /// Whether `device` has it.
    ///
    /// # Errors
    /// [`T5Error::Unsupported`] if it has not: WGPU's devices know no bf16, and no graphics card int8.
    pub fn check(self, device: &Device) -> Result<(), T5Error> {
        let dtype = match self {
            Self::Bf16 if !device.supports_dtype(DType::BF16) => "bf16",
            Self::Int8 if fused::is_gpu(device) => "int8",
            _ => return Ok(()),
        };
        Err(T5Error::Unsupported {
            device: format!("{:?}", device.as_dispatch()),
            dtype,
        })
    }

    /// What the weights of a layer are in, of a model in this precision.
    pub(super) fn of(self, layer: Layer) -> Self {
        match (self, layer) {
            (_, Layer::Other) | (Self::F32, _) => Self::F32,
            (Self::Int8, Layer::Linear) => Self::Int8,
            _ => Self::Bf16,
        }
    }
}

/// Kinds of layers whose weights are rounded in ways of their own.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Layer {
    /// Their weights are views, `[in, out]`, of what lies in `[out, in]`.
    Linear,
    Embedding,
    /// Norms and positions, whose weights are few.
    Other,
}

impl Layer {
    /// By the name that a module's visitors get of it.
    pub(super) fn of(container_type: &str) -> Self {
        match container_type {
            "Struct:Linear" => Self::Linear,
            "Struct:Embedding" => Self::Embedding,
            _ => Self::Other,
        }
    }
}

impl T5 {
    /// The model with weights in bf16, at half the memory, frozen: those of products and embeddings are rounded, those of
    /// norms and of positions, which are few, stay in f32.
    ///
    /// Products are then of bf16 with sums in f32, forward and backward; the residual stream, softmax, statistics of norms
    /// and loss stay in f32, and on a processor all activations do, which are rounded when they are multiplied. Processors
    /// with instructions for it (AVX-512 BF16) multiply twice as fast as in f32, others as fast.
    ///
    /// [`T5::from_pretrained_in`] makes the same of files, without a model in f32.
    ///
    /// # Errors
    /// [`T5Error::Unsupported`] if the device knows no bf16, as WGPU's do not.
    pub fn into_bf16(mut self) -> Result<Self, T5Error> {
        Precision::Bf16.check(&self.device())?;
        self.rounded_head = RoundedHead::default();
        Ok(self.map(&mut Rounding::to(Precision::Bf16)).no_grad())
    }

    /// The model with weights of products in a byte each, at a quarter of the memory, frozen: integers with an f32 scale for
    /// each block of at most 128 inputs of an output (W8A8 as others call it, since what they multiply is rounded in the same
    /// way, when it is there). Embeddings are rounded to bf16, and a head that is tied to them becomes one of its own; the
    /// few weights of norms and of positions stay in f32.
    ///
    /// Sums, gradients and all that is not the product with a weight stay in f32. On processors that multiply bytes
    /// (AVX-512 VNNI) products are faster than those of f32, however many rows there are. Neurons and heads can't be left
    /// out of such a model, and it can't be saved.
    ///
    /// [`T5::from_pretrained_in`] makes the same of files, without a model in f32.
    ///
    /// # Errors
    /// [`T5Error::Unsupported`] on a graphics card.
    pub fn into_int8(mut self) -> Result<Self, T5Error> {
        Precision::Int8.check(&self.device())?;
        self.untie_head();
        self.rounded_head = RoundedHead::default();
        Ok(self.no_grad().map(&mut Rounding::to(Precision::Int8)))
    }
}

/// Rounds the weights of linear layers and embeddings.
struct Rounding {
    layers: Vec<Layer>,
    precision: Precision,
}

impl Rounding {
    fn to(precision: Precision) -> Self {
        Self {
            layers: Vec::new(),
            precision,
        }
    }
}

impl ModuleMapper for Rounding {
    fn enter_module(&mut self, _name: &str, container_type: &str) {
        self.layers.push(Layer::of(container_type));
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.layers.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let layer = *self.layers.last().unwrap_or(&Layer::Other);
        match self.precision.of(layer) {
            Precision::F32 => param,
            Precision::Int8 => param.map(fused::rounded),
            Precision::Bf16 if layer == Layer::Linear => param.map(|weight| {
                let lies = weight.swap_dims(0, 1).cast(FloatDType::BF16);
                lies.swap_dims(0, 1)
            }),
            Precision::Bf16 => param.map(|weight| weight.cast(FloatDType::BF16)),
        }
    }
}
