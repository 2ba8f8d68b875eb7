//! Any text, and any ids, by the two tokenizers that are here.
#![no_main]

use std::sync::LazyLock;

use fpt_fuzz::{Scratch, named, told};
use fpt_t5::{SpieceOptions, T5Tokenizer};
use libfuzzer_sys::fuzz_target;

static TOKENIZERS: LazyLock<[T5Tokenizer; 3]> = LazyLock::new(|| {
    let scratch = Scratch::new("tokenize");
    let json = scratch.write(
        "tokenizer.json",
        include_bytes!("../../datasets/mini-world/model/tokenizer.json"),
    );
    let spiece = scratch.write(
        "spiece.model",
        include_bytes!("../../crates/fpt-t5/tests/tokenizer/options.model"),
    );
    let options = |legacy| SpieceOptions {
        legacy,
        ..SpieceOptions::default()
    };
    [
        named(T5Tokenizer::from_file(&json), &json).expect("a tokenizer"),
        named(
            T5Tokenizer::from_spiece_with(&spiece, &options(true)),
            &spiece,
        )
        .expect("a tokenizer"),
        named(
            T5Tokenizer::from_spiece_with(&spiece, &options(false)),
            &spiece,
        )
        .expect("a tokenizer"),
    ]
});

fuzz_target!(|input: (&str, Vec<u32>)| {
    let (text, any) = input;
    for tokenizer in &*TOKENIZERS {
        let size = tokenizer.vocab_size() as u32;
        let ids = told(tokenizer.encode(text)).expect("any text has ids");
        assert!(!ids.is_empty() && ids.iter().all(|&id| id < size));
        told(tokenizer.decode(&ids)).expect("ids of a text");
        told(tokenizer.decode(&any));
        let near: Vec<_> = any.iter().map(|id| id % (size + 2)).collect();
        told(tokenizer.decode(&near));
    }
});
