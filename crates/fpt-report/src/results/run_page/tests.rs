//! Pages of runs that are written here.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use fpt_tasks::{Split, TaskName, Tasks, read_split};
use fpt_train::content_of_examples;

use crate::results::write;
use crate::tests::{Fake, eval};

/// A run that answered `answers` to the test split in `data`; its configuration says `model`.
fn answered(directory: &Path, data: &Path, model: &str, answers: &[&str]) {
    let curve = vec![eval(4, 500.0, 60.0, None), eval(8, 1000.0, 80.0, None)];
    Fake(TaskName::MNLI, "fpt-cr", 0, 70.0, 1000.0, 20.0, curve).write(directory, "run", None);
    let run = directory.join("run");
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    let mut config: toml::Table = toml::from_str(&config).unwrap();
    config["data"] = data.to_str().unwrap().into();
    config["model"] = model.into();
    fs::write(run.join("config.toml"), toml::to_string(&config).unwrap()).unwrap();
    let lines = answers.iter().enumerate().map(|(id, answer)| {
        let line = serde_json::json!({ "id": id.to_string(), "prediction": answer });
        format!("{line}\n")
    });
    fs::write(
        run.join("predictions.test.jsonl"),
        lines.collect::<String>(),
    )
    .unwrap();
}

/// MNLI's test split with these labels, and hypotheses that are markup.
fn examples(data: &Path, labels: &[&str]) -> String {
    let directory = data.join("mnli");
    fs::create_dir_all(&directory).unwrap();
    let mut text = String::from("sentence1\tsentence2\tgold_label\n");
    for (id, label) in labels.iter().enumerate() {
        text += &format!("premise {id}\t<script>alert(\"{id}\")</script>\t{label}\n");
    }
    fs::write(directory.join("test_matched.tsv"), text).unwrap();
    let mnli = Tasks::paper().get(&TaskName::MNLI).unwrap();
    let read = read_split(data, &*mnli, Split::Test).unwrap();
    content_of_examples(&read.examples)
}

#[test]
fn the_page_of_a_run_shows_what_it_answered() {
    let directory = tempfile::tempdir().unwrap();
    let data = tempfile::tempdir().unwrap();
    let labels = ["entailment", "entailment", "neutral", "contradiction"];
    let content = examples(data.path(), &labels);
    let answers = [
        "entailment",
        "neutral",
        "neutral",
        "<script>\"maybe\"</script>",
    ];
    let path = directory.path();
    answered(path, data.path(), "a/<script>\"m\"</script>", &answers);
    let inputs = path.join("run/inputs.json");
    let text = fs::read_to_string(&inputs).unwrap();
    assert!(text.contains(r#""test":"c""#), "{text}");

    // Other data than the run read are not shown beside its answers.
    let page = || {
        write(path).unwrap();
        fs::read_to_string(path.join("pages/run.html")).unwrap()
    };
    let html = page();
    assert!(html.contains("are not there as it read them") && !html.contains("premise 1"));
    assert!(html.contains("&lt;script&gt;&quot;maybe&quot;&lt;/script&gt;"));

    fs::write(
        &inputs,
        text.replace(r#""test":"c""#, &format!(r#""test":"{content}""#)),
    )
    .unwrap();
    let html = page();
    assert!(!html.contains("<script"), "{html}");
    for part in [
        // One of four is no label.
        "25.00 % of the answers are no label",
        "<th scope=\"row\">entailment</th><td class=\"number\">100.00</td><td class=\"number\">50.00</td>\
         <td class=\"number\">66.67</td>",
        "Some right answers",
        "Some wrong answers",
        "premise 1",
        "alert(&quot;1&quot;)&lt;/script&gt;",
        "&lt;script&gt;&quot;maybe&quot;",
        // The configuration as it is.
        "a/&lt;script&gt;",
        "schedule",
        "dev score, full model",
        "href=\"../index.html\"",
        "href=\"../run/predictions.test.jsonl\"",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    let index = fs::read_to_string(path.join("index.html")).unwrap();
    assert!(index.contains("href=\"pages/run.html\""));
    assert_eq!(page(), html);
}
