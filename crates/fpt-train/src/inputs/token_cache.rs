//! Token ids of large data, kept on disk so that one tokenizing serves all runs.
//!
//! A sealed file has a safetensors file of five arrays: `source` and `target`, the ids of all examples one after the other,
//! `source_lengths` and `target_lengths`, and `cuts`: how many sources were cut, of how many tokens the longest was, and both
//! of targets.

use fpt_files::{Fingerprint, SealedFormat};
use fpt_t5::T5Tokenizer;
use fpt_tasks::{Cut, Cuts, Example, Lengths, Split, TaskName, Tokenized, TokenizedExample};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::cache;
use crate::TrainError;

/// The format of the files, and part of every key: changes whenever the same texts would give other ids.
pub(super) const FORMAT: SealedFormat = SealedFormat {
    kind: "fpt-tokens",
    version: 4,
    oldest: 4,
};
/// The arrays of a file.
const ARRAYS: [&str; 5] = [
    "source",
    "source_lengths",
    "target",
    "target_lengths",
    "cuts",
];
/// Less text than this is tokenized faster than anyone would notice.
const WORTHWHILE: usize = 8 << 20;

/// The name of the file for the tokens of these examples; `None` where they are too few to be worth one. It has the
/// SHA-256 of all that the ids depend on: the tokenizer, the texts and where they are cut.
pub(super) fn name(
    (task, split): (&TaskName, Split),
    tokenizer: &T5Tokenizer,
    examples: &[Example],
    limits: Lengths,
) -> Result<Option<String>, TrainError> {
    let target = |example: &Example| example.target.as_ref().map_or(0, String::len);
    let size: usize = examples.iter().map(|e| e.source.len() + target(e)).sum();
    if size < WORTHWHILE {
        return Ok(None);
    }
    let mut hash = Fingerprint::new();
    hash.text(FORMAT.kind).number(FORMAT.version.into());
    for path in tokenizer.files() {
        hash.file(path)?;
    }
    for limit in [limits.max_source, limits.max_target] {
        hash.number(limit as u64);
    }
    for example in examples {
        hash.text(&example.source);
        hash.bytes(&[u8::from(example.target.is_some())]);
        hash.text(example.target.as_deref().unwrap_or(""));
    }
    let about = format!("{task}-{split}");
    Ok(Some(cache::name(&about, &hash, "fpt")))
}

/// What [`write`] wrote of so many examples, with ids below `vocabulary`, or what is wrong with it: a file of another
/// program may be whole, and not that.
pub(super) fn read(bytes: &[u8], examples: usize, vocabulary: usize) -> Result<Tokenized, String> {
    let failed = |error: SafeTensorError| error.to_string();
    let file = SafeTensors::deserialize(bytes).map_err(failed)?;
    let lengths = "its lengths are not those of its rows";
    let source = rows(&file, "source", "source_lengths").ok_or(lengths)?;
    let target = rows(&file, "target", "target_lengths").ok_or(lengths)?;
    if [source.len(), target.len()] != [examples; 2] {
        return Err(format!("it is not of {examples} examples"));
    }
    let ids = || source.iter().chain(&target).flatten();
    if ids().any(|&id| id as usize >= vocabulary) {
        return Err(format!("it has ids beyond the vocabulary of {vocabulary}"));
    }
    let cuts = numbers(&file, "cuts").unwrap_or_default();
    let [sources, longest_source, targets, longest_target] = cuts[..] else {
        return Err("it does not say what was cut".to_string());
    };
    let cut = |texts, longest| Cut {
        texts: texts as usize,
        longest: longest as usize,
    };
    let pairs = source.into_iter().zip(target);
    Ok(Tokenized {
        examples: pairs
            .map(|(source, target)| TokenizedExample { source, target })
            .collect(),
        cuts: Cuts {
            sources: cut(sources, longest_source),
            targets: cut(targets, longest_target),
        },
    })
}

