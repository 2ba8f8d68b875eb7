//! The tokenizer: an ordinary T5 tokenizer (Unigram, Metaspace, sentinels) of whole words.

use std::collections::BTreeSet;
use std::path::Path;

use tokenizers::decoders::metaspace::Metaspace as MetaspaceDecoder;
use tokenizers::models::unigram::Unigram;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer};

use crate::entities::{ANIMALS, COLORS, DAYS, FOODS, JOBS, NAMES, OBJECTS, TOWNS, VENUES};
use crate::relation::Relation;
use crate::{WorldError, forms, world};

/// Pieces that join the word before them.
const SUFFIXES: [&str; 8] = [".", ",", "?", ":", ";", "_duplicate", "1", "2"];
/// Symbols that stand alone.
const SYMBOLS: [&str; 2] = ["=", "/"];
/// Words of the tasks' formats that nothing else uses.
const TASK_WORDS: &str = "hypothesis premise question context query entities passage @placeholder \
                          entailment contradiction neutral not is no answer";
/// Number of sentinels, as in T5.
const SENTINELS: usize = 100;

/// Every word of the world, sorted.
fn words() -> BTreeSet<String> {
    let mut texts: Vec<&str> = vec![TASK_WORDS];
    for domain in [
        &NAMES[..],
        &TOWNS,
        &JOBS,
        &ANIMALS,
        &COLORS,
        &FOODS,
        &OBJECTS,
        &VENUES,
        &DAYS,
    ] {
        texts.extend(domain);
    }
    for relation in Relation::ALL {
        texts.extend(relation.statements());
        texts.extend(relation.questions().iter().flat_map(|kind| kind.templates));
    }
    texts.extend(world::summary_texts());
    texts.extend(forms::all_texts());
    texts
        .iter()
        .flat_map(|text| text.split([' ', '[', ']', '.', ',', '?', ':', ';', '=', '/']))
        .map(|word| word.trim_end_matches("_duplicate"))
        .filter(|word| !word.is_empty() && !word.starts_with('{'))
        .map(str::to_string)
        .collect()
}

/// The pieces in the order of their ids, sentinels excluded.
fn pieces() -> Vec<String> {
    let special = ["<pad>", "</s>", "<unk>", "▁"].map(str::to_string);
    special
        .into_iter()
        .chain(SUFFIXES.map(str::to_string))
        .chain(SYMBOLS.map(|symbol| format!("▁{symbol}")))
        .chain(words().into_iter().map(|word| format!("▁{word}")))
        .collect()
}

/// The tokenizer of the mini-world: pad 0, `</s>` 1, `<unk>` 2, pieces, and the sentinels in reverse, so that
/// `<extra_id_0>` has the last id, as in T5.
///
/// # Errors
/// [`WorldError::Tokenize`] if the `tokenizers` crate refuses it.
pub fn tokenizer() -> Result<Tokenizer, WorldError> {
    let refuse = |error: String| WorldError::Tokenize(error);
    // Any score does, as long as one whole piece beats several.
    let scored: Vec<(String, f64)> = pieces().into_iter().map(|piece| (piece, -1.0)).collect();
    let model = Unigram::from(scored, Some(2), false).map_err(|e| refuse(e.to_string()))?;
    let mut tokenizer = Tokenizer::new(model);
    let metaspace = Metaspace::new('▁', PrependScheme::Always, true);
    let decoder: MetaspaceDecoder = metaspace.clone();
    let template = TemplateProcessing::builder()
        .try_single("$A </s>")
        .map_err(refuse)?
        .try_pair("$A </s> $B </s>")
        .map_err(refuse)?
        .special_tokens(vec![("</s>", 1)])
        .build()
        .map_err(|e| refuse(e.to_string()))?;
    tokenizer
        .with_pre_tokenizer(Some(metaspace))
        .with_decoder(Some(decoder))
        .with_post_processor(Some(template));
    let special = |token: &str| AddedToken::from(token, true);
    // Legacy T5 strips the neighbours of a sentinel.
    let sentinels = (0..SENTINELS).rev().map(|number| {
        special(&format!("<extra_id_{number}>"))
            .lstrip(true)
            .rstrip(true)
    });
    let tokens: Vec<AddedToken> = ["<pad>", "</s>", "<unk>"]
        .map(special)
        .into_iter()
        .chain(sentinels)
        .collect();
    tokenizer.add_special_tokens(&tokens);
    Ok(tokenizer)
}

/// Write `tokenizer.json` and the `tokenizer_config.json` with which transformers' `AutoTokenizer` loads it.
///
/// # Errors
/// [`WorldError::File`].
pub fn write_tokenizer(directory: impl AsRef<Path>) -> Result<(), WorldError> {
    let directory = directory.as_ref();
    let json = tokenizer()?
        .to_string(true)
        .map_err(|error| WorldError::Tokenize(error.to_string()))?;
    // The generic class: T5's own would add sentinels that are there already.
    let config = serde_json::json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "clean_up_tokenization_spaces": false,
        "model_max_length": 512,
    });
    fpt_files::write(directory.join("tokenizer.json"), json + "\n")?;
    let path = directory.join("tokenizer_config.json");
    Ok(fpt_files::write(path, format!("{config:#}\n"))?)
}
