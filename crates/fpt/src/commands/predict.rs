//! `fpt predict`: answers to texts.

use std::borrow::Cow;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args as ClapArgs;
use fpt::{DeviceName, model, terminal};
use fpt_t5::{Generation, T5, T5Tokenizer};
use fpt_tasks::{TokenizedExample, cut};
use fpt_train::{MOST_EXAMPLES, MOST_TOKENS, Predictor};

use super::fitting::Fitting;
use super::synthetic::PrecisionName;
use super::{adapter, numbers, print_json, print_line};

/// Hypotheses that beam search may follow: all of them are compared with each other.
const MOST_BEAMS: usize = 1024;

/// Answer texts: one a line in, one answer a line out, in order.
///
/// The text is given to the model as it is, after the prompt: a prompt that was trained on MNLI expects
/// "hypothesis: ... premise: ...".
///
/// Example: echo "hypothesis: Anna lives in Kiel. premise: the home of Anna is in Kiel." |
/// fpt predict --model datasets/mini-world/model --adapter runs/mnli/adapter
#[derive(ClapArgs)]
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
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = numbers::count::<MOST_TOKENS>)]
    max_new_tokens: usize,

    /// Hypotheses that beam search follows; 1 is greedy decoding.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = numbers::count::<MOST_BEAMS>)]
    num_beams: usize,

    /// Above 0 beam search favours long answers, below short ones.
    #[arg(
        long,
        default_value_t = 1.0,
        allow_negative_numbers = true,
        value_name = "X",
        value_parser = numbers::finite
    )]
    length_penalty: f64,

    /// End beam search as soon as as many answers as beams are complete.
    #[arg(long)]
    early_stopping: bool,

    /// Texts that are answered together, fewer where memory does not suffice for as many.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = numbers::count::<MOST_EXAMPLES>)]
    batch_size: usize,

    /// Cut texts to so many tokens, the prompt not counted; by default a text that memory does not suffice for is an
    /// error.
    #[arg(long, value_name = "N", value_parser = numbers::count::<MOST_TOKENS>)]
    max_source: Option<usize>,

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
    let devices = args.device.open_one()?;
    let device = devices.primary().clone();
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

    let prompt_length = prompt.as_ref().map_or(0, |prompt| prompt.shape()[0]);
    let mut answering = Answering {
        fitting: Fitting::new(&devices, &model, args.precision.numbers(), prompt_length),
        predictor,
        args,
        name: &name,
        cut: 0,
    };

    let start = Instant::now();
    let mut count = 0;
    let mut texts = Vec::new();
    for (number, line) in input.lines().enumerate() {
        let mut line =
            line.with_context(|| format!("failed to read line {} of {name}", number + 1))?;
        if number == 0 && line.starts_with(BYTE_ORDER_MARK) {
            line.remove(0);
        }
        texts.push(line);
        if texts.len() == args.batch_size {
            answering.answer(count, &texts)?;
            count += texts.len();
            texts.clear();
        }
    }
    answering.answer(count, &texts)?;
    count += texts.len();
    answering.tell_cuts();
    let seconds = start.elapsed().as_secs_f64();
    terminal::note(&format!(
        "{count} answers in {seconds:.1} s, {:.1} a second",
        count as f64 / seconds.max(1e-9)
    ));
    Ok(())
}

/// Texts, on their way to answers.
struct Answering<'a> {
    predictor: Predictor<'a>,
    fitting: Fitting,
    args: &'a Args,
    /// Where the texts are from.
    name: &'a str,
    /// Texts that were cut so far.
    cut: usize,
}

impl Answering<'_> {
    /// Answer texts that follow `before` others.
    fn answer(&mut self, before: usize, texts: &[String]) -> anyhow::Result<()> {
        let generation = &self.predictor.generation;
        let mut sources = Vec::new();
        for (text, line) in texts.iter().zip(before + 1..) {
            let place = || format!("line {line} of {}", self.name);
            let mut source = self.predictor.tokenizer.encode(text).with_context(place)?;
            if let Some(most) = self.args.max_source
                && source.len() > most
            {
                source = cut(source, most);
                self.cut += 1;
            }
            self.fitting
                .check(source.len(), generation)
                .with_context(place)?;
            sources.push(source);
        }
        let lengths: Vec<usize> = sources.iter().map(Vec::len).collect();
        let mut answers = vec![String::new(); texts.len()];
        for group in self
            .fitting
            .groups(&lengths, self.args.batch_size, generation)
        {
            let take = |&text: &usize| std::mem::take(&mut sources[text]);
            let whole = |source| TokenizedExample {
                source,
                target: Vec::new(),
            };
            let together: Vec<_> = group.iter().map(take).map(whole).collect();
            let size = together.len();
            let found = self.predictor.predict(&together, size, &mut |_| Ok(()))?;
            for (text, answer) in group.into_iter().zip(found) {
                answers[text] = answer;
            }
        }
        for (text, answer) in texts.iter().zip(answers) {
            if self.args.json {
                print_json(&serde_json::json!({ "text": text, "answer": answer }))?;
            } else {
                // The n-th answer is on the n-th line.
                print_line(&one_line(&answer))?;
            }
        }
        Ok(())
    }

    fn tell_cuts(&self) {
        if let Some(most) = self.args.max_source
            && self.cut > 0
        {
            terminal::note(&match self.cut {
                1 => format!("1 text was cut to {most} tokens"),
                count => format!("{count} texts were cut to {most} tokens"),
            });
        }
    }
}

/// What some editors and Excel put before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// An answer without its line breaks, whatever they are written with.
fn one_line(answer: &str) -> Cow<'_, str> {
    let breaks = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}',
    ];
    if !answer.contains(breaks) {
        return Cow::Borrowed(answer);
    }
    let parts = answer.split(breaks).filter(|part| !part.is_empty());
    Cow::Owned(parts.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_line() {
        assert_eq!(one_line("a b"), "a b");
        assert_eq!(one_line("a\r\nb\n"), "a b");
        assert_eq!(one_line("\u{2028}a\u{85}b"), "a b");
    }
}
