//! Equality of our optimizer with transformers' Adafactor on the fixture of
//! `tests/adafactor/make_fixture.py`.
#![allow(clippy::unwrap_used)]

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use fpt_train::{TrainConfig, adafactor};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    weight_decay: f32,
    paper: Sequence,
    clipped: Sequence,
}

#[derive(Deserialize)]
struct Sequence {
    lr: f64,
    max_grad_norm: Option<f32>,
    initial: Vec<Vec<f32>>,
    gradients: Vec<Vec<Vec<f32>>>,
    after: Vec<Vec<Vec<f32>>>,
}

#[derive(Module, Debug)]
struct Parameter {
    weight: Param<Tensor<2>>,
}

fn tensor(rows: &[Vec<f32>], device: &Device) -> Tensor<2> {
    let data = TensorData::new(rows.concat(), [rows.len(), rows[0].len()]);
    Tensor::from_data(data, device)
}

/// Largest difference from the fixture over all steps.
fn worst_difference(sequence: &Sequence, config: &TrainConfig) -> f32 {
    let device = Device::flex();
    let mut optimizer = adafactor(config);
    let mut parameter = Parameter {
        weight: Param::from_tensor(tensor(&sequence.initial, &device.clone().autodiff())),
    };
    let mut worst = 0.0f32;
    for (gradient, after) in sequence.gradients.iter().zip(&sequence.after) {
        let mut gradients = GradientsParams::new();
        gradients.register(parameter.weight.id, tensor(gradient, &device));
        parameter = optimizer.step(sequence.lr, parameter, gradients);
        let ours = parameter.weight.val().into_data();
        for (ours, theirs) in ours.iter::<f32>().zip(after.concat()) {
            worst = worst.max((ours - theirs).abs());
        }
    }
    worst
}

fn config(sequence: &Sequence, weight_decay: f32) -> TrainConfig {
    let mut config = TrainConfig::default();
    config.steps = sequence.gradients.len();
    config.learning_rate = sequence.lr;
    config.weight_decay = weight_decay;
    // Without clipping in the fixture, no gradient may reach the limit.
    config.gradient_clip = sequence.max_grad_norm.unwrap_or(f32::MAX);
    config
}

#[test]
fn twelve_steps_equal_transformers() {
    let text = include_str!("adafactor/adafactor.json");
    let fixture: Fixture = serde_json::from_str(text).unwrap();
    assert_eq!(fixture.paper.gradients.len(), 12);
    for sequence in [&fixture.paper, &fixture.clipped] {
        let worst = worst_difference(sequence, &config(sequence, fixture.weight_decay));
        assert!(worst <= 3e-6, "differs by {worst:e}");
        // The tolerance is tight enough to notice the paper's small weight decay.
        let without_decay = worst_difference(sequence, &config(sequence, 0.0));
        assert!(without_decay > 3e-6, "differs by only {without_decay:e}");
    }
}
