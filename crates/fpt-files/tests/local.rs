//! A directory that exists is a path, also where its name is that of a model on the hub. A program of its own, as it
//! changes the directory that paths are relative to.
#![allow(clippy::unwrap_used)]

use fpt_files::{ModelId, ModelSource, without_revision};

#[test]
fn a_directory_is_local_whatever_its_name() {
    let directory = tempfile::tempdir().unwrap();
    std::env::set_current_dir(directory.path()).unwrap();
    let name = "me/t5@v1";
    let on_the_hub = ModelId::parse(name).map(ModelSource::Hub);
    assert_eq!(ModelSource::parse(name), on_the_hub);
    assert_eq!(without_revision(name), "me/t5");

    std::fs::create_dir_all(name).unwrap();
    assert_eq!(
        ModelSource::parse(name),
        Ok(ModelSource::Local(name.into()))
    );
    assert_eq!(without_revision(name), name);
}
