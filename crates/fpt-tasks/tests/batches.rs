//! Batches: every example where it belongs, no needless padding, the same after a resume.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use fpt_tasks::{
    BatchError, BatchLimits, EvalBatches, PadTo, TokenBatch, TokenizedExample, TrainBatches,
};
use proptest::prelude::*;

fn example(source: usize, target: usize) -> TokenizedExample {
    TokenizedExample {
        source: (10..).take(source).collect(),
        target: (20..).take(target).collect(),
    }
}

#[test]
fn batches_are_padded_row_by_row() {
    let examples = [example(3, 1), example(1, 2), example(2, 0)];
    let batch = TokenBatch::new(&examples, vec![2, 0], PadTo::Multiple(2));
    assert_eq!((batch.size, batch.source_len, batch.target_len), (2, 4, 2));
    assert_eq!(batch.indices, [2, 0]);
    assert_eq!(batch.source, [10, 11, 0, 0, 10, 11, 12, 0]);
    assert_eq!(
        batch.source_mask,
        [true, true, false, false, true, true, true, false]
    );
    assert_eq!(batch.labels, [-100, -100, 20, -100]);
}

#[test]
fn fixed_padding_never_cuts() {
    let examples = [example(3, 1)];
    let pad = |source, target| {
        let batch = TokenBatch::new(&examples, vec![0], PadTo::Fixed { source, target });
        (batch.source_len, batch.target_len, batch.source.len())
    };
    assert_eq!(pad(492, 10), (492, 10, 492));
    assert_eq!(pad(2, 0), (3, 1, 3));
    let hidden = TokenBatch::new(&[example(2, 0)], vec![0], PadTo::Multiple(0));
    assert_eq!((hidden.source_len, hidden.target_len), (2, 1));
}

#[test]
fn impossible_batches_are_errors() {
    assert_eq!(EvalBatches::new(&[1], 0).unwrap_err(), BatchError::ZeroSize);
    assert_eq!(
        TrainBatches::new(vec![1], 0, 0).unwrap_err(),
        BatchError::ZeroSize
    );
    assert_eq!(
        TrainBatches::new(vec![], 4, 0).unwrap_err(),
        BatchError::NoExamples
    );
    let nothing = BatchLimits {
        examples: 4,
        tokens: Some(0),
    };
    assert_eq!(
        EvalBatches::new(&[1], nothing).unwrap_err(),
        BatchError::ZeroSize
    );
    assert!(EvalBatches::new(&[], 4).unwrap().is_empty());
}

#[test]
fn the_order_of_a_seed_is_fixed() {
    let lengths = vec![5, 3, 8, 1, 9, 2, 7, 4, 6, 5];
    let batches = TrainBatches::new(lengths, 3, 17).unwrap();
    let steps: Vec<_> = (0..6).map(|step| batches.indices(step)).collect();
    // A new order here would change every recorded run.
    assert_eq!(
        steps,
        [
            [0, 9, 8],
            [6, 2, 4],
            [3, 5, 7],
            [6, 2, 4],
            [7, 9, 8],
            [3, 5, 1]
        ]
    );
}

#[test]
fn seeds_and_epochs_differ() {
    let order = |seed, epoch: usize| -> Vec<Vec<usize>> {
        let batches = TrainBatches::new((0..64).collect(), 4, seed).unwrap();
        (0..16)
            .map(|step| batches.indices(epoch * 16 + step))
            .collect()
    };
    assert_ne!(order(1, 0), order(2, 0));
    assert_ne!(order(1, 0), order(1, 1));
}

#[test]
fn a_small_set_is_one_batch() {
    let batches = TrainBatches::new(vec![4, 2, 9], 32, 0).unwrap();
    assert_eq!(batches.steps_per_epoch(), 1);
    for step in 0..4 {
        assert_eq!(batches.indices(step), [1, 0, 2], "sorted by length");
    }
}

