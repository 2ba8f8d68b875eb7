//! `fpt convert`: weights as safetensors.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use burn::tensor::Device;
use clap::{Args as ClapArgs, ValueEnum};
use fpt::bytes::Bytes;
use fpt::{model, terminal};
use fpt_t5::{SaveOptions, T5};

use super::print_line;

/// Write a model's weights as safetensors in Hugging Face's layout, in shards where they are large.
///
/// Reads whatever `fpt predict` reads: pytorch_model.bin and safetensors, whole or in shards, f32, bf16 or f16.
/// Tokenizer files are copied along, so that the result is a model of its own, here and in transformers. All files
/// appear together when they are complete.
///
/// Example: fpt convert --model google/t5-large-lm-adapt --out models/t5-large-lm-adapt
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Model directory, or a model of the hub, owner/name or owner/name@revision.
    #[arg(long, value_name = "DIR|NAME")]
    model: PathBuf,

    /// Directory for the result; it must not hold a model yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Type of the weights in the file; computing is in f32 in any case.
    #[arg(long, value_enum, default_value = "f32")]
    dtype: StoredType,

    /// Largest size of a file, such as 500MB.
    #[arg(long, default_value = "5GB", value_name = "BYTES")]
    max_shard_size: Bytes,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum StoredType {
    /// As computed with.
    F32,
    /// Half the size, rounded.
    Bf16,
}

/// What goes along with the weights.
const TOKENIZER_FILES: [&str; 6] = [
    "tokenizer.json",
    "spiece.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
];

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let source = model::directory(&args.model)?;
    if let Some(name) = model_file(&args.out)? {
        bail!(
            "{} holds a model already ({name}); choose another --out, or remove it",
            args.out.display()
        );
    }
    let model = T5::from_pretrained(&source, &Device::flex())?;
    let options = SaveOptions {
        max_shard_bytes: args.max_shard_size.0,
        bf16: args.dtype == StoredType::Bf16,
    };
    let present = |name: &&str| source.join(name).exists();
    let beside: Vec<&str> = TOKENIZER_FILES.into_iter().filter(present).collect();
    fpt_files::write_directory(&args.out, |out| -> anyhow::Result<()> {
        model
            .save_pretrained(out, options)
            .with_context(|| format!("failed to write the model to {}", args.out.display()))?;
        for name in &beside {
            let copy = |to: &Path| fs::copy(source.join(name), to).map(|_| ());
            fpt_files::write_path(out.join(name), copy)?;
        }
        Ok(())
    })?;
    let is_tokenizer = |name: &&str| ["tokenizer.json", "spiece.model"].contains(name);
    if !beside.iter().any(is_tokenizer) {
        terminal::note(&format!(
            "warning: {} has neither tokenizer.json nor spiece.model",
            source.display()
        ));
    }
    print_line(&args.out.display().to_string())
}

/// The name of a file of a model in `directory`, if there are both.
fn model_file(directory: &Path) -> anyhow::Result<Option<String>> {
    let failed = || format!("failed to read {}", directory.display());
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries.with_context(failed)?,
    };
    for entry in entries {
        let name = entry.with_context(failed)?.file_name();
        let name = name.to_string_lossy();
        let weights = name.ends_with(".safetensors") || name.ends_with(".bin");
        if weights || name.ends_with(".index.json") || name == "config.json" {
            return Ok(Some(name.into_owned()));
        }
    }
    Ok(None)
}
