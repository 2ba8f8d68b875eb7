//! Project automation: what `cargo xtask` does, a module a command.

pub mod bench;
pub mod data;
pub mod interop;
pub mod load;
pub mod pretrain;
pub mod reproduce;
pub mod torture;

mod python;
mod shell;
