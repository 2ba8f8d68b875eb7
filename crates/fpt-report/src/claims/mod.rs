//! Claims: what is said of a method against another, written down before it is measured, and what the runs say to it.

mod claim;
mod judge;
#[cfg(test)]
mod tests;
mod verdict;

pub use claim::{Arm, Claim, StartClaim};
pub use judge::{Evidence, Pair};
pub use verdict::{Finding, Seed, Verdict};
