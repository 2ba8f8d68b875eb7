//! How a training goes on, where no bar can show it.

use std::time::{Duration, Instant};

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(30);

/// A line now and then, for logs.
pub(super) struct Lines {
    /// When the last line was, or the beginning, after how many steps and tokens.
    last: Option<(Instant, usize, u64)>,
}

/// How far a training is.
pub(super) struct Progress {
    /// Steps taken.
    pub(super) step: usize,
    /// Of so many.
    pub(super) steps: usize,
    /// The last loss.
    pub(super) loss: f64,
    /// Tokens seen so far.
    pub(super) tokens: u64,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self { last: None }
    }

    /// A line, if it is time for one.
    pub(super) fn after(&mut self, now: Instant, progress: &Progress) -> Option<String> {
        let Progress {
            step,
            steps,
            loss,
            tokens,
        } = *progress;
        let Some((last, steps_before, tokens_before)) = self.last else {
            self.last = Some((now, step, tokens));
            return None;
        };
        let elapsed = now.saturating_duration_since(last);
        if elapsed < EVERY {
            return None;
        }
        self.last = Some((now, step, tokens));
        let seconds = elapsed.as_secs_f64();
        let taken = step.saturating_sub(steps_before).max(1);
        let left = seconds / taken as f64 * steps.saturating_sub(step) as f64;
        let left = humantime::format_duration(Duration::from_secs(left.round() as u64));
        let rate = tokens.saturating_sub(tokens_before) as f64 / seconds;
        Some(format!(
            "step {step} of {steps}: loss {loss:.3}, {rate:.0} tokens/s, ETA {left}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_every_thirty_seconds() {
        let start = Instant::now();
        let mut lines = Lines::new();
        let mut after = |seconds: u64, step: usize| {
            let progress = Progress {
                step,
                steps: 1000,
                loss: 0.5,
                tokens: 300 * step as u64,
            };
            lines.after(start + Duration::from_secs(seconds), &progress)
        };
        assert_eq!(after(0, 1), None);
        assert_eq!(after(29, 30), None);
        // 60 steps in 30 seconds: 939 are left.
        let line = after(30, 61);
        let expected = "step 61 of 1000: loss 0.500, 600 tokens/s, ETA 7m 50s";
        assert_eq!(line.as_deref(), Some(expected));
        assert_eq!(after(59, 90), None);
        assert!(after(60, 1000).is_some_and(|line| line.ends_with("ETA 0s")));
    }
}
