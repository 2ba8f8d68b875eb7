//! The predicted peak of memory against what a training step really allocates.
#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::tensor::Device;
use fpt_lab::Lab;
use fpt_partial::{Selection, even_layers, partial, shape};
use fpt_prompt::SoftPrompt;
use fpt_schedule::cost::BatchShape;
use fpt_schedule::memory::{Numbers, PeakBytes, Recompute, StepSettings, peak};
use fpt_t5::T5;
use fpt_tasks::{PadTo, TaskName, TokenBatch, TokenizedExample};
use fpt_train::{Experiment, Step, TrainConfig, adafactor};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// How far a prediction may be off; it was off by 0.08 at most when this was written.
const TOLERANCE: f64 = 0.1;

/// Rows, source and target tokens. A prompt of 20 goes before each source.
const BATCHES: [[usize; 3]; 5] = [
    [32, 60, 8],
    [8, 236, 24],
    [48, 44, 4],
    [16, 28, 96],
    [4, 512, 8],
];

/// Those of a model as large as T5-Small.
const OF_SMALL: [[usize; 3]; 3] = [[4, 128, 8], [16, 128, 8], [4, 512, 8]];

/// A batch in parts of as many rows.
fn batch([rows, source, target]: [usize; 3], parts: usize) -> Vec<TokenBatch> {
    let example = |row: usize| TokenizedExample {
        source: (0..source)
            .map(|i| ((7 * i + row) % 300 + 3) as u32)
            .collect(),
        target: (0..target)
            .map(|i| ((5 * i + row) % 300 + 3) as u32)
            .collect(),
    };
    let examples: Vec<_> = (0..rows).map(example).collect();
    let all: Vec<usize> = (0..rows).collect();
    all.chunks(rows.div_ceil(parts))
        .map(|part| TokenBatch::new(&examples, part.to_vec(), PadTo::Multiple(1)))
        .collect()
}

/// The same word in the crate of the model.
fn of_model(recompute: Recompute) -> fpt_t5::Recompute {
    match recompute {
        Recompute::None => fpt_t5::Recompute::None,
        Recompute::Attention => fpt_t5::Recompute::Attention,
        Recompute::Layers => fpt_t5::Recompute::Layers,
    }
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

/// A step, how much memory was predicted for it, and how far that was off.
#[derive(Debug)]
#[allow(dead_code, reason = "it is shown")]
struct Row {
    size: [usize; 3],
    settings: StepSettings,
    batch: BatchShape,
    predicted: PeakBytes,
    measured: usize,
    off: f64,
}

/// A model, so many quarters of it, which is trained as `settings` say; `before` bytes belong to others.
struct Measured<'a> {
    full: &'a T5,
    size: [usize; 3],
    settings: StepSettings,
    batches: &'a [[usize; 3]],
    config: &'a TrainConfig,
    before: usize,
}

impl Measured<'_> {
    fn rows(&self) -> Vec<Row> {
        let selection = reduced(self.full, self.size);
        let (settings, config) = (self.settings, self.full.config());
        let model = partial(self.full, &selection).unwrap();
        let model = model.recomputing(of_model(settings.recompute));
        let row = |&[rows, source, target]: &[usize; 3]| {
            let (prompt, mut optimizer) = (prompt(config.d_model), adafactor(self.config));
            let parts = batch([rows, source, target], settings.accumulate);
            MEMORY.reset_peak_usage();
            let step = Step::of_parts(&[&model], &prompt, &parts).unwrap();
            drop(optimizer.step(0.3, prompt, step.gradients));
            let measured = MEMORY.peak_usage() - self.before;
            let batch = BatchShape {
                rows,
                source,
                target,
                prompt: 20,
            };
            let predicted = peak(&shape(config), &selection.size(), &batch, &settings);
            Row {
                size: self.size,
                settings,
                batch,
                predicted,
                measured,
                off: predicted.total() as f64 / measured as f64 - 1.0,
            }
        };
        self.batches.iter().map(row).collect()
    }
}

fn prompt(width: usize) -> SoftPrompt {
    let values = (0..20 * width).map(|i| (i % 13) as f32 / 13.0).collect();
    SoftPrompt::from_values(values, [20, width], &Device::flex().autodiff())
}

/// As large as T5-Small, but for its vocabulary.
fn small() -> T5 {
    let config = serde_json::json!({
        "vocab_size": 368, "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_heads": 8, "num_layers": 6,
        "num_decoder_layers": 6, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false,
    });
    let config = serde_json::from_value(config).unwrap();
    T5::init(&config, &Device::flex()).materialize()
}

/// How weights are stored, what is computed again, and parts.
type Way = (Numbers, Recompute, usize);

const WAYS: [Way; 6] = [
    (Numbers::F32, Recompute::None, 1),
    (Numbers::F32, Recompute::Attention, 1),
    (Numbers::F32, Recompute::Layers, 1),
    (Numbers::F32, Recompute::None, 4),
    (Numbers::F32, Recompute::Layers, 2),
    (Numbers::Bf16, Recompute::None, 1),
];

/// All combinations of a model that `load` makes.
fn rows(
    load: &dyn Fn() -> T5,
    ways: &[Way],
    sizes: &[[usize; 3]],
    batches: &[[usize; 3]],
    config: &TrainConfig,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for &(precision, recompute, accumulate) in ways {
        let before = MEMORY.current_usage();
        let full = match precision {
            Numbers::F32 => load(),
            Numbers::Bf16 => load().into_bf16().unwrap(),
            Numbers::Int8 => load().into_int8().unwrap(),
        };
        let settings = StepSettings {
            precision,
            recompute,
            accumulate,
            ..StepSettings::default()
        };
        for &size in sizes {
            let measured = Measured {
                full: &full,
                size,
                settings,
                batches,
                config,
                before,
            };
            rows.extend(measured.rows());
        }
    }
    rows
}

/// One test, since the allocator counts for the whole process.
#[test]
fn the_predicted_peak_is_that_of_a_step() {
    let lab = Lab::new();
    let experiment = Experiment::from_file(lab.path("lab.toml")).unwrap();
    let config = experiment.run(&TaskName::MNLI, 0, &[]).unwrap().train;
    let load = || T5::from_pretrained(lab.path("model"), &Device::flex()).unwrap();
    // What is allocated once and for all, such as the threads' buffers, is there before anything is measured.
    let first = load();
    let width = first.config().d_model;
    drop(Step::of_parts(&[&first], &prompt(width), &batch(BATCHES[0], 1)).unwrap());
    drop(first);

    let sizes = [[4, 4, 4], [1, 4, 4], [4, 1, 4], [2, 2, 4], [4, 4, 2]];
    let mut all = rows(&load, &WAYS, &sizes, &BATCHES, &config);
    all.extend(rows(
        &small,
        &WAYS[..3],
        &[[4, 4, 4], [2, 2, 2]],
        &OF_SMALL,
        &config,
    ));
    let off: Vec<_> = all.iter().filter(|row| row.off.abs() > TOLERANCE).collect();
    assert!(off.is_empty(), "{off:#?}");
}
