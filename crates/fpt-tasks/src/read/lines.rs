//! Streaming over the lines of a file.

use std::{io::BufRead, path::Path};

use super::TaskError;

/// Drops a leading byte order mark.
pub(crate) fn strip_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The lines of a file, one at a time in one buffer. Blank lines are passed over but counted.
pub(crate) struct Lines<'a> {
    reader: &'a mut dyn BufRead,
    path: &'a Path,
    number: usize,
    buffer: Vec<u8>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(reader: &'a mut dyn BufRead, path: &'a Path) -> Self {
        Self {
            reader,
            path,
            number: 0,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn path(&self) -> &'a Path {
        self.path
    }

    /// The next line that is not blank, without its end, and its number from 1.
    pub(crate) fn next_line(&mut self) -> Result<Option<(usize, &str)>, TaskError> {
        loop {
            self.buffer.clear();
            let read = self.reader.read_until(b'\n', &mut self.buffer);
            let read = read.map_err(|source| TaskError::Io {
                path: self.path.to_owned(),
                source,
            })?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        let line = std::str::from_utf8(&self.buffer).map_err(|_| TaskError::Utf8 {
            path: self.path.to_owned(),
            line: self.number,
        })?;
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line = if self.number == 1 {
            strip_bom(line)
        } else {
            line
        };
        Ok(Some((self.number, line)))
    }
}
