//! SentencePiece models, and what texts and ids become with them.
#![no_main]

use std::sync::LazyLock;

use fpt_fuzz::{Scratch, named, told};
use fpt_t5::{SpieceOptions, T5Tokenizer};
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("spiece"));
const TEXTS: [&str; 4] = [
    "question: who? context: \u{fb01}ne \u{1f600}\u{fe0f} e\u{301}\u{a0} <extra_id_0> x</s> ",
    "",
    "\u{2581}\u{2581}<unk>\u{0}\u{7f}\u{fffd}",
    "a b c aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&options, bytes)) = bytes.split_first() else {
        return;
    };
    let path = SCRATCH.write("spiece.model", bytes);
    let options = SpieceOptions {
        legacy: options & 1 == 0,
        extra_ids: if options & 2 == 0 {
            100
        } else {
            u32::from(options)
        },
        ..SpieceOptions::default()
    };
    let read = T5Tokenizer::from_spiece_with(&path, &options);
    let Some(tokenizer) = named(read, &path) else {
        return;
    };
    let size = tokenizer.vocab_size();
    for text in TEXTS {
        let ids = told(tokenizer.encode(text)).expect("any text has ids");
        assert!(!ids.is_empty() && ids.iter().all(|&id| (id as usize) < size));
        told(tokenizer.decode(&ids));
        tokenizer.token_to_id(text);
    }
    told(tokenizer.decode(&[0, 1, 2, 3, size as u32 - 1, size as u32, u32::MAX]));
});
