//! Where what a reader finds goes: into a data set, which stops at the first error, or into a
//! report, which wants all of them.

use super::{TaskError, Warning, Warnings};
use crate::{Dataset, Example};

/// Takes what a reader finds, in the order of the file. Lines (of Parquet: rows) count from 1.
pub trait Sink {
    /// A named text of a row or question as the file has it, before anything is made of it.
    fn field(&mut self, _line: usize, _name: &str, _text: &str) {}

    /// An example.
    fn example(&mut self, line: usize, example: Example);

    /// Something odd that does not stop the reading.
    fn warn(&mut self, line: usize, warning: Warning);

    /// A row that there will be no example of.
    fn skip(&mut self, line: usize, warning: Warning) {
        self.warn(line, warning);
    }

    /// Something that may be odd, for who looks at the file itself.
    fn note(&mut self, _line: usize, _note: Warning) {}

    /// Something wrong. `Ok` asks the reader to go on with the next row.
    ///
    /// # Errors
    /// The error itself, where reading is to stop.
    fn fault(&mut self, error: TaskError) -> Result<(), TaskError>;

    /// How many examples there were so far.
    fn found(&self) -> usize;
}

/// Keeps the examples and stops at the first error.
#[derive(Default)]
pub(crate) struct Collect {
    examples: Vec<Example>,
    warnings: Warnings,
}

impl Collect {
    pub(crate) fn into_dataset(self) -> Dataset {
        Dataset {
            examples: self.examples,
            warnings: self.warnings,
        }
    }
}

impl Sink for Collect {
    fn example(&mut self, _line: usize, example: Example) {
        self.examples.push(example);
    }

    fn warn(&mut self, _line: usize, warning: Warning) {
        self.warnings.push(warning);
    }

    fn skip(&mut self, _line: usize, warning: Warning) {
        self.warnings.skip(warning);
    }

    fn fault(&mut self, error: TaskError) -> Result<(), TaskError> {
        Err(error)
    }

    fn found(&self) -> usize {
        self.examples.len()
    }
}
