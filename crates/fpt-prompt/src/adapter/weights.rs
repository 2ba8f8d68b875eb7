//! The tensor of an adapter. Only its own bytes are read: an adapter may hold the model's embedding too.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use pytorch_reader::PytorchReader;
use safetensors::tensor::{Dtype, Metadata};

use super::{PYTORCH, SAFETENSORS, TENSOR};
use crate::PromptError;
use crate::floats::Floats;

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
    fn bytes(&self, floats: Floats) -> usize {
        self.tokens * self.d_model * floats.size()
    }
}

/// The first `tokens` rows of the adapter in `directory`.
///
/// # Errors
/// [`PromptError::Read`] or [`PromptError::Adapter`] of the file.
pub(super) fn read(directory: &Path, layout: &Layout) -> Result<Vec<f32>, PromptError> {
    let path = directory.join(SAFETENSORS);
    if path.exists() {
        return safetensors(&path, layout);
    }
    let older = directory.join(PYTORCH);
    if older.exists() {
        return pytorch(&older, layout);
    }
    Err(PromptError::Read {
        path,
        source: std::io::Error::new(
            ErrorKind::NotFound,
            format!("there is neither this file nor {PYTORCH} beside it"),
        ),
    })
}

fn open(path: &Path) -> Result<(File, u64), PromptError> {
    File::open(path)
        .and_then(|file| {
            let length = file.metadata()?.len();
            Ok((file, length))
        })
        .map_err(|source| PromptError::Read {
            path: path.to_path_buf(),
            source,
        })
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

fn no_floats(dtype: &str) -> String {
    format!("`{TENSOR}` is of type {dtype}; supported are f32, bf16, f16 and f64")
}

fn safetensors(path: &Path, layout: &Layout) -> Result<Vec<f32>, PromptError> {
    /// The largest header that the format allows.
    const MAX_HEADER: u64 = 100_000_000;
    let unusable = |reason: String| unusable(path, reason);
    let incomplete =
        |reason: String| unusable(format!("not a complete safetensors file: {reason}"));
    let (mut file, length) = open(path)?;

    let mut start = [0; 8].to_vec();
    file.read_exact(&mut start)
        .map_err(|_| incomplete("it ends within the length of its header".into()))?;
    let header = start
        .iter()
        .rev()
        .fold(0, |n, &byte| n << 8 | u64::from(byte));
    if header > MAX_HEADER || header > length.saturating_sub(8) {
        return Err(incomplete(format!(
            "its header should be {header} bytes long, but the file has {length}"
        )));
    }
    let read_error = |source| PromptError::Read {
        path: path.to_path_buf(),
        source,
    };
    (&mut file)
        .take(header)
        .read_to_end(&mut start)
        .map_err(read_error)?;
    // Reading the header checks it. `SafeTensors::read_metadata` does too, but wants the whole file.
    let metadata: Metadata =
        serde_json::from_slice(&start[8..]).map_err(|error| incomplete(error.to_string()))?;
    let data = 8 + header;
    if metadata.data_len() as u64 != length - data {
        return Err(incomplete(format!(
            "it should have {} bytes of tensors, but has {}",
            metadata.data_len(),
            length - data
        )));
    }

    let tensor = metadata.info(TENSOR).ok_or_else(|| unusable(absent()))?;
    layout.check(&tensor.shape).map_err(unusable)?;
    let floats = match tensor.dtype {
        Dtype::F64 => Floats::F64,
        Dtype::F32 => Floats::F32,
        Dtype::F16 => Floats::F16,
        Dtype::BF16 => Floats::Bf16,
        other => return Err(unusable(no_floats(&format!("{other:?}")))),
    };
    // The format was checked: the tensor is as long as its shape says, and lies within the file.
    let mut bytes = vec![0; layout.bytes(floats)];
    file.seek(SeekFrom::Start(data + tensor.data_offsets.0 as u64))
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(read_error)?;
    Ok(floats.to_f32(&bytes))
}

/// `torch.save` of a state dictionary. The pickle is interpreted as data: nothing in it is ever called.
fn pytorch(path: &Path, layout: &Layout) -> Result<Vec<f32>, PromptError> {
    let unusable = |reason: String| unusable(path, reason);
    let (_, length) = open(path)?;
    let reader = PytorchReader::new(path)
        .map_err(|error| unusable(format!("not a complete file of torch.save: {error}")))?;
    let tensor = reader.get(TENSOR).ok_or_else(|| unusable(absent()))?;
    layout.check(tensor.shape()).map_err(unusable)?;
    let floats = match tensor.dtype() {
        pytorch_reader::DType::F64 => Floats::F64,
        pytorch_reader::DType::F32 => Floats::F32,
        pytorch_reader::DType::F16 => Floats::F16,
        pytorch_reader::DType::BF16 => Floats::Bf16,
        other => return Err(unusable(no_floats(&format!("{other:?}")))),
    };
    // A view may repeat its storage: both shapes could agree on more than there is.
    if tensor.byte_len() as u64 > length {
        return Err(unusable(format!(
            "`{TENSOR}` should have {} bytes, but the file has {length}",
            tensor.byte_len()
        )));
    }
    let mut bytes = tensor.read().map_err(|error| unusable(error.to_string()))?;
    bytes.truncate(layout.bytes(floats));
    Ok(floats.to_f32(&bytes))
}
