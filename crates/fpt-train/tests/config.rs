//! Experiment files and what becomes of them.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use fpt_t5::Recompute;
use fpt_tasks::TaskName;
use fpt_train::{Experiment, MOST_EXAMPLES, MOST_STEPS, MOST_TOKENS};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/mini.toml")
}

#[test]
fn paths_are_relative_to_the_file_and_free_of_detours() {
    let experiment = Experiment::from_file(shipped()).unwrap();
    assert!(experiment.model.join("config.json").is_file());
    assert!(!experiment.model.display().to_string().contains("configs"));

    // The parent of the working directory has no name that could be left out.
    let directory = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(shipped()).unwrap();
    let text = text.replace("../datasets/mini-world/model", "/../a/./b/../model");
    let path = directory.path().join("x.toml");
    std::fs::write(&path, text).unwrap();
    let experiment = Experiment::from_file(&path).unwrap();
    assert_eq!(experiment.model, Path::new("/../a/model"));
}

#[test]
fn overrides_win_over_the_task_and_the_task_over_the_file() {
    let mut experiment = Experiment::from_file(shipped()).unwrap();
    let settings =
        toml::from_str("train.steps = 7\nprompt.init = { kind = \"text\", text = \"hi\" }");
    experiment.task.insert(TaskName::QQP, settings.unwrap());
    let steps = |task: TaskName, overrides: &[String]| {
        experiment.run(&task, 0, overrides).unwrap().train.steps
    };
    assert_eq!(steps(TaskName::MNLI, &[]), experiment.train.steps);
    assert_eq!(steps(TaskName::QQP, &[]), 7);
    assert_eq!(steps(TaskName::QQP, &["train.steps=3".into()]), 3);

    // A value that is no TOML is a string.
    let run = experiment
        .run(&TaskName::MNLI, 0, &["model=some/where".into()])
        .unwrap();
    assert_eq!(run.model, Path::new("some/where"));
}

#[test]
fn numbers_that_are_too_large_are_refused_with_the_limit_and_a_way_out() {
    let experiment = Experiment::from_file(shipped()).unwrap();
    let run = |setting: &str| experiment.run(&TaskName::MNLI, 0, &[setting.into()]);
    for (key, most, way_out) in [
        ("prompt.length", MOST_TOKENS, "20 to a few hundred"),
        ("train.steps", MOST_STEPS, "in several runs"),
        ("train.batch_size", MOST_EXAMPLES, "fewer examples"),
        ("eval.batch_size", MOST_EXAMPLES, "fewer examples"),
        (
            "selection.score.batch_size",
            MOST_EXAMPLES,
            "fewer examples",
        ),
        ("lengths.max_source", MOST_TOKENS, "are cut"),
        ("lengths.max_target", MOST_TOKENS, "are cut"),
        ("lengths.pad_to.multiple", 1024, "4 or 8"),
    ] {
        let fitting = run(&format!("{key}={most}"));
        assert!(fitting.is_ok(), "{key}: {fitting:?}");
        for value in [most + 1, i64::MAX as usize] {
            let error = run(&format!("{key}={value}")).unwrap_err().to_string();
            let told = format!("`{key}` is {value}, but must be at most {most}");
            assert!(error.contains(&told) && error.contains(way_out), "{error}");
        }
    }
    let padding = "lengths.pad_to={ fixed = { source = 20, target = 65537 } }";
    let error = run(padding).unwrap_err().to_string();
    assert!(
        error.contains("`lengths.pad_to.fixed.target` is 65537"),
        "{error}"
    );
    let error = experiment.run(&TaskName::MNLI, u64::MAX, &[]).unwrap_err();
    assert!(error.to_string().contains("`seed` is"), "{error}");
}

#[test]
fn what_is_for_no_single_run_is_checked_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("experiment.toml");
    let good = std::fs::read_to_string(shipped()).unwrap();
    for (from, to, told) in [
        ("every = 4\n", "every = 0\n", "`transfer.every` must be at"),
        (
            "train = 8000",
            "train = 9000000000000000000",
            "`generate.train` is 9000000000000000000, but must be at most",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        std::fs::write(&path, good.replace(from, to)).unwrap();
        let error = Experiment::from_file(&path).unwrap_err().to_string();
        assert!(
            error.contains("experiment.toml") && error.contains(told),
            "{error}"
        );
    }
}

#[test]
fn a_batch_has_at_least_one_part_and_no_more_than_examples() {
    let experiment = Experiment::from_file(shipped()).unwrap();
    let run = |settings: &[&str]| {
        let settings: Vec<String> = settings.iter().map(|s| (*s).to_string()).collect();
        experiment.run(&TaskName::MNLI, 0, &settings)
    };
    let as_many = run(&["train.batch_size=6", "train.accumulate=6"]).unwrap();
    assert_eq!(as_many.train.accumulate, 6);
    for (settings, told) in [
        (
            vec!["train.accumulate=0"],
            "`train.accumulate` must be at least 1",
        ),
        (
            vec!["train.batch_size=6", "train.accumulate=7"],
            "`train.accumulate` is 7, more parts than a batch has examples; `train.batch_size` is 6",
        ),
        (vec!["train.recompute=all"], "recompute"),
    ] {
        let error = run(&settings).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn checkpoint_is_another_name_of_recompute() {
    let mut experiment = Experiment::from_file(shipped()).unwrap();
    let run = |experiment: &Experiment, settings: &[&str]| {
        let settings: Vec<String> = settings.iter().map(|s| (*s).to_string()).collect();
        let run = experiment.run(&TaskName::MNLI, 0, &settings);
        run.map(|run| run.train.recompute)
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        run(&experiment, &["train.checkpoint=layers"]),
        Ok(Recompute::Layers)
    );
    // What is set last counts, by either name; the file of a run has the one.
    for [first, last] in [["recompute", "checkpoint"], ["checkpoint", "recompute"]] {
        let settings = toml::from_str(&format!("train.{first} = \"attention\""));
        experiment.task.insert(TaskName::MNLI, settings.unwrap());
        assert_eq!(run(&experiment, &[]), Ok(Recompute::Attention));
        let last = format!("train.{last}=layers");
        assert_eq!(run(&experiment, &[&last]), Ok(Recompute::Layers));
    }
    let wrong = run(&experiment, &["train.checkpoint=all"]).unwrap_err();
    assert!(wrong.contains("attention, layers"), "{wrong}");

    // Both at once say nothing.
    let told = "`recompute` and `checkpoint` are two names of the same: leave one of them out";
    let both = "train={recompute=\"layers\", checkpoint=\"none\"}";
    let error = run(&experiment, &[both]).unwrap_err();
    assert!(error.contains(told), "{error}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("experiment.toml");
    let text = "model = \"m\"\ntasks = [\"mnli\"]\n[train]\nrecompute = \"layers\"\ncheckpoint = \"layers\"\n";
    std::fs::write(&path, text).unwrap();
    let error = Experiment::from_file(&path).unwrap_err().to_string();
    assert!(
        error.contains(told) && error.contains("line 3, `train`"),
        "{error}"
    );
}