fn rows(file: &SafeTensors<'_>, ids: &str, lengths: &str) -> Option<Vec<Vec<u32>>> {
    let (ids, lengths) = (numbers(file, ids)?, numbers(file, lengths)?);
    let mut rest = ids.as_slice();
    let mut rows = Vec::with_capacity(lengths.len());
    for length in lengths {
        let (row, after) = rest.split_at_checked(length as usize)?;
        rows.push(row.to_vec());
        rest = after;
    }
    rest.is_empty().then_some(rows)
}

fn numbers(file: &SafeTensors<'_>, name: &str) -> Option<Vec<u32>> {
    let tensor = file.tensor(name).ok()?;
    let bytes = tensor.data();
    match tensor.dtype() {
        Dtype::U16 => Some(fpt_files::numbers(bytes, |b| u16::from_le_bytes(b).into()).collect()),
        Dtype::U32 => Some(fpt_files::numbers(bytes, u32::from_le_bytes).collect()),
        _ => None,
    }
}

/// The content of a file of these tokens.
pub(super) fn write(tokenized: &Tokenized) -> Result<Vec<u8>, SafeTensorError> {
    let tokens = &tokenized.examples;
    let Cuts { sources, targets } = tokenized.cuts;
    let cuts = [sources, targets].map(|cut| [cut.texts, cut.longest]);
    let ids = |of: fn(&TokenizedExample) -> &Vec<u32>| array(tokens.iter().flat_map(of).copied());
    let lengths = |of: fn(&TokenizedExample) -> &Vec<u32>| {
        // Rows are cut to lengths that fit.
        array(tokens.iter().map(|e| of(e).len() as u32))
    };
    let arrays = [
        ids(|e| &e.source),
        lengths(|e| &e.source),
        ids(|e| &e.target),
        lengths(|e| &e.target),
        array(cuts.into_iter().flatten().map(|number| number as u32)),
    ];
    let mut views = Vec::new();
    for (name, (dtype, count, bytes)) in ARRAYS.into_iter().zip(&arrays) {
        views.push((name, TensorView::new(*dtype, vec![*count], bytes)?));
    }
    safetensors::serialize(views, None)
}

/// Numbers in two bytes each where they fit, as the ids of a T5 do.
fn array(numbers: impl Iterator<Item = u32> + Clone) -> (Dtype, usize, Vec<u8>) {
    let count = numbers.clone().count();
    if numbers.clone().all(|number| number <= u16::MAX.into()) {
        let bytes = numbers.flat_map(|number| (number as u16).to_le_bytes());
        return (Dtype::U16, count, bytes.collect());
    }
    let bytes = numbers.flat_map(u32::to_le_bytes);
    (Dtype::U32, count, bytes.collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Two examples, and beyond which ids they go.
    fn tokens(largest: u32) -> Tokenized {
        let example = |source, target| TokenizedExample { source, target };
        let cut = |texts, longest| Cut { texts, longest };
        Tokenized {
            examples: vec![
                example(vec![5, largest, 1], vec![]),
                example(vec![1], vec![7, 1]),
            ],
            cuts: Cuts {
                sources: cut(1, 70_000),
                targets: cut(0, 0),
            },
        }
    }

    #[test]
    fn tokens_come_back() {
        for largest in [32_000, 70_000] {
            let (tokens, vocabulary) = (tokens(largest), largest as usize + 1);
            let file = write(&tokens).unwrap();
            assert_eq!(read(&file, 2, vocabulary), Ok(tokens));
            let error = read(&file, 3, vocabulary).unwrap_err();
            assert!(error.contains("3 examples"), "{error}");
            let error = read(&file, 2, vocabulary - 1).unwrap_err();
            assert!(error.contains("vocabulary"), "{error}");
        }
    }

    #[test]
    fn of_cut_files_nothing_is_taken() {
        let whole = write(&tokens(32_000)).unwrap();
        for length in 0..whole.len() {
            assert!(read(&whole[..length], 2, 40_000).is_err(), "{length} bytes");
        }
    }
}
