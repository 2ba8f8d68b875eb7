//! What a run comes to depends on nothing but its configuration and its inputs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use fpt_lab::{assert_same, outcome};

use crate::lab::{Lab, stderr};

/// Progressive training, whose stages choose neurons by scores that are computed first.
const STAGES: [&str; 6] = [
    "--method",
    "fpt-cr",
    "--set",
    "train.steps=6",
    "--set",
    "schedule.partial_steps=[2, 1, 1]",
];

/// What a run leaves behind that is trained with these arguments and so many threads.
fn run(lab: &Lab, task: &str, more: &[&str], threads: &str) -> BTreeMap<String, Vec<u8>> {
    let mut arguments = vec!["train", "--config", "lab.toml", "--task", task];
    arguments.extend(["--out", "run"]);
    arguments.extend(more);
    let output = lab.fpt_in(&arguments, &[("RAYON_NUM_THREADS", threads)]);
    assert!(output.status.success(), "{}", stderr(&output));
    let found = outcome(&lab.path("run"));
    fs::remove_dir_all(lab.path("run")).unwrap();
    found
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let lab = Lab::new();
    for (task, settings) in [
        ("mnli", &STAGES[..]),
        ("squad2", &["--method", "hd-1/2"]),
        ("xsum", &["--set", "train.accumulate=2"]),
    ] {
        // Scores are computed anew each time, too.
        let with = |threads: &str| {
            let cache = format!("cache-{task}-{threads}");
            run(
                &lab,
                task,
                &[settings, &["--cache", &cache]].concat(),
                threads,
            )
        };
        let one = with("1");
        assert!(one.contains_key("adapter/adapter_model.safetensors"));
        for threads in ["2", "4", "7"] {
            assert_same(
                &with(threads),
                &one,
                &format!("{task} with {threads} threads"),
            );
        }
    }
}

/// Large enough for its tokens to be kept.
const LARGE: usize = 9 << 20;

#[test]
fn what_a_cache_has_changes_no_bit() {
    let lab = Lab::new();
    lab.edit("data/mnli/train.tsv", |text| {
        let (header, rows) = text.split_once('\n').unwrap();
        let times = LARGE / rows.len() + 1;
        format!("{header}\n{}", rows.repeat(times))
    });
    let with = |cache: &str| {
        run(
            &lab,
            "mnli",
            &[&STAGES[..], &["--cache", cache]].concat(),
            "2",
        )
    };
    let files = || {
        let entries = fs::read_dir(lab.path("cache")).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    let first = with("cache");
    let kept = files();
    let tokens = |path: &&PathBuf| path.to_string_lossy().contains("mnli-train-");
    let tokens = kept.iter().filter(tokens).count();
    assert_eq!((tokens, kept.len()), (1, 2), "{kept:?}");
    // What is there is used: tokens of other texts would train another prompt.
    assert_same(&with("cache"), &first, "with a cache");
    assert_eq!(files().len(), 2);
    for file in kept {
        fs::remove_file(file).unwrap();
        assert_same(&with("cache"), &first, "with half a cache");
    }
    // There is none, and can be none.
    fs::write(lab.path("file"), "").unwrap();
    assert_same(&with("file"), &first, "without a cache");
}
