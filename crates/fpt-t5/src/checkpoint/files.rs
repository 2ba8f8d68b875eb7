//! The tensors in the weight files of a model directory.
//!
//! Nothing but names, types and shapes is read here; every tensor knows how to read its own numbers later, a few rows
//! at a time, so that loading a model from safetensors never holds more than the model.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fpt_files::{
    FloatFormat, SafetensorsFile, WEIGHTS, WeightIndex, all_finite, find_weights, is_index,
};
use pytorch_reader::PytorchReader;

use crate::T5Error;

/// The file of a directory that says where its weights are: the weights themselves, or an index of them.
///
/// # Errors
/// [`T5Error::NoWeights`] if there is none.
pub(super) fn find(directory: &Path) -> Result<PathBuf, T5Error> {
    find_weights(directory).ok_or_else(|| T5Error::NoWeights {
        directory: directory.to_path_buf(),
        names: WEIGHTS.join(", "),
    })
}

/// The files that hold the weights of a model directory: one, or an index and the shards that it names.
///
/// # Errors
/// [`T5Error::NoWeights`] if there are none, [`T5Error::Read`] or [`T5Error::Weights`] if an index can't be used.
pub fn weight_files(directory: impl AsRef<Path>) -> Result<Vec<PathBuf>, T5Error> {
    Ok(fpt_files::weight_files(find(directory.as_ref())?)?)
}

/// All tensors of `path`, weights or an index, unread, under their names in the file.
///
/// # Errors
/// [`T5Error::Read`] or [`T5Error::Weights`] of the file that is absent or damaged.
pub(super) fn tensors(path: &Path) -> Result<Vec<StoredTensor>, T5Error> {
    if !is_index(path) {
        return if path.extension().is_some_and(|end| end == "safetensors") {
            safetensors(path)
        } else {
            pytorch(path)
        };
    }
    let index = WeightIndex::read(path)?;
    let mut all = Vec::new();
    for shard in index.shards() {
        let own = |tensor: &StoredTensor| index.shard_of(&tensor.name) == Some(shard);
        let tensors = tensors(&path.with_file_name(shard))?;
        all.extend(tensors.into_iter().filter(own));
    }
    Ok(all)
}

/// `torch.save` of a state dictionary. The pickle is interpreted as data: nothing in it is ever called.
fn pytorch(path: &Path) -> Result<Vec<StoredTensor>, T5Error> {
    fpt_files::open(path).map_err(|source| T5Error::Read {
        path: path.to_path_buf(),
        source,
    })?;
    let reader = PytorchReader::new(path).map_err(|error| T5Error::Weights {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })?;
    let mut all = Vec::with_capacity(reader.len());
    for tensor in reader.into_tensors().into_values() {
        let (name, dtype, shape, read) = tensor.into_parts();
        let format = float_format(path, &name, &format!("{dtype:?}"))?;
        let feed = move |length: usize, take: &mut dyn FnMut(&[u8])| {
            let bytes = read()?;
            bytes.chunks(length).for_each(take);
            Ok(())
        };
        all.push(StoredTensor::new(path, name, format, shape, feed)?);
    }
    Ok(all)
}

fn safetensors(path: &Path) -> Result<Vec<StoredTensor>, T5Error> {
    let file = Arc::new(SafetensorsFile::open(path)?);
    let mut all = Vec::new();
    for (name, tensor) in file.tensors() {
        let format = float_format(path, &name, &format!("{:?}", tensor.dtype))?;
        let (from, to) = tensor.data_offsets;
        let feed = {
            let file = Arc::clone(&file);
            move |length: usize, take: &mut dyn FnMut(&[u8])| file.read(from..to, length, take)
        };
        let shape = tensor.shape.clone();
        all.push(StoredTensor::new(path, name, format, shape, feed)?);
    }
    Ok(all)
}

fn float_format(path: &Path, tensor: &str, dtype: &str) -> Result<FloatFormat, T5Error> {
    FloatFormat::from_name(dtype).ok_or_else(|| T5Error::Weights {
        path: path.to_path_buf(),
        reason: format!(
            "{tensor} is of type {dtype}; the weights of a T5 are f32, bf16, f16 or f64 \
             (quantised checkpoints are not supported)"
        ),
    })
}

/// Numbers that are read at a time, about.
const CHUNK: usize = 1 << 16;

/// Hands out the bytes of a tensor in order, in chunks of a length that it is given; only the last may be shorter.
type Feed = dyn Fn(usize, &mut dyn FnMut(&[u8])) -> io::Result<()>;

/// A tensor of a file, unread.
#[derive(Clone)]
pub(super) struct StoredTensor {
    /// As in the file, until transformers takes it for another.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    path: PathBuf,
    name_in_file: String,
    format: FloatFormat,
    feed: Arc<Feed>,
}

impl StoredTensor {
    fn new(
        path: &Path,
        name: String,
        format: FloatFormat,
        shape: Vec<usize>,
        feed: impl Fn(usize, &mut dyn FnMut(&[u8])) -> io::Result<()> + 'static,
    ) -> Result<Self, T5Error> {
        let bytes = |bytes: usize, &dim: &usize| bytes.checked_mul(dim);
        if shape.iter().try_fold(size_of::<f32>(), bytes).is_none() {
            return Err(T5Error::Weights {
                path: path.to_path_buf(),
                reason: format!("{name} is larger than any memory: {shape:?}"),
            });
        }
        Ok(Self {
            path: path.to_path_buf(),
            name_in_file: name.clone(),
            name,
            shape,
            format,
            feed: Arc::new(feed),
        })
    }

    /// How many numbers it has.
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// All of its numbers.
    ///
    /// # Errors
    /// [`T5Error::Weights`] if they can't be read, [`T5Error::NotFinite`] if one of them is NaN or infinite.
    pub(super) fn floats(&self) -> Result<Vec<f32>, T5Error> {
        let mut values = Vec::with_capacity(self.len());
        self.feed(1, &mut |bytes| {
            let known = values.len();
            self.format.append(bytes, &mut values);
            all_finite(&values[known..])
        })?;
        Ok(values)
    }

    /// Hands out its numbers in order, some whole rows of `row` numbers at a time.
    ///
    /// # Errors
    /// As [`Self::floats`].
    pub(super) fn rows(&self, row: usize, take: &mut dyn FnMut(&[f32])) -> Result<(), T5Error> {
        let mut values = Vec::new();
        self.feed(row, &mut |bytes| {
            values.clear();
            self.format.append(bytes, &mut values);
            take(&values);
            all_finite(&values)
        })
    }

    /// Hands out the bytes of some whole rows of `row` numbers at a time; `take` tells whether all of them are finite.
    fn feed(&self, row: usize, take: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), T5Error> {
        let (row, mut known, mut finite) = (row.max(1), 0, true);
        let length = (CHUNK / row).max(1) * row * self.format.size();
        let fed = (self.feed)(length, &mut |bytes| {
            known += bytes.len();
            finite &= take(bytes);
        });
        let (path, tensor) = (self.path.clone(), self.name_in_file.clone());
        let damaged = |reason: String| T5Error::Weights {
            path: path.clone(),
            reason: format!("{tensor}: {reason}"),
        };
        fed.map_err(|error| damaged(error.to_string()))?;
        let expected = self.len() * self.format.size();
        if known != expected {
            return Err(damaged(format!(
                "it should have {expected} bytes, but has {known}"
            )));
        }
        if !finite {
            return Err(T5Error::NotFinite { path, tensor });
        }
        Ok(())
    }
}
