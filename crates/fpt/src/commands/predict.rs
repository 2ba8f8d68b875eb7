//! `fpt predict`: answers to texts.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args as ClapArgs;
use fpt::{DeviceName, model, terminal};
use fpt_t5::{Generation, T5, T5Tokenizer};
use fpt_tasks::TokenizedExample;
use fpt_train::Predictor;

use super::synthetic::PrecisionName;
use super::{adapter, print_json, print_line};

/// Answer texts: one a line in, one answer a line out, in order.
///
/// The text is given to the model as it is, after the prompt: a prompt that was trained on MNLI expects
/// "hypothesis: ... premise: ...".
///
/// Example: echo "hypothesis: Anna lives in Kiel. premise: the home of Anna is in Kiel." |
///          fpt predict --model datasets/mini-world/model --adapter runs/mnli/adapter
#[derive(ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Model: a directory of config.json, weights (model.safetensors or pytorch_model.bin, also in shards) and
    /// tokenizer.json or spiece.model; or a model of the hub, owner/name or owner/name@revision.
    #[arg(long, value_name = "DIR|NAME")]
    model: PathBuf,

    /// Directory of a PEFT prompt-tuning adapter, or a .npy file of prompt vectors; without it the model gets no
    /// prompt.
    #[arg(long, value_name = "DIR|FILE")]
    adapter: Option<PathBuf>,

    /// File of texts; standard input if absent.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// Longest answer in tokens.
    #[arg(long, default_value_t = 64)]
    max_new_tokens: usize,

    /// Hypotheses that beam search follows; 1 is greedy decoding.
    #[arg(long, default_value_t = 1, value_name = "N")]
    num_beams: usize,

    /// Above 0 beam search favours long answers, below short ones.
    #[arg(
        long,
        default_value_t = 1.0,
        allow_negative_numbers = true,
        value_name = "X"
    )]
    length_penalty: f64,

    /// End beam search as soon as as many answers as beams are complete.
    #[arg(long)]
    early_stopping: bool,

    /// Texts that are answered together.
    #[arg(long, default_value_t = 32)]
    batch_size: usize,

    #[arg(long, default_value = "cpu", help = DeviceName::HELP)]
    device: DeviceName,

    /// Numbers of the weights: those that the prompt was trained with (`precision` of its configuration).
    #[arg(long, value_enum, default_value_t = PrecisionName::F32)]
    precision: PrecisionName,

    /// Print each text with its answer as a line of JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    for (option, value) in [
        ("--batch-size", args.batch_size),
        ("--num-beams", args.num_beams),
        ("--max-new-tokens", args.max_new_tokens),
    ] {
        anyhow::ensure!(value > 0, "{option} must be at least 1");
    }
    anyhow::ensure!(
        args.length_penalty.is_finite(),
        "--length-penalty must be a finite number"
    );
    let device = args.device.open_single()?;
    let directory = model::directory(&args.model)?;
    let tokenizer = T5Tokenizer::from_directory(&directory)?;
    let model = T5::from_pretrained(&directory, &device)?;
    let model = match args.precision {
        PrecisionName::F32 => model,
        PrecisionName::Bf16 => model.into_bf16()?,
    };
    tokenizer.check_fits(model.config())?;
    let prompt = adapter(args.adapter.as_deref(), model.config().d_model, &device)?;
    let predictor = Predictor {
        model: &model,
        tokenizer: &tokenizer,
        prompt: prompt.as_ref(),
        generation: Generation {
            max_new_tokens: args.max_new_tokens,
            num_beams: args.num_beams,
            length_penalty: args.length_penalty,
            early_stopping: args.early_stopping,
            vocabulary: Some(tokenizer.vocab_size()),
        },
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

    let start = Instant::now();
    let mut count = 0;
    let mut texts = Vec::with_capacity(args.batch_size);
    for (number, line) in input.lines().enumerate() {
        texts.push(line.with_context(|| format!("failed to read line {} of {name}", number + 1))?);
        count += 1;
        if texts.len() == args.batch_size {
            answer(&predictor, &mut texts, args.json)?;
        }
    }
    answer(&predictor, &mut texts, args.json)?;
    let seconds = start.elapsed().as_secs_f64();
    terminal::note(&format!(
        "{count} answers in {seconds:.1} s, {:.1} a second",
        count as f64 / seconds.max(1e-9)
    ));
    Ok(())
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
    let answers = predictor.predict(&examples, texts.len().max(1), &mut |_| Ok(()))?;
    for (text, answer) in texts.drain(..).zip(answers) {
        if json {
            print_json(&serde_json::json!({ "text": text, "answer": answer }))?;
        } else {
            print_line(&answer)?;
        }
    }
    Ok(())
}
