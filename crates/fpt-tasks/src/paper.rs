//! What the paper reports of its tasks.

/// The paper's figures of a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PaperFigures {
    /// Target tokens in the FLOPs columns. (Of MNLI and QQP 5; the limit in training is 10.)
    pub flops_target: usize,
    /// The main metric of T5-Large in Tables 1 and 2, percent, by method: `pt`, `ld-1/4`, `fpt-cr` and so on.
    pub t5_large: &'static [(&'static str, f64)],
}

impl PaperFigures {
    /// The score of a method, if the tables have it.
    pub fn score(&self, method: &str) -> Option<f64> {
        let found = self.t5_large.iter().find(|(name, _)| *name == method);
        found.map(|&(_, score)| score)
    }
}
