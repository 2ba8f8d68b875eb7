//! `fpt init`: an experiment file to begin with.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args as ClapArgs;
use fpt::model;
use fpt_files::BUILT_IN_MODEL;
use fpt_t5::T5Tokenizer;
use fpt_tasks::declared::{Column, Labels, Part, Survey};
use fpt_tasks::{Declaration, SENTINEL, TaskName};

use super::print_line;

/// Words for labels whose own the model does not know: those of the scale model's world, which are common ones.
const OTHER_WORDS: [&str; 24] = [
    "red", "blue", "green", "black", "white", "brown", "yellow", "gray", "cat", "dog", "horse",
    "rabbit", "parrot", "goat", "duck", "mouse", "soup", "bread", "rice", "cheese", "fish", "cake",
    "apples", "beans",
];

/// Write an experiment file for data of one's own, to begin with: what to read, how to put it, and how to train.
///
/// Looks at the columns of a table (.csv, .tsv, .json, .jsonl, .parquet) and guesses which is the answer and which are the
/// texts. Read what it writes before you use it: the template and the words of the labels are yours to choose. Paths are
/// written as they are given here, and are relative to the file that you write.
///
/// Example: fpt init --task reviews --data reviews.csv > reviews.toml
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Name of the task: letters, digits, `-` and `_`.
    #[arg(long)]
    task: TaskName,

    /// The training data, or all data.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,

    /// Dev data; by default a tenth of --data.
    #[arg(long, value_name = "FILE")]
    dev: Option<PathBuf>,

    /// Test data; by default a tenth of --data, unless there is --dev.
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,

    /// Model: a directory, a model of the hub such as google/t5-large-lm-adapt, or mini-world, the scale model that comes
    /// with this program and knows a small world only.
    #[arg(long, value_name = "DIR|NAME", default_value = BUILT_IN_MODEL)]
    model: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let survey = Survey::of(&args.data)?;
    let suggested = survey.suggest(&args.data);
    let mut task = suggested.map_err(|reason| anyhow!("{}: {reason}", args.data.display()))?;
    task.files.dev.clone_from(&args.dev);
    task.files.test.clone_from(&args.test);
    if let Some(holdout) = &mut task.holdout {
        if args.dev.is_some() {
            (holdout.dev, holdout.test) = (None, None);
        } else if args.test.is_some() {
            holdout.test = None;
        }
    }
    task.holdout = task
        .holdout
        .filter(|it| it.dev.is_some() || it.test.is_some());
    let renamed = choose_words(&args.model, &mut task)?;
    let text = starter(args, &survey, &task, renamed).context("failed to write the experiment")?;
    print_line(text.trim_end())
}

/// The file, with what it says of itself.
fn starter(
    args: &Args,
    survey: &Survey,
    task: &Declaration,
    renamed: bool,
) -> anyhow::Result<String> {
    let name = &args.task;
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut out = String::new();
    let is_mini = args.model == BUILT_IN_MODEL;
    writeln!(
        out,
        "# The task {name}, from {} ({} rows). Read it through, mend the template, and then:\n\
         #   fpt data check --config {name}.toml\n\
         #   fpt train --config {name}.toml --out runs/{name}\n\
         #   fpt eval runs/{name}\n\
         #   fpt predict runs/{name} --input new.csv --output answers.jsonl\n\n\
         # A directory, or a model of the hub such as google/t5-large-lm-adapt. mini-world comes with the program: it learns in\n\
         # a minute, but knows no words beyond its small world.\n\
         model = {}\n",
        args.data.display(),
        survey.rows,
        quoted(&args.model),
    )?;
    writeln!(
        out,
        "[tasks.{name}]\n# What the model reads and what it is to say; {{{{ name }}}} stands for a column.{}\nsource = {}\ntarget = {}",
        columns(survey),
        quoted(&task.source),
        quoted(&task.target),
    )?;
    let metrics: Vec<_> = task
        .metrics
        .iter()
        .map(|metric| quoted(metric.name()))
        .collect();
    writeln!(
        out,
        "# The first is that of tables, and chooses the best prompt. There are accuracy, f1, macro_f1, mcc, exact_match, token_f1,\n\
         # rouge_1, rouge_2, rouge_l, rouge_lsum, bleu, pearson, spearman.\n\
         metrics = [{}]",
        metrics.join(", ")
    )?;
    if task.labels.is_none() {
        writeln!(
            out,
            "# Longest answer in tokens: `fpt data check` tells how many are longer.\nmax_target = 64"
        )?;
    }
    out.push_str(&splits(task));
    if let Some(Labels(labels)) = &task.labels {
        let because = if renamed {
            "\n# Those of the file are unknown to this model, or the same to it; any others will do."
        } else {
            ""
        };
        writeln!(
            out,
            "# What the file has, and the word that the model says for it: take words that it knows well.{because}\n\
             [tasks.{name}.labels]"
        )?;
        for (label, word) in labels {
            writeln!(out, "{} = {}", quoted(label), quoted(word))?;
        }
    }
    out.push_str(training(is_mini));
    Ok(out)
}

