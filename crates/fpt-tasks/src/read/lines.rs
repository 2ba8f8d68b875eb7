//! Streaming over the lines of a file.

use std::io::BufRead;
use std::path::Path;

use super::{Sink, TaskError};

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
    /// The line in the buffer was only looked at.
    peeked: bool,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(reader: &'a mut dyn BufRead, path: &'a Path) -> Self {
        Self {
            reader,
            path,
            number: 0,
            buffer: Vec::new(),
            peeked: false,
        }
    }

    pub(crate) fn path(&self) -> &'a Path {
        self.path
    }

    /// The next line that is not blank, without its end, and its number from 1.
    pub(crate) fn next_line(&mut self) -> Result<Option<(usize, &str)>, TaskError> {
        if std::mem::take(&mut self.peeked) {
            return Ok(Some((self.number, self.current()?)));
        }
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
        Ok(Some((self.number, self.current()?)))
    }

    /// Leave out the line that was peeked at.
    pub(crate) fn skip_peeked(&mut self) {
        self.peeked = false;
    }

    /// What follows, for another kind of reader, and how many lines came before.
    pub(crate) fn rest(self) -> (&'a mut dyn BufRead, usize) {
        (self.reader, self.number)
    }

    /// The line in the buffer, without its end.
    fn current(&self) -> Result<&str, TaskError> {
        let line = std::str::from_utf8(&self.buffer).map_err(|_| TaskError::Utf8 {
            path: self.path.to_owned(),
            line: self.number,
        })?;
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        Ok(if self.number == 1 {
            strip_bom(line)
        } else {
            line
        })
    }

    /// The next line that is not blank and valid UTF-8; the invalid ones are faults.
    pub(crate) fn next_valid(
        &mut self,
        sink: &mut dyn Sink,
    ) -> Result<Option<(usize, &str)>, TaskError> {
        loop {
            // The line is taken up again below: the borrow checker does not let it leave a loop.
            match self.next_line() {
                Err(error @ TaskError::Utf8 { .. }) => sink.fault(error)?,
                Err(error) => return Err(error),
                Ok(None) => return Ok(None),
                Ok(Some(_)) => break,
            }
        }
        Ok(Some((self.number, self.current()?)))
    }

    /// What [`next_valid`](Self::next_valid) gives; it remains the next line.
    pub(crate) fn peek_valid(
        &mut self,
        sink: &mut dyn Sink,
    ) -> Result<Option<(usize, &str)>, TaskError> {
        self.peeked = self.next_valid(sink)?.is_some();
        if self.peeked {
            Ok(Some((self.number, self.current()?)))
        } else {
            Ok(None)
        }
    }
}

/// The whole text. Lines that are not UTF-8 are faults; what is wrong in them is replaced.
pub(crate) fn read_text(
    reader: &mut dyn BufRead,
    path: &Path,
    sink: &mut dyn Sink,
) -> Result<String, TaskError> {
    let mut bytes = Vec::new();
    let read = reader.read_to_end(&mut bytes);
    read.map_err(|source| TaskError::Io {
        path: path.to_owned(),
        source,
    })?;
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error.into_bytes(),
    };
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if std::str::from_utf8(line).is_err() {
            sink.fault(TaskError::Utf8 {
                path: path.to_owned(),
                line: index + 1,
            })?;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
