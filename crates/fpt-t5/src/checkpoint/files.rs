//! The tensors in the weight files of a model directory.
//!
//! Nothing but names, types and shapes is read here; every tensor knows how to read its own values later, a few rows
//! at a time, so that loading a model from safetensors never holds more than the model.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use burn::store::burn_pack::{Error as PackError, Tensor as PackTensor};
use burn::tensor::{Bytes, DType};
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

/// Where a number was found, while tensors were read, that is NaN or infinite: the first of them.
#[derive(Clone, Debug, Default)]
pub(super) struct NotFinite(Arc<OnceLock<(PathBuf, String)>>);

impl NotFinite {
    /// Nothing, unless there is one.
    ///
    /// # Errors
    /// [`T5Error::NotFinite`] names file and tensor.
    pub(super) fn check(&self) -> Result<(), T5Error> {
        match self.0.get() {
            None => Ok(()),
            Some((path, tensor)) => Err(T5Error::NotFinite {
                path: path.clone(),
                tensor: tensor.clone(),
            }),
        }
    }
}

/// All tensors of `path`, weights or an index, unread, under their names in the file, as f32. One with a number that is
/// NaN or infinite can't be read, and says so to `not_finite`.
///
/// # Errors
/// [`T5Error::Read`] or [`T5Error::Weights`] of the file that is absent or damaged.
pub(super) fn tensors(path: &Path, not_finite: &NotFinite) -> Result<Vec<PackTensor>, T5Error> {
    if !is_index(path) {
        return if path.extension().is_some_and(|end| end == "safetensors") {
            safetensors(path, not_finite)
        } else {
            pytorch(path, not_finite)
        };
    }
    let index = WeightIndex::read(path)?;
    let mut all = Vec::new();
    for shard in index.shards() {
        let own = |tensor: &PackTensor| index.shard_of(&tensor.name) == Some(shard);
        let tensors = tensors(&path.with_file_name(shard), not_finite)?;
        all.extend(tensors.into_iter().filter(own));
    }
    Ok(all)
}

/// `torch.save` of a state dictionary. The pickle is interpreted as data: nothing in it is ever called.
fn pytorch(path: &Path, not_finite: &NotFinite) -> Result<Vec<PackTensor>, T5Error> {
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
        let place = (path, name, not_finite);
        all.push(deferred(place, format, shape, feed)?);
    }
    Ok(all)
}

fn safetensors(path: &Path, not_finite: &NotFinite) -> Result<Vec<PackTensor>, T5Error> {
    let file = Arc::new(SafetensorsFile::open(path)?);
    let mut all = Vec::new();
    for (name, tensor) in file.tensors() {
        let format = float_format(path, &name, &format!("{:?}", tensor.dtype))?;
        let (from, to) = tensor.data_offsets;
        let feed = {
            let file = Arc::clone(&file);
            move |length: usize, take: &mut dyn FnMut(&[u8])| file.read(from..to, length, take)
        };
        let place = (path, name, not_finite);
        all.push(deferred(place, format, tensor.shape.clone(), feed)?);
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

/// A tensor that reads its values when it is asked for them: of a file, by its name in it. `feed` hands out its bytes in order, in chunks of a length
/// that it is given; only the last may be shorter.
fn deferred(
    (path, name, not_finite): (&Path, String, &NotFinite),
    format: FloatFormat,
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
    let (place, not_finite) = ((path.to_path_buf(), name.clone()), not_finite.clone());
    let provider = move || {
        let failed = |error: std::io::Error| PackError::IoError(error.to_string());
        let values = floats(format, bytes / DType::F32.size(), &feed).map_err(failed)?;
        let Some(values) = values else {
            // An earlier one stays.
            _ = not_finite.0.set(place.clone());
            return Err(PackError::IoError("a number is not finite".into()));
        };
        Ok(Bytes::from_elems(values))
    };
    let dtype = DType::F32;
    Ok(PackTensor::deferred(
        name, dtype, shape, None, bytes, provider,
    ))
}

type Feed<'a> = &'a dyn Fn(usize, &mut dyn FnMut(&[u8])) -> std::io::Result<()>;

/// Elements that are read at a time.
const CHUNK: usize = 1 << 16;

/// None if one of them is NaN or infinite.
fn floats(
    format: FloatFormat,
    elements: usize,
    feed: Feed<'_>,
) -> std::io::Result<Option<Vec<f32>>> {
    let mut values = Vec::with_capacity(elements);
    let mut finite = true;
    feed(CHUNK * format.size(), &mut |bytes| {
        let known = values.len();
        format.append(bytes, &mut values);
        finite &= all_finite(&values[known..]);
    })?;
    Ok(finite.then_some(values))
}
