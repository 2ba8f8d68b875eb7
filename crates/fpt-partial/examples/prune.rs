//! Makes a smaller T5 of a larger one: `cargo run --package fpt-partial --example prune [MODEL]`. Layers are chosen evenly,
//! neurons and heads by what they do on a few examples; then both models answer. MODEL is a directory with `config.json`,
//! weights and a tokenizer; without it the repository's scale model is taken, which was pre-trained to lose parts.

use std::error::Error;
use std::io::{Write, stdout};

use fpt_partial::burn::module::Module;
use fpt_partial::burn::tensor::{Device, Int, Tensor};
use fpt_partial::{PartialSize, Scorer, SelectionRules, StackSize, full_size, partial};
use fpt_t5::{Generation, LmBatch, T5, T5Error, T5Tokenizer};

const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../datasets/mini-world/model"
);
/// What the model reads, and what it should answer.
const EXAMPLES: [(&str, &str); 3] = [
    (
        "Anna is a baker. the home of Anna is in Kiel. who lives in Kiel? <extra_id_0>.",
        "<extra_id_0>Anna",
    ),
    (
        "the home of Anna is in Kiel. in other words, Anna lives in <extra_id_0>.",
        "<extra_id_0>Kiel",
    ),
    (
        "the home of Anna is in Kiel. Anna is a baker. is it true that Anna lives in Kiel? <extra_id_0>.",
        "<extra_id_0>yes",
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let model = std::env::args().nth(1);
    run(model.as_deref().unwrap_or(MODEL), &mut stdout())
}

/// Prune the model in a directory to three quarters of its layers, neurons and heads.
pub(crate) fn run(directory: &str, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let tokenizer = T5Tokenizer::from_directory(directory)?;
    let model = T5::from_pretrained(directory, &Device::flex())?;

    let mut scorer = Scorer::new(&model, false);
    for (source, target) in EXAMPLES {
        scorer.add(None, &batch(&tokenizer, source, target)?);
    }
    let scores = scorer.finish()?;

    let three_quarters = |stack: StackSize| StackSize {
        layers: (stack.layers * 3).div_ceil(4),
        d_ff: (stack.d_ff * 3).div_ceil(4),
        heads: (stack.heads * 3).div_ceil(4),
    };
    let full = full_size(model.config());
    let size = PartialSize {
        encoder: three_quarters(full.encoder),
        decoder: three_quarters(full.decoder),
    };
    let selection = SelectionRules::default().select(&size, model.config(), Some(&scores), 0)?;
    let smaller = partial(&model, &selection)?;

    for (name, model) in [("whole", &model), ("smaller", &smaller)] {
        writeln!(out, "{name}: {} weights", model.num_params())?;
        for (source, target) in EXAMPLES {
            let batch = batch(&tokenizer, source, target)?;
            let encoded = model.encode(model.embed(batch.source), batch.mask);
            for answer in model.generate(&encoded, &Generation::greedy(20)) {
                writeln!(out, "  {source} -> {}", tokenizer.decode(&answer)?)?;
            }
        }
    }
    Ok(())
}

/// An example as a batch of its own.
fn batch(tokenizer: &T5Tokenizer, source: &str, target: &str) -> Result<LmBatch, T5Error> {
    let ids = |text: &str| -> Result<Tensor<2, Int>, T5Error> {
        let ids: Vec<i64> = tokenizer.encode(text)?.into_iter().map(i64::from).collect();
        Ok(Tensor::<1, Int>::from_data(&ids[..], &Device::flex()).unsqueeze())
    };
    let source = ids(source)?;
    Ok(LmBatch {
        mask: Tensor::ones(source.dims(), &Device::flex()),
        source,
        labels: ids(target)?,
    })
}
