//! The examples do what they say.
#![allow(clippy::unwrap_used)]

#[path = "../examples/generate.rs"]
#[allow(dead_code, reason = "`main` is for Cargo")]
mod generate;

#[test]
fn generate_answers() {
    let mut out = Vec::new();
    generate::run(&[], &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    let answers: Vec<&str> = out
        .lines()
        .map(|line| line.split(" -> ").nth(1).unwrap())
        .collect();
    assert_eq!(answers, ["Anna", "Kiel", "yes"]);

    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/gated_untied");
    let error = generate::run(&[tiny.into()], &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("tokenizer"), "{error}");
}