proptest! {
    #[test]
    fn evaluation_sees_every_example_once(
        lengths in proptest::collection::vec(1_usize..50, 0..200),
        size in 1_usize..40,
    ) {
        let batches = EvalBatches::new(&lengths, size).unwrap();
        let all: Vec<_> = batches.iter().collect();
        prop_assert_eq!(all.len(), batches.len());
        prop_assert!(all.iter().rev().skip(1).all(|batch| batch.len() == size));
        let order = all.concat();
        prop_assert!(order.is_sorted_by_key(|&i| std::cmp::Reverse(lengths[i])));
        let distinct: HashSet<_> = order.iter().copied().collect();
        prop_assert_eq!((order.len(), distinct.len()), (lengths.len(), lengths.len()));
    }

    #[test]
    fn training_batches_are_a_pure_function_of_the_step(
        lengths in proptest::collection::vec(1_usize..50, 1..300),
        size in 1_usize..20,
        seed: u64,
        jumps in proptest::collection::vec(0_usize..200, 1..20),
    ) {
        let straight = TrainBatches::new(lengths.clone(), size, seed).unwrap();
        let in_order: Vec<_> = (0..200).map(|step| straight.indices(step)).collect();
        let resumed = TrainBatches::new(lengths, size, seed).unwrap();
        for step in jumps {
            prop_assert_eq!(&resumed.indices(step), &in_order[step]);
        }
    }

    #[test]
    fn the_batches_of_an_epoch_are_full_and_disjoint(
        lengths in proptest::collection::vec(1_usize..50, 1..600),
        size in 1_usize..20,
        seed: u64,
        epoch in 0_usize..3,
    ) {
        let batches = TrainBatches::new(lengths.clone(), size, seed).unwrap();
        let steps = batches.steps_per_epoch();
        let mut seen = HashSet::new();
        for step in 0..steps {
            let batch = batches.indices(epoch * steps + step);
            prop_assert_eq!(batch.len(), size.min(lengths.len()));
            prop_assert!(batch.into_iter().all(|i| i < lengths.len() && seen.insert(i)));
        }
        prop_assert!(lengths.len() - seen.len() < size);
    }

    /// Within one pool no other cut pads less: sorted, the batches' ranges of length do not cross.
    #[test]
    fn a_pool_pads_no_more_than_it_must(
        lengths in proptest::collection::vec(1_usize..50, 1..160),
        seed: u64,
    ) {
        let batches = TrainBatches::new(lengths.clone(), 10, seed).unwrap();
        let mut ranges: Vec<_> = (0..batches.steps_per_epoch())
            .map(|step| {
                let batch: Vec<_> = batches.indices(step).iter().map(|&i| lengths[i]).collect();
                (*batch.iter().min().unwrap(), *batch.iter().max().unwrap())
            })
            .collect();
        ranges.sort_unstable();
        prop_assert!(ranges.is_sorted_by(|a, b| a.1 <= b.0));
    }

    /// Every example once an epoch, within the limits, and no batch that could have taken the next example.
    #[test]
    fn tokens_limit_batches(
        lengths in proptest::collection::vec(1_usize..50, 1..300),
        examples in 1_usize..20,
        tokens in 1_usize..300,
        seed: u64,
    ) {
        let limits = BatchLimits { examples, tokens: Some(tokens) };
        let padded = |batch: &[usize]| {
            batch.len() * batch.iter().map(|&i| lengths[i]).max().unwrap()
        };
        let sorted = |batches: &[Vec<usize>]| {
            let mut all = batches.concat();
            all.sort_unstable();
            all
        };
        let every: Vec<usize> = (0..lengths.len()).collect();

        let evaluation: Vec<_> = EvalBatches::new(&lengths, limits).unwrap().iter().collect();
        prop_assert_eq!(&sorted(&evaluation), &every);
        for pair in evaluation.windows(2) {
            let more = [&pair[0][..], &pair[1][..1]].concat();
            prop_assert!(more.len() > examples || padded(&more) > tokens);
        }

        let training = TrainBatches::new(lengths.clone(), limits, seed).unwrap();
        let mut step = 0;
        let mut all = evaluation;
        for _ in 0..3 {
            let mut epoch = Vec::new();
            while epoch.iter().map(Vec::len).sum::<usize>() < lengths.len() {
                epoch.push(training.indices(step));
                step += 1;
            }
            prop_assert_eq!(&sorted(&epoch), &every);
            all.extend(epoch);
        }
        for batch in all {
            prop_assert!(batch.len() <= examples);
            prop_assert!(batch.len() == 1 || padded(&batch) <= tokens);
        }
        // Going back gives what was there.
        let first = TrainBatches::new(lengths, limits, seed).unwrap().indices(0);
        prop_assert_eq!(training.indices(0), first);
    }

    #[test]
    fn padding_keeps_every_token(
        sizes in proptest::collection::vec((0_usize..20, 0_usize..10), 1..30),
        multiple in 0_usize..9,
    ) {
        let examples: Vec<_> = sizes.iter().map(|&(s, t)| example(s, t)).collect();
        let batch = TokenBatch::new(&examples, (0..sizes.len()).collect(), PadTo::Multiple(multiple));
        let longest = sizes.iter().map(|s| s.0).max().unwrap().max(1);
        prop_assert!(batch.source_len < longest + multiple.max(1));
        for (row, &(source, target)) in sizes.iter().enumerate() {
            let mask = &batch.source_mask[row * batch.source_len..][..batch.source_len];
            let ids = &batch.source[row * batch.source_len..][..batch.source_len];
            let labels = &batch.labels[row * batch.target_len..][..batch.target_len];
            prop_assert!(mask.iter().zip(ids).all(|(&token, &id)| token == (id != 0)));
            prop_assert!(ids[..source].iter().copied().eq((10..).take(source)));
            prop_assert!(labels[..target].iter().copied().eq((20..).take(target)));
            prop_assert!(labels[target..].iter().all(|&id| id == -100));
        }
    }
}
