//! Names as they are given on the command line: models, tasks, splits, methods.
#![no_main]

use fpt_files::{ModelId, ModelSource, is_commit_hash, is_sha256, without_revision};
use fpt_fuzz::told;
use fpt_schedule::{Method, Share};
use fpt_tasks::{Split, TaskName};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(id) = told(ModelId::parse(text)) {
        assert_eq!(ModelId::parse(&id.to_string()).as_ref(), Ok(&id));
        // They become names of directories in the cache.
        for part in id.repository().split('/').chain(id.revision().split('/')) {
            assert!(!part.is_empty() && !part.starts_with('.') && !part.contains(".."));
        }
    }
    told(ModelSource::parse(text));
    assert!(text.starts_with(without_revision(text)));
    assert!(!(is_commit_hash(text) && is_sha256(text)));
    if let Some(name) = told(TaskName::new(text)) {
        assert_eq!(name.as_str(), text);
    }
    told(text.parse::<TaskName>());
    told(text.parse::<Split>());
    if let Some(method) = told(text.parse::<Method>()) {
        assert_eq!(told(method.to_string().parse()), Some(method));
    }
    told(text.parse::<Share>());
});
