//! Writing a model as a Hugging Face checkpoint.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor};
use fpt_files::{write, write_path};
use safetensors::tensor::{Dtype, View};

use super::keys::to_hugging_face;
use crate::{FeedForwardKind, T5, T5Error};

/// How weights are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaveOptions {
    /// Largest size of a file of weights, in bytes; more tensors go into further files with an index. A single
    /// tensor may be larger.
    pub max_shard_bytes: u64,
    /// Round to bf16, at half the size, instead of writing f32.
    pub bf16: bool,
}

/// f32, and files of 5 GB as transformers writes them.
impl Default for SaveOptions {
    fn default() -> Self {
        Self {
            max_shard_bytes: 5_000_000_000,
            bf16: false,
        }
    }
}

impl T5 {
    /// Write `config.json` and `model.safetensors`, or `model-00001-of-0000N.safetensors` and
    /// `model.safetensors.index.json` where that would be too large, into `directory`, which must exist, such that
    /// transformers loads them unchanged. Each file appears whole or not at all. Tensors are written one by one, so that
    /// no second copy of the model is made.
    ///
    /// # Errors
    /// [`T5Error::Write`] if a file can't be written, [`T5Error::Integers`] if weights are in int8.
    pub fn save_pretrained(
        &self,
        directory: impl AsRef<Path>,
        options: SaveOptions,
    ) -> Result<(), T5Error> {
        let directory = directory.as_ref();
        let mut collector = Collector {
            gated: self.config().feed_forward_proj == FeedForwardKind::GatedGelu,
            dtype: if options.bf16 {
                DType::BF16
            } else {
                DType::F32
            },
            path: Vec::new(),
            tensors: BTreeMap::new(),
            integers: false,
        };
        self.visit(&mut collector);
        if collector.integers {
            return Err(T5Error::Integers);
        }

        let total: u64 = collector.tensors.values().map(Stored::bytes).sum();
        let shards = shards(collector.tensors, options.max_shard_bytes);
        let count = shards.len();
        let mut weight_map = BTreeMap::new();
        for (number, shard) in shards.into_iter().enumerate() {
            let name = match count {
                1 => "model.safetensors".to_string(),
                _ => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
            };
            weight_map.extend(shard.iter().map(|(key, _)| (key.clone(), name.clone())));
            let metadata = [("format".to_string(), "pt".to_string())].into();
            write_path(directory.join(&name), |path| {
                safetensors::serialize_to_file(shard, Some(metadata), path)
                    .map_err(std::io::Error::other)
            })?;
        }
        if count > 1 {
            let index = serde_json::json!({
                "metadata": { "total_size": total },
                "weight_map": weight_map,
            });
            let path = directory.join("model.safetensors.index.json");
            write(path, format!("{index:#}\n"))?;
        }
        let mut config = self.config().clone();
        let dtype = if options.bf16 { "bfloat16" } else { "float32" };
        // Its older and its newer name.
        for key in ["torch_dtype", "dtype"] {
            if let Some(value) = config.others.get_mut(key) {
                *value = dtype.into();
            }
        }
        Ok(write(directory.join("config.json"), config.to_json())?)
    }
}

/// Tensors in the order of their names, in as few files as hold them in that order.
fn shards(tensors: BTreeMap<String, Stored>, max_bytes: u64) -> Vec<Vec<(String, Stored)>> {
    let mut shards = vec![Vec::new()];
    let mut size = 0;
    for (name, tensor) in tensors {
        let bytes = tensor.bytes();
        if size > 0 && size + bytes > max_bytes {
            shards.push(Vec::new());
            size = 0;
        }
        size += bytes;
        if let Some(shard) = shards.last_mut() {
            shard.push((name, tensor));
        }
    }
    shards
}

/// A parameter in Hugging Face's orientation, that is brought to the host when it is written.
struct Stored {
    shape: Vec<usize>,
    dtype: DType,
    read: Box<dyn Fn() -> Vec<u8>>,
}

impl Stored {
    fn bytes(&self) -> u64 {
        (self.shape.iter().product::<usize>() * self.dtype.size()) as u64
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        match self.dtype {
            DType::BF16 => Dtype::BF16,
            _ => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        (self.read)().into()
    }

    fn data_len(&self) -> usize {
        self.bytes() as usize
    }
}

/// Gathers all parameters under Hugging Face's names.
struct Collector {
    gated: bool,
    dtype: DType,
    path: Vec<(String, String)>,
    tensors: BTreeMap<String, Stored>,
    /// Whether there are weights that no checkpoint has.
    integers: bool,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.push((name.into(), container_type.into()));
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let names: Vec<&str> = self.path.iter().map(|(name, _)| name.as_str()).collect();
        let in_linear = self.path.iter().any(|(_, kind)| kind.contains("Linear"));
        let value = param.val();
        if matches!(value.dtype(), DType::QFloat(_)) {
            self.integers = true;
            return;
        }
        let value = if in_linear { value.transpose() } else { value };
        let dtype = self.dtype;
        let stored = Stored {
            shape: value.dims().to_vec(),
            dtype,
            // Safetensors are little-endian, as are the machines that Burn runs on.
            read: Box::new(move || {
                let data = value.clone().into_data().convert_dtype(dtype);
                data.as_bytes().to_vec()
            }),
        };
        let name = to_hugging_face(&names.join("."), self.gated);
        self.tensors.insert(name, stored);
    }
}
