//! What the page says of runs that are written here, and how it looks.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use fpt_tasks::TaskName;
use serde_json::Value;

use crate::results::{COMMAND, Results, write};
use crate::tests::{Fake, eval, grid};

#[test]
fn the_page_begins_with_what_came_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    grid(path, 8, |task, seed| 1.0 + task as f64 + seed as f64);
    fs::write(
        path.join(COMMAND),
        "cargo xtask reproduce '<script>\"x\"'\n",
    )
    .unwrap();
    write(path).unwrap();
    let html = fs::read_to_string(path.join("index.html")).unwrap();
    let summary = &html[html.find("id=\"summary\"").unwrap()..html.find("<svg").unwrap()];
    for part in [
        "FPT-CR keeps 92.9 % of PT&#39;s average (65.00 of 70.00) at 80.0 % of its FLOPs.",
        "+5.00 points",
        "over 8 seeds 95 % interval +2.95 to +7.05, p 0.0078: significant",
        "over 2 tasks",
        "2 pairs can&#39;t show a p below 0.5000",
        "32 runs: 2 methods, 2 tasks, 8 seeds",
        "A Processor (AVX2)",
        "2023-11-14 22:13 UTC to 2023-11-14 22:44 UTC",
        "cargo xtask reproduce &#39;&lt;script&gt;&quot;x&quot;&#39;",
        "<a href=\"results.json\">",
        "<a href=\"results.csv\">",
        "<a href=\"equal-cost.svg\">",
    ] {
        assert!(summary.contains(part), "{part} is not in {summary}");
    }
    assert!(!html.contains("<script"));
}

/// The times of runs tell whether they had the machine to themselves.
#[test]
fn shares_of_time_are_left_out_where_the_machine_was_shared() {
    let wall = |change: &dyn Fn(u64) -> Option<u64>| {
        let directory = tempfile::tempdir().unwrap();
        grid(directory.path(), 2, |_, _| 1.0);
        for entry in fs::read_dir(directory.path()).unwrap() {
            let path = entry.unwrap().path().join("result.json");
            let text = fs::read_to_string(&path).unwrap();
            let mut result: Value = serde_json::from_str(&text).unwrap();
            let old = result["finished_seconds"].as_u64().unwrap();
            result["finished_seconds"] = change(old).into();
            fs::write(&path, result.to_string()).unwrap();
        }
        let results = Results::read(directory.path()).unwrap();
        let table = results.table2().unwrap();
        let has_wall = table.header.contains(&"wall %".to_string());
        (results.origin.side_by_side, has_wall, table.caption)
    };
    let (shared, has_wall, caption) = wall(&|_| Some(1_700_000_000));
    assert_eq!((shared, has_wall), (Some(true), false));
    assert!(caption.contains("shared the machine"), "{caption}");
    let (shared, has_wall, caption) = wall(&Some);
    assert_eq!((shared, has_wall), (Some(false), true));
    assert!(!caption.contains("machine"), "{caption}");
    let (shared, has_wall, caption) = wall(&|_| None);
    assert_eq!((shared, has_wall), (None, true));
    assert!(caption.contains("did not record"), "{caption}");
}

#[test]
fn a_method_looks_the_same_whatever_stands_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (method, flops) in [("pt", 1000.0), ("fpt-ld", 700.0), ("fpt-cr", 600.0)] {
        let curve = vec![eval(4, flops / 2.0, 60.0, None), eval(8, flops, 80.0, None)];
        Fake(TaskName::MNLI, method, 0, 70.0, flops, 20.0, curve).write(path, method, None);
    }
    let look = |results: &Results| {
        let panels = results.learning().unwrap();
        let series = &panels.panels[0].series;
        let found = series.iter().find(|series| series.label == "FPT-CR");
        found.unwrap().look
    };
    let all = look(&Results::read(path).unwrap());
    fs::remove_dir_all(path.join("fpt-ld")).unwrap();
    let results = Results::read(path).unwrap();
    assert_eq!(look(&results), all);
    let curves = results.equal_cost().unwrap();
    assert_eq!(curves.series[1].look, all);
}

#[test]
fn learning_curves_are_means_over_seeds_and_begin_with_what_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (seed, score) in [(0, 60.0), (1, 70.0)] {
        // A step that was undone comes again, and one seed goes on longer.
        let mut curve = vec![
            eval(4, 500.0, 1.0, None),
            eval(4, 500.0, score, None),
            eval(8, 1000.0, 80.0, None),
        ];
        curve.extend((seed == 1).then(|| eval(12, 1500.0, 90.0, None)));
        let name = format!("pt-{seed}");
        Fake(TaskName::MNLI, "pt", seed, 70.0, 1000.0, 20.0, curve).write(path, &name, None);
    }
    let series = |path: &Path| {
        let panels = Results::read(path).unwrap().learning().unwrap();
        panels.panels[0].series[0].clone()
    };
    let found = series(path);
    assert_eq!(found.points, [(50.0, 65.0), (100.0, 80.0)]);
    assert_eq!(found.errors, [f64::sqrt(50.0), 0.0]);
    // The score without a prompt is of the split that is reported.
    for seed in 0..2 {
        let path = path.join(format!("pt-{seed}/result.json"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(r#""split":"test""#, r#""split":"dev""#)).unwrap();
    }
    assert_eq!(series(path).points[0], (0.0, 10.0));
}
