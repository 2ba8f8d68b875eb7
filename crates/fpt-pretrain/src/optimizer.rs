//! Which parameters are optimised by what, and how fast.

use burn::module::ParamGroup;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::grad_clipping::GradientClippingConfig;
use burn::optim::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::optim::{AdamWConfig, AdjustLrFn, ModuleOptimizer, MuonConfig};

use crate::{PretrainConfig, PretrainError};

/// Muon for the matrices of the blocks, AdamW for everything else.
pub(crate) struct Optimizers {
    matrices: ParamGroup,
    bias: ParamGroup,
}

impl Optimizers {
    pub(crate) fn new() -> Result<Self, PretrainError> {
        let group = |pattern: &str| {
            ParamGroup::from_regex(pattern)
                .map_err(|error| PretrainError::Train(format!("{error:?}")))
        };
        Ok(Self {
            matrices: group(r"block\.\d+\..*\.(q|k|v|o|wi_0|wi_1|wo)\.weight$")?,
            bias: group(r"position_bias\.weight$")?,
        })
    }

    pub(crate) fn build(&self, config: &PretrainConfig) -> ModuleOptimizer {
        let muon = MuonConfig::new()
            .with_weight_decay(Some(WeightDecayConfig::new(config.muon_weight_decay)))
            .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW)
            .build();
        AdamWConfig::new()
            .with_beta_1(0.9)
            .with_beta_2(0.98)
            .with_epsilon(1e-8)
            .with_weight_decay(0.0)
            .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
            .init()
            .with_group(self.matrices.clone(), muon, None)
    }

    /// Learning rates at `step`.
    pub(crate) fn rates(&self, config: &PretrainConfig, step: usize) -> ModuleLearningRate {
        let rate = config.rate(step);
        let adam = config.adam_learning_rate * rate;
        ModuleLrScheduler::new(adam)
            .with_group(self.matrices.clone(), config.muon_learning_rate * rate)
            .with_group(self.bias.clone(), adam * config.bias_rate_factor)
            .step()
    }
}
