//! Values as files of JSON.

use std::path::Path;

use serde::Serialize;

use crate::FileError;

/// Write `value` as indented JSON with a line break at its end, as [`crate::write()`] does. Returns the file's text.
///
/// # Errors
/// [`FileError::Write`], also if the value can't be said in JSON.
pub fn write_json(
    path: impl AsRef<Path>,
    value: &(impl Serialize + ?Sized),
) -> Result<String, FileError> {
    let path = path.as_ref();
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| FileError::write(path)(error.into()))? + "\n";
    crate::write(path, &text)?;
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn values_are_written_and_returned() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("value.json");
        let text = write_json(&path, &[0.1, 2.0]).unwrap();
        assert_eq!(text, "[\n  0.1,\n  2.0\n]\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        // JSON has texts for keys alone.
        let error = write_json(&path, &BTreeMap::from([(vec![1], 2)])).unwrap_err();
        assert!(error.to_string().ends_with("value.json"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}
