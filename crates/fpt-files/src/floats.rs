//! Numbers as they lie in files: little-endian, one after the other.

use half::{bf16, f16};

/// A format of floating-point numbers that weights and prompts are stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FloatFormat {
    /// IEEE half precision.
    F16,
    /// The upper half of f32.
    Bf16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
}

impl FloatFormat {
    /// The format that headers of safetensors call `F16`, `BF16`, `F32` or `F64`, as do readers of PyTorch's files;
    /// none for integers and all formats of fewer bits.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "F16" => Some(Self::F16),
            "BF16" => Some(Self::Bf16),
            "F32" => Some(Self::F32),
            "F64" => Some(Self::F64),
            _ => None,
        }
    }

    /// Bytes of one number.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The numbers as f32, which holds all of f16 and bf16 exactly; f64 is rounded.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let mut values = Vec::with_capacity(bytes.len() / self.size());
        self.append(bytes, &mut values);
        values
    }

    /// As [`Self::decode`], behind what `values` holds already. An incomplete number at the end is left out.
    pub fn append(self, bytes: &[u8], values: &mut Vec<f32>) {
        match self {
            Self::F16 => values.extend(numbers(bytes, |b| f16::from_le_bytes(b).to_f32())),
            Self::Bf16 => values.extend(numbers(bytes, |b| bf16::from_le_bytes(b).to_f32())),
            Self::F32 => values.extend(numbers(bytes, f32::from_le_bytes)),
            Self::F64 => values.extend(numbers(bytes, |b| f64::from_le_bytes(b) as f32)),
        }
    }
}

/// Numbers of `N` bytes each, made by a function such as [`u32::from_le_bytes`]. An incomplete one at the end is left
/// out.
pub fn numbers<const N: usize, T>(
    bytes: &[u8],
    number: impl Fn([u8; N]) -> T,
) -> impl ExactSizeIterator<Item = T> {
    bytes.as_chunks().0.iter().map(move |&bytes| number(bytes))
}

/// Whether no number is NaN or infinite.
#[must_use]
pub fn all_finite(values: &[f32]) -> bool {
    // All of them, without a way out: it is the faster for that, and nearly always all are.
    values
        .iter()
        .fold(true, |finite, value| finite & value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_formats_become_f32() {
        let values = [0.0, -1.5, 65504.0, 2.0_f32.powi(-14)];
        let bytes = |number: fn(f32) -> Vec<u8>| values.into_iter().flat_map(number).collect();
        let stored: [(&str, Vec<u8>); 4] = [
            ("F16", bytes(|v| f16::from_f32(v).to_le_bytes().into())),
            ("BF16", bytes(|v| bf16::from_f32(v).to_le_bytes().into())),
            ("F32", bytes(|v| v.to_le_bytes().into())),
            ("F64", bytes(|v| f64::from(v).to_le_bytes().into())),
        ];
        for (name, bytes) in stored {
            let format = FloatFormat::from_name(name);
            assert_eq!(format.map(FloatFormat::size), Some(bytes.len() / 4));
            let expected = match format {
                // The largest number of f16 has too many digits for bf16.
                Some(FloatFormat::Bf16) => [0.0, -1.5, 65536.0, 2.0_f32.powi(-14)],
                _ => values,
            };
            assert_eq!(format.map(|f| f.decode(&bytes)), Some(expected.to_vec()));
        }
        assert_eq!(FloatFormat::from_name("I8"), None);
        // 1/3 in double precision.
        assert_eq!(
            FloatFormat::F64.decode(&(1.0_f64 / 3.0).to_le_bytes()),
            [1.0 / 3.0]
        );
    }

    #[test]
    fn what_is_not_finite_is_found() {
        assert!(all_finite(&[]) && all_finite(&[0.0, f32::MAX, f32::MIN_POSITIVE]));
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(!all_finite(&[1.0, wrong, 2.0]), "{wrong}");
        }
        // f64 has numbers that f32 has not.
        let large = FloatFormat::F64.decode(&1e300_f64.to_le_bytes());
        assert!(!all_finite(&large));
    }

    #[test]
    fn incomplete_numbers_are_left_out() {
        let mut values = vec![7.0];
        FloatFormat::F16.append(&[0, 0x3c, 0], &mut values);
        assert_eq!(values, [7.0, 1.0]);
        let numbers = numbers(&[1, 0, 2, 1, 9], u16::from_le_bytes);
        assert_eq!(numbers.collect::<Vec<_>>(), [1, 258]);
    }
}