/// Where the splits come from.
fn splits(task: &Declaration) -> String {
    let path = |path: &PathBuf| toml::Value::from(path.display().to_string()).to_string();
    let mut files = vec![format!("train = {}", path(&task.files.train))];
    for (split, file) in [("dev", &task.files.dev), ("test", &task.files.test)] {
        let file = file.as_ref().map(path);
        files.extend(file.map(|file| format!("{split} = {file}")));
    }
    let mut out = format!("files = {{ {} }}\n", files.join(", "));
    if let Some(holdout) = &task.holdout {
        let part = |(split, part): (&str, Option<Part>)| match part? {
            Part::Share(share) => Some(format!("{split} = {share}")),
            Part::Rows(rows) => Some(format!("{split} = {rows}")),
        };
        let parts = [("dev", holdout.dev), ("test", holdout.test)].into_iter();
        let parts: Vec<_> = parts.filter_map(part).collect();
        out += &format!(
            "# Shares (or numbers of rows) that are set aside of the training file.\nholdout = {{ {} }}\n",
            parts.join(", ")
        );
    }
    out
}

/// Give the labels other words where the model, as far as it is on this machine, does not know theirs or can't tell them
/// apart. Returns whether that was so.
fn choose_words(model: &str, task: &mut Declaration) -> anyhow::Result<bool> {
    let (Some(directory), Some(Labels(labels))) =
        (model::on_this_machine(Path::new(model))?, &mut task.labels)
    else {
        return Ok(false);
    };
    let tokenizer = T5Tokenizer::from_directory(directory)?;
    let unk = tokenizer.token_to_id("<unk>");
    let known = |word: &str| -> anyhow::Result<Option<Vec<u32>>> {
        let ids = tokenizer.encode(&format!("{SENTINEL}{word}"))?;
        Ok(Some(ids).filter(|ids| !unk.is_some_and(|unk| ids.contains(&unk))))
    };
    let mut taken = Vec::new();
    for word in labels.values() {
        match known(word)? {
            Some(ids) if !taken.contains(&ids) => taken.push(ids),
            _ => {
                taken.clear();
                break;
            }
        }
    }
    if !taken.is_empty() {
        return Ok(false);
    }
    let mut words = OTHER_WORDS.iter();
    for label in labels.values_mut() {
        loop {
            let Some(word) = words.next() else {
                bail!("{model} does not know the words of the labels; take another model");
            };
            if known(word)?.is_some_and(|ids| !taken.contains(&ids)) {
                taken.extend(known(word)?);
                (*word).clone_into(label);
                break;
            }
        }
    }
    Ok(true)
}

/// The columns, as comments.
fn columns(survey: &Survey) -> String {
    let describe = |(name, column): (&String, &Column)| {
        let values: Vec<_> = column
            .values
            .keys()
            .take(3)
            .map(|value| beginning(value))
            .collect();
        let more = if column.more || column.values.len() > 3 {
            ", …"
        } else {
            ""
        };
        format!("\n#   {name}: {}{more}", values.join(", "))
    };
    survey.columns.iter().map(describe).collect()
}

/// A value in a comment: one line, and not all of it.
fn beginning(value: &str) -> String {
    let line: String = value.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// How to train: on the scale model in a minute, on others as the paper does.
fn training(is_mini: bool) -> &'static str {
    if is_mini {
        "\n# How long and how: everything else is as in the paper.\n\
         [train]\n\
         steps = 150\n\
         learning_rate = 0.01\n\
         average = { kind = \"exponential\", decay = 0.9 }\n\n\
         [eval]\n\
         every = 15\n\n\
         # \"fpt-ld\", \"fpt-fr\" and \"fpt-cr\" begin on smaller models; \"pt\" trains on the full one throughout.\n\
         [schedule]\n\
         method = \"fpt-ld\"\n"
    } else {
        "\n# The paper's: 30000 steps of 32 examples at a constant rate. Fewer steps do for small data.\n\
         [train]\n\
         steps = 30000\n\
         batch_size = 32\n\
         learning_rate = 0.3\n\n\
         [eval]\n\
         every = 500\n\n\
         # \"fpt-ld\", \"fpt-fr\" and \"fpt-cr\" begin on smaller models; \"pt\" trains on the full one throughout.\n\
         [schedule]\n\
         method = \"fpt-cr\"\n"
    }
}
