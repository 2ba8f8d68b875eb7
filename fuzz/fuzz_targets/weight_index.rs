//! The index of weights in several files: what it names lies beside it.
#![no_main]

use std::sync::LazyLock;

use fpt_files::{WeightIndex, weight_files};
use fpt_fuzz::{Scratch, named};
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("weight_index"));

fuzz_target!(|bytes: &[u8]| {
    let path = SCRATCH.write("model.safetensors.index.json", bytes);
    let files = named(weight_files(&path), &path);
    let Some(index) = named(WeightIndex::read(&path), &path) else {
        assert!(files.is_none());
        return;
    };
    let files = files.expect("an index that can be read");
    assert_eq!(files.len(), 1 + index.shards().len());
    assert!(files.iter().all(|file| file.parent() == path.parent()));
});
