//! PyTorch with transformers, and the datasets library: training, answers to prompted texts, tokenizing.

use std::path::Path;

use fpt_tasks::TaskName;

use super::super::large::{self, Large, LargeData, MNLI_LINES, SQUAD_PARAGRAPHS, XSUM_ARTICLES};
use super::super::work::{BASE, BASE_512, Batches, EXPERIMENT, SMALL, SMALL_512, Work};
use super::super::worker::Kind;
use super::agreement::Agreement;
use super::race::{Race, Setting};
use super::{Options, Peer, Results, SAFETENSORS, TORCH, TRANSFORMERS, Way, their_script};
use crate::shell;

const SCRIPT: &str = "xtask/bench/peer.py";
pub(super) const PACKAGES: [&str; 4] = ["datasets==4.4.1", TORCH, TRANSFORMERS, SAFETENSORS];

struct Case {
    name: &'static str,
    kind: Kind,
    way: Way,
    /// What it is compared with, the fastest of these.
    variants: &'static [&'static str],
    /// The most turns of each program, where one takes minutes.
    turns: Option<usize>,
    /// Writes the work into a directory, and returns the number of batches of a pass.
    save: fn(&Path) -> anyhow::Result<usize>,
}

fn save(work: anyhow::Result<Work>, directory: &Path) -> anyhow::Result<usize> {
    let work = work?;
    work.save(directory)?;
    Ok(work.batches.len())
}

fn large(large: &Large, size: usize, directory: &Path) -> anyhow::Result<usize> {
    let model = fpt_train::Experiment::from_file(EXPERIMENT)?.model;
    LargeData::save(directory, large, size, &model)?;
    Ok(1)
}

const TRAIN: &[&str] = &["eager", "sdpa", "compile"];
/// Where our products are in bf16, too.
const TRAIN_BF16: &[&str] = &["compile", "eager-bf16", "sdpa-bf16", "compile-bf16"];
/// Compiled with a cache that grows, it compiles for minutes and is slower than with one of a fixed length.
const GENERATE: &[&str] = &["eager", "sdpa", "compile-static"];
const TOKENIZE: &[&str] = &["datasets.map"];
/// What needs the least memory.
const FRUGAL: &[&str] = &["sdpa"];

const ATTENTION_AGAIN: Way = Way {
    recompute: "attention",
    ..Way::DEFAULT
};
const LAYERS_AGAIN: Way = Way {
    recompute: "layers",
    ..Way::DEFAULT
};

const BASE_TRAINED: Case = Case {
    name: BASE.name,
    kind: Kind::Train,
    way: Way::DEFAULT,
    variants: TRAIN,
    turns: None,
    save: |to| save(Work::random(&BASE, 1), to),
};
/// Of few turns: a step takes seconds.
const SMALL_512_TRAINED: Case = Case {
    name: SMALL_512.name,
    variants: FRUGAL,
    turns: Some(5),
    save: |to| save(Work::random(&SMALL_512, 1), to),
    ..BASE_TRAINED
};
const BASE_512_TRAINED: Case = Case {
    name: BASE_512.name,
    save: |to| save(Work::random(&BASE_512, 1), to),
    ..SMALL_512_TRAINED
};

