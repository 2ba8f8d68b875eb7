//! What a device is called on the command line and in records.

use std::fmt;
use std::str::FromStr;

use super::Gpu;

/// Where to compute, as the user says it: `auto`, `cpu`, `cuda`, `cuda:1`, `cuda:0,1`, `wgpu`, `wgpu:0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// The best that is usable.
    Auto,
    /// The processor.
    Cpu,
    /// The cards of these indices, each once; the first one where none is named.
    Gpu(Gpu, Vec<usize>),
}

impl DeviceName {
    /// What `--help` says of `--device`.
    pub const HELP: &str = "Where to compute: auto, cpu, cuda[:I[,J...]] or wgpu[:I[,J...]]; `auto` takes the first \
        usable of CUDA, wgpu on a real GPU, and the processor. The default is the processor, whose results are the \
        same bits each time; GPUs need a program built with the feature `cuda` or `wgpu`. `fpt devices` lists what is \
        usable";
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, indices) = match text.split_once(':') {
            Some((kind, indices)) => (kind, Some(indices)),
            None => (text, None),
        };
        let gpu = match (kind, indices) {
            ("auto", None) => return Ok(Self::Auto),
            ("cpu", None) => return Ok(Self::Cpu),
            ("auto" | "cpu", Some(_)) => return Err(format!("`{kind}` takes no index")),
            ("cuda", _) => Gpu::Cuda,
            ("wgpu", _) => Gpu::Wgpu,
            _ => {
                return Err(
                    "a device is auto, cpu, cuda, wgpu, or one or several by index: cuda:1, cuda:0,1"
                        .into(),
                );
            }
        };
        let mut list = Vec::new();
        for index in indices.into_iter().flat_map(|indices| indices.split(',')) {
            let digits = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
            let number = index.parse().ok().filter(|_| digits);
            let Some(number) = number else {
                return Err(format!(
                    "`{index}` is no index of a device; they count from 0, as in {gpu}:0 or {gpu}:0,1"
                ));
            };
            if list.contains(&number) {
                return Err(format!("{gpu}:{number} is named twice"));
            }
            list.push(number);
        }
        Ok(Self::Gpu(gpu, list))
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(gpu, indices) => {
                write!(f, "{gpu}")?;
                for (position, index) in indices.iter().enumerate() {
                    let before = if position == 0 { ':' } else { ',' };
                    write!(f, "{before}{index}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for (text, name) in [
            ("auto", DeviceName::Auto),
            ("cpu", DeviceName::Cpu),
            ("cuda", DeviceName::Gpu(Gpu::Cuda, vec![])),
            ("cuda:3", DeviceName::Gpu(Gpu::Cuda, vec![3])),
            ("cuda:1,0", DeviceName::Gpu(Gpu::Cuda, vec![1, 0])),
            ("wgpu:0", DeviceName::Gpu(Gpu::Wgpu, vec![0])),
        ] {
            assert_eq!(text.parse(), Ok(name.clone()));
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_name_is_told() {
        for (text, part) in [
            ("gpu", "auto, cpu, cuda, wgpu"),
            ("", "auto, cpu, cuda, wgpu"),
            ("cpu:0", "`cpu` takes no index"),
            ("auto:1", "`auto` takes no index"),
            ("cuda:", "`` is no index"),
            ("cuda:x", "`x` is no index"),
            ("cuda:+1", "`+1` is no index"),
            ("cuda:0,", "`` is no index"),
            ("cuda:-1", "`-1` is no index"),
            ("cuda:0,1,0", "cuda:0 is named twice"),
            ("wgpu:99999999999999999999999", "is no index"),
        ] {
            let error = text.parse::<DeviceName>().expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_device_each() {
        let each = |text: &str| -> Vec<String> {
            let name: DeviceName = text.parse().expect("a name");
            name.each().iter().map(ToString::to_string).collect()
        };
        assert_eq!(each("cuda:2,0"), ["cuda:2", "cuda:0"]);
        assert_eq!(each("cuda"), ["cuda"]);
        assert_eq!(each("cpu"), ["cpu"]);
    }
}
