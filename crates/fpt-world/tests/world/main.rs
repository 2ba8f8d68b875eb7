//! What the world says, checked by a reader that knows only the templates: it turns texts back into facts
//! and reasons over them by rules of its own.

#![allow(clippy::unwrap_used)]

mod corpus;
mod facts;
mod reader;
mod tasks;
mod tokenizer;
