//! PyTorch with transformers, and the datasets library: training, answers to prompted texts, tokenizing.

use std::path::Path;

use fpt_tasks::TaskName;

use super::super::large::{self, Large, LargeData, MNLI_LINES, SQUAD_PARAGRAPHS, XSUM_ARTICLES};
use super::super::work::{BASE, Batches, EXPERIMENT, SMALL, Work};
use super::super::worker::Kind;
use super::agreement::Agreement;
use super::race::{Race, Setting};
use super::{Options, Peer, Results, SAFETENSORS, TORCH, TRANSFORMERS, their_script};
use crate::shell;

const SCRIPT: &str = "xtask/bench/peer.py";
pub(super) const PACKAGES: [&str; 4] = ["datasets==4.4.1", TORCH, TRANSFORMERS, SAFETENSORS];

struct Case {
    name: &'static str,
    kind: Kind,
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

const CASES: [Case; 10] = [
    Case {
        name: "mini-mnli",
        kind: Kind::Train,
        turns: None,
        save: |to| save(Work::mini(&TaskName::MNLI, Batches::Train, 4, None), to),
    },
    Case {
        name: "mini-squad2",
        kind: Kind::Train,
        turns: None,
        save: |to| save(Work::mini(&TaskName::SQUAD2, Batches::Train, 4, None), to),
    },
    Case {
        name: SMALL.name,
        kind: Kind::Train,
        turns: None,
        save: |to| save(Work::random(&SMALL, 1), to),
    },
    Case {
        name: BASE.name,
        kind: Kind::Train,
        turns: None,
        save: |to| save(Work::random(&BASE, 1), to),
    },
    Case {
        name: "mini-xsum",
        kind: Kind::Generate,
        turns: None,
        save: |to| save(Work::mini(&TaskName::XSUM, Batches::Evaluate, 2, None), to),
    },
    Case {
        name: SMALL.name,
        kind: Kind::Generate,
        turns: None,
        save: |to| save(Work::random(&SMALL, 1), to),
    },
    Case {
        name: "393 k lines of MNLI",
        kind: Kind::Tokenize,
        turns: None,
        save: |to| large(&large::MNLI, MNLI_LINES, to),
    },
    Case {
        name: "133 k questions of SQuAD, 42 MB",
        kind: Kind::Tokenize,
        turns: None,
        save: |to| large(&large::SQUAD2, SQUAD_PARAGRAPHS, to),
    },
    Case {
        name: "20 k articles of XSum",
        kind: Kind::Tokenize,
        turns: None,
        save: |to| large(&large::XSUM, 20_000, to),
    },
    Case {
        name: "XSum whole, 204 k articles",
        kind: Kind::Tokenize,
        turns: Some(2),
        save: |to| large(&large::XSUM, XSUM_ARTICLES, to),
    },
];

/// Every case with one and with two threads.
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
        for threads in [1, 2] {
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
                ours: ("fused", options.ours(&directory, case.kind, threads)),
                theirs: variants(case.kind).iter().map(theirs).collect(),
                agreement: agreement(case.kind),
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
}

fn variants(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Train => &["eager", "sdpa", "compile"],
        // Compiled with a cache that grows, it compiles for minutes and is slower than with one of a fixed length.
        Kind::Generate | Kind::Answer => &["eager", "sdpa", "compile-static"],
        Kind::Tokenize => &["datasets.map"],
    }
}

fn agreement(kind: Kind) -> Agreement {
    match kind {
        Kind::Train => Agreement::Loss,
        Kind::Generate | Kind::Answer => Agreement::Answers { required: true },
        Kind::Tokenize => Agreement::Tokens,
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
