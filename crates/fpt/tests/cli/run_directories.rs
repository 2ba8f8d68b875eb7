//! What a run is known by, and who may write its directory.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fpt_lab::{assert_same, outcome};
use serde_json::Value;

use crate::lab::{Lab, refused, stderr, stdout, trained};

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A process that ends with its test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A training that takes long enough to be met at work.
fn start(lab: &Lab) -> Running {
    let child = Command::new(assert_cmd::cargo::cargo_bin("fpt"))
        .current_dir(lab.path(""))
        .args(["train", "--config", "lab.toml", "--task", "mnli"])
        .args(["--out", "run", "--set", "train.steps=100000", "--set"])
        .arg("eval.every=100000")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    Running(child.unwrap())
}

/// Until there is a file, which a child must make.
fn wait_for(path: &Path, Running(child): &mut Running) {
    let start = Instant::now();
    while !fs::metadata(path).is_ok_and(|file| file.len() > 0) {
        if child.try_wait().unwrap().is_some() || start.elapsed() > Duration::from_secs(60) {
            let mut text = String::new();
            let _ = child.kill();
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            panic!("{} did not appear: {text}", path.display());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn first_difference(lab: &Lab, change: impl FnOnce(), parts: &[&str]) {
    trained(&lab.train("mnli", &["--method", "fr-1/2"]));
    let before = fs::read(lab.path("run/result.json")).unwrap();
    change();
    let again = lab.train("mnli", &["--method", "fr-1/2"]);
    refused(
        &again,
        &[&["run", "other inputs", "--force-new"], parts].concat(),
    );
    assert_eq!(fs::read(lab.path("run/result.json")).unwrap(), before);

    // The way out: nothing is lost.
    let anew = lab.train("mnli", &["--method", "fr-1/2", "--force-new"]);
    trained(&anew);
    assert!(
        stderr(&anew).contains("set-aside/run-1"),
        "{}",
        stderr(&anew)
    );
    assert_eq!(
        fs::read(lab.path("set-aside/run-1/result.json")).unwrap(),
        before
    );
    // It is this very run now, even if it is asked for anew.
    let found = lab.train("mnli", &["--method", "fr-1/2", "--force-new"]);
    assert!(
        stderr(&found).contains("nothing to do"),
        "{}",
        stderr(&found)
    );
    assert!(!lab.path("set-aside/run-2").exists());
}

#[test]
fn a_finished_run_of_other_data_is_no_finished_run() {
    let lab = Lab::new();
    let change = || lab.edit("data/mnli/train.tsv", |text| text.replacen(". ", ", ", 1));
    first_difference(&lab, change, &["the train split"]);
}

#[test]
fn a_finished_run_of_another_model_is_no_finished_run() {
    let lab = Lab::new();
    let change = || {
        let path = lab.path("model/model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    };
    first_difference(&lab, change, &["the model's weights"]);
}

/// Prompts are compared by model and dev examples, which must be those that they were trained with.
#[test]
fn prompts_are_not_compared_by_what_was_replaced() {
    let lab = Lab::new();
    trained(&lab.train("mnli", &[]));
    let compare = |command| lab.fpt(&[command, "run", "run"], "");
    trained(&compare("similarity"));
    trained(&compare("transfer"));
    lab.edit("data/mnli/dev_matched.tsv", |text| {
        text.replacen(". ", ", ", 1)
    });
    trained(&compare("similarity"));
    refused(&compare("transfer"), &["run", "the dev split"]);
    let path = lab.path("model/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
    for command in ["similarity", "transfer"] {
        refused(&compare(command), &["run", "the model's weights"]);
    }
}

#[test]
fn another_configuration_is_shown_key_by_key() {
    let lab = Lab::new();
    trained(&lab.train("mnli", &[]));
    let other = lab.train("mnli", &["--set", "train.steps=4", "--method", "ld-1/2"]);
    refused(
        &other,
        &[
            "another configuration",
            "`train.steps` is 3 there and 4 here",
            "`schedule.method` is absent there and \"ld-1/2\" here",
            "--force-new",
        ],
    );
}

#[test]
fn a_run_is_the_same_from_another_working_directory() {
    let lab = Lab::new();
    trained(&lab.train("mnli", &[]));
    fs::create_dir(lab.path("elsewhere")).unwrap();
    let arguments = [
        "train",
        "--config",
        "../lab.toml",
        "--task",
        "mnli",
        "--out",
        "../run",
    ];
    let output = lab
        .command(&arguments)
        .current_dir(lab.path("elsewhere"))
        .output()
        .unwrap();
    trained(&output);
    assert!(
        stderr(&output).contains("nothing to do"),
        "{}",
        stderr(&output)
    );
    // Nor does it matter where model and data have moved.
    for name in ["model", "data"] {
        fs::rename(lab.path(name), lab.path(&format!("moved-{name}"))).unwrap();
    }
    let moved = lab.train(
        "mnli",
        &["--set", "model=moved-model", "--set", "data=moved-data"],
    );
    trained(&moved);
    assert!(
        stderr(&moved).contains("nothing to do"),
        "{}",
        stderr(&moved)
    );
}

#[test]
fn a_directory_at_work_belongs_to_one_process() {
    let lab = Lab::new();
    let mut child = start(&lab);
    let metrics = lab.path("run.partial/metrics.jsonl");
    wait_for(&metrics, &mut child);
    let second = lab.train("mnli", &[]);
    let owner = format!("process {}", child.0.id());
    refused(&second, &["run.partial", &owner, "--out"]);
    // The first one goes on.
    assert!(child.0.try_wait().unwrap().is_none() && metrics.is_file());
    drop(child);

    // What a killed run leaves belongs to nobody; it is kept all the same.
    let left = fs::read(&metrics).unwrap();
    let third = lab.train("mnli", &[]);
    refused(
        &third,
        &[
            "unfinished",
            "`train.steps` is 100000 there and 3 here",
            "--restart",
        ],
    );
    assert!(fs::read(&metrics).unwrap() == left);
    let third = lab.train("mnli", &["--restart"]);
    trained(&third);
    assert!(
        stderr(&third).contains("set-aside/run.partial-1"),
        "{}",
        stderr(&third)
    );
    let kept = fs::read(lab.path("set-aside/run.partial-1/metrics.jsonl")).unwrap();
    assert!(kept == left);
    assert!(!lab.path("run.partial").exists() && !lab.path("run/lock").exists());
}

/// Of processes that are started at once with the same command one trains. The others tell who does, or find the finished
/// run, and the end is that of a run alone.
#[test]
fn of_five_processes_at_once_one_trains() {
    let lab = Lab::new();
    let settings = ["--set", "train.steps=30", "--set", "eval.every=10"];
    trained(&lab.train("mnli", &[&settings[..], &["--cache", "other"]].concat()));
    fs::rename(lab.path("run"), lab.path("alone")).unwrap();
    let program = || {
        let command = Command::new(assert_cmd::cargo::cargo_bin("fpt"))
            .current_dir(lab.path(""))
            .args(["train", "--config", "lab.toml", "--task", "mnli"])
            .args(["--out", "run", "--json"])
            .args(settings)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        command.unwrap()
    };
    let children = [(); 5].map(|()| program());
    let numbers = children.each_ref().map(Child::id);
    let mut trainers = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let (said, told) = (stdout(&output), stderr(&output));
        let steps = said.matches(r#""event":"step""#).count();
        if steps > 0 {
            trained(&output);
            trainers += 1;
        } else if output.status.success() {
            assert!(told.contains("holds this very run, finished"), "{told}");
            assert!(said.contains(r#""event":"finished""#), "{said}");
        } else {
            refused(&output, &["run.partial", "is writing it"]);
            let holder = |number: &u32| told.contains(&format!("process {number} "));
            assert!(numbers.iter().any(holder), "{told}");
        }
    }
    assert_eq!(trainers, 1);
    let [alone, run] = ["alone", "run"].map(|name| outcome(&lab.path(name)));
    assert_same(&run, &alone, "with others");
    let mut left = files(&lab.path(""), "");
    left.retain(|name| {
        name.contains("partial") || name.contains(".fpt-run") || name.contains("lock")
    });
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_lies_under_the_unfinished_name_is_not_deleted() {
    let lab = Lab::new();
    fs::create_dir(lab.path("run.partial")).unwrap();
    fs::write(lab.path("run.partial/thesis.tex"), "precious").unwrap();
    trained(&lab.train("mnli", &[]));
    let kept = fs::read_to_string(lab.path("set-aside/run.partial-1/thesis.tex")).unwrap();
    assert_eq!(kept, "precious");
    let kept = files(&lab.path("set-aside"), "");
    assert_eq!(kept, ["run.partial-1/thesis.tex"]);
    assert!(!lab.path("run/thesis.tex").exists());
}

#[test]
fn a_run_that_diverges_keeps_its_metrics_and_says_where() {
    let lab = Lab::new();
    let settings = [
        "--set",
        "train.learning_rate=1e37",
        "--set",
        "train.steps=9",
    ];
    let output = lab.train("mnli", &settings);
    refused(&output, &["diverged", "train.learning_rate", "run.partial"]);
    let metrics = fs::read_to_string(lab.path("run.partial/metrics.jsonl")).unwrap();
    assert!(metrics.lines().count() > 1, "{metrics}");
    assert!(!lab.path("run").exists());
}

/// What happens as the very last thing loses nothing of all the work before.
#[test]
fn a_directory_that_cannot_get_its_name_is_kept_and_gone_on_with() {
    let lab = Lab::new();
    let settings = ["--set", "train.steps=60", "--set", "eval.every=60"];
    let arguments = [
        "train", "--config", "lab.toml", "--task", "mnli", "--out", "run",
    ];
    let child = Command::new(assert_cmd::cargo::cargo_bin("fpt"))
        .current_dir(lab.path(""))
        .args(arguments)
        .args(settings)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = Running(child.unwrap());
    wait_for(&lab.path("run.partial/metrics.jsonl"), &mut child);
    fs::create_dir(lab.path("run")).unwrap();
    fs::write(lab.path("run/thesis.tex"), "precious").unwrap();
    let mut message = String::new();
    let mut said = child.0.stderr.take().unwrap();
    said.read_to_string(&mut message).unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(1), "{message}");
    for part in ["cannot write run: ", "(run.partial keeps "] {
        assert!(message.contains(part), "{message}");
    }
    let prompt = fs::read(lab.path("run.partial/adapter/adapter_model.safetensors")).unwrap();
    fs::remove_dir_all(lab.path("run")).unwrap();
    trained(&lab.train("mnli", &settings));
    assert!(fs::read(lab.path("run/adapter/adapter_model.safetensors")).unwrap() == prompt);
    assert!(!lab.path("run.partial").exists());
}

#[test]
fn the_name_of_a_run_may_end_as_directories_do() {
    let lab = Lab::new();
    for (out, name) in [("a/.", "a"), ("b/", "b"), ("./c/./", "c")] {
        let arguments = [
            "train", "--config", "lab.toml", "--task", "mnli", "--out", out,
        ];
        trained(&lab.fpt(&arguments, ""));
        assert!(lab.path(name).join("result.json").is_file());
        assert!(!lab.path(&format!("{name}.partial")).exists());
        let again = lab.fpt(&arguments, "");
        assert!(
            stderr(&again).contains("nothing to do"),
            "{}",
            stderr(&again)
        );
    }
    for (out, name) in [("x/.", "x"), ("y/", "y")] {
        trained(&lab.fpt(&["convert", "--model", "model", "--out", out], ""));
        assert!(lab.path(name).join("model.safetensors").is_file());
    }
    // There is no name that could have `.partial` behind it: told before anything is done.
    for out in ["..", "."] {
        let arguments = [
            "train", "--config", "lab.toml", "--task", "mnli", "--out", out,
        ];
        refused(&lab.fpt(&arguments, ""), &["no finished run"]);
    }
}

#[test]
fn a_directory_of_a_model_may_have_any_name() {
    let lab = Lab::new();
    fs::create_dir_all(lab.path("models/me@x")).unwrap();
    fs::rename(lab.path("model"), lab.path("models/me@x/t5")).unwrap();
    trained(&lab.train("mnli", &["--set", "model=models/me@x/t5"]));
    let config = json(&lab.path("run/adapter/adapter_config.json"));
    assert_eq!(config["base_model_name_or_path"], "models/me@x/t5");
}

#[test]
fn the_split_that_is_reported_has_its_name_everywhere() {
    let lab = Lab::new();
    let out = PathBuf::from("runs/mnli-pt-s0");
    let arguments = [
        "train",
        "--config",
        "lab.toml",
        "--task",
        "mnli",
        "--set",
        "eval.report=dev",
    ];
    let output = lab.fpt(
        &[&arguments[..], &["--out", out.to_str().unwrap()]].concat(),
        "",
    );
    trained(&output);
    assert!(!stdout(&output).contains("test"), "{}", stdout(&output));
    let result = json(&lab.path("runs/mnli-pt-s0/result.json"));
    assert_eq!(result["split"], "dev");
    assert_eq!(result["reported"], result["dev"]);
    assert!(result.get("test").is_none());
    assert!(lab.path("runs/mnli-pt-s0/predictions.dev.jsonl").is_file());
    assert!(!lab.path("runs/mnli-pt-s0/predictions.test.jsonl").exists());

    let report = lab.fpt(&["report", "runs"], "");
    trained(&report);
    let tables = stdout(&report);
    assert!(
        tables.contains("PT dev") && !tables.contains("PT test"),
        "{tables}"
    );
    let page = fs::read_to_string(lab.path("runs/index.html")).unwrap();
    assert!(page.contains("percent of the dev split"));

    // Runs of several splits make no table.
    let other = [
        "train",
        "--config",
        "lab.toml",
        "--task",
        "qqp",
        "--out",
        "runs/qqp-pt-s0",
    ];
    trained(&lab.fpt(&other, ""));
    let report = lab.fpt(&["report", "runs"], "");
    refused(&report, &["reports dev", "reports test", "qqp-pt-s0"]);
}

/// All files below a directory, by their names in it.
fn files(directory: &Path, below: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = Path::new(below).join(entry.file_name());
        let name = name.to_str().unwrap().to_string();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(directory, &name));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

#[test]
fn damage_to_a_finished_run_is_found_and_named() {
    let lab = Lab::new();
    trained(&lab.train("mnli", &[]));
    let run = lab.path("run");
    let names = files(&run, "");
    for name in [
        "SHA256SUMS",
        "adapter/adapter_model.safetensors",
        "metrics.jsonl",
        "result.json",
    ] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
    // Anybody can check it.
    if let Ok(status) = Command::new("sha256sum")
        .args(["--check", "--quiet", "SHA256SUMS"])
        .current_dir(&run)
        .status()
    {
        assert!(status.success());
    }
    for name in &names {
        let whole = fs::read(run.join(name)).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        let cut = whole[..whole.len() - 1].to_vec();
        for damaged in [Some(flipped), Some(cut), Some(Vec::new()), None] {
            match &damaged {
                Some(bytes) => fs::write(run.join(name), bytes).unwrap(),
                None if name == "SHA256SUMS" => continue,
                None => fs::remove_file(run.join(name)).unwrap(),
            }
            refused(&lab.train("mnli", &[]), &["run", "damaged", "--force-new"]);
            let report = lab.fpt(&["report", "."], "");
            refused(&report, &["damaged"]);
        }
        fs::write(run.join(name), whole).unwrap();
    }
    trained(&lab.fpt(&["report", "."], ""));
    fs::write(run.join("metrics.jsonl"), "").unwrap();
    let anew = lab.train("mnli", &["--force-new"]);
    trained(&anew);
    assert!(lab.path("set-aside/run-1").is_dir(), "{}", stderr(&anew));
}
