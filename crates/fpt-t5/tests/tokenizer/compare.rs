//! Compares our tokenizers with transformers' on a file of texts that `make_fixture.py --differential` wrote; its header
//! says how to run both.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod cases;

use serde::Deserialize;

use cases::{Case, compare};

/// The first line of the file.
#[derive(Deserialize)]
struct Header {
    model: String,
}

fn main() {
    let path = std::env::args_os().nth(1);
    let path = path.expect("give the file that `make_fixture.py --differential` wrote");
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let header: Header = serde_json::from_str(lines.next().unwrap()).unwrap();
    let cases = compare(&header.model, lines);
    let differs = |other: fn(&Case) -> bool| cases.iter().filter(|case| other(case)).count();
    println!(
        "{} texts equal; legacy=False differs from legacy in {}, the fast tokenizer in {}",
        cases.len(),
        differs(|case| case.fixed.is_some()),
        differs(|case| case.fast.is_some()),
    );
}
