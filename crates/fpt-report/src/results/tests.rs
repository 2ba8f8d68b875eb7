//! Results of run directories that are written here.
#![allow(clippy::unwrap_used)]

use std::fs;

use fpt_tasks::TaskName;
use serde_json::Value;

use super::{Results, write};
use crate::tests::{Fake, eval, grid};

/// Prompt tuning, a partial model and progressive training on two tasks, and a start from the partial model's prompt.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (task, shift) in [(TaskName::MNLI, 0.0), (TaskName::QQP, 10.0)] {
        let curve = vec![
            eval(4, 400.0, 60.0, Some(50.0 + shift)),
            eval(6, 600.0, 55.0, None),
            eval(8, 1000.0, 80.0, Some(70.0 + shift)),
        ];
        Fake(task.clone(), "pt", 0, 70.0 + shift, 1000.0, 20.0, curve).write(
            path,
            &format!("{task}-pt"),
            None,
        );
        Fake(task.clone(), "ld-1/4", 0, 40.0, 250.0, 6.0, vec![]).write(
            path,
            &format!("{task}-ld"),
            None,
        );
        // At 800 FLOPs prompt tuning is half-way from 50 to 70.
        Fake(task.clone(), "fpt-cr", 0, 66.0 + shift, 800.0, 15.0, vec![]).write(
            path,
            &format!("{task}-cr"),
            None,
        );
    }
    let source = path.join("mnli-ld/adapter");
    // The best evaluation of prompt tuning is 80, and 95 % of that 76.
    let metrics = vec![
        eval(2, 1.0, 75.9, None),
        eval(4, 2.0, 76.0, None),
        eval(6, 3.0, 90.0, None),
    ];
    Fake(TaskName::MNLI, "pt", 0, 1.0, 1.0, 1.0, metrics).write(
        &path.join("init"),
        "mnli-from-ld",
        Some(source.to_str().unwrap()),
    );
    directory
}

#[test]
fn runs_come_to_what_they_say() {
    let directory = directory();
    let results = Results::read(directory.path()).unwrap();
    assert_eq!(results.tasks, [TaskName::MNLI, TaskName::QQP]);
    let labels: Vec<&str> = results.rows.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(labels, ["PT", "LD 1/4", "FPT-CR"]);

    let row = &results.rows[2];
    assert_eq!(row.average, Some(71.0));
    assert_eq!(row.flops_percent, Some(80.0));
    assert_eq!(row.wall_percent, Some(75.0));
    let improve = row.improve.as_ref().unwrap();
    assert!((improve.mean - 6.0).abs() < 1e-9);
    assert!(improve.over_seeds.is_none(), "one seed is no pair");
    let over_tasks = improve.over_tasks.as_ref().unwrap();
    assert_eq!((over_tasks.p, over_tasks.least_p), (0.5, 0.5));
    // Partial models are not compared with a shorter prompt tuning.
    assert!(results.rows[1].improve.is_none());

    let [start] = &results.starts[..] else {
        panic!("one start");
    };
    assert_eq!((start.from.as_str(), start.steps), ("LD 1/4", Some(4)));
}

#[test]
fn the_same_run_twice_is_no_seed_more() {
    let directory = directory();
    let path = directory.path();
    Fake(TaskName::QQP, "fpt-cr", 0, 1.0, 800.0, 15.0, vec![]).write(path, "again", None);
    let error = Results::read(path).err().unwrap().to_string();
    assert!(
        error.contains("again") && error.contains("qqp-cr"),
        "{error}"
    );
}

