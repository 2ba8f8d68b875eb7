//! The predicted memory of answers against what they really allocate.
#![allow(clippy::unwrap_used)]

use burn::tensor::Device;
use fpt_lab::shipped_model;
use fpt_partial::shape;
use fpt_prompt::SoftPrompt;
use fpt_schedule::memory::{AnswerShape, Numbers, StepSettings, answering};
use fpt_t5::{Generation, T5, T5Tokenizer};
use fpt_tasks::TokenizedExample;
use fpt_train::{Answering, Predictor};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// A prediction is never less than what is taken, but for what is not a tensor, and not much more.
const LEAST: f64 = 0.97;
const MOST: f64 = 1.6;

/// Texts, tokens, tokens of answers, beams.
const BATCHES: [[usize; 4]; 5] = [
    [1, 1500, 4, 1],
    [8, 400, 8, 1],
    [32, 60, 24, 1],
    [4, 200, 16, 4],
    [2, 40, 8, 64],
];

/// One test, since the allocator counts for the whole process.
#[test]
fn the_predicted_memory_suffices_for_answers() {
    let directory = shipped_model();
    let tokenizer = T5Tokenizer::from_directory(&directory).unwrap();
    let device = Device::flex();
    let model = T5::from_pretrained(&directory, &device).unwrap();
    let d_model = model.config().d_model;
    let values = (0..20 * d_model).map(|i| (i % 13) as f32 / 13.0).collect();
    let prompt = SoftPrompt::from_values(values, [20, d_model], &device);
    let measured = |model: &T5, [rows, source, answer, beams]: [usize; 4]| {
        let example = |row: usize| TokenizedExample {
            source: (0..source)
                .map(|i| ((7 * i + row) % 300 + 3) as u32)
                .collect(),
            target: Vec::new(),
        };
        let examples: Vec<_> = (0..rows).map(example).collect();
        let predictor = Predictor {
            answering: &Answering::generated(),
            model,
            tokenizer: &tokenizer,
            prompt: Some(&prompt),
            generation: Generation::beams(beams, answer),
        };
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        predictor.predict(&examples, rows, &mut |_| Ok(())).unwrap();
        MEMORY.peak_usage() - before
    };
    // Of which greedy decoding makes a copy in bytes.
    let mut large_head = model.config().clone();
    large_head.vocab_size = 1 << 17;
    large_head.tie_word_embeddings = true;
    let small = || model.clone();
    let large = || T5::init(&large_head, &device);
    let batches = BATCHES.map(|batch| (&small as &dyn Fn() -> T5, batch));
    let with_copy = (&large as &dyn Fn() -> T5, [2, 40, 24, 1]);
    let mut off = Vec::new();
    for (model, batch) in batches.into_iter().chain([with_copy]) {
        let [rows, source, answer, beams] = batch;
        let shown = AnswerShape {
            rows,
            source,
            prompt: 20,
            answer,
            beams,
        };
        let settings = StepSettings {
            precision: Numbers::F32,
            ..StepSettings::default()
        };
        let predicted = answering(&shape(model().config()), &shown, &settings);
        let taken = (0..4).map(|_| {
            let model = model();
            // What is allocated once and for all, such as random weights and the threads' buffers, is there before.
            measured(&model, [2, 20, 4, 2]);
            measured(&model, batch)
        });
        // Not what a thread's buffers grow by when it first gets a product of this size.
        let taken = taken.min().unwrap();
        let ratio = predicted as f64 / taken as f64;
        off.push((batch, predicted, taken, ratio));
    }
    let wrong = |row: &&(_, _, _, f64)| !(LEAST..MOST).contains(&row.3);
    assert_eq!(off.iter().filter(wrong).count(), 0, "{off:#?}");
}