const CASES: [Case; 18] = [
    Case {
        name: "mini-mnli",
        kind: Kind::Train,
        way: Way::DEFAULT,
        variants: TRAIN,
        turns: None,
        save: |to| save(Work::mini(&TaskName::MNLI, Batches::Train, 4, None), to),
    },
    Case {
        name: "mini-squad2",
        kind: Kind::Train,
        way: Way::DEFAULT,
        variants: TRAIN,
        turns: None,
        save: |to| save(Work::mini(&TaskName::SQUAD2, Batches::Train, 4, None), to),
    },
    Case {
        name: "mini-mnli, bf16 weights",
        kind: Kind::Train,
        way: Way::with("bf16"),
        variants: TRAIN_BF16,
        turns: None,
        // Another step would multiply what rounding to 8 bits has made of this one.
        save: |to| save(Work::mini(&TaskName::MNLI, Batches::Train, 1, None), to),
    },
    Case {
        name: SMALL.name,
        kind: Kind::Train,
        way: Way::DEFAULT,
        variants: TRAIN,
        turns: None,
        save: |to| save(Work::random(&SMALL, 1), to),
    },
    BASE_TRAINED,
    Case {
        name: "t5-base-like, bf16 weights",
        way: Way::with("bf16"),
        variants: TRAIN_BF16,
        ..BASE_TRAINED
    },
    SMALL_512_TRAINED,
    Case {
        name: "t5-small-like, 512 tokens, attention again",
        way: ATTENTION_AGAIN,
        ..SMALL_512_TRAINED
    },
    Case {
        name: "t5-small-like, 512 tokens, layers again",
        way: LAYERS_AGAIN,
        ..SMALL_512_TRAINED
    },
    BASE_512_TRAINED,
    Case {
        name: "t5-base-like, 512 tokens, attention again",
        way: ATTENTION_AGAIN,
        ..BASE_512_TRAINED
    },
    Case {
        name: "t5-base-like, 512 tokens, layers again",
        way: LAYERS_AGAIN,
        ..BASE_512_TRAINED
    },
    Case {
        name: "mini-xsum",
        kind: Kind::Generate,
        way: Way::DEFAULT,
        variants: GENERATE,
        turns: None,
        save: |to| save(Work::mini(&TaskName::XSUM, Batches::Evaluate, 2, None), to),
    },
    Case {
        name: SMALL.name,
        kind: Kind::Generate,
        way: Way::DEFAULT,
        variants: GENERATE,
        turns: None,
        save: |to| save(Work::random(&SMALL, 1), to),
    },
    Case {
        name: "393 k lines of MNLI",
        kind: Kind::Tokenize,
        way: Way::DEFAULT,
        variants: TOKENIZE,
        turns: None,
        save: |to| large(&large::MNLI, MNLI_LINES, to),
    },
    Case {
        name: "133 k questions of SQuAD, 42 MB",
        kind: Kind::Tokenize,
        way: Way::DEFAULT,
        variants: TOKENIZE,
        turns: None,
        save: |to| large(&large::SQUAD2, SQUAD_PARAGRAPHS, to),
    },
    Case {
        name: "20 k articles of XSum",
        kind: Kind::Tokenize,
        way: Way::DEFAULT,
        variants: TOKENIZE,
        turns: None,
        save: |to| large(&large::XSUM, 20_000, to),
    },
    Case {
        name: "XSum whole, 204 k articles",
        kind: Kind::Tokenize,
        way: Way::DEFAULT,
        variants: TOKENIZE,
        turns: Some(2),
        save: |to| large(&large::XSUM, XSUM_ARTICLES, to),
    },
];

/// Every case with each number of threads.
pub(super) fn compare(
    options: &Options<'_>,
    python: &Path,
    results: &mut Results,
) -> anyhow::Result<()> {
    for case in &CASES {
        let label = case.label();
        if !options.wants(&label) {
            continue;
        }
        let directory = options.out.join(label.replace('/', "-"));
        let batches = (case.save)(&directory)?;
        for threads in options.threads.iter().map(|count| count.get()) {
            let theirs = |&variant: &&'static str| {
                let mut command = their_script(python, SCRIPT);
                command
                    .arg(&directory)
                    .args([case.kind.name(), variant, &threads.to_string()])
                    .env("OMP_NUM_THREADS", threads.to_string());
                (variant, command)
            };
            let race = Race {
                setting: Setting {
                    threads,
                    ..Setting::new(Peer::Pytorch, case.kind, case.name)
                },
                batches,
                ours: (
                    case.way.weights,
                    options.ours(&directory, case.kind, threads, &case.way),
                ),
                theirs: case.variants.iter().map(theirs).collect(),
                agreement: case.agreement(),
            };
            let turns = case.turns.unwrap_or(usize::MAX).min(options.alternations);
            race.run(turns, results)?;
        }
        shell::remove(&directory)?;
    }
    Ok(())
}

impl Case {
    fn label(&self) -> String {
        let name = self.name.replace([' ', ','], "-");
        format!("{}/{name}", self.kind.name())
    }

    fn agreement(&self) -> Agreement {
        match self.kind {
            // bf16 has 8 bits.
            Kind::Train if self.way.weights == "bf16" => Agreement::Loss { within: 1e-2 },
            Kind::Train => Agreement::Loss { within: 1e-3 },
            Kind::Generate | Kind::Answer => Agreement::Answers { required: true },
            Kind::Tokenize => Agreement::Tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::CASES;

    #[test]
    fn no_two_cases_have_one_name() {
        let names: HashSet<_> = CASES.iter().map(|case| case.label()).collect();
        assert_eq!(names.len(), CASES.len());
    }
}
