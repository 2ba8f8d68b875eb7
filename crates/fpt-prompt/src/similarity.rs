//! How alike two prompts are.

use burn::tensor::{Int, Tensor, TensorData};
use fpt_t5::{StackKind, T5, Taps};
use serde::{Deserialize, Serialize};

use crate::{PromptError, SoftPrompt};

/// How alike two prompts are: in parameter space, and in the neurons that they activate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Similarity {
    /// Cosine of the prompts, all vectors one after another.
    pub cosine: f64,
    /// Euclidean distance of the same.
    pub euclidean: f64,
    /// Cosine of the activations that the prompts cause.
    pub activation_cosine: f64,
    /// Share of the neurons activated (> 0) by either prompt that both activate.
    pub activation_overlap: f64,
}

/// The neurons that a prompt activates (Su et al., NAACL 2022, *On Transferability of Prompt Tuning*).
#[derive(Clone, Debug, PartialEq)]
pub struct Activations(Vec<f64>);

impl Activations {
    /// Feed the prompt alone to a frozen model. Of every FFN neuron: its activation, in the encoder the mean over
    /// the prompt's positions, in the decoder at the start token.
    pub fn of(prompt: &SoftPrompt, model: &T5) -> Self {
        let device = model.device();
        let [length, d_model] = prompt.shape();
        let prompt = SoftPrompt::from_values(prompt.values(), [length, d_model], &device);
        let mut taps = Collector(Vec::new());
        let encoded = model.encode_tapped(
            prompt.weight.val().unsqueeze::<3>(),
            Tensor::ones([1, length], &device),
            &mut taps,
        );
        let start = model.config().decoder_start_token_id as i32;
        let start = Tensor::<2, Int>::from_data(TensorData::new(vec![start], [1, 1]), &device);
        model.decode_tapped(start, &encoded, None, &mut taps);
        Self(taps.0)
    }
}

struct Collector(Vec<f64>);

impl Taps for Collector {
    fn feed_forward(
        &mut self,
        _stack: StackKind,
        _layer: usize,
        activation: Tensor<3>,
    ) -> Tensor<3> {
        self.0
            .extend(activation.clone().mean_dim(1).into_data().iter::<f64>());
        activation
    }
}

/// Compare two prompts with the neurons that they activate in one model.
///
/// # Errors
/// [`PromptError::Incomparable`] if the prompts have different shapes, or the activations are of different models.
pub fn similarity(
    prompts: [&SoftPrompt; 2],
    activations: [&Activations; 2],
) -> Result<Similarity, PromptError> {
    let shapes = prompts.map(SoftPrompt::shape);
    if shapes[0] != shapes[1] {
        return Err(PromptError::Incomparable(format!(
            "one prompt is {} × {}, the other {} × {}",
            shapes[0][0], shapes[0][1], shapes[1][0], shapes[1][1]
        )));
    }
    let [a, b] = activations.map(|activations| activations.0.as_slice());
    if a.len() != b.len() {
        return Err(PromptError::Incomparable(format!(
            "the activations are of models with {} and {} neurons",
            a.len(),
            b.len()
        )));
    }
    let values =
        prompts.map(|prompt| -> Vec<f64> { prompt.values().into_iter().map(f64::from).collect() });
    let squares = values[0]
        .iter()
        .zip(&values[1])
        .map(|(a, b)| (a - b).powi(2));
    let active = a.iter().zip(b).map(|(a, b)| (*a > 0.0, *b > 0.0));
    let both = active.clone().filter(|(a, b)| *a && *b).count();
    let either = active.filter(|(a, b)| *a || *b).count();
    Ok(Similarity {
        cosine: cosine(&values[0], &values[1]),
        euclidean: squares.sum::<f64>().sqrt(),
        activation_cosine: cosine(a, b),
        activation_overlap: both as f64 / either.max(1) as f64,
    })
}

/// 0 where one of them is all zeros.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}
