//! Weights that are rounded while they are read are those of a model that is rounded afterwards, bit by bit.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use fpt_lab::{Expected, values};
use fpt_t5::{Lm, LmBatch, NoTaps, Precision, SaveOptions, T5, T5Error};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// All weights, by their paths.
#[derive(Default)]
struct Weights {
    path: Vec<String>,
    all: Vec<(String, TensorData)>,
}

impl ModuleVisitor for Weights {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        assert!(!param.is_require_grad(), "{:?}", self.path);
        self.all
            .push((self.path.join("."), param.val().into_data()));
    }
}

/// That `directory` is read as what is in it is rounded, also with the same results.
fn read_as_rounded(directory: &Path, case: &str) {
    let device = Device::flex();
    let full = T5::from_pretrained(directory, &device).unwrap();
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        let read = T5::from_pretrained_in(directory, precision, &device).unwrap();
        let rounded = match precision {
            Precision::Bf16 => full.clone().into_bf16().unwrap(),
            Precision::Int8 => full.clone().into_int8().unwrap(),
            _ => full.clone(),
        };
        assert_eq!(read.config().to_json(), rounded.config().to_json());
        let weights = [&read, &rounded].map(|model| {
            let mut weights = Weights::default();
            model.visit(&mut weights);
            weights.all
        });
        assert_eq!(weights[0].len(), weights[1].len());
        for ((path, read), (_, rounded)) in weights[0].iter().zip(&weights[1]) {
            assert_eq!(
                read.dtype(),
                rounded.dtype(),
                "{case}, {precision:?}, {path}"
            );
            assert!(
                read.as_bytes() == rounded.as_bytes(),
                "{case}, {precision:?}, {path}"
            );
        }
        // Products read weights as they lie.
        let expected = Expected::read(&golden("gated_tied/expected.safetensors"));
        let batch = LmBatch {
            source: expected.ints("input_ids", &device),
            mask: expected.floats("attention_mask", &device),
            labels: expected.ints("labels", &device),
        };
        let logits = |model: &T5| values(model.logits(None, &batch, &mut NoTaps));
        assert_eq!(logits(&read), logits(&rounded), "{case}, {precision:?}");
    }
}

#[test]
fn reading_in_a_precision_is_rounding() {
    for case in [
        "gated_tied",
        "gated_untied",
        "relu_tied",
        "relu_untied",
        "mt5",
    ] {
        read_as_rounded(&golden(case), case);
    }
    for folder in [
        "bin",
        "bin_bf16",
        "bin_legacy",
        "bin_sharded",
        "f16",
        "sharded",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let config = golden("gated_tied/config.json");
        fs::copy(config, directory.path().join("config.json")).unwrap();
        for entry in fs::read_dir(golden("checkpoints").join(folder)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
        }
        read_as_rounded(directory.path(), folder);
    }
}

/// Which of them there is, is decided by what the file has, not by what is left of it.
#[test]
fn a_head_that_differs_by_less_than_is_rounded_off_is_one_of_its_own() {
    let source = golden("gated_tied");
    let bytes = fs::read(source.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let head = file.tensor("lm_head.weight").unwrap();
    let mut numbers = head.data().to_vec();
    numbers[0] ^= 1;
    let mut tensors = file.tensors();
    for (name, tensor) in &mut tensors {
        if name == "lm_head.weight" {
            *tensor = TensorView::new(head.dtype(), head.shape().to_vec(), &numbers).unwrap();
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    safetensors::serialize_to_file(tensors, None, &path).unwrap();
    let config = directory.path().join("config.json");
    fs::copy(source.join("config.json"), config).unwrap();
    let bf16 = |directory: &Path| {
        T5::from_pretrained_in(directory, Precision::Bf16, &Device::flex()).unwrap()
    };
    assert!(bf16(directory.path()).lm_head.is_some());
    assert!(bf16(&source).lm_head.is_none());
    read_as_rounded(directory.path(), "a bit");
}

#[test]
fn integers_are_not_saved() {
    let model =
        T5::from_pretrained_in(golden("gated_untied"), Precision::Int8, &Device::flex()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let error = model
        .save_pretrained(directory.path(), SaveOptions::default())
        .unwrap_err();
    assert!(matches!(error, T5Error::Integers), "{error}");
    assert!(error.to_string().contains("bf16"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn what_does_not_fit_is_told_in_every_precision() {
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        let source = golden("relu_tied");
        let directory = tempfile::tempdir().unwrap();
        let weights = directory.path().join("model.safetensors");
        fs::copy(source.join("model.safetensors"), weights).unwrap();
        let text = fs::read_to_string(source.join("config.json")).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        config["vocab_size"] = 65.into();
        config["num_layers"] = 9.into();
        fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
        let error = T5::from_pretrained_in(directory.path(), precision, &Device::flex());
        let T5Error::Tensors { problems, .. } = error.unwrap_err() else {
            panic!("another error");
        };
        let told = |line: &str| problems.iter().any(|problem| problem.trim() == line);
        assert!(
            told("misshapen: shared.weight is [64, 16], should be [65, 16]"),
            "{problems:?}"
        );
        assert!(
            told("missing: encoder.block.8.layer.0.SelfAttention.q.weight"),
            "{problems:?}"
        );
        let heads = problems.iter().filter(|it| it.contains("lm_head"));
        assert_eq!(heads.count(), 0, "{problems:?}");
    }
}

#[test]
fn weights_are_of_the_types_that_a_precision_says() {
    let read =
        |precision| T5::from_pretrained_in(golden("bf16"), precision, &Device::flex()).unwrap();
    let types = |model: &T5| {
        let block = &model.encoder.block[0];
        [
            model.shared.weight.val().dtype(),
            block.attention.q.weight.val().dtype(),
            block.attention_norm.weight.val().dtype(),
            model.encoder.position_bias.weight.val().dtype(),
        ]
    };
    let (f32, bf16) = (DType::F32, DType::BF16);
    assert_eq!(types(&read(Precision::F32)), [f32; 4]);
    assert_eq!(types(&read(Precision::Bf16)), [bf16, bf16, f32, f32]);
    let [embedding, linear, norm, positions] = types(&read(Precision::Int8));
    assert_eq!([embedding, norm, positions], [bf16, f32, f32]);
    assert!(matches!(linear, DType::QFloat(_)), "{linear:?}");
}
