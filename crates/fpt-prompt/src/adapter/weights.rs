//! The tensor of an adapter. Only its own bytes are read: an adapter may hold the model's embedding too.

use std::io::ErrorKind;
use std::path::Path;

use fpt_files::{FloatFormat, SafetensorsFile};
use pytorch_reader::PytorchReader;

use super::{PYTORCH, TENSOR, adapter_weights};
use crate::{PromptError, SoftPrompt};

/// What `adapter_config.json` says of the tensor.
pub(super) struct Layout {
    pub(super) tokens: usize,
    /// PEFT fills it in when it creates an adapter: 1, or 2 where the model has a decoder.
    pub(super) submodules: Option<usize>,
    pub(super) d_model: usize,
}

impl Layout {
    /// Whether a tensor of this shape is the one described.
    fn check(&self, shape: &[usize]) -> Result<(), String> {
        let rows = |submodules: usize| self.tokens as u128 * submodules as u128;
        let expected: Vec<u128> = match self.submodules {
            Some(submodules) => vec![rows(submodules)],
            None => vec![rows(1), rows(2)],
        };
        match *shape {
            [found, width] if width == self.d_model && expected.contains(&(found as u128)) => {
                Ok(())
            }
            _ => Err(format!(
                "`{TENSOR}` is {shape:?}, but {} says [{}, {}]",
                super::CONFIG,
                expected
                    .iter()
                    .map(u128::to_string)
                    .collect::<Vec<_>>()
                    .join(" or "),
                self.d_model
            )),
        }
    }

    /// The size of the part that is used. No larger than a tensor that passed [`Layout::check`].
    fn bytes(&self, format: FloatFormat) -> usize {
        self.tokens * self.d_model * format.size()
    }
}

/// The first `tokens` rows of the adapter in `directory`.
///
/// # Errors
/// [`PromptError::Read`], [`PromptError::Adapter`] or [`PromptError::NotFinite`] of the file.
pub(super) fn read(directory: &Path, layout: &Layout) -> Result<Vec<f32>, PromptError> {
    let path = adapter_weights(directory);
    if !path.exists() {
        let reason = format!("there is neither this file nor {PYTORCH} beside it");
        return Err(read_error(
            &path,
            std::io::Error::new(ErrorKind::NotFound, reason),
        ));
    }
    let values = if path.ends_with(PYTORCH) {
        pytorch(&path, layout)
    } else {
        safetensors(&path, layout)
    }?;
    match SoftPrompt::not_finite(&values, layout.d_model) {
        None => Ok(values),
        Some(row) => Err(PromptError::NotFinite {
            path,
            what: format!("`{TENSOR}`"),
            row,
        }),
    }
}

fn read_error(path: &Path, source: std::io::Error) -> PromptError {
    PromptError::Read {
        path: path.to_path_buf(),
        source,
    }
}

fn unusable(path: &Path, reason: String) -> PromptError {
    PromptError::Adapter {
        path: path.to_path_buf(),
        reason,
    }
}

fn absent() -> String {
    format!("it has no tensor `{TENSOR}`")
}

fn float_format(dtype: &str) -> Result<FloatFormat, String> {
    FloatFormat::from_name(dtype).ok_or_else(|| {
        format!("`{TENSOR}` is of type {dtype}; supported are f32, bf16, f16 and f64")
    })
}

fn safetensors(path: &Path, layout: &Layout) -> Result<Vec<f32>, PromptError> {
    /// Elements that are read at a time.
    const CHUNK: usize = 1 << 16;
    let unusable = |reason: String| unusable(path, reason);
    let file = SafetensorsFile::open(path)?;
    let tensor = file.tensor(TENSOR).ok_or_else(|| unusable(absent()))?;
    layout.check(&tensor.shape).map_err(unusable)?;
    let format = float_format(&format!("{:?}", tensor.dtype)).map_err(unusable)?;
    let (start, _) = tensor.data_offsets;
    let mut values = Vec::with_capacity(layout.tokens * layout.d_model);
    let place = start..start + layout.bytes(format);
    file.read(place, CHUNK * format.size(), &mut |bytes| {
        format.append(bytes, &mut values);
    })
    .map_err(|source| read_error(path, source))?;
    Ok(values)
}

/// `torch.save` of a state dictionary. The pickle is interpreted as data: nothing in it is ever called.
fn pytorch(path: &Path, layout: &Layout) -> Result<Vec<f32>, PromptError> {
    let unusable = |reason: String| unusable(path, reason);
    let length = fpt_files::open(path)
        .and_then(|file| file.metadata())
        .map_err(|source| read_error(path, source))?
        .len();
    let reader = PytorchReader::new(path)
        .map_err(|error| unusable(format!("not a complete file of torch.save: {error}")))?;
    let tensor = reader.get(TENSOR).ok_or_else(|| unusable(absent()))?;
    layout.check(tensor.shape()).map_err(unusable)?;
    let format = float_format(&format!("{:?}", tensor.dtype())).map_err(unusable)?;
    // A view may repeat its storage: both shapes could agree on more than there is.
    if tensor.byte_len() as u64 > length {
        return Err(unusable(format!(
            "`{TENSOR}` should have {} bytes, but the file has {length}",
            tensor.byte_len()
        )));
    }
    let mut bytes = tensor.read().map_err(|error| unusable(error.to_string()))?;
    bytes.truncate(layout.bytes(format));
    Ok(format.decode(&bytes))
}
