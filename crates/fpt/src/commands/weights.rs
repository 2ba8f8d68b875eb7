//! What weights are in, as options name it.

use clap::ValueEnum;
use fpt_t5::Precision;
use fpt_train::RunConfig;

/// What the weights of a model are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightsName {
    /// 32 bits, as checkpoints have them.
    F32,
    /// 16 bits, half the memory; computed in f32 on a processor.
    Bf16,
    /// 8 bits with a scale for each 128, a quarter of the memory; on processors.
    Int8,
}

impl WeightsName {
    /// As configurations have it.
    pub(crate) fn precision(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
            Self::Int8 => Precision::Int8,
        }
    }

    /// What the option says, if anything, in place of what `config` does.
    pub(crate) fn set(option: Option<Self>, config: &mut RunConfig) {
        if let Some(weights) = option {
            config.precision = weights.precision();
        }
    }
}
