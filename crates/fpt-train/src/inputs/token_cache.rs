//! Token ids of large data, kept on disk so that one tokenizing serves all runs.
//!
//! A file is a safetensors file of four arrays, so that other programs can read it as well: `source` and `target`, the
//! ids of all examples one after the other, and `source_lengths` and `target_lengths`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use fpt_files::Fingerprint;
use fpt_t5::T5Tokenizer;
use fpt_tasks::{Example, Lengths, Split, TaskName, TokenizedExample};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::TrainError;

/// Part of every key: changes whenever the same texts would give other ids.
const VERSION: &str = "fpt tokens 1";
/// Less text than this is tokenized faster than anyone would notice.
const WORTHWHILE: usize = 8 << 20;

/// The file in `directory` for the tokens of these examples; `None` where they are too few to be worth one. Its name
/// has the SHA-256 of all that the ids depend on: the tokenizer, the texts and where they are cut.
pub(super) fn file(
    directory: &Path,
    (task, split): (&TaskName, Split),
    tokenizer: &T5Tokenizer,
    examples: &[Example],
    limits: Lengths,
) -> Result<Option<PathBuf>, TrainError> {
    let target = |example: &Example| example.target.as_ref().map_or(0, String::len);
    let size: usize = examples.iter().map(|e| e.source.len() + target(e)).sum();
    if size < WORTHWHILE {
        return Ok(None);
    }
    let mut hash = Fingerprint::new();
    hash.text(VERSION).file(tokenizer.path())?;
    for limit in [limits.max_source, limits.max_target] {
        hash.number(limit as u64);
    }
    for example in examples {
        hash.text(&example.source);
        hash.bytes(&[u8::from(example.target.is_some())]);
        hash.text(example.target.as_deref().unwrap_or(""));
    }
    let name = format!("{task}-{split}-{}.safetensors", &hash.hex()[..32]);
    Ok(Some(directory.join(name)))
}

/// What [`write`] wrote; `None` where there is no such file, or one that is damaged, which is then written anew.
pub(super) fn read(path: &Path, examples: usize) -> Option<Vec<TokenizedExample>> {
    let bytes = fs::read(path).ok()?;
    let file = SafeTensors::deserialize(&bytes).ok()?;
    let source = rows(&file, "source", "source_lengths")?;
    let target = rows(&file, "target", "target_lengths")?;
    let pairs = source.into_iter().zip(target);
    let tokens: Vec<_> = pairs
        .map(|(source, target)| TokenizedExample { source, target })
        .collect();
    (tokens.len() == examples).then_some(tokens)
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

/// Keep `tokens` at `path`.
pub(super) fn write(path: &Path, tokens: &[TokenizedExample]) -> Result<(), TrainError> {
    let ids = |of: fn(&TokenizedExample) -> &Vec<u32>| array(tokens.iter().flat_map(of).copied());
    let lengths = |of: fn(&TokenizedExample) -> &Vec<u32>| {
        // Rows are cut to lengths that fit.
        array(tokens.iter().map(|e| of(e).len() as u32))
    };
    let arrays = [
        ("source", ids(|e| &e.source)),
        ("source_lengths", lengths(|e| &e.source)),
        ("target", ids(|e| &e.target)),
        ("target_lengths", lengths(|e| &e.target)),
    ];
    let failed = |error: safetensors::SafeTensorError| {
        TrainError::output(path, std::io::Error::other(error))
    };
    let mut views = Vec::new();
    for (name, (dtype, count, bytes)) in &arrays {
        let view = TensorView::new(*dtype, vec![*count], bytes).map_err(failed)?;
        views.push((*name, view));
    }
    let metadata = HashMap::from([("format".to_string(), VERSION.to_string())]);
    let content = safetensors::serialize(views, Some(metadata)).map_err(failed)?;
    fpt_files::create_parents(path)?;
    Ok(fpt_files::write(path, content)?)
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

    #[test]
    fn tokens_come_back_and_damaged_files_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mnli-train-0.safetensors");
        for largest in [32_000, 70_000] {
            let tokens = vec![
                TokenizedExample {
                    source: vec![5, largest, 1],
                    target: vec![],
                },
                TokenizedExample {
                    source: vec![1],
                    target: vec![7, 1],
                },
            ];
            write(&path, &tokens).unwrap();
            assert_eq!(read(&path, 2), Some(tokens));
            assert_eq!(read(&path, 3), None);
        }
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(read(&path, 2), None, "{length} bytes");
        }
        assert_eq!(read(&directory.path().join("absent"), 0), None);
    }
}
