//! Batches for evaluation.

use super::{BatchError, BatchLimits};

/// Every example exactly once, longest first, so that a batch that does not fit in memory fails at
/// once.
#[derive(Debug, Clone)]
pub struct EvalBatches {
    batches: Vec<Vec<usize>>,
}

impl EvalBatches {
    /// Batches of examples of these source lengths.
    ///
    /// # Errors
    /// When a limit is 0.
    pub fn new(lengths: &[usize], limits: impl Into<BatchLimits>) -> Result<Self, BatchError> {
        let limits = limits.into().check()?;
        let mut order: Vec<_> = (0..lengths.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
        let batches = limits.cut(&order, lengths);
        Ok(Self { batches })
    }

    /// The number of batches.
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether there are no batches.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The indices of the examples of each batch.
    pub fn iter(&self) -> impl Iterator<Item = Vec<usize>> {
        self.batches.iter().cloned()
    }
}
