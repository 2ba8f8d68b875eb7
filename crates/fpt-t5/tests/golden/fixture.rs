//! Expectations that Python scripts wrote, and comparisons with them.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};

/// The expectations of a case: name to shape and values.
pub struct Expected(HashMap<String, (Vec<usize>, Vec<f64>)>);

impl Expected {
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::I64 => data
                    .chunks_exact(8)
                    .map(|c| i64::from_le_bytes(c.try_into().unwrap()) as f64)
                    .collect(),
                Dtype::F32 => data
                    .chunks_exact(4)
                    .map(|c| f32::from_le_bytes(c.try_into().unwrap()) as f64)
                    .collect(),
                other => panic!("{name} is {other:?}"),
            };
            (name, (view.shape().to_vec(), values))
        });
        Self(tensors.collect())
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.0[name].0
    }

    // Shared by the tests of several crates, of which not all need this.
    #[allow(dead_code)]
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    pub fn values(&self, name: &str) -> &[f64] {
        &self.0[name].1
    }

    pub fn ints(&self, name: &str, device: &Device) -> Tensor<2, Int> {
        let (shape, values) = &self.0[name];
        let values: Vec<i32> = values.iter().map(|&v| v as i32).collect();
        Tensor::from_data(TensorData::new(values, shape.clone()), device)
    }

    pub fn floats(&self, name: &str, device: &Device) -> Tensor<2> {
        let (shape, values) = &self.0[name];
        let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        Tensor::from_data(TensorData::new(values, shape.clone()), device)
    }
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f32>().map(f64::from).collect()
}

/// |a - b| / |b| in the Euclidean norm.
pub fn relative_error(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut ours.iter().zip(theirs).map(|(a, b)| a - b));
    difference / norm(&mut theirs.iter().copied())
}

pub fn assert_close(what: &str, ours: &[f64], theirs: &[f64], limit: f64) {
    let error = relative_error(ours, theirs);
    assert!(
        error <= limit,
        "{what}: relative error {error:e} > {limit:e}"
    );
}

pub fn assert_logits(what: &str, ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let worst = ours
        .iter()
        .zip(theirs)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(worst <= 1e-3, "{what}: logits differ by {worst:e}");
}
