//! What can go wrong with a report.

use std::io;
use std::path::PathBuf;

use fpt_files::FileError;
use fpt_tasks::Split;
use fpt_train::TrainError;
use plotters::drawing::DrawingAreaErrorKind;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A directory without finished runs.
    #[error(
        "{0} holds no finished run; name a directory that holds run directories, or make one: \
         fpt train --config FILE --task TASK --out {0}/NAME",
        .directory.display()
    )]
    NoRuns {
        /// The directory.
        directory: PathBuf,
    },
    /// A run directory where a directory of runs is wanted.
    #[error(
        "{} is a run itself; name the directory that holds it and the runs to compare it with",
        .directory.display()
    )]
    IsRun {
        /// The directory.
        directory: PathBuf,
    },
    /// A run where the pages of runs go.
    #[error(
        "{} is a run, but the report puts the pages of runs into a directory of that name; give the run another one",
        .directory.display()
    )]
    InTheWay {
        /// Its directory.
        directory: PathBuf,
    },
    /// Two runs that are one in every table.
    #[error(
        "{} and {} are runs of the same schedule, task and seed; keep one of them there",
        .first.display(),
        .second.display()
    )]
    SameRun {
        /// The directory of one.
        first: PathBuf,
        /// The directory of the other.
        second: PathBuf,
    },
    /// Two runs whose scores are of different splits.
    #[error(
        "{} reports {split}, but {} reports {other}; keep runs of one split together",
        .first.display(),
        .second.display()
    )]
    Splits {
        /// The directory of one.
        first: PathBuf,
        /// What it reports.
        split: Split,
        /// The directory of the other.
        second: PathBuf,
        /// What that reports.
        other: Split,
    },
    /// Two runs that did not read the same, though a comparison supposes that they did.
    #[error(
        "{} read other inputs than {}: {}; move one of them away, or train it anew",
        .second.display(),
        .first.display(),
        .differences.join("; ")
    )]
    Inputs {
        /// The directory of one.
        first: PathBuf,
        /// The directory of the other.
        second: PathBuf,
        /// What differs, a phrase each.
        differences: Vec<String>,
    },
    /// A claim that is none.
    #[error("{}: {reason}", .path.display())]
    Claim {
        /// Its file.
        path: PathBuf,
        /// What is wrong, and the key.
        reason: String,
    },
    /// Runs that do not say what a claim asks.
    #[error("the claim can't be judged: {reason}")]
    Evidence {
        /// What is missing.
        reason: String,
    },
    /// A run that can't be read.
    #[error(transparent)]
    Run(#[from] TrainError),
    /// A directory or file can't be read.
    #[error("failed to read {}", .path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of similarities or transfers that is none.
    #[error("{} is damaged; remove it", .path.display())]
    Damaged {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A path that no file can name.
    #[error("the path {} of a run is no text", .path.display())]
    NoText {
        /// The path.
        path: PathBuf,
    },
    /// A file can't be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// The results can't be said in JSON.
    #[error("failed to write the results as JSON")]
    Json(#[source] serde_json::Error),
    /// A section of the page can't be made.
    #[error("section {heading:?}")]
    Section {
        /// Its heading.
        heading: String,
        /// Why.
        source: Box<ReportError>,
    },
    /// A section that no link can lead to.
    #[error("section {heading:?}: the anchor {anchor:?} {reason}")]
    Anchor {
        /// The section's heading.
        heading: String,
        /// The name for links.
        anchor: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A table or heat map whose rows are not of one length.
    #[error("{what}: {reason}")]
    Uneven {
        /// Which one.
        what: String,
        /// What does not fit together.
        reason: String,
    },
    /// A figure can't be drawn.
    #[error("failed to draw a figure")]
    Draw(#[from] DrawingAreaErrorKind<io::Error>),
    /// Drawing gave no SVG element.
    #[error("drawing a figure gave no SVG")]
    NoSvg,
}
