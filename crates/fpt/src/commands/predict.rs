use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args as ClapArgs;
use fpt_t5::{T5, T5Tokenizer};
use fpt_tasks::TokenizedExample;
use fpt_train::Predictor;

use super::{adapter, print_json, print_line};
use crate::device::DeviceName;

/// Answer texts: one a line in, one answer a line out, in order.
///
/// The text is given to the model as it is, after the prompt: a prompt that was trained on MNLI expects
/// "hypothesis: ... premise: ...".
///
/// Example: echo "hypothesis: Anna lives in Kiel. premise: the home of Anna is in Kiel." |
///          fpt predict --model datasets/mini-world/model --adapter runs/mnli/adapter
#[derive(ClapArgs)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Model directory: config.json, model.safetensors, tokenizer.json.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,

    /// Directory of a PEFT prompt-tuning adapter; without it the model gets no prompt.
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,

    /// File of texts; standard input if absent.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// Longest answer in tokens.
    #[arg(long, default_value_t = 64)]
    max_new_tokens: usize,

    /// Texts that are answered together.
    #[arg(long, default_value_t = 32)]
    batch_size: usize,

    /// Where to compute.
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceName,

    /// Print each text with its answer as a line of JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(args.batch_size > 0, "--batch-size must be at least 1");
    let device = args.device.open();
    let tokenizer = T5Tokenizer::from_file(args.model.join("tokenizer.json"))?;
    let model = T5::from_pretrained(&args.model, &device)?;
    tokenizer.check_fits(model.config())?;
    let prompt = adapter(args.adapter.as_deref(), model.config().d_model, &device)?;
    let predictor = Predictor {
        model: &model,
        tokenizer: &tokenizer,
        prompt: prompt.as_ref(),
        max_new_tokens: args.max_new_tokens,
    };
    let input: Box<dyn BufRead> = match &args.input {
        Some(path) => Box::new(BufReader::new(
            std::fs::File::open(path)
                .with_context(|| format!("failed to read {}", path.display()))?,
        )),
        None => Box::new(std::io::stdin().lock()),
    };
    let name = args
        .input
        .as_ref()
        .map_or("standard input".into(), |path| path.display().to_string());

    let mut texts = Vec::with_capacity(args.batch_size);
    for (number, line) in input.lines().enumerate() {
        texts.push(line.with_context(|| format!("failed to read line {} of {name}", number + 1))?);
        if texts.len() == args.batch_size {
            answer(&predictor, &mut texts, args.json)?;
        }
    }
    answer(&predictor, &mut texts, args.json)
}

/// Answer the texts gathered so far and forget them.
fn answer(predictor: &Predictor<'_>, texts: &mut Vec<String>, json: bool) -> anyhow::Result<()> {
    let examples = texts
        .iter()
        .map(|text| {
            Ok(TokenizedExample {
                source: predictor.tokenizer.encode(text)?,
                target: Vec::new(),
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let answers = predictor.predict(&examples, texts.len().max(1), &mut |_| {})?;
    for (text, answer) in texts.drain(..).zip(answers) {
        match json {
            true => print_json(&serde_json::json!({ "text": text, "answer": answer }))?,
            false => print_line(&answer)?,
        }
    }
    Ok(())
}
