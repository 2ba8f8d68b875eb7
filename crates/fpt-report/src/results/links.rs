//! Where pages lie, and how they are linked.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Run;

/// The directory beside the runs that holds a page for each of them.
pub const PAGES: &str = "pages";

/// What a part of an address does not say as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

impl Run {
    /// Its directory, as seen from the directory of the report.
    pub(super) fn below(&self, directory: &Path) -> &Path {
        let own = &self.finished.directory;
        own.strip_prefix(directory).unwrap_or(own)
    }
}

/// The file of the page of a run that lies there below the directory of the report.
pub(super) fn page_file(below: &Path) -> PathBuf {
    let mut file = Path::new(PAGES).join(below).into_os_string();
    file.push(".html");
    file.into()
}

/// The address of a file or directory, relative as the path is.
pub(super) fn link(path: &Path) -> String {
    let parts = path.components().map(|part| {
        let part = part.as_os_str().to_string_lossy();
        utf8_percent_encode(&part, ESCAPED).to_string()
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_end_an_address() {
        let page = page_file(Path::new("init/50% <b>#1?"));
        assert_eq!(page, Path::new("pages/init/50% <b>#1?.html"));
        assert_eq!(link(&page), "pages/init/50%25%20%3Cb%3E%231%3F.html");
        assert_eq!(link(Path::new("a.b-c_d")), "a.b-c_d");
    }
}
