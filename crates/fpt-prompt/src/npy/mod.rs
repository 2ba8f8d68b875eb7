//! Prompts of google-research/prompt-tuning: one array in NumPy's format.

mod header;

use std::io::Read;
use std::path::Path;

use burn::tensor::Device;
use fpt_files::FloatFormat;

use self::header::Header;
use crate::{PromptError, SoftPrompt};

/// Read a prompt of google-research/prompt-tuning for a model of width `d_model`: a `.npy` file of
/// `[length, d_model]` little-endian numbers in C order, float32, float16, float64 or bfloat16 (which NumPy stores as
/// a void type of two bytes).
///
/// # Errors
/// [`PromptError::Read`] if the file can't be read, [`PromptError::Npy`] if it is damaged, or another array,
/// [`PromptError::NotFinite`] if a number is NaN or infinite.
pub fn load_npy(
    path: impl AsRef<Path>,
    d_model: usize,
    device: &Device,
) -> Result<SoftPrompt, PromptError> {
    let path = path.as_ref();
    let unusable = |reason: String| PromptError::Npy {
        path: path.to_path_buf(),
        reason,
    };
    let read_error = |source| PromptError::Read {
        path: path.to_path_buf(),
        source,
    };
    let mut file = fpt_files::open(path).map_err(read_error)?;
    let length = file.metadata().map_err(read_error)?.len();

    // A header is a hundred bytes long. What a file has after it is read only once the header is believed.
    let mut start = Vec::new();
    (&mut file)
        .take(header::MAX_END)
        .read_to_end(&mut start)
        .map_err(read_error)?;
    let (header, offset) = header::parse(&start).map_err(unusable)?;

    let format = float_format(&header).map_err(unusable)?;
    let rows = rows(&header, d_model).map_err(unusable)?;
    let expected = u128::from(rows) * d_model as u128 * format.size() as u128;
    let found = length.saturating_sub(offset as u64);
    if expected != u128::from(found) {
        return Err(unusable(format!(
            "its numbers should be {expected} bytes long, but are {found}"
        )));
    }

    let mut bytes = start.split_off(offset);
    (&mut file)
        .take(found)
        .read_to_end(&mut bytes)
        .map_err(read_error)?;
    if bytes.len() as u64 != found {
        return Err(unusable("it changed while it was read".into()));
    }
    let shape = [rows as usize, d_model];
    let values = format.decode(&bytes);
    match SoftPrompt::not_finite(&values, d_model) {
        None => Ok(SoftPrompt::from_values(values, shape, device)),
        Some(row) => Err(PromptError::NotFinite {
            path: path.to_path_buf(),
            what: "its array".into(),
            row,
        }),
    }
}

/// The format of the numbers, which lie in C order.
fn float_format(header: &Header<'_>) -> Result<FloatFormat, String> {
    let format = match header.descr {
        "<f4" => FloatFormat::F32,
        "<f2" => FloatFormat::F16,
        "<f8" => FloatFormat::F64,
        "|V2" | "<V2" => FloatFormat::Bf16,
        other => {
            return Err(format!(
                "its numbers are of type {other}; supported are float32, float16, float64 and bfloat16, \
                 little-endian: save it with `np.save(path, prompt.astype('<f4'))`"
            ));
        }
    };
    if header.fortran_order {
        return Err(
            "it is in Fortran order: save it with `np.save(path, np.ascontiguousarray(prompt))`"
                .into(),
        );
    }
    Ok(format)
}

/// The length of the prompt.
fn rows(header: &Header<'_>, d_model: usize) -> Result<u64, String> {
    match header.shape[..] {
        [rows, width] if rows > 0 && width == d_model as u64 => Ok(rows),
        _ => Err(format!(
            "its shape is {:?}, but a prompt for this model is [length, {d_model}]",
            header.shape
        )),
    }
}
