//! `cargo xtask reproduce`: what `fpt reproduce` does, of the checkout's experiment and with the program that is built of it.

use fpt::reproduce::{self, Offer};

use crate::shell;

pub use fpt::reproduce::Args;

/// Build `fpt`, run what is not finished, compare the prompts, and report.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let offer = Offer {
        config: "configs/mini.toml",
        program: shell::build_among,
        called: "cargo xtask",
    };
    reproduce::run(args, &offer)
}
