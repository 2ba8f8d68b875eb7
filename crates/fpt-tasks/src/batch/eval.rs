//! Batches for evaluation.

use super::BatchError;

/// Every example exactly once, longest first, so that a batch that does not fit in memory fails at
/// once.
#[derive(Debug, Clone)]
pub struct EvalBatches {
    order: Vec<usize>,
    batch_size: usize,
}

impl EvalBatches {
    /// Batches of examples of these source lengths; the last may be smaller.
    ///
    /// # Errors
    /// When the batch size is 0.
    pub fn new(lengths: &[usize], batch_size: usize) -> Result<Self, BatchError> {
        if batch_size == 0 {
            return Err(BatchError::ZeroSize);
        }
        let mut order: Vec<_> = (0..lengths.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
        Ok(Self { order, batch_size })
    }

    /// The number of batches.
    pub fn len(&self) -> usize {
        self.order.len().div_ceil(self.batch_size)
    }

    /// Whether there are no batches.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The indices of the examples of each batch.
    pub fn iter(&self) -> impl Iterator<Item = Vec<usize>> {
        self.order.chunks(self.batch_size).map(<[usize]>::to_vec)
    }
}