/// Data or model may be replaced between two runs: what they scored is not compared then.
#[test]
fn runs_of_other_inputs_are_not_shown_beside_each_other() {
    let change = |run: &str, from: &str, to: &str| {
        let directory = directory();
        let path = directory.path().join(run).join("inputs.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replace(from, to)).unwrap();
        let report = write(directory.path());
        assert_eq!(directory.path().join("index.html").exists(), report.is_ok());
        report.err().map(|error| error.to_string())
    };
    let weights = change("qqp-pt", r#""model":"m""#, r#""model":"other""#).unwrap();
    let train = change("mnli-cr", r#""train":"a""#, r#""train":"other""#).unwrap();
    let start = change("init/mnli-from-ld", r#""test":"c""#, r#""test":"other""#).unwrap();
    for (error, parts) in [
        (weights, ["qqp-pt", "mnli-pt", "the model's weights"]),
        (train, ["mnli-cr", "mnli-pt", "the train split"]),
        (start, ["mnli-from-ld", "mnli-pt", "the test split"]),
    ] {
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in {error}");
        }
    }
    // A run need not have read all splits.
    assert_eq!(change("mnli-cr", r#","test":"c""#, ""), None);
}

#[test]
fn an_average_needs_all_tasks() {
    let directory = directory();
    fs::remove_dir_all(directory.path().join("qqp-cr")).unwrap();
    let results = Results::read(directory.path()).unwrap();
    assert_eq!(results.rows[2].average, None);
    assert_eq!(results.rows[2].flops_percent, None);
    assert_eq!(results.rows[2].tasks[&TaskName::MNLI].reported.mean, 66.0);
}

#[test]
fn the_report_is_made_from_run_directories_alone() {
    let directory = directory();
    let report = write(directory.path()).unwrap();
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
    let first = ["results.json", "results.csv", "report.md", "index.html"].map(read);
    write(directory.path()).unwrap();
    assert_eq!(
        first,
        ["results.json", "results.csv", "report.md", "index.html"].map(read)
    );
    let [json, csv, markdown, html] = first;

    // What it returns is what it wrote.
    assert_eq!(report.json, json);
    assert_eq!(report.page, directory.path().join("index.html"));
    let captions = report.tables.iter().map(|table| &table.caption);
    assert_eq!(captions.clone().count(), 5);
    for (caption, table) in captions.zip(&report.tables) {
        assert!(markdown.contains(&format!("{caption}\n\n{table}\n")));
    }

    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rows"][2]["improve"]["mean"], 6.0);
    assert_eq!(csv.lines().count(), 1 + 6);
    assert!(
        markdown.contains("| FPT-CR |") && markdown.contains("+6.00"),
        "{markdown}"
    );
    // Beside ours stand the paper's figures, and every score leads to its run.
    assert!(html.contains("paper 85.13") && html.contains("pages/mnli-cr.html"));
    assert!(html.contains("mnli-from-ld"));
}

#[test]
fn what_is_not_complete_or_was_set_aside_is_not_counted() {
    let directory = directory();
    let path = directory.path();
    let count = || Results::read(path).unwrap().runs.len();
    let before = count();
    for name in ["mnli-pt-s1.partial", "set-aside", "set-aside/mnli-pt-s1-1"] {
        Fake(TaskName::MNLI, "pt", 1, 70.0, 1000.0, 20.0, vec![]).write(path, name, None);
    }
    assert_eq!(count(), before);
    Fake(TaskName::MNLI, "pt", 1, 70.0, 1000.0, 20.0, vec![]).write(path, "mnli-pt-s1", None);
    assert_eq!(count(), before + 1);
}

#[test]
fn text_of_runs_is_no_formula_and_no_markup() {
    let directory = directory();
    for task in ["mnli", "qqp"] {
        let path = directory.path().join(format!("{task}-pt/result.json"));
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace(r#""metric":"accuracy""#, r#""metric":"=1|`<b>`\nx""#);
        fs::write(path, text).unwrap();
    }
    write(directory.path()).unwrap();
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
    assert!(read("results.csv").contains(",\"'=1|`<b>`\nx\","));
    let markdown = read("report.md");
    let cell = r"=1\|\`\<b>\` x |";
    assert!(markdown.contains(cell), "{markdown}");
    assert!(!read("index.html").contains("<b>"));
}

#[test]
fn nothing_stands_beside_a_task_that_the_paper_does_not_have() {
    let directory = directory();
    let mut results = Results::read(directory.path()).unwrap();
    let beside = |results: &Results| {
        let table = results.table2().unwrap();
        table.rows[1][1].paper.clone()
    };
    assert_eq!(beside(&results).as_deref(), Some("85.13"));
    // The same scores, but of another task.
    let reviews = TaskName::new("reviews").unwrap();
    results.tasks = vec![reviews.clone()];
    for row in &mut results.rows {
        let entry = row.tasks.remove(&TaskName::MNLI).unwrap();
        row.tasks.insert(reviews.clone(), entry);
    }
    let table = results.table2().unwrap();
    assert_eq!(table.header[1], "reviews accuracy");
    assert_eq!(table.rows[1][1].text, "66.00");
    assert_eq!(beside(&results), None);
}

#[test]
fn a_damaged_run_is_named() {
    let directory = directory();
    fs::write(
        directory.path().join("qqp-pt/metrics.jsonl"),
        "{\"event\": \"st",
    )
    .unwrap();
    let error = Results::read(directory.path()).err().unwrap().to_string();
    assert!(
        error.contains("metrics.jsonl") && error.contains("line 1"),
        "{error}"
    );
    let empty = tempfile::tempdir().unwrap();
    let error = Results::read(empty.path()).err().unwrap().to_string();
    assert!(
        error.contains("no finished run") && error.contains("fpt train"),
        "{error}"
    );
    let run = directory.path().join("qqp-cr");
    let error = Results::read(&run).err().unwrap().to_string();
    assert!(error.contains("is a run itself"), "{error}");
}

#[test]
fn the_first_picture_compares_at_equal_cost() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for seed in 0..2 {
        let curve = |half: f64| {
            vec![
                eval(4, 500.0, half, Some(50.0)),
                eval(8, 1000.0, 80.0, Some(70.0)),
            ]
        };
        let pt = Fake(TaskName::MNLI, "pt", seed, 70.0, 1000.0, 20.0, curve(60.0));
        pt.write(path, &format!("pt-{seed}"), None);
        let curve = vec![eval(4, 250.0, 65.0, None), eval(8, 750.0, 78.0, None)];
        let cr = Fake(TaskName::MNLI, "fpt-cr", seed, 66.0, 750.0, 15.0, curve);
        cr.write(path, &format!("cr-{seed}"), None);
    }
    let html = Results::read(path)
        .unwrap()
        .page(path)
        .unwrap()
        .to_html()
        .unwrap();
    let first = html.find("<svg").unwrap();
    let heading = html.find("id=\"equal-cost\"").unwrap();
    assert!(
        heading < first && html.find("id=\"prompt-tuning\"").unwrap() > first,
        "{html}"
    );
}

/// Seeds of a task have that task in common: they are no pairs of their own.
#[test]
fn a_pair_of_a_test_is_a_task_or_a_seed_and_never_a_run() {
    let directory = tempfile::tempdir().unwrap();
    grid(directory.path(), 8, |task, seed| {
        1.0 + task as f64 + seed as f64
    });
    let results = Results::read(directory.path()).unwrap();
    let improve = results.rows[1].improve.as_ref().unwrap();
    let seeds = improve.over_seeds.as_ref().unwrap();
    let tasks = improve.over_tasks.as_ref().unwrap();
    assert_eq!(seeds.differences, [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5]);
    assert_eq!(tasks.differences, [4.5, 5.5]);
    assert_eq!((improve.mean, seeds.mean, tasks.mean), (5.0, 5.0, 5.0));
    assert_eq!((seeds.p, seeds.least_p), (1.0 / 128.0, 1.0 / 128.0));
    assert_eq!((tasks.p, tasks.least_p), (0.5, 0.5));

    // A seed without one of the tasks is no mean over them.
    fs::remove_dir_all(directory.path().join("qqp-cr-s3")).unwrap();
    let results = Results::read(directory.path()).unwrap();
    let improve = results.rows[1].improve.as_ref().unwrap();
    let seeds = improve.over_seeds.as_ref().unwrap();
    assert_eq!(seeds.differences, [1.5, 2.5, 3.5, 5.5, 6.5, 7.5, 8.5]);
}

#[test]
fn a_run_is_not_written_into() {
    let directory = directory();
    Fake(TaskName::MNLI, "fpt-ld", 0, 66.0, 800.0, 15.0, vec![]).write(
        directory.path(),
        super::PAGES,
        None,
    );
    let error = write(directory.path()).unwrap_err().to_string();
    assert!(error.contains("pages is a run"), "{error}");
}

#[test]
fn settings_are_told_apart_and_the_best_on_dev_comes_first() {
    let directory = tempfile::tempdir().unwrap();
    // The rate that a run had, its dev score, its FLOPs.
    let runs = [
        ("pt", "0.1", 0, 70.0, 1000.0),
        ("pt", "0.1", 1, 72.0, 1000.0),
        ("pt", "0.2", 0, 90.0, 2000.0),
        ("fpt-cr", "0.2", 0, 80.0, 1500.0),
        ("fpt-cr", "0.3", 0, 60.0, 1500.0),
    ];
    for (method, rate, seed, dev, flops) in runs {
        let name = format!("{method}-{rate}-{seed}");
        Fake(TaskName::MNLI, method, seed, 10.0, flops, 1.0, vec![]).write(
            directory.path(),
            &name,
            None,
        );
        let edit = |file: &str, change: &dyn Fn(String) -> String| {
            let path = directory.path().join(&name).join(file);
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, change(text)).unwrap();
        };
        edit("result.json", &|text| {
            let mut result: Value = serde_json::from_str(&text).unwrap();
            result["dev"]["values"]["accuracy"] = dev.into();
            result.to_string()
        });
        edit("config.toml", &|text| {
            let mut config: toml::Table = text.parse().unwrap();
            config["train"]["learning_rate"] = toml::Value::Float(rate.parse().unwrap());
            let label = format!("learning_rate={rate}, method={method}");
            let schedule = config["schedule"].as_table_mut().unwrap();
            schedule.insert("name".into(), label.into());
            config.to_string()
        });
    }
    let results = Results::read(directory.path()).unwrap();
    let settings = results.settings().unwrap();
    let column = |number: usize| -> Vec<&str> {
        let rows = settings.rows.iter();
        rows.map(|row| row[number].text.as_str()).collect()
    };
    assert_eq!(settings.header[..3], ["setting", "mnli accuracy", "mean"]);
    let expected = [
        "0.2, method=pt",
        "0.2, method=fpt-cr",
        "0.1, method=pt",
        "0.3, method=fpt-cr",
    ];
    assert_eq!(
        column(0),
        expected.map(|label| format!("learning_rate={label}"))
    );
    assert_eq!(column(2), ["90.00", "80.00", "71.00", "60.00"]);
    assert_eq!(column(5), ["1", "1", "2", "1"]);

    // Each method is compared with prompt tuning of the same settings, or with none.
    let share = |label: &str| {
        let row = results.rows.iter().find(|row| row.label.ends_with(label));
        row.unwrap().tasks[&TaskName::MNLI].flops_percent
    };
    assert_eq!(share("0.2, method=fpt-cr"), Some(75.0));
    assert_eq!(share("0.3, method=fpt-cr"), None);
    assert_eq!(share("0.1, method=pt"), Some(100.0));
    assert!(results.prompt_tuning().is_none());
    let page = results.page(directory.path()).unwrap().to_html().unwrap();
    assert!(page.contains("Settings, the best on dev first."));
    let best = "Of 4 settings learning_rate=0.2, method=pt is the best on dev: 90.00 on average.";
    assert_eq!(results.sentences(), [best]);
}
