//! `fpt predict`: answers to texts, or to rows of a task.

mod input;
mod output;
mod prompted;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args as ClapArgs;
use fpt::{DeviceName, terminal};
use fpt_t5::Generation;
use fpt_tasks::{TokenizedExample, cut};
use fpt_train::{MOST_EXAMPLES, MOST_TOKENS, Predictor};

use super::fitting::Fitting;
use super::numbers;
use super::weights::WeightsName;
use input::{Lines, Text};
use output::Output;
use prompted::Prompted;

/// Hypotheses that beam search may follow: all of them are compared with each other.
const MOST_BEAMS: usize = 1024;
/// The longest answer of a prompt that does not say for what task it is.
const USUAL_ANSWER: usize = 64;

/// Answer texts: one a line in, one answer a line out, in order. Or rows of a task, from a table.
///
/// A line is given to the model as it is, after the prompt: a prompt that was trained on MNLI expects
/// "hypothesis: ... premise: ...". Of a file of rows (.csv, .tsv, .json, .jsonl, .parquet, or as the task has them) the
/// texts are made as they were for training, where the prompt's task is known: by the directory of its run, or by the
/// fpt.json beside the adapter.
///
/// Example: fpt predict runs/reviews --input new.csv --output answers.jsonl
///
/// Example: echo "hypothesis: Anna lives in Kiel. premise: the home of Anna is in Kiel." | fpt predict runs/mnli
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Directory of a finished run: its model, and its prompt.
    #[arg(value_name = "RUN")]
    run: Option<PathBuf>,

    /// Model: a directory of config.json, weights (model.safetensors or pytorch_model.bin, also in shards) and
    /// tokenizer.json or spiece.model; or a model of the hub, owner/name or owner/name@revision. By default that of the run,
    /// or the one that the adapter names.
    #[arg(long, value_name = "DIR|NAME")]
    model: Option<PathBuf>,

    /// Directory of a run or of a PEFT prompt-tuning adapter, or a .npy file of prompt vectors; without it, and without a
    /// run, the model gets no prompt.
    #[arg(long, value_name = "DIR|FILE", conflicts_with = "run")]
    adapter: Option<PathBuf>,

    /// File of texts, or of rows; standard input, of texts, if absent. What comes from a pipe or a terminal is answered as
    /// it comes.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// Write the answers here instead of to standard output; a .jsonl file gets JSON.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Longest answer in tokens; by default as the prompt's task has it, or 64.
    #[arg(long, value_name = "N", value_parser = numbers::count::<MOST_TOKENS>)]
    max_new_tokens: Option<usize>,

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

    /// Cut texts to so many tokens, the prompt not counted; by default rows are cut as they were for training, and a line
    /// that memory does not suffice for is an error.
    #[arg(long, value_name = "N", value_parser = numbers::count::<MOST_TOKENS>)]
    max_source: Option<usize>,

    #[arg(long, default_value = "cpu", help = DeviceName::HELP)]
    device: DeviceName,

    /// What the weights are in; by default what they were in when the prompt was trained.
    #[arg(long, value_enum, visible_alias = "precision")]
    weights: Option<WeightsName>,

    /// Print each text with its answer as a line of JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let devices = args.device.open_one()?;
    let prompted = Prompted::load(args, devices.primary())?;
    // Rows are read before anything is answered: what is wrong with one is told at once.
    let rows = match (&args.input, prompted.task()) {
        (Some(path), Some(task)) if input::is_of_rows(path, task) => Some(input::rows(task, path)?),
        _ => None,
    };
    let max_source = args
        .max_source
        .or_else(|| rows.as_ref().and(prompted.max_source()));
    let predictor = Predictor {
        model: &prompted.model,
        tokenizer: &prompted.tokenizer,
        prompt: prompted.prompt.as_ref(),
        generation: Generation {
            max_new_tokens: args
                .max_new_tokens
                .or(prompted.max_target())
                .unwrap_or(USUAL_ANSWER),
            num_beams: args.num_beams,
            length_penalty: args.length_penalty,
            early_stopping: args.early_stopping,
            vocabulary: Some(prompted.tokenizer.vocab_size()),
        },
        answering: &prompted.answering,
    };
    let mut answering = Answering {
        fitting: Fitting::new(
            &devices,
            &prompted.model,
            prompted.numbers,
            prompted.vectors(),
        ),
        predictor,
        batch_size: args.batch_size,
        max_source,
        output: Output::new(args.json, args.output.as_deref(), prompted.task()),
        count: 0,
        cut: 0,
    };

    let start = Instant::now();
    if let Some(rows) = rows {
        let bar = terminal::bar(rows.len(), "predict");
        for part in rows.chunks(args.batch_size) {
            answering.answer(part)?;
            bar.inc(part.len() as u64);
        }
        bar.finish_and_clear();
    } else {
        let mut lines = Lines::open(args.input.as_deref())?;
        loop {
            let texts = lines.next(args.batch_size)?;
            if texts.is_empty() {
                break;
            }
            answering.answer(&texts)?;
        }
    }
    answering.finish(start)
}

/// Texts, on their way to answers.
struct Answering<'a> {
    predictor: Predictor<'a>,
    fitting: Fitting,
    batch_size: usize,
    max_source: Option<usize>,
    output: Output<'a>,
    /// Texts that were answered so far.
    count: usize,
    /// Texts that were cut so far.
    cut: usize,
}

impl Answering<'_> {
    fn answer(&mut self, texts: &[Text]) -> anyhow::Result<()> {
        let generation = &self.predictor.generation;
        let mut sources = Vec::new();
        for text in texts {
            let place = || text.place.clone();
            let encoded = self.predictor.tokenizer.encode(text.source());
            let mut source = encoded.with_context(place)?;
            if let Some(most) = self.max_source
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
        for group in self.fitting.groups(&lengths, self.batch_size, generation) {
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
        self.count += texts.len();
        for (text, answer) in texts.iter().zip(answers) {
            self.output.tell(text, &answer)?;
        }
        Ok(())
    }

    fn finish(self, start: Instant) -> anyhow::Result<()> {
        let place = self.output.finish()?;
        if let Some(most) = self.max_source
            && self.cut > 0
        {
            terminal::note(&match self.cut {
                1 => format!("1 text was cut to {most} tokens"),
                count => format!("{count} texts were cut to {most} tokens"),
            });
        }
        let (count, seconds) = (self.count, start.elapsed().as_secs_f64());
        terminal::note(&format!(
            "{count} answers in {seconds:.1} s, {:.1} a second{place}",
            count as f64 / seconds.max(1e-9)
        ));
        Ok(())
    }
}
