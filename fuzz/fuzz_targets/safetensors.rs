//! The header of a file of safetensors, and its numbers.
#![no_main]

use std::sync::LazyLock;

use fpt_files::{FloatFormat, SafetensorsFile, all_finite};
use fpt_fuzz::{Scratch, named};
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("safetensors"));

fuzz_target!(|bytes: &[u8]| {
    let path = SCRATCH.write("file.safetensors", bytes);
    let Some(file) = named(SafetensorsFile::open(&path), &path) else {
        return;
    };
    for (name, tensor) in file.tensors() {
        assert!(file.tensor(&name).is_some());
        let format = FloatFormat::from_name(&format!("{:?}", tensor.dtype));
        let (from, to) = tensor.data_offsets;
        let mut values = Vec::new();
        let mut length = 0;
        let take = &mut |part: &[u8]| {
            length += part.len();
            if let Some(format) = format {
                format.append(part, &mut values);
            }
        };
        file.read(from..to, 8 * 16, take)
            .expect("it lies within the file");
        assert_eq!(length, to - from);
        if let Some(format) = format {
            assert_eq!(values.len(), length / format.size());
        }
        assert_eq!(all_finite(&values), values.iter().all(|it| it.is_finite()));
    }
});
