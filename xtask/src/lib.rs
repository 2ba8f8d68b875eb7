//! Project automation: what `cargo xtask` does, a module a command.

pub mod bench;
pub mod data;
pub mod interop;
pub mod load;
pub mod pretrain;
pub mod records;
pub mod reproduce;
pub mod search;
pub mod torture;

mod python;
mod shell;
