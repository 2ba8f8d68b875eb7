//! The examples do what they say.
#![allow(clippy::unwrap_used)]

#[path = "../examples/prune.rs"]
#[allow(dead_code, reason = "`main` is for Cargo")]
mod prune;

#[test]
fn prune_makes_a_smaller_model_that_answers() {
    let model = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../datasets/mini-world/model"
    );
    let mut out = Vec::new();
    prune::run(model, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    let weights = |name: &str| -> usize {
        let line = out.lines().find(|line| line.starts_with(name)).unwrap();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    };
    assert!(weights("smaller:") < weights("whole:"), "{out}");
    assert_eq!(out.matches(" -> ").count(), 6, "{out}");
    assert!(
        out.contains("who lives in Kiel? <extra_id_0>. -> Anna"),
        "{out}"
    );
}
