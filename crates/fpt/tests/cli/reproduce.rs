//! `fpt reproduce`, `fpt config` and `fpt data generate`: what needs no checkout.

use std::fs;

use crate::lab::{Lab, refused, stderr, stdout, trained};

/// An environment in which nothing is but the program: no Cargo, no cache, no hub.
fn alone(lab: &Lab) -> [(&'static str, String); 3] {
    ["XDG_CACHE_HOME", "HF_HOME", "PATH"].map(|name| (name, lab.path(name).display().to_string()))
}

#[test]
fn an_experiment_runs_where_there_is_only_the_program() {
    let lab = Lab::new();
    // The model comes with it, too.
    lab.edit("lab.toml", |text| {
        text.replace("model = \"model\"", "model = \"mini-world\"")
    });
    let reproduce = |more: &[&str]| {
        let grid = ["reproduce", "lab.toml", "--out", "runs", "--task", "mnli"];
        let methods = ["--method", "pt", "--method", "cr-1/2"];
        lab.command(&[&grid[..], &methods, more].concat())
            .envs(alone(&lab))
            .output()
            .unwrap()
    };
    let listed = reproduce(&["--dry-run"]);
    trained(&listed);
    assert!(stdout(&listed).contains("to do       mnli-cr-1of2-s0"));
    assert!(stderr(&listed).contains("2 runs in runs: 0 finished"));
    assert!(!lab.path("runs").exists());

    let output = reproduce(&[]);
    trained(&output);
    assert!(
        stdout(&output).contains("| CR 1/2 |"),
        "{}",
        stdout(&output)
    );
    for name in ["index.html", "results.csv", "similarity-mnli.json"] {
        assert!(lab.path("runs").join(name).is_file(), "{name}");
    }
    assert!(stderr(&reproduce(&[])).contains("2 of 2 runs are finished already"));
    assert!(stdout(&reproduce(&["--dry-run"])).contains("finished    mnli-pt-s0"));
}

#[test]
fn the_embedded_experiment_keeps_to_the_places_of_its_user() {
    let lab = Lab::new();
    let reproduce = |more: &[&str]| {
        let few = ["reproduce", "--steps", "4", "--set", "eval.reference=false"];
        let stages = ["--set", "schedule.partial_steps=[1, 1, 1]"];
        lab.command(&[&few[..], &stages, more].concat())
            .envs(alone(&lab))
            .output()
            .unwrap()
    };
    let before = fs::read_dir(lab.path("")).unwrap().count();
    refused(&reproduce(&["--set", "train.stpes=3"]), &["stpes"]);
    trained(&reproduce(&["--dry-run"]));
    // But for the model.
    assert_eq!(fs::read_dir(lab.path("")).unwrap().count(), before + 1);

    let wanted = ["--task", "mnli", "--method", "pt"];
    trained(&reproduce(&wanted));
    assert_eq!(fs::read_dir(lab.path("")).unwrap().count(), before + 2);
    for name in [
        "mnli-pt-s0/result.json",
        "data/mnli/train.tsv",
        "experiment.toml",
    ] {
        assert!(lab.path("runs/mini").join(name).is_file(), "{name}");
    }
    // What is written is an experiment for other commands, too.
    let train = "train --config runs/mini/experiment.toml --task mnli --out other --dry-run";
    let output = lab
        .command(&train.split(' ').collect::<Vec<_>>())
        .envs(alone(&lab))
        .output()
        .unwrap();
    assert!(stdout(&output).contains("Everything it needs is here."));
    assert!(stderr(&reproduce(&wanted)).contains("1 of 1 runs are finished already"));
}

#[test]
fn embedded_experiments_are_files_to_change() {
    let lab = Lab::new();
    let fpt = |arguments: &str| {
        let arguments: Vec<_> = arguments.split(' ').collect();
        let output = lab.command(&arguments).envs(alone(&lab)).output();
        output.unwrap()
    };
    let listed = stdout(&fpt("config list"));
    for name in ["mini", "flan-t5-base", "t5-large", "t5-xl"] {
        assert!(listed.contains(&format!("{name} ")), "{listed}");
        let shown = fpt(&format!("config show {name}"));
        trained(&shown);
        fs::write(lab.path("mine.toml"), shown.stdout).unwrap();
        // Neither model nor data are there, and no file beside it.
        let cost = fpt("cost --config mine.toml");
        trained(&cost);
        assert!(stdout(&cost).contains("FPT-CR"), "{}", stdout(&cost));
    }
    refused(&fpt("config show large"), &["`large`", "t5-large"]);
}

#[test]
fn generated_data_are_made_by_this_program() {
    let lab = Lab::new();
    refused(
        &lab.fpt(&["data", "generate", "lab.toml"], ""),
        &["lab.toml has no [generate] section"],
    );
    let generate = "\n[generate]\nseed = 1\ntrain = 4\ndev = 4\ntest = 4\n";
    lab.edit("lab.toml", |text| {
        text.replace("data = \"data\"", "data = \"made\"") + generate
    });
    refused(&lab.train("mnli", &[]), &["fpt data generate lab.toml"]);
    let output = lab.fpt(&["data", "generate", "lab.toml"], "");
    trained(&output);
    assert_eq!(stdout(&output), "made\n");
    trained(&lab.train("mnli", &[]));
}
