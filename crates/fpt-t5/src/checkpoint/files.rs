//! Which files hold the weights of a model directory, and what is in them.
//!
//! Nothing but names, types and shapes is read here; every tensor knows how to read its own values later, a few rows
//! at a time, so that loading a model from safetensors never holds more than the model.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use burn::store::burn_pack::{Error as PackError, Tensor as PackTensor};
use burn::tensor::{Bytes, DType};
use half::{bf16, f16};
use pytorch_reader::PytorchReader;
use safetensors::tensor::{Dtype, Metadata};
use serde::Deserialize;

use crate::T5Error;

/// What Hugging Face calls the weights of a model, in the order in which they are looked for.
const NAMES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// `*.index.json` of weights in several files.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Index {
    /// The files that it names, each once.
    fn shards(&self) -> BTreeSet<&String> {
        self.weight_map.values().collect()
    }
}

/// The file of a directory that says where its weights are: the weights themselves, or an index of them.
///
/// # Errors
/// [`T5Error::NoWeights`] if there is none.
pub(super) fn find(directory: &Path) -> Result<PathBuf, T5Error> {
    NAMES
        .iter()
        .map(|name| directory.join(name))
        .find(|path| path.exists())
        .ok_or_else(|| T5Error::NoWeights {
            directory: directory.to_path_buf(),
            names: NAMES.join(", "),
        })
}

/// The files that hold the weights of a model directory: one, or an index and the shards that it names.
///
/// # Errors
/// [`T5Error::NoWeights`] if there are none, [`T5Error::Read`] or [`T5Error::Weights`] if an index can't be used.
pub fn weight_files(directory: impl AsRef<Path>) -> Result<Vec<PathBuf>, T5Error> {
    let path = find(directory.as_ref())?;
    if !is_index(&path) {
        return Ok(vec![path]);
    }
    let index = read_index(&path)?;
    let shards = index.shards().into_iter();
    let files = shards.map(|shard| path.with_file_name(shard));
    Ok(std::iter::once(path.clone()).chain(files).collect())
}

fn is_index(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".index.json")
}

