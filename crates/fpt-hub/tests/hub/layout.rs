//! The cache against that of Python's `huggingface_hub` 0.36.2.
//!
//! The fixture lists the cache that `snapshot_download` of that library makes from the same hub, with `HF_ENDPOINT` at
//! the server of these tests.

use fpt_lab::hub::COMMIT;

use crate::{Setup, repository, tree};

const FIXTURE: &str = include_str!("huggingface_hub-0.36.2.txt");

/// Without what is known to be absent, which Python's library notes only when asked for one file.
fn listing(setup: &Setup) -> String {
    let lines = tree(&setup.repository())
        .into_iter()
        .filter(|line| !line.starts_with(".no_exist/"));
    lines.map(|line| line + "\n").collect()
}

#[cfg(unix)]
#[test]
fn the_cache_is_laid_out_as_pythons() {
    let setup = Setup::new(&repository());
    setup.fetch().unwrap();
    assert_eq!(listing(&setup), FIXTURE);
    let absent = setup
        .repository()
        .join(".no_exist")
        .join(COMMIT)
        .join("special_tokens_map.json");
    assert!(absent.is_file());
    assert_eq!(
        std::fs::read_to_string(setup.repository().join("refs/main")).unwrap(),
        COMMIT
    );
}

/// As in a cache that belongs to somebody else and has all files: root can write everywhere, so that something else is in
/// the way here.
#[cfg(unix)]
#[test]
fn notes_that_cannot_be_written_stop_no_fetch() {
    let setup = Setup::new(&repository());
    setup.fetch().unwrap();
    for notes in [".no_exist", "refs"] {
        let directory = setup.repository().join(notes);
        std::fs::remove_dir_all(&directory).unwrap();
        std::fs::write(&directory, "").unwrap();
    }
    let snapshot = setup.fetch().unwrap();
    assert!(snapshot.dir.join("config.json").is_file());
}
