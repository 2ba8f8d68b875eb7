//! `fpt reproduce`: an experiment, and its report.

use fpt::grid;
use fpt::reproduce::{self, Offer};

pub(crate) use fpt::reproduce::Args;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let offer = Offer {
        config: "mini",
        program: grid::this_program,
        called: "fpt",
    };
    reproduce::run(args, &offer)
}
