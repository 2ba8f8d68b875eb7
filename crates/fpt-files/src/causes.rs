//! Errors in one line.

use std::error::Error;

/// An error and its causes in one line, joined by `: `. Our own messages leave their cause to [`Error::source`]; those of
/// others often have the text of their cause in them, and it is not said again.
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        next = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use std::fmt::{self, Display, Formatter};
    use std::io::{self, ErrorKind};

    use super::*;
    use crate::FileError;

    /// It says its cause, and goes on after that.
    #[derive(Debug)]
    struct Kept(FileError);

    impl Display for Kept {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            write!(f, "failed to save: {}; b is kept", with_causes(&self.0))
        }
    }

    impl Error for Kept {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn causes_are_said_once() {
        let source = io::Error::from(ErrorKind::NotFound);
        let cause = source.to_string();
        let error = FileError::Write {
            path: "a.json".into(),
            source,
        };
        assert_eq!(error.to_string(), "cannot write a.json");
        assert_eq!(with_causes(&error), format!("cannot write a.json: {cause}"));
        assert_eq!(
            with_causes(&Kept(error)),
            format!("failed to save: cannot write a.json: {cause}; b is kept")
        );
        assert_eq!(with_causes(&fmt::Error), fmt::Error.to_string());
    }
}
