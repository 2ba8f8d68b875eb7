//! The predicted peak of memory against what a training step really allocates.
#![allow(clippy::unwrap_used)]

use burn::tensor::Device;
use fpt_lab::Lab;
use fpt_partial::{Selection, even_layers, partial, shape};
use fpt_prompt::SoftPrompt;
use fpt_schedule::cost::BatchShape;
use fpt_schedule::memory::{StepSettings, peak};
use fpt_t5::T5;
use fpt_tasks::{PadTo, TaskName, TokenBatch, TokenizedExample};
use fpt_train::{Experiment, Step, adafactor};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// How far a prediction may be off; it was off by 0.02 when this was written.
const TOLERANCE: f64 = 0.1;

/// Rows, source and target tokens. A prompt of 20 goes before each source.
const BATCHES: [[usize; 3]; 4] = [[32, 60, 8], [8, 236, 24], [48, 44, 4], [16, 28, 96]];

fn batch([rows, source, target]: [usize; 3]) -> TokenBatch {
    let example = |row: usize| TokenizedExample {
        source: (0..source)
            .map(|i| ((7 * i + row) % 300 + 3) as u32)
            .collect(),
        target: (0..target)
            .map(|i| ((5 * i + row) % 300 + 3) as u32)
            .collect(),
    };
    let examples: Vec<_> = (0..rows).map(example).collect();
    TokenBatch::new(&examples, (0..rows).collect(), PadTo::Multiple(1))
}

/// So many quarters of the layers, neurons and heads.
fn reduced(model: &T5, [layers, neurons, heads]: [usize; 3]) -> Selection {
    let mut selection = Selection::full(model.config());
    for stack in [&mut selection.encoder, &mut selection.decoder] {
        let all = stack.layers.len();
        let keep = even_layers(all, all * layers / 4);
        let of = |lists: &[Vec<usize>], quarters: usize| -> Vec<Vec<usize>> {
            let kept = keep.iter().filter_map(|&layer| lists.get(layer));
            kept.map(|list| list[..list.len() * quarters / 4].to_vec())
                .collect()
        };
        stack.neurons = of(&stack.neurons, neurons);
        stack.heads = of(&stack.heads, heads);
        stack.cross_heads = of(&stack.cross_heads, heads);
        stack.layers = keep;
    }
    selection
}

#[test]
fn the_predicted_peak_is_that_of_a_step() {
    let lab = Lab::new();
    let device = Device::flex();
    let config = Experiment::from_file(lab.path("lab.toml"))
        .unwrap()
        .run(&TaskName::MNLI, 0, &[])
        .unwrap();
    // What is allocated once and for all, such as the threads' buffers, is there before anything is measured.
    let first = T5::from_pretrained(lab.path("model"), &device).unwrap();
    let prompt = |width| {
        let values = (0..20 * width).map(|i| (i % 13) as f32 / 13.0).collect();
        SoftPrompt::from_values(values, [20, width], &device.clone().autodiff())
    };
    let width = first.config().d_model;
    drop(Step::new(
        &first,
        &prompt(width),
        &batch(BATCHES[0]),
        &device,
    ));
    drop(first);

    let before = MEMORY.current_usage();
    let full = T5::from_pretrained(lab.path("model"), &device).unwrap();
    let sizes = [[4, 4, 4], [1, 4, 4], [4, 1, 4], [2, 2, 4], [4, 4, 2]];
    let mut report = Vec::new();
    for size in sizes {
        let selection = reduced(&full, size);
        let model = partial(&full, &selection).unwrap();
        for dims in BATCHES {
            let (prompt, mut optimizer) = (prompt(width), adafactor(&config.train));
            let tokens = batch(dims);
            MEMORY.reset_peak_usage();
            let step = Step::new(&model, &prompt, &tokens, &device);
            drop(optimizer.step(0.3, prompt, step.gradients));
            let measured = (MEMORY.peak_usage() - before) as f64;
            let [rows, source, target] = dims;
            let dims = BatchShape {
                rows,
                source,
                target,
                prompt: 20,
            };
            let settings = StepSettings::default();
            let predicted = peak(&shape(full.config()), &selection.size(), &dims, &settings);
            let off = predicted.total() as f64 / measured - 1.0;
            report.push((size, dims, predicted, measured, off));
        }
    }
    let worst = report.iter().map(|row| row.4.abs()).fold(0.0, f64::max);
    let lines: Vec<_> = report.iter().map(|row| format!("{row:?}")).collect();
    assert!(worst < TOLERANCE, "{worst}:\n{}", lines.join("\n"));
}