/// An index, whose files lie beside it.
fn read_index(path: &Path) -> Result<Index, T5Error> {
    let damaged = |reason: String| T5Error::Weights {
        path: path.to_path_buf(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|source| read_error(path, source))?;
    let index: Index = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    // An index is data from elsewhere: it may name files beside it, and no others.
    let outside = |shard: &&String| {
        Path::new(shard).file_name() != Some(shard.as_ref()) || is_index(Path::new(shard))
    };
    match index.weight_map.values().find(outside) {
        Some(shard) => Err(damaged(format!(
            "it names `{shard}`, which is no file beside it"
        ))),
        None => Ok(index),
    }
}

/// All tensors of `path`, weights or an index, unread, under their names in the file, as f32.
///
/// # Errors
/// [`T5Error::Read`] or [`T5Error::Weights`] of the file that is absent or damaged.
pub(super) fn tensors(path: &Path) -> Result<Vec<PackTensor>, T5Error> {
    if !is_index(path) {
        return match path.extension().is_some_and(|end| end == "safetensors") {
            true => safetensors(path),
            false => pytorch(path),
        };
    }
    let index = read_index(path)?;
    let mut all = Vec::new();
    for shard in index.shards() {
        let own = |tensor: &PackTensor| index.weight_map.get(&tensor.name) == Some(shard);
        let tensors = tensors(&path.with_file_name(shard))?;
        all.extend(tensors.into_iter().filter(own));
    }
    Ok(all)
}

fn read_error(path: &Path, source: std::io::Error) -> T5Error {
    T5Error::Read {
        path: path.to_path_buf(),
        source,
    }
}

/// `torch.save` of a state dictionary. The pickle is interpreted as data: nothing in it is ever called.
fn pytorch(path: &Path) -> Result<Vec<PackTensor>, T5Error> {
    File::open(path).map_err(|source| read_error(path, source))?;
    let reader = PytorchReader::new(path).map_err(|error| T5Error::Weights {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })?;
    let mut all = Vec::with_capacity(reader.len());
    for tensor in reader.into_tensors().into_values() {
        let (name, dtype, shape, read) = tensor.into_parts();
        let dtype = match dtype {
            pytorch_reader::DType::F64 => DType::F64,
            pytorch_reader::DType::F32 => DType::F32,
            pytorch_reader::DType::F16 => DType::F16,
            pytorch_reader::DType::BF16 => DType::BF16,
            other => return Err(not_floats(path, &name, &format!("{other:?}"))),
        };
        let feed = move |length: usize, take: &mut dyn FnMut(&[u8])| {
            let bytes = read()?;
            bytes.chunks(length).for_each(take);
            Ok(())
        };
        all.push(deferred(path, name, dtype, shape, feed)?);
    }
    Ok(all)
}

/// A `.safetensors` file, of which only the header is read. Plain reads instead of a memory map: mapped pages would
/// count as a second copy of the weights, and a file that is cut short meanwhile would end the program.
fn safetensors(path: &Path) -> Result<Vec<PackTensor>, T5Error> {
    /// The largest header that the format allows.
    const MAX_HEADER: u64 = 100_000_000;
    let damaged = |reason: String| T5Error::Weights {
        path: path.to_path_buf(),
        reason,
    };
    let mut file = File::open(path).map_err(|source| read_error(path, source))?;
    let length = file
        .metadata()
        .map_err(|source| read_error(path, source))?
        .len();
    let mut size = [0; 8];
    file.read_exact(&mut size)
        .map_err(|_| damaged("it ends within the length of its header".into()))?;
    let header = u64::from_le_bytes(size);
    if header > MAX_HEADER || header > length.saturating_sub(8) {
        return Err(damaged(format!(
            "its header should be {header} bytes long, but the file has {length}"
        )));
    }
    let mut text = Vec::new();
    (&mut file)
        .take(header)
        .read_to_end(&mut text)
        .map_err(|source| read_error(path, source))?;
    let metadata: Metadata =
        serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    let data = 8 + header;
    if metadata.data_len() as u64 != length - data {
        return Err(damaged(format!(
            "it should have {} bytes of tensors, but has {}",
            metadata.data_len(),
            length - data
        )));
    }
    let file = Arc::new(Mutex::new(file));
    let mut all = Vec::new();
    for (name, info) in metadata.tensors() {
        let dtype = match info.dtype {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => return Err(not_floats(path, &name, &format!("{other:?}"))),
        };
        let (from, to) = info.data_offsets;
        let elements = info
            .shape
            .iter()
            .try_fold(1, |n: usize, &dim| n.checked_mul(dim));
        let bytes = elements.and_then(|n| n.checked_mul(dtype.size()));
        if from > to || to as u64 > length - data || bytes != Some(to - from) {
            return Err(damaged(format!(
                "{name} of shape {:?} can't lie at bytes {from} to {to} of {}",
                info.shape,
                length - data
            )));
        }
        let file = Arc::clone(&file);
        let feed = move |length: usize, take: &mut dyn FnMut(&[u8])| {
            let mut file = file.lock().map_err(|_| ErrorKind::Other)?;
            file.seek(SeekFrom::Start(data + from as u64))?;
            let mut chunk = vec![0; length.min(to - from)];
            let mut left = to - from;
            while left > 0 {
                let chunk = &mut chunk[..length.min(left)];
                file.read_exact(chunk)?;
                take(chunk);
                left -= chunk.len();
            }
            Ok(())
        };
        all.push(deferred(path, name, dtype, info.shape.clone(), feed)?);
    }
    Ok(all)
}

fn not_floats(path: &Path, name: &str, dtype: &str) -> T5Error {
    T5Error::Weights {
        path: path.to_path_buf(),
        reason: format!(
            "{name} is of type {dtype}; the weights of a T5 are f32, bf16, f16 or f64 \
             (quantised checkpoints are not supported)"
        ),
    }
}

/// A tensor that reads its values when it is asked for them. `feed` hands out its bytes in order, in chunks of a length
/// that it is given; only the last may be shorter.
fn deferred(
    path: &Path,
    name: String,
    dtype: DType,
    shape: Vec<usize>,
    feed: impl Fn(usize, &mut dyn FnMut(&[u8])) -> std::io::Result<()> + Send + Sync + 'static,
) -> Result<PackTensor, T5Error> {
    let bytes = shape
        .iter()
        .try_fold(DType::F32.size(), |size, &dim| size.checked_mul(dim))
        .ok_or_else(|| T5Error::Weights {
            path: path.to_path_buf(),
            reason: format!("{name} is larger than any memory: {shape:?}"),
        })?;
    let provider = move || {
        floats(dtype, bytes / DType::F32.size(), &feed)
            .map(Bytes::from_elems)
            .map_err(|error| PackError::IoError(error.to_string()))
    };
    let dtype = DType::F32;
    Ok(PackTensor::deferred(
        name, dtype, shape, None, bytes, provider,
    ))
}

type Feed<'a> = &'a dyn Fn(usize, &mut dyn FnMut(&[u8])) -> std::io::Result<()>;

/// Elements that are read at a time.
const CHUNK: usize = 1 << 16;

fn floats(dtype: DType, elements: usize, feed: Feed<'_>) -> std::io::Result<Vec<f32>> {
    let mut values = Vec::with_capacity(elements);
    feed(CHUNK * dtype.size(), &mut |bytes| {
        decode(dtype, bytes, &mut values);
    })?;
    Ok(values)
}

/// Appends the numbers in `bytes`, little-endian, as f32.
fn decode(dtype: DType, bytes: &[u8], values: &mut Vec<f32>) {
    fn append<const N: usize>(bytes: &[u8], values: &mut Vec<f32>, number: fn([u8; N]) -> f32) {
        values.extend(bytes.as_chunks().0.iter().copied().map(number));
    }
    match dtype {
        DType::F64 => append(bytes, values, |b| f64::from_le_bytes(b) as f32),
        DType::F16 => append(bytes, values, |b| f16::from_le_bytes(b).to_f32()),
        DType::BF16 => append(bytes, values, |b| bf16::from_le_bytes(b).to_f32()),
        _ => append(bytes, values, f32::from_le_bytes),
    }
}
