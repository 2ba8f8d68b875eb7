//! How large a batch may be.

use super::BatchError;

/// The most that a batch may hold. A number alone limits the examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Examples, at least 1.
    pub examples: usize,
    /// Source tokens with padding to the batch's longest source (before [`PadTo`](super::PadTo) rounds up): batches of
    /// short examples get more of them, and memory has a bound. An example that is longer is a batch of its own.
    pub tokens: Option<usize>,
}

impl From<usize> for BatchLimits {
    fn from(examples: usize) -> Self {
        Self {
            examples,
            tokens: None,
        }
    }
}

impl BatchLimits {
    pub(super) fn check(self) -> Result<Self, BatchError> {
        if self.examples == 0 || self.tokens == Some(0) {
            Err(BatchError::ZeroSize)
        } else {
            Ok(self)
        }
    }

    /// Cuts `order`, sorted by length one way or the other, into batches that are as full as may be.
    pub(super) fn cut(self, order: &[usize], lengths: &[usize]) -> Vec<Vec<usize>> {
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut longest = 0;
        for &index in order {
            match batches.last_mut() {
                Some(batch) if self.fits(batch.len() + 1, longest.max(lengths[index])) => {
                    batch.push(index);
                    longest = longest.max(lengths[index]);
                }
                _ => {
                    batches.push(vec![index]);
                    longest = lengths[index];
                }
            }
        }
        batches
    }

    fn fits(self, examples: usize, longest: usize) -> bool {
        let tokens = examples.saturating_mul(longest);
        examples <= self.examples && self.tokens.is_none_or(|most| tokens <= most)
    }
}
