//! How many texts memory suffices for, before it runs out.

use std::cmp::Reverse;

use anyhow::ensure;
use fpt::Devices;
use fpt::bytes::Bytes;
use fpt_partial::shape;
use fpt_schedule::ModelShape;
use fpt_schedule::cost::weight_bytes;
use fpt_schedule::memory::{AnswerShape, Numbers, SPARE, StepSettings, answering};
use fpt_t5::{Generation, T5};
use fpt_tasks::{BatchLimits, EvalBatches};

use super::memory::layout;

/// What answers may take of a device's memory, the model being there.
pub(super) struct Fitting {
    shape: ModelShape,
    settings: StepSettings,
    /// Vectors of the prompt.
    prompt: usize,
    /// Bytes, where they can be told.
    memory: Option<u64>,
}

impl Fitting {
    /// For answers of `model`, with a prompt of so many vectors, by the first of `devices`.
    pub(super) fn new(devices: &Devices, model: &T5, precision: Numbers, prompt: usize) -> Self {
        let shape = shape(model.config());
        let weights = weight_bytes(&shape, &shape.full(), precision.bytes());
        let spared = |free: u64| (free as f64 * (1.0 - SPARE)) as u64;
        Self {
            shape,
            settings: StepSettings {
                precision,
                layout: layout(devices.are_processor()),
                ..StepSettings::default()
            },
            prompt,
            memory: devices.free_memory(weights).map(spared),
        }
    }

    /// Bytes that so many texts of so many tokens take.
    fn bytes(&self, rows: usize, source: usize, generation: &Generation) -> u64 {
        let batch = AnswerShape {
            rows,
            source,
            prompt: self.prompt,
            answer: generation.max_new_tokens,
            beams: generation.num_beams,
        };
        answering(&self.shape, &batch, &self.settings)
    }

    /// Whether a text of so many tokens can be answered at all.
    ///
    /// # Errors
    /// If it can't: what it takes, and what would fit.
    pub(super) fn check(&self, source: usize, generation: &Generation) -> anyhow::Result<()> {
        let Some(memory) = self.memory else {
            return Ok(());
        };
        let needed = self.bytes(1, source, generation);
        let most = largest(source, |source| self.bytes(1, source, generation) <= memory);
        let way_out = match most {
            0 => "lower --max-new-tokens or --num-beams, or use a device with more memory".into(),
            most => format!("shorten it, or cut texts with --max-source, to at most {most} tokens"),
        };
        ensure!(
            needed <= memory,
            "a text of {source} tokens needs about {} of memory, but {} are free (without a tenth that is spared): \
             {way_out}",
            Bytes(needed),
            Bytes(memory)
        );
        Ok(())
    }

    /// Whether all batches of texts of these lengths can be answered that `limits` make.
    ///
    /// # Errors
    /// If one can't be: what it takes, and the way out; [`fpt_tasks::BatchError`] if the limits make none.
    pub(super) fn check_batches(
        &self,
        lengths: &[usize],
        limits: BatchLimits,
        generation: &Generation,
    ) -> anyhow::Result<()> {
        let Some(memory) = self.memory else {
            return Ok(());
        };
        for batch in EvalBatches::new(lengths, limits)?.iter() {
            let longest = batch.iter().map(|&text| lengths[text]).max().unwrap_or(0);
            let needed = self.bytes(batch.len(), longest, generation);
            ensure!(
                needed <= memory,
                "a batch of {} texts of at most {longest} tokens needs about {} of memory, but {} are free (without a \
                 tenth that is spared): lower `eval.batch_size` ({}), `eval.batch_tokens` or `lengths.max_source`, or \
                 use a device with more memory",
                batch.len(),
                Bytes(needed),
                Bytes(memory),
                limits.examples
            );
        }
        Ok(())
    }

    /// Texts of these lengths, each of which fits, in groups that do, and are no larger than `most`: which texts, longest
    /// first.
    pub(super) fn groups(
        &self,
        lengths: &[usize],
        most: usize,
        generation: &Generation,
    ) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&text| Reverse(lengths[text]));
        let mut groups = Vec::new();
        let mut rest = &order[..];
        while let Some(&first) = rest.first() {
            let most = most.min(rest.len());
            let rows = self.memory.map_or(most, |memory| {
                let bytes = |rows| self.bytes(rows, lengths[first], generation);
                largest(most, |rows| bytes(rows) <= memory)
            });
            let (group, others) = rest.split_at(rows.max(1));
            groups.push(group.to_vec());
            rest = others;
        }
        groups
    }
}

/// The largest number up to `most` that `fits`, 0 if none does: where one fits, all smaller ones do.
fn largest(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut known, mut left) = (0, most);
    while left > 0 {
        let next = left.div_ceil(2);
        if fits(known + next) {
            known += next;
            left -= next;
        } else {
            left = next - 1;
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use fpt_schedule::memory::Layout;

    use super::*;

    #[test]
    fn the_largest_that_fits_is_found() {
        for most in 0..40 {
            for limit in 0..50 {
                assert_eq!(largest(most, |n| n <= limit), most.min(limit));
            }
        }
        assert_eq!(largest(usize::MAX, |n| n <= 1 << 40), 1 << 40);
    }

    #[test]
    fn fewer_texts_are_taken_together_before_one_is_refused() {
        let fitting = |memory| Fitting {
            shape: ModelShape::T5_LARGE,
            settings: StepSettings {
                layout: Layout::Processor,
                ..StepSettings::default()
            },
            prompt: 20,
            memory,
        };
        let greedy = Generation::greedy(64);
        let sizes = |fitting: &Fitting, lengths: &[usize]| -> Vec<usize> {
            let groups = fitting.groups(lengths, 32, &greedy);
            groups.iter().map(Vec::len).collect()
        };
        let long = [&[50, 2000][..], &[1000; 40]].concat();
        assert_eq!(sizes(&fitting(None), &long), [32, 10]);
        let roomy = fitting(Some(4 << 30));
        assert_eq!(sizes(&roomy, &[100; 40]), [32, 8]);
        assert_eq!(sizes(&roomy, &[]), [0; 0]);
        let groups = roomy.groups(&long, 32, &greedy);
        assert!(groups.len() > 2, "{groups:?}");
        for group in &groups {
            let longest = group.iter().map(|&text| long[text]).max().expect("a text");
            assert!(roomy.bytes(group.len(), longest, &greedy) <= 4 << 30);
        }
        let mut all = groups.concat();
        assert_eq!(all.first(), Some(&1));
        all.sort_unstable();
        assert!(all.into_iter().eq(0..long.len()));
        assert!(roomy.check(2000, &greedy).is_ok());
        let error = roomy
            .check(200_000, &greedy)
            .expect_err("too long")
            .to_string();
        assert!(error.contains("200000 tokens"), "{error}");
        assert!(error.contains("--max-source"), "{error}");
        let tiny = fitting(Some(1 << 10));
        let error = tiny.check(1, &greedy).expect_err("no memory").to_string();
        assert!(error.contains("--max-new-tokens"), "{error}");
    }
}
