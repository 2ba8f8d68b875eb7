use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use safetensors::tensor::{Dtype, TensorView};

use super::keys::to_hugging_face;
use crate::{FeedForwardKind, T5, T5Error};

impl T5 {
    /// Write `config.json` and `model.safetensors` (f32) into `directory`, which must exist, such that
    /// transformers loads them unchanged. Each file is written under a temporary name and then renamed.
    ///
    /// # Errors
    /// [`T5Error::Write`] if a file can't be written.
    pub fn save_pretrained(&self, directory: impl AsRef<Path>) -> Result<(), T5Error> {
        let directory = directory.as_ref();
        let mut collector = Collector {
            gated: self.config().feed_forward_proj == FeedForwardKind::GatedGelu,
            path: Vec::new(),
            tensors: BTreeMap::new(),
        };
        self.visit(&mut collector);
        let mut views = Vec::with_capacity(collector.tensors.len());
        let path = directory.join("model.safetensors");
        let failed = |reason: String| T5Error::Write {
            path: path.clone(),
            source: std::io::Error::other(reason),
        };
        for (name, (shape, bytes)) in &collector.tensors {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes)
                .map_err(|error| failed(error.to_string()))?;
            views.push((name.as_str(), view));
        }
        let metadata = [("format".to_string(), "pt".to_string())].into();
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|error| failed(error.to_string()))?;
        write_atomically(&path, &bytes)?;
        write_atomically(
            &directory.join("config.json"),
            self.config().to_json().as_bytes(),
        )
    }
}

/// Gathers all parameters as little-endian f32 in Hugging Face's names and orientation.
struct Collector {
    gated: bool,
    path: Vec<(String, String)>,
    tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
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
        let value = if in_linear { value.transpose() } else { value };
        let shape = value.dims().to_vec();
        let bytes = value
            .into_data()
            .iter::<f32>()
            .flat_map(f32::to_le_bytes)
            .collect();
        let name = to_hugging_face(&names.join("."), self.gated);
        self.tensors.insert(name, (shape, bytes));
    }
}

fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), T5Error> {
    let failed = |source| T5Error::Write {
        path: path.to_path_buf(),
        source,
    };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    std::fs::write(&temporary, bytes).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}
