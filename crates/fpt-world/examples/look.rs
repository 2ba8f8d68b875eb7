//! Prints some documents of the corpus with what is hidden in training.
#![allow(clippy::print_stdout, reason = "printing is all it does")]

use fpt_world::{Corpus, Difficulty, Skill};

fn main() {
    let difficulty = Difficulty {
        max_facts: 4,
        other_wording: 0.85,
        applied: 1.0,
    };
    let mut corpus = Corpus::new(7);
    for skill in Skill::ALL {
        println!("{skill}");
        for _ in 0..4 {
            println!("  {}", corpus.document(Some(skill), difficulty).text());
        }
    }
    println!("training examples");
    for _ in 0..8 {
        let example = corpus.training_example(difficulty);
        println!("  {}\n    -> {}", example.source, example.target);
    }
}
