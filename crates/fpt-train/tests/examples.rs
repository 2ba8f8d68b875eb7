//! The examples do what they say.
#![allow(clippy::unwrap_used)]

#[path = "../examples/train_own_task.rs"]
#[allow(dead_code, reason = "`main` is for Cargo")]
mod train_own_task;

#[test]
fn a_task_that_is_programmed_is_trained() {
    let model = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../datasets/mini-world/model"
    );
    let directory = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    train_own_task::run(model, directory.path(), &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    let test = out
        .lines()
        .find_map(|line| line.strip_prefix("test: "))
        .unwrap();
    let accuracy: f64 = test.trim_end_matches(" %").parse().unwrap();
    assert!(accuracy > 75.0, "{out}");
    assert_eq!(out.matches(" on dev").count(), 3, "{out}");
    assert!(directory.path().join("run/adapter/fpt.json").is_file());
}
