//! The terminal: results on standard output, and on standard error what people see while they wait.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Print a line of the result on standard output.
///
/// # Errors
/// If standard output is closed or full; the chain holds the [`std::io::Error`].
pub fn print_line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .context("failed to write to standard output")
}

/// Print a value as a line of JSON on standard output.
///
/// # Errors
/// As [`print_line`], and if the value can't be said in JSON.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print_line(&serde_json::to_string(value).context("failed to write JSON")?)
}

/// A line for the user on standard error.
pub fn note(text: &str) {
    // Nothing can be done where standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// An error for the user on standard error: `error: ...`, with its causes.
pub fn error(error: &anyhow::Error) {
    note(&format!("error: {}", with_causes(error)));
}

/// An error and its causes in one line. Many messages end with the text of their cause; it is not said again.
pub fn with_causes(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.ends_with(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
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
    style(
        &bar,
        "{prefix:>8} [{elapsed_precise}] {wide_bar} {pos}/{len} ETA {eta} {msg}",
    );
    bar.set_prefix(what.to_string());
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
    use std::io::{Error, ErrorKind};

    use fpt_files::FileError;

    use super::*;

    #[test]
    fn causes_are_said_once() {
        let source = Error::from(ErrorKind::NotFound);
        let cause = source.to_string();
        let error = anyhow::Error::new(FileError::Write {
            path: "a.json".into(),
            source,
        });
        assert_eq!(with_causes(&error), format!("cannot write a.json: {cause}"));
        let error = error.context("failed to save");
        assert_eq!(
            with_causes(&error),
            format!("failed to save: cannot write a.json: {cause}")
        );
        assert_eq!(with_causes(&anyhow::anyhow!("alone")), "alone");
    }
}
