//! The terminal: results on standard output, and on standard error what people see while they wait.
//!
//! Much of it quotes files, names and servers. What could command a terminal or deceive its reader is escaped here, and
//! only here: see [`shown`].

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use clap::builder::styling::Styles;
use fpt_report::MarkdownTable;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tracing::Metadata;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Text as a terminal may show it. Lines and tabs stay; other control characters, the escape of colours and cursors
/// among them, and characters that reorder text become `\u{1b}`. A second time changes nothing.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(deceives) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if deceives(character) {
            // Writing to a string does not fail.
            let _ = write!(shown, "{}", character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

/// Whether a terminal obeys a character, or reorders others for it.
fn deceives(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        // Marks, embeddings, overrides and isolates of direction; separators of lines and paragraphs.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            true
        }
        other => other.is_control(),
    }
}

/// Columns of a line that no terminal shows.
const COLUMNS: u16 = 120;

/// The arguments of the program. Where they are wrong, or help or the version is wanted, that is printed and the program
/// ends, as with [`Parser::parse`].
pub fn arguments<T: Parser>() -> T {
    T::try_parse().unwrap_or_else(|error| {
        if error.use_stderr() {
            // It quotes the arguments, among which may be names of files.
            let text = error.render().to_string();
            let text = text.trim_end();
            match text.strip_prefix("error: ") {
                Some(message) => say_error(message),
                None => note(text),
            }
            std::process::exit(error.exit_code());
        }
        error.exit()
    })
}

/// Whether only errors are told.
static QUIET: AtomicBool = AtomicBool::new(false);
/// What marks, in a log, what standard error is told anyway.
const TOLD: &str = "fpt";

/// How much is told beside results, and where else.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Telling {
    /// Tell only errors, and show no progress.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// Tell more: what is read, from where, and what is found again.
    #[arg(short, long, global = true)]
    verbose: bool,

    /// Write what is told, and more, to this file, with the time; what the file has stays.
    #[arg(long, global = true, value_name = "FILE")]
    log_file: Option<PathBuf>,
}

impl Telling {
    /// Let it be so from now on, for the whole program.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn begin(&self) -> anyhow::Result<()> {
        QUIET.store(self.quiet, Ordering::Relaxed);
        let of_program = |metadata: &Metadata<'_>| metadata.target().starts_with("fpt");
        let file = self.log_file.as_ref().map(|path| {
            let file = File::options().append(true).create(true).open(path);
            file.with_context(|| format!("cannot write the log {}", path.display()))
        });
        let to_file = file.transpose()?.map(|file| {
            let layer = fmt::layer().with_ansi(false).with_writer(Mutex::new(file));
            layer.with_filter(filter_fn(of_program))
        });
        let to_terminal = self.verbose.then(|| {
            let layer = fmt::layer()
                .without_time()
                .with_target(false)
                .with_level(false);
            // What is told anyway is not told twice.
            let more =
                move |metadata: &Metadata<'_>| of_program(metadata) && metadata.target() != TOLD;
            layer
                .with_ansi(false)
                .with_writer(std::io::stderr)
                .with_filter(filter_fn(more))
        });
        let told = tracing_subscriber::registry()
            .with(to_file)
            .with(to_terminal);
        told.try_init().context("failed to begin the log")
    }
}

/// Print a line of the result on standard output: as it is, unless a terminal shows it.
///
/// # Errors
/// If standard output is closed or full; the chain holds the [`std::io::Error`].
pub fn print_line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let text = if out.is_terminal() {
        shown(text)
    } else {
        text.into()
    };
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .context("failed to write to standard output")
}

/// Print a table as wide as the terminal is at most; elsewhere of lines that can still be read.
///
/// # Errors
/// As [`print_line`].
pub fn print_table(table: MarkdownTable) -> anyhow::Result<()> {
    let terminal = terminal_size::terminal_size_of(std::io::stdout());
    let width = terminal.map_or(COLUMNS, |(width, _)| width.0);
    print_line(&table.within(width).to_string())
}

/// Print a value as a line of JSON on standard output.
///
/// # Errors
/// As [`print_line`], and if the value can't be said in JSON.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print_line(&serde_json::to_string(value).context("failed to write JSON")?)
}

/// A line for the user on standard error, unless only errors are wanted.
pub fn note(text: &str) {
    let text = shown(text);
    tracing::info!(target: TOLD, "{text}");
    if !QUIET.load(Ordering::Relaxed) {
        // Nothing can be done where standard error is closed.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// An error for the user on standard error: `error: ...`, with its causes.
pub fn error(error: &anyhow::Error) {
    say_error(&with_causes(error));
}

/// A message that is marked as clap marks its own: in colours, where standard error shows them.
fn say_error(message: &str) {
    tracing::error!(target: TOLD, "{}", shown(message));
    let mark = Styles::styled();
    let mark = mark.get_error();
    // Nothing can be done where standard error is closed.
    let _ = writeln!(
        anstream::stderr(),
        "{mark}error:{mark:#} {}",
        shown(message)
    );
}

/// An error and its causes in one line.
pub fn with_causes(error: &anyhow::Error) -> String {
    fpt_files::with_causes(error.as_ref())
}

/// A bar over `length` units of work with an estimate of the time left; invisible where standard error is no
/// terminal.
pub fn bar(length: usize, what: &str) -> ProgressBar {
    let bar = still_bar(length, what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A [`bar`] that is not drawn before it is moved or ticked: for an [`indicatif::MultiProgress`], which has to own its
/// bars first.
pub fn still_bar(length: usize, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    if QUIET.load(Ordering::Relaxed) {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    style(
        &bar,
        "{prefix:>8} [{elapsed_precise}] {wide_bar} {pos}/{len} ETA {eta} {msg}",
    );
    bar.set_prefix(shown(what).into_owned());
    bar
}

/// A bar over the bytes of a download.
pub(crate) fn bytes(what: &str) -> ProgressBar {
    let bar = bar(0, what);
    style(
        &bar,
        "{prefix} {msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}",
    );
    bar
}

fn style(bar: &ProgressBar, template: &str) {
    // The templates are constants: they can't fail.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        for (text, expected) in [
            ("\u{1b}[31mred", r"\u{1b}[31mred"),
            ("over\rwritten", r"over\u{d}written"),
            ("\u{9b}2J\u{7f}\u{7}", r"\u{9b}2J\u{7f}\u{7}"),
            (
                "a\u{202e}b\u{2066}c\u{200f}",
                r"a\u{202e}b\u{2066}c\u{200f}",
            ),
            ("a\u{2028}b", r"a\u{2028}b"),
            ("two\n\tlines", "two\n\tlines"),
            (r"C:\u{1b} Zürich, שלום 👩‍🚀", r"C:\u{1b} Zürich, שלום 👩‍🚀"),
        ] {
            assert_eq!(shown(text), expected);
            assert_eq!(shown(expected), expected);
        }
        let bar = still_bar(1, "a\u{1b}b");
        assert_eq!(bar.prefix(), r"a\u{1b}b");
    }
}
