//! Answers texts with a T5: `cargo run --package fpt-t5 --example generate [MODEL [TEXT...]]`. MODEL is a directory with
//! `config.json`, weights and a tokenizer; without it the repository's scale model answers about its small world.

use std::error::Error;
use std::io::{Write, stdout};

use fpt_t5::burn::tensor::{Device, Int, Tensor};
use fpt_t5::{Generation, T5, T5Tokenizer};

/// The scale model, and texts as it was pre-trained on: what is hidden is to be filled in.
const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../datasets/mini-world/model"
);
const TEXTS: [&str; 3] = [
    "Anna is a baker. the home of Anna is in Kiel. who lives in Kiel? <extra_id_0>.",
    "the home of Anna is in Kiel. in other words, Anna lives in <extra_id_0>.",
    "the home of Anna is in Kiel. Anna is a baker. is it true that Anna lives in Kiel? <extra_id_0>.",
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    run(&arguments, &mut stdout())
}

/// Answer, a line each.
pub(crate) fn run(arguments: &[String], out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let model = arguments.first().map_or(MODEL, String::as_str);
    let texts: Vec<&str> = match arguments.get(1..) {
        Some(texts) if !texts.is_empty() => texts.iter().map(String::as_str).collect(),
        _ => TEXTS.to_vec(),
    };
    let device = Device::flex();
    let tokenizer = T5Tokenizer::from_directory(model)?;
    let model = T5::from_pretrained(model, &device)?;
    let generation = Generation {
        vocabulary: Some(tokenizer.vocab_size()),
        ..Generation::greedy(20)
    };
    for text in texts {
        let ids: Vec<i64> = tokenizer.encode(text)?.into_iter().map(i64::from).collect();
        let mask = Tensor::<2>::ones([1, ids.len()], &device);
        let ids = Tensor::<1, Int>::from_data(&ids[..], &device).unsqueeze();
        let encoded = model.encode(model.embed(ids), mask);
        for answer in model.generate(&encoded, &generation) {
            writeln!(out, "{text} -> {}", tokenizer.decode(&answer)?)?;
        }
    }
    Ok(())
}
