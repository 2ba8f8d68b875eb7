//! Expectations that Python scripts wrote, and comparisons with them.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use fpt_files::numbers;
use safetensors::{Dtype, SafeTensors};

/// The expectations of a case: name to shape and values.
#[derive(Debug)]
pub struct Expected(HashMap<String, (Vec<usize>, Vec<f64>)>);

impl Expected {
    /// Read a file of safetensors with numbers in f32 and i64.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::I64 => numbers(data, |b| i64::from_le_bytes(b) as f64).collect(),
                Dtype::F32 => numbers(data, |b| f64::from(f32::from_le_bytes(b))).collect(),
                other => panic!("{name} is {other:?}"),
            };
            (name, (view.shape().to_vec(), values))
        });
        Self(tensors.collect())
    }

    /// The shape of what is expected under a name.
    #[must_use]
    pub fn shape(&self, name: &str) -> &[usize] {
        &self.0[name].0
    }

    /// All names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// The numbers, row by row.
    #[must_use]
    pub fn values(&self, name: &str) -> &[f64] {
        &self.0[name].1
    }

    /// The numbers as a tensor of integers.
    #[must_use]
    pub fn ints(&self, name: &str, device: &Device) -> Tensor<2, Int> {
        let (shape, values) = &self.0[name];
        let values: Vec<i32> = values.iter().map(|&v| v as i32).collect();
        Tensor::from_data(TensorData::new(values, shape.clone()), device)
    }

    /// The numbers as a tensor of floats.
    #[must_use]
    pub fn floats(&self, name: &str, device: &Device) -> Tensor<2> {
        let (shape, values) = &self.0[name];
        let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        Tensor::from_data(TensorData::new(values, shape.clone()), device)
    }
}

/// The numbers of a tensor, row by row.
#[must_use]
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f32>().map(f64::from).collect()
}

/// The rows of `[batch, length, width]` values whose mask, `[batch, length]`, is 1: padding rows hold no meaning.
#[must_use]
pub fn visible(values: &[f64], mask: &[f64]) -> Vec<f64> {
    let rows = values.chunks_exact(values.len() / mask.len()).zip(mask);
    rows.filter(|(_, mask)| **mask == 1.0)
        .flat_map(|(row, _)| row.to_vec())
        .collect()
}

/// |a - b| / |b| in the Euclidean norm.
#[must_use]
pub(crate) fn relative_error(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut ours.iter().zip(theirs).map(|(a, b)| a - b));
    difference / norm(&mut theirs.iter().copied())
}

/// That the relative error is at most `limit`.
pub fn assert_close(what: &str, ours: &[f64], theirs: &[f64], limit: f64) {
    let error = relative_error(ours, theirs);
    assert!(
        error <= limit,
        "{what}: relative error {error:e} > {limit:e}"
    );
}

/// That no logit differs by more than 1e-3.
pub fn assert_logits(what: &str, ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let worst = ours
        .iter()
        .zip(theirs)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(worst <= 1e-3, "{what}: logits differ by {worst:e}");
}
