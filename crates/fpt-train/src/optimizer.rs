//! The optimizer.

use burn::optim::grad_clipping::GradientClippingConfig;
use burn::optim::{AdafactorConfig, ModuleOptimizer};

use crate::TrainConfig;

/// The paper's optimizer: Adafactor with a constant learning rate, that is with Burn's (and transformers')
/// relative steps and parameter scaling switched off. The learning rate is given at each step.
pub fn adafactor(config: &TrainConfig) -> ModuleOptimizer {
    AdafactorConfig::new()
        .with_relative_step(false)
        .with_scale_parameter(false)
        .with_weight_decay(config.weight_decay)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(config.gradient_clip)))
        .init()
}
