//! Project automation: what `cargo xtask` does, a module a command.

pub mod bench;
pub mod data;
pub mod interop;
pub mod pretrain;
pub mod reproduce;

mod python;
mod shell;
