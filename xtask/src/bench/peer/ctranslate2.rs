//! CTranslate2: answers to texts without a prompt, which it cannot take.
//!
//! Both sides mean the same by their options. CTranslate2's beam search ends as soon as as many hypotheses have ended as
//! there are beams, and divides log-probabilities by lengths, the end-of-sequence token included where that is returned:
//! that is `early_stopping` with a `length_penalty` of 1. What is left are near ties, which CTranslate2 decides in f32.

use std::path::Path;
use std::process::{Command, Stdio};

use super::super::texts::{Texts, save_model};
use super::super::work::SMALL;
use super::super::worker::Kind;
use super::agreement::Agreement;
use super::race::{Answering, Race, Setting};
use super::{Options, Peer, Results, SAFETENSORS, TORCH, TRANSFORMERS, Way, their_script};
use crate::shell;

const SCRIPT: &str = "xtask/bench/ctranslate2_peer.py";
pub(super) const PACKAGES: [&str; 4] = ["ctranslate2==4.8.5", TORCH, TRANSFORMERS, SAFETENSORS];
/// A library for products of matrices: its name, and the value of `CT2_USE_MKL` that chooses it on x86.
type Library = (&'static str, Option<&'static str>);

/// Tokens of a text.
const SOURCE: usize = 181;
const MAX_NEW_TOKENS: usize = 64;

/// How a pass answers texts.
struct Pass {
    rows: usize,
    beams: usize,
    /// Whole batches that take either side some seconds.
    texts: usize,
}

const PASSES: [Pass; 6] = [
    Pass {
        rows: 1,
        beams: 1,
        texts: 2,
    },
    Pass {
        rows: 8,
        beams: 1,
        texts: 8,
    },
    Pass {
        rows: 32,
        beams: 1,
        texts: 32,
    },
    Pass {
        rows: 1,
        beams: 4,
        texts: 2,
    },
    Pass {
        rows: 8,
        beams: 4,
        texts: 8,
    },
    Pass {
        rows: 32,
        beams: 4,
        texts: 32,
    },
];

/// What each side computes with.
struct Weights {
    ours: &'static str,
    theirs: &'static str,
    /// Whether that is the same, so that the answers are.
    same: bool,
    /// What the other side may multiply with.
    libraries: &'static [Library],
}

/// By itself it takes MKL on Intel's processors only, though it is faster on AMD's, too.
const FLOAT: &[Library] = &[("oneDNN", Some("0")), ("MKL", Some("1"))];
/// What it takes by itself: in int8 MKL is six times as slow as oneDNN on AMD's processors.
const INTEGERS: &[Library] = &[("by itself", None)];

const WEIGHTS: [Weights; 3] = [
    Weights {
        ours: "f32",
        theirs: "float32",
        same: true,
        libraries: FLOAT,
    },
    Weights {
        ours: "bf16",
        theirs: "float32",
        same: false,
        libraries: FLOAT,
    },
    Weights {
        ours: "int8",
        theirs: "int8",
        same: false,
        libraries: INTEGERS,
    },
];

struct Case {
    pass: &'static Pass,
    weights: &'static Weights,
}

/// Every way to answer with all weights.
fn cases() -> impl Iterator<Item = Case> {
    PASSES.iter().flat_map(|pass| {
        let with = move |weights| Case { pass, weights };
        WEIGHTS.iter().map(with)
    })
}

impl Case {
    fn label(&self) -> String {
        let Pass { rows, beams, .. } = self.pass;
        let search = match beams {
            1 => "greedy".into(),
            _ => format!("beams-{beams}"),
        };
        let Weights { ours, theirs, .. } = self.weights;
        format!(
            "{}/batch-{rows}-{search}-{ours}-{theirs}",
            Kind::Answer.name()
        )
    }

    fn setting(&self, threads: usize) -> Setting {
        Setting {
            threads,
            answering: Some(Answering {
                rows: self.pass.rows,
                beams: self.pass.beams,
                our_weights: self.weights.ours,
                their_weights: self.weights.theirs,
            }),
            ..Setting::new(Peer::Ctranslate2, Kind::Answer, SMALL.name)
        }
    }

    fn texts(&self) -> Texts {
        Texts {
            rows: self.pass.rows,
            num_beams: self.pass.beams,
            max_new_tokens: MAX_NEW_TOKENS,
            sources: Texts::random(self.pass.texts, SOURCE),
        }
    }
}

/// Every case with each number of threads.
pub(super) fn compare(
    options: &Options<'_>,
    python: &Path,
    results: &mut Results,
) -> anyhow::Result<()> {
    let wanted: Vec<Case> = cases()
        .filter(|case| options.wants(&case.label()))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    // One model for all cases: what was converted for another one would be taken for its.
    let directory = options.out.join("answer-ctranslate2");
    shell::remove(&directory)?;
    save_model(&SMALL, &directory)?;
    shell::call(theirs(python, "convert", &directory).stdout(Stdio::null()))?;
    for case in &wanted {
        let texts = case.texts();
        texts.save(&directory)?;
        for threads in options.threads.iter().map(|count| count.get()) {
            let variant = |&(name, use_mkl): &Library| {
                let mut command = theirs(python, "answer", &directory);
                command
                    .args([case.weights.theirs, &threads.to_string()])
                    .env("OMP_NUM_THREADS", threads.to_string())
                    .env_remove("CT2_USE_MKL")
                    .envs(use_mkl.map(|value| ("CT2_USE_MKL", value)));
                (name, command)
            };
            let race = Race {
                setting: case.setting(threads),
                batches: texts.batches().count(),
                ours: (
                    case.weights.ours,
                    options.ours(
                        &directory,
                        Kind::Answer,
                        threads,
                        &Way::with(case.weights.ours),
                    ),
                ),
                theirs: case.weights.libraries.iter().map(variant).collect(),
                agreement: Agreement::Answers {
                    required: case.weights.same,
                },
            };
            race.run(options.alternations, results)?;
        }
    }
    shell::remove(&directory)
}

/// What starts a command of CTranslate2's side.
fn theirs(python: &Path, command: &str, directory: &Path) -> Command {
    let mut program = their_script(python, SCRIPT);
    program.arg(command).arg(directory);
    program
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_pass_is_done_with_all_weights() {
        let ways: HashSet<_> = cases()
            .map(|case| {
                let setting = case.setting(1).answering.expect("answers");
                let weights = (setting.our_weights, setting.their_weights);
                (setting.rows, setting.beams, weights)
            })
            .collect();
        for rows in [1, 8, 32] {
            for beams in [1, 4] {
                for weights in [("f32", "float32"), ("bf16", "float32"), ("int8", "int8")] {
                    assert!(ways.contains(&(rows, beams, weights)));
                }
            }
        }
        assert_eq!(ways.len(), 18);
    }

    #[test]
    fn no_two_cases_have_one_name() {
        let names: HashSet<_> = cases().map(|case| case.label()).collect();
        assert_eq!(names.len(), cases().count());
        assert!(names.contains("answer/batch-8-beams-4-int8-int8"));
    }

    #[test]
    fn the_same_answers_are_required_of_the_same_weights_alone() {
        for weights in &WEIGHTS {
            let same = (weights.ours, weights.theirs) == ("f32", "float32");
            assert_eq!(weights.same, same);
        }
    }

    #[test]
    fn batches_of_a_pass_are_full() {
        for Pass { rows, texts, .. } in &PASSES {
            assert_eq!(texts % rows, 0);
        }
    }
}
