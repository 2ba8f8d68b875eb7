//! `tokenizer.json`, and what texts and ids become with it. What the library panics at while a file is read is caught.
#![no_main]

use std::sync::LazyLock;

use fpt_fuzz::{Scratch, let_panics_be_caught, named, told};
use fpt_t5::T5Tokenizer;
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("tokenizer_json"));
const TEXTS: [&str; 4] = [
    "question: who? context: \u{fb01}ne \u{1f600}\u{fe0f} e\u{301}\u{a0} <extra_id_0> x</s> ",
    "",
    "\u{2581}\u{2581}<unk>\u{0}\u{7f}\u{fffd}",
    "a b c aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

fuzz_target!(
    init: let_panics_be_caught(),
    |bytes: &[u8]| {
        let path = SCRATCH.write("tokenizer.json", bytes);
        let Some(tokenizer) = named(T5Tokenizer::from_file(&path), &path) else {
            return;
        };
        for text in TEXTS {
            if let Some(ids) = told(tokenizer.encode(text)) {
                told(tokenizer.decode(&ids));
            }
            tokenizer.token_to_id(text);
        }
        let size = tokenizer.vocab_size();
        told(tokenizer.decode(&[0, 1, 2, 3, size as u32 - 1, size as u32, u32::MAX]));
    }
);
