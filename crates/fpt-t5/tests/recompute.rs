//! What a backward pass computes again: the same numbers, less memory.
#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use fpt_t5::{IGNORED_LABEL, Lm, LmBatch, MacCounter, Recompute, T5, T5Config};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Tokens of a source. With the prompt there are more queries than are computed at once.
const LENGTH: usize = 150;

fn model(gated: bool) -> T5 {
    let config: T5Config = serde_json::from_value(serde_json::json!({
        "vocab_size": 120, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_heads": 4, "num_layers": 6,
        "num_decoder_layers": 2, "feed_forward_proj": if gated { "gated-gelu" } else { "relu" },
        "tie_word_embeddings": !gated,
    }))
    .unwrap();
    let device = Device::flex();
    device.seed(11);
    T5::init(&config, &device).materialize()
}

/// Rows of unequal length, on both sides; of the sources the longest has so many tokens.
fn batch(length: usize, device: &Device) -> LmBatch {
    let (rows, targets) = (4, 5);
    let real = |row: usize, place: usize, length: usize| place < length - length * row / 5;
    let cells = |width: usize| (0..rows * width).map(move |i| (i / width, i % width));
    let source: Vec<i32> = cells(length)
        .map(|(row, place)| (row * 31 + place * 7) as i32 % 118 + 2)
        .collect();
    let mask: Vec<f32> = cells(length)
        .map(|(row, place)| f32::from(u8::from(real(row, place, length))))
        .collect();
    let labels: Vec<i32> = cells(targets)
        .map(|(row, place)| {
            let label = (row * 13 + place) as i32 % 118 + 2;
            if real(row, place, targets) {
                label
            } else {
                IGNORED_LABEL
            }
        })
        .collect();
    LmBatch {
        source: Tensor::from_data(TensorData::new(source, [rows, length]), device),
        mask: Tensor::from_data(TensorData::new(mask, [rows, length]), device),
        labels: Tensor::<2, Int>::from_data(TensorData::new(labels, [rows, targets]), device),
    }
}

/// Loss and gradient of the prefix; multiply-accumulates; and the peak of memory above what was there before.
fn step(model: &T5, length: usize) -> (Vec<f32>, u64, usize) {
    let device = model.device();
    let values: Vec<f32> = (0..5 * 32).map(|i| (i as f32).sin()).collect();
    let values = TensorData::new(values, [5, 32]);
    let prefix = Tensor::<2>::from_data(values, &device.clone().autodiff()).require_grad();
    let batch = batch(length, &device);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let mut counter = MacCounter::default();
    let (loss, gradient) = model.loss_and_gradient(&prefix, &batch, 17.0, &mut counter);
    let peak = MEMORY.peak_usage() - before;
    assert_eq!(gradient.dims(), prefix.dims());
    let mut numbers: Vec<f32> = loss.into_data().iter().collect();
    numbers.extend(gradient.into_data().iter::<f32>());
    (numbers, counter.macs, peak)
}

/// [`step`] with the least peak of some: where the machine is busy, threads give memory back late.
fn steady(model: &T5, length: usize) -> (Vec<f32>, u64, usize) {
    let steps = (0..4).map(|_| step(model, length));
    steps.min_by_key(|(_, _, peak)| *peak).unwrap()
}

/// How much more memory the peak takes from twice to four times a length than from once to twice: 2 where it grows with
/// the length, 4 where with its square.
fn growth(model: &T5) -> f64 {
    let [once, twice, four_times] = [1, 2, 4].map(|times| steady(model, times * LENGTH).2 as f64);
    (four_times - twice) / (twice - once)
}

/// One test, since the allocator counts for the whole process.
#[test]
fn what_is_computed_again_gives_the_same_numbers_from_less_memory() {
    for gated in [true, false] {
        let model = model(gated);
        // The first step makes what all of them share.
        step(&model, LENGTH);
        let (numbers, macs, kept) = steady(&model, LENGTH);
        assert!(numbers.iter().all(|number| number.is_finite()));
        assert!(numbers.iter().any(|&number| number != numbers[0]));
        let peak = |recompute| {
            let model = model.clone().recomputing(recompute);
            assert_eq!(model.recompute(), recompute);
            let (again, macs_again, peak) = steady(&model, LENGTH);
            assert!(again == numbers, "{recompute:?} changes a bit");
            assert_eq!(macs_again, macs, "{recompute:?}");
            peak
        };
        let (attention, layers) = (peak(Recompute::Attention), peak(Recompute::Layers));
        let told = format!("{kept} bytes, attention {attention}, layers {layers}");
        // The probabilities of the encoder alone, at their least.
        let probabilities = 6 * 4 * 4 * (LENGTH + 5) * (LENGTH + 5) * size_of::<f32>();
        assert!(attention < kept - probabilities / 2, "{told}");
        assert!(layers < kept / 2, "{told}");
        // Asked for nothing again, it keeps all, but for what threads have at a time.
        assert!(peak(Recompute::None).abs_diff(kept) < kept / 100);
        assert!(growth(&model) > 3.0, "{}", growth(&model));
        for recompute in [Recompute::Attention, Recompute::Layers] {
            let growth = growth(&model.clone().recomputing(recompute));
            assert!(growth < 3.0, "{recompute:?}: {growth}");
        }
    }
}
