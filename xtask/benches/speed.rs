//! What the program does, timed with criterion: `cargo xtask bench`, or `cargo bench --profile dev -p xtask -p fpt`.
//!
//! What a benchmark needs is made when it is run: `cargo xtask bench --against` starts a process for each, many times.

use std::cell::LazyCell;
use std::hint::black_box;
use std::time::Duration;

use burn::tensor::Device;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use fpt_partial::partial;
use fpt_t5::T5;
use fpt_tasks::{Lengths, PadTo, Split, TaskName, Tasks, TokenBatch, TrainBatches, tokenize};
use fpt_train::{Session, model_directory};
use xtask::bench::work::{BASE, Batches, SMALL, Work, mini_config, quarter};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    group
}

/// One step on one batch.
fn train_step(criterion: &mut Criterion) {
    let mut group = group(criterion, "train_step");
    let mut time = |name: &str, work: &dyn Fn() -> anyhow::Result<Work>| {
        let mut made = None;
        group.bench_function(name, |b| {
            let work = made.get_or_insert_with(|| work().expect("work"));
            b.iter(|| black_box(work.train()));
        });
    };
    let mini = |task, pad| Work::mini(task, Batches::Train, 1, pad);
    for task in &TaskName::PAPER {
        time(&format!("mini-{}", task.as_str()), &|| mini(task, None));
    }
    time("mini-mnli, CR 1/4", &|| {
        let mut work = mini(&TaskName::MNLI, None)?;
        work.model = partial(&work.model, &quarter(work.model.config()))?;
        Ok(work)
    });
    // The paper pads every source to 492 tokens.
    let pad = PadTo::Fixed {
        source: 492,
        target: 1,
    };
    time("mini-mnli, padded to 492", &|| {
        mini(&TaskName::MNLI, Some(pad))
    });
    for shape in [&SMALL, &BASE] {
        time(shape.name, &|| Work::random(shape, 1));
    }
}

/// Greedy answers to a batch.
fn evaluation_step(criterion: &mut Criterion) {
    let mut group = group(criterion, "evaluation_step");
    for task in &TaskName::PAPER {
        let work = LazyCell::new(|| Work::mini(task, Batches::Evaluate, 1, None).expect("mini"));
        group.bench_function(format!("mini-{}", task.as_str()), |b| {
            let work = &*work;
            b.iter(|| black_box(work.answer()));
        });
    }
}

/// 64 tokens for each row of a batch.
fn generation(criterion: &mut Criterion) {
    let mut group = group(criterion, "generation");
    let work = LazyCell::new(|| Work::random(&SMALL, 1).expect("random"));
    group.bench_function(SMALL.name, |b| {
        let work = &*work;
        b.iter(|| black_box(work.answer()));
    });
}

/// The model of a stage cut out of the full one.
fn expansion(criterion: &mut Criterion) {
    let mut group = group(criterion, "expansion");
    let mut time = |name: &str, work: &dyn Fn() -> anyhow::Result<Work>| {
        let made = LazyCell::new(|| {
            let model = work().expect("work").model;
            let selection = quarter(model.config());
            (model, selection)
        });
        group.bench_function(name, |b| {
            let (model, selection) = &*made;
            b.iter(|| black_box(partial(model, selection)));
        });
    };
    time("mini", &|| {
        Work::mini(&TaskName::MNLI, Batches::Train, 1, None)
    });
    time(SMALL.name, &|| Work::random(&SMALL, 1));
}

fn loading(criterion: &mut Criterion) {
    let mut group = group(criterion, "loading");
    let config = mini_config(&TaskName::MNLI).expect("configuration");
    let device = Device::flex();
    group.bench_function("mini: model and tokenizer", |b| {
        b.iter(|| {
            black_box(Session::load(
                &config,
                &Tasks::paper(),
                model_directory,
                &device,
            ))
        });
    });
    let directory = LazyCell::new(|| {
        let directory = tempfile::tempdir().expect("directory");
        let work = Work::random(&SMALL, 1).expect("random");
        work.save(directory.path()).expect("files");
        directory
    });
    group.bench_function(format!("{}: model", SMALL.name), |b| {
        let directory = &*directory;
        b.iter(|| black_box(T5::from_pretrained(directory.path(), &device)));
    });
}

/// All of a task's training data.
fn data(criterion: &mut Criterion) {
    let mut group = group(criterion, "data");
    let read = LazyCell::new(|| {
        let config = mini_config(&TaskName::MNLI).expect("configuration");
        let session = Session::load(&config, &Tasks::paper(), model_directory, &Device::flex());
        let session = session.expect("model");
        let data = session.read(Split::Train).expect("data");
        (session, data)
    });
    let limits = Lengths {
        max_source: 492,
        max_target: 24,
    };
    group.bench_function("tokenize mini-mnli (8000 examples)", |b| {
        let (session, data) = &*read;
        let encode = |text: &str| session.tokenizer.encode(text);
        b.iter(|| black_box(tokenize(data.examples(), encode, limits)));
    });
    group.bench_function("batch mini-mnli (an epoch)", |b| {
        let (_, data) = &*read;
        let lengths: Vec<usize> = data.tokens.iter().map(|e| e.source.len()).collect();
        b.iter(|| {
            let batches = TrainBatches::new(lengths.clone(), 32, 0).expect("batches");
            for step in 0..batches.steps_per_epoch() {
                let indices = batches.indices(step);
                black_box(TokenBatch::new(&data.tokens, indices, PadTo::Multiple(4)));
            }
        });
    });
}

fn all(criterion: &mut Criterion) {
    train_step(criterion);
    evaluation_step(criterion);
    generation(criterion);
    expansion(criterion);
    loading(criterion);
    data(criterion);
}

fn main() {
    // Cargo starts benchmarks in the package's directory; the experiment's paths are relative to the root.
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).expect("the root");
    // As `fpt` does: inside the pool, small operations need not be handed to another thread.
    let pool = rayon::ThreadPoolBuilder::new().build().expect("threads");
    pool.install(|| {
        let mut criterion = Criterion::default().configure_from_args();
        all(&mut criterion);
        criterion.final_summary();
    });
}
