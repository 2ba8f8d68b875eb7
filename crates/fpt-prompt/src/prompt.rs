//! The soft prompt.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use fpt_files::all_finite;

/// A soft prompt: `length` trainable vectors that go before the input embeddings of a frozen model
/// (Lester et al., 2021).
#[derive(Module, Debug)]
pub struct SoftPrompt {
    /// `[length, d_model]`.
    pub weight: Param<Tensor<2>>,
}

impl SoftPrompt {
    /// A prompt of these `values`, row by row, on `device`. On an autodiff device it is trainable.
    ///
    /// # Panics
    /// If `values` has another size than `shape`.
    pub fn from_values(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Self {
        let weight = Tensor::from_data(TensorData::new(values, shape), device);
        Self {
            weight: Param::from_tensor(weight),
        }
    }

    /// As [`SoftPrompt::from_values`], on an autodiff device, as the parameter `id`: for an optimizer that knows it.
    ///
    /// # Panics
    /// If `values` has another size than `shape`.
    pub fn with_id(values: Vec<f32>, shape: [usize; 2], id: ParamId, device: &Device) -> Self {
        let weight = Tensor::from_data(TensorData::new(values, shape), device);
        Self {
            weight: Param::initialized(id, weight.require_grad()),
        }
    }

    /// The first vector with a number that is NaN or infinite, from 1, of rows as wide as `d_model`.
    pub(crate) fn not_finite(values: &[f32], d_model: usize) -> Option<usize> {
        let mut rows = values.chunks(d_model.max(1));
        let wrong = rows.position(|row| !all_finite(row))?;
        Some(wrong + 1)
    }

    /// `[length, d_model]`.
    pub fn shape(&self) -> [usize; 2] {
        self.weight.val().dims()
    }

    /// The vectors, row by row.
    pub fn values(&self) -> Vec<f32> {
        self.weight.val().into_data().iter::<f32>().collect()
    }
}
