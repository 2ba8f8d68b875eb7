//! Weights at half their size.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, FloatDType, Tensor};

use crate::{T5, T5Error, fused};

impl T5 {
    /// The model with weights in bf16, at half the memory, frozen: those of products and embeddings are rounded, those of
    /// norms and of positions, which are few, stay in f32.
    ///
    /// On CUDA products are then of bf16 with sums in f32, and so are the activations that they take; the residual stream,
    /// softmax, statistics of norms and loss stay in f32. A processor computes in f32 with the rounded weights.
    ///
    /// # Errors
    /// [`T5Error::Unsupported`] if the device knows no bf16, as WGPU's do not.
    pub fn into_bf16(self) -> Result<Self, T5Error> {
        let device = self.device();
        if !device.supports_dtype(DType::BF16) {
            return Err(unsupported(&device, "bf16"));
        }
        Ok(self.map(&mut Rounding::new(false)).no_grad())
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
    /// # Errors
    /// [`T5Error::Unsupported`] on a graphics card.
    pub fn into_int8(mut self) -> Result<Self, T5Error> {
        let device = self.device();
        if fused::is_gpu(&device) {
            return Err(unsupported(&device, "int8"));
        }
        self.untie_head();
        Ok(self.no_grad().map(&mut Rounding::new(true)))
    }
}

fn unsupported(device: &Device, dtype: &'static str) -> T5Error {
    T5Error::Unsupported {
        device: format!("{:?}", device.as_dispatch()),
        dtype,
    }
}

/// Rounds the weights of linear layers and embeddings.
struct Rounding {
    containers: Vec<Container>,
    /// Whether those of linear layers become integers.
    integers: bool,
}

impl Rounding {
    fn new(integers: bool) -> Self {
        Self {
            containers: Vec::new(),
            integers,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Container {
    Linear,
    Embedding,
    Other,
}

impl ModuleMapper for Rounding {
    fn enter_module(&mut self, _name: &str, container_type: &str) {
        self.containers.push(match container_type {
            "Struct:Linear" => Container::Linear,
            "Struct:Embedding" => Container::Embedding,
            _ => Container::Other,
        });
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.containers.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.containers.last() {
            // Weights of linear layers are views of what lies in `[out, in]`, which they stay.
            Some(Container::Linear) if D == 2 && self.integers => param.map(fused::rounded),
            Some(Container::Linear) if D == 2 => param.map(|weight| {
                let lies = weight.swap_dims(0, 1).cast(FloatDType::BF16);
                lies.swap_dims(0, 1)
            }),
            Some(Container::Embedding) => param.map(|weight| weight.cast(FloatDType::BF16)),
            _ => param,
        }
    }
}
