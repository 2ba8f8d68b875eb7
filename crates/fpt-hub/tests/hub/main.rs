//! Downloads from a hub on the loopback interface: success, each way to fail, and the cache.

#![allow(clippy::unwrap_used)]

mod layout;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fpt_hub::{FileChoice, FileSet, Hub, HubConfig, HubError, ModelId, Snapshot, Token};
use fpt_lab::hub::{COMMIT, FakeHub, Fault, File, REPOSITORY, git_hash, sha256};
use tempfile::TempDir;

const TOKEN: &str = "hf_verysecret";

fn large(len: usize) -> File {
    File {
        bytes: (0..len).map(|i| (i * i % 251) as u8).collect(),
        large: true,
    }
}

fn small(text: &str) -> File {
    File {
        bytes: text.as_bytes().to_vec(),
        large: false,
    }
}

/// A repository with one file of weights.
fn repository() -> Vec<(&'static str, File)> {
    vec![
        ("README.md", small("not wanted")),
        ("config.json", small(r#"{"model_type": "t5"}"#)),
        ("model.safetensors", large(300_000)),
        ("pytorch_model.bin", large(10)),
        ("spiece.model", large(5_000)),
        ("tokenizer.json", small("{}")),
        ("tokenizer_config.json", small(r#"{"extra_ids": 100}"#)),
    ]
}

struct Setup {
    server: FakeHub,
    cache: TempDir,
}

impl Setup {
    fn new(files: &[(&str, File)]) -> Self {
        Self {
            server: FakeHub::new(files),
            cache: tempfile::tempdir().unwrap(),
        }
    }

    fn config(&self) -> HubConfig {
        HubConfig {
            endpoint: self.server.endpoint(),
            retries: 3,
            retry_delay: Duration::from_millis(1),
            timeout: Duration::from_secs(5),
            ..HubConfig::new(self.cache.path())
        }
    }

    fn fetch_with(&self, config: HubConfig, id: &str) -> Result<Snapshot, HubError> {
        Hub::new(config)?.fetch(&ModelId::parse(id).unwrap(), &FileSet::t5(), &mut |_| {})
    }

    fn fetch(&self) -> Result<Snapshot, HubError> {
        self.fetch_with(self.config(), REPOSITORY)
    }

    fn error(&self) -> String {
        self.fetch().unwrap_err().to_string()
    }

    fn repository(&self) -> PathBuf {
        self.cache.path().join("models--fast--t5-tiny")
    }

    fn weights(&self) -> PathBuf {
        self.repository()
            .join("snapshots")
            .join(COMMIT)
            .join("model.safetensors")
    }

    fn blob(&self, file: &File) -> PathBuf {
        self.repository().join("blobs").join(sha256(&file.bytes))
    }

    fn incomplete(&self, file: &File) -> PathBuf {
        self.blob(file).with_extension("incomplete")
    }

    /// The ranges in which large files were asked for.
    fn ranges(&self) -> Vec<Option<String>> {
        let requests = self.server.requests();
        requests
            .into_iter()
            .filter(|request| self.server.is_store(request))
            .map(|request| request.range)
            .collect()
    }

    fn assert_whole(&self, file: &File) {
        assert!(fs::read(self.weights()).unwrap() == file.bytes);
        assert!(!self.incomplete(file).exists());
    }

    fn assert_no_weights(&self, file: &File) {
        assert!(fs::symlink_metadata(self.weights()).is_err() && !self.blob(file).exists());
        assert!(!self.repository().join("refs/main").exists());
    }
}

fn weights_only() -> Vec<(&'static str, File)> {
    vec![
        ("config.json", small("{}")),
        ("tokenizer.json", small("{}")),
        ("model.safetensors", large(100_000)),
    ]
}

#[test]
fn a_model_is_fetched() {
    let setup = Setup::new(&repository());
    let hub = Hub::new(setup.config()).unwrap();
    let mut seen: Vec<(String, u64, Option<u64>)> = Vec::new();
    let model = ModelId::parse(REPOSITORY).unwrap();
    let snapshot = hub
        .fetch(&model, &FileSet::t5(), &mut |p| {
            seen.push((p.file.to_owned(), p.done, p.total));
        })
        .unwrap();

    assert_eq!(snapshot.commit, COMMIT);
    assert_eq!(
        snapshot.dir,
        setup.repository().join("snapshots").join(COMMIT)
    );
    let mut names: Vec<_> = fs::read_dir(&snapshot.dir)
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json"
        ]
    );
    for (name, file) in repository() {
        if names.iter().any(|n| n == name) {
            assert!(
                fs::read(snapshot.dir.join(name)).unwrap() == file.bytes,
                "{name}"
            );
        }
    }

    let weights: Vec<_> = seen
        .iter()
        .filter(|(file, ..)| file == "model.safetensors")
        .collect();
    assert_eq!(weights.first().unwrap().1, 0);
    assert_eq!(weights.last().unwrap().1, 300_000);
    assert!(
        weights.is_sorted_by_key(|(_, done, _)| *done)
            && weights.iter().all(|w| w.2 == Some(300_000))
    );
    assert_eq!(seen.first().unwrap().0, "config.json");
    assert_eq!(seen.last().unwrap().0, "model.safetensors");
}

#[test]
fn a_second_call_asks_for_the_revision_only_and_a_pinned_one_for_nothing() {
    let setup = Setup::new(&repository());
    let first = setup.fetch().unwrap();
    setup.server.requests();
    assert_eq!(setup.fetch().unwrap(), first);
    let paths: Vec<_> = setup
        .server
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert_eq!(paths, [format!("/api/models/{REPOSITORY}/revision/main")]);

    let pinned = format!("{REPOSITORY}@{COMMIT}");
    assert_eq!(setup.fetch_with(setup.config(), &pinned).unwrap(), first);
    assert_eq!(setup.server.requests(), []);
}

#[test]
fn a_pinned_revision_leaves_no_ref() {
    let setup = Setup::new(&repository());
    setup
        .fetch_with(setup.config(), &format!("{REPOSITORY}@{COMMIT}"))
        .unwrap();
    assert!(!setup.repository().join("refs").exists());
}

#[test]
fn shards_are_those_of_the_index() {
    let index = r#"{"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors",
                    "b": "model-00002-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"}}"#;
    let files = [
        ("config.json", small("{}")),
        ("spiece.model", large(100)),
        ("model-00001-of-00002.safetensors", large(2_000)),
        ("model-00002-of-00002.safetensors", large(3_000)),
        ("model.safetensors.index.json", small(index)),
        ("pytorch_model.bin", large(7)),
    ];
    let setup = Setup::new(&files);
    let snapshot = setup.fetch().unwrap();
    for (name, file) in &files {
        assert_eq!(
            fs::read(snapshot.dir.join(name)).ok().as_ref() == Some(&file.bytes),
            *name != "pytorch_model.bin"
        );
    }

    // Offline, a missing shard is missed.
    let offline = HubConfig {
        offline: true,
        ..setup.config()
    };
    assert_eq!(
        setup.fetch_with(offline.clone(), REPOSITORY).unwrap(),
        snapshot
    );
    fs::remove_file(snapshot.dir.join("model-00002-of-00002.safetensors")).unwrap();
    let error = setup
        .fetch_with(offline, REPOSITORY)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(
            "model-00002-of-00002.safetensors of fast/t5-tiny@main is not in the cache"
        ),
        "{error}"
    );
}

#[test]
fn a_shard_that_the_repository_lacks_is_named() {
    let index = r#"{"weight_map": {"a": "pytorch_model-00001-of-00001.bin"}}"#;
    let setup = Setup::new(&[
        ("config.json", small("{}")),
        ("tokenizer.json", small("{}")),
        ("pytorch_model.bin.index.json", small(index)),
    ]);
    let error = setup.error();
    assert_eq!(
        error,
        "fast/t5-tiny@main has no file `pytorch_model-00001-of-00001.bin`"
    );
}

#[test]
fn a_repository_without_weights_is_refused_before_anything_is_fetched() {
    let setup = Setup::new(&[
        ("config.json", small("{}")),
        ("tokenizer.json", small("{}")),
    ]);
    let error = setup.error();
    assert!(
        error.starts_with("fast/t5-tiny@main has no weights; looked for model.safetensors, "),
        "{error}"
    );
    assert_eq!(setup.server.requests().len(), 1);
}

#[test]
fn what_is_not_found_is_named() {
    let setup = Setup::new(&repository());
    let error = |id: &str| setup.fetch_with(setup.config(), id).unwrap_err();
    assert!(
        matches!(error("fast/no-such"), HubError::RepositoryNotFound { repository, .. } if repository == "fast/no-such")
    );
    let revision = error("fast/t5-tiny@no-such");
    assert!(
        matches!(revision, HubError::RevisionNotFound { .. })
            && revision.to_string().contains("`no-such`")
    );

    // A mirror that sends no error code.
    setup
        .server
        .fail("GET", "/revision/v2", Fault::Status(404, &[]), 1);
    assert!(matches!(
        error("fast/t5-tiny@v2"),
        HubError::RevisionNotFound { .. }
    ));
    setup
        .server
        .fail("GET", "/api/models/a/b", Fault::Status(404, &[]), 2);
    assert!(matches!(
        error("a/b@v2"),
        HubError::RepositoryNotFound { .. }
    ));

    // Listed, and gone.
    setup.server.fail(
        "HEAD",
        "config.json",
        Fault::Status(404, &[("x-error-code", "EntryNotFound")]),
        1,
    );
    assert_eq!(setup.error(), "fast/t5-tiny@main has no file `config.json`");
}

#[test]
fn a_private_model_needs_a_token() {
    let setup = Setup::new(&repository());
    setup.server.require_token(TOKEN);
    let error = setup.fetch().unwrap_err();
    assert!(matches!(
        error,
        HubError::Denied {
            status: 401,
            token_given: false,
            ..
        }
    ));
    let error = error.to_string();
    let page = format!("{}/fast/t5-tiny", setup.server.endpoint());
    for part in [
        "set HF_TOKEN",
        "hf auth login",
        "accept its conditions",
        &page,
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }

    // The token goes to the hub and to nobody else.
    let with_token = HubConfig {
        token: Token::new(TOKEN),
        ..setup.config()
    };
    setup.server.requests();
    setup.fetch_with(with_token, REPOSITORY).unwrap();
    let requests = setup.server.requests();
    assert!(
        requests
            .iter()
            .any(|request| setup.server.is_store(request))
    );
    for request in requests {
        let expected = (!setup.server.is_store(&request)).then(|| format!("Bearer {TOKEN}"));
        assert_eq!(request.authorization, expected, "{}", request.path);
    }
}

#[test]
fn no_error_shows_the_token() {
    let faults = [
        ("/revision/", Fault::Status(401, &[])),
        ("/revision/", Fault::Status(404, &[])),
        ("/revision/", Fault::Status(500, &[])),
        ("/revision/", Fault::Status(418, &[])),
        ("/revision/", Fault::Status(429, &[("retry-after", "9999")])),
        (
            "/revision/",
            Fault::Status(
                302,
                &[("location", "http://127.0.0.1:1/?X-Signature=secret")],
            ),
        ),
        ("/store/", Fault::Status(403, &[])),
        ("/store/", Fault::Status(503, &[])),
        ("/store/", Fault::HangUp(9)),
        ("/store/", Fault::Longer(9)),
    ];
    for (path, fault) in faults {
        let setup = Setup::new(&repository());
        setup.server.fail("GET", path, fault.clone(), 9);
        let config = HubConfig {
            token: Token::new(TOKEN),
            ..setup.config()
        };
        let hub = Hub::new(config.clone()).unwrap();
        let error = setup.fetch_with(config, REPOSITORY).unwrap_err();
        let shown = format!("{error} {error:?} {hub:?} {hub:#?}");
        assert!(!shown.contains("secret"), "{fault:?}: {shown}");
    }
}

#[test]
fn a_gated_file_says_which_conditions_to_accept() {
    let setup = Setup::new(&repository());
    setup.server.fail(
        "HEAD",
        "model.safetensors",
        Fault::Status(403, &[("x-error-code", "GatedRepo")]),
        1,
    );
    let config = HubConfig {
        token: Token::new(TOKEN),
        ..setup.config()
    };
    let error = setup.fetch_with(config, REPOSITORY).unwrap_err();
    assert!(
        matches!(&error, HubError::Denied { status: 403, token_given: true, file: Some(f), .. } if f == "model.safetensors")
    );
    let error = error.to_string();
    assert!(
        error.contains("does not give access") && error.contains("must be accepted"),
        "{error}"
    );
}

#[test]
fn too_many_requests_are_tried_again() {
    let setup = Setup::new(&repository());
    let busy = Fault::Status(429, &[("retry-after", "0")]);
    setup.server.fail("GET", "/revision/main", busy.clone(), 2);
    setup
        .server
        .fail("HEAD", "config.json", Fault::Status(503, &[]), 2);
    setup.server.fail("GET", "/store/", busy.clone(), 2);
    setup.fetch().unwrap();

    let setup = Setup::new(&repository());
    setup.server.fail("GET", "/revision/main", busy, 99);
    let error = setup.fetch().unwrap_err();
    assert!(
        matches!(
            error,
            HubError::Status {
                status: 429,
                attempts: 4,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("HF_TOKEN"));
    assert_eq!(setup.server.requests().len(), 4);
}

#[test]
fn the_wait_is_what_the_server_asks_for_within_limits() {
    let setup = Setup::new(&repository());
    setup.server.fail(
        "GET",
        "/revision/main",
        Fault::Status(429, &[("retry-after", "0")]),
        1,
    );
    let started = Instant::now();
    let patient = HubConfig {
        retry_delay: Duration::from_secs(60),
        ..setup.config()
    };
    setup.fetch_with(patient, REPOSITORY).unwrap();
    assert!(started.elapsed() < Duration::from_secs(30));

    let setup = Setup::new(&repository());
    setup.server.fail(
        "GET",
        "/revision/main",
        Fault::Status(429, &[("retry-after", "3600")]),
        1,
    );
    let error = setup.fetch().unwrap_err();
    assert!(
        matches!(error, HubError::RateLimited { seconds: 3600, .. }),
        "{error}"
    );
}

#[test]
fn other_errors_are_not_tried_again() {
    let setup = Setup::new(&repository());
    setup
        .server
        .fail("GET", "/revision/main", Fault::Status(418, &[]), 1);
    assert!(matches!(
        setup.fetch(),
        Err(HubError::Status {
            status: 418,
            attempts: 1,
            ..
        })
    ));
    assert_eq!(setup.server.requests().len(), 1);
}

#[test]
fn a_download_that_breaks_off_goes_on() {
    let files = weights_only();
    let setup = Setup::new(&files);
    setup
        .server
        .fail("GET", "/store/", Fault::HangUp(40_000), 2);
    setup.fetch().unwrap();
    setup.assert_whole(&files[2].1);
    let from = |start: u64| Some(format!("bytes={start}-"));
    assert_eq!(setup.ranges(), [None, from(40_000), from(80_000)]);
}

#[test]
fn a_server_that_falls_silent_is_left() {
    let files = weights_only();
    let setup = Setup::new(&files);
    setup
        .server
        .fail("GET", "/store/", Fault::Silence(40_000), 1);
    let config = HubConfig {
        timeout: Duration::from_millis(100),
        ..setup.config()
    };
    setup.fetch_with(config, REPOSITORY).unwrap();
    setup.assert_whole(&files[2].1);
    assert!(setup.ranges().contains(&Some("bytes=40000-".to_owned())));
}

#[test]
fn a_later_call_goes_on_where_an_earlier_one_stopped() {
    let files = weights_only();
    let setup = Setup::new(&files);
    setup
        .server
        .fail("GET", "/store/", Fault::HangUp(10_000), 4);
    let error = setup.fetch().unwrap_err();
    assert!(
        matches!(
            error,
            HubError::Truncated {
                expected: 100_000,
                found: 40_000,
                attempts: 4,
                ..
            }
        ),
        "{error}"
    );
    setup.assert_no_weights(&files[2].1);
    assert_eq!(
        fs::metadata(setup.incomplete(&files[2].1)).unwrap().len(),
        40_000
    );

    setup.server.requests();
    let hub = Hub::new(setup.config()).unwrap();
    let mut seen = Vec::new();
    hub.fetch(
        &ModelId::parse(REPOSITORY).unwrap(),
        &FileSet::t5(),
        &mut |p| seen.push(p.done),
    )
    .unwrap();
    assert_eq!(setup.ranges(), [Some("bytes=40000-".to_owned())]);
    assert_eq!((seen[0], seen[seen.len() - 1]), (40_000, 100_000));
    setup.assert_whole(&files[2].1);
}

#[test]
fn a_download_that_moves_on_may_fail_more_often() {
    let files = vec![
        ("config.json", small("{}")),
        ("tokenizer.json", small("{}")),
        ("model.safetensors", large(9 << 20)),
    ];
    let setup = Setup::new(&files);
    setup
        .server
        .fail("GET", "/store/", Fault::HangUp(1 << 20), 8);
    setup.fetch().unwrap();
    setup.assert_whole(&files[2].1);
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let files = weights_only();
    let setup = Setup::new(&files);
    setup
        .server
        .fail("GET", "/store/", Fault::HangUp(40_000), 1);
    setup.server.fail("GET", "/store/", Fault::NoRanges, 1);
    setup.fetch().unwrap();
    setup.assert_whole(&files[2].1);
}

#[test]
fn a_file_of_the_wrong_size_is_refused() {
    let files = weights_only();
    let setup = Setup::new(&files);
    setup
        .server
        .fail("GET", "/store/", Fault::Shorter(70_000), 99);
    let error = setup.fetch().unwrap_err();
    assert!(
        matches!(
            error,
            HubError::Truncated {
                expected: 100_000,
                found: 70_000,
                ..
            }
        ),
        "{error}"
    );
    setup.assert_no_weights(&files[2].1);

    let setup = Setup::new(&files);
    setup.server.fail("GET", "/store/", Fault::Longer(5), 99);
    let error = setup.fetch().unwrap_err();
    assert!(
        matches!(&error, HubError::Damaged { file, .. } if file == "model.safetensors"),
        "{error}"
    );
    assert!(
        error.to_string().contains("should have 100000 bytes"),
        "{error}"
    );
    setup.assert_no_weights(&files[2].1);
    assert!(!setup.incomplete(&files[2].1).exists());
}

#[test]
fn a_damaged_file_is_fetched_once_more_and_then_refused() {
    let files = weights_only();
    let setup = Setup::new(&files);
    setup.server.fail("GET", "/store/", Fault::Flipped, 1);
    setup.fetch().unwrap();
    setup.assert_whole(&files[2].1);
    assert_eq!(setup.ranges(), [None, None]);

    let setup = Setup::new(&files);
    setup.server.fail("GET", "/store/", Fault::Flipped, 99);
    let error = setup.fetch().unwrap_err();
    assert!(matches!(error, HubError::Damaged { .. }));
    assert!(
        error.to_string().contains(&sha256(&files[2].1.bytes)),
        "{error}"
    );
    setup.assert_no_weights(&files[2].1);
    assert!(!setup.incomplete(&files[2].1).exists());
    assert_eq!(setup.ranges(), [None, None]);
}

#[test]
fn a_damaged_beginning_from_an_earlier_run_is_thrown_away() {
    let files = weights_only();
    for left in [vec![7; 30_000], vec![7; 100_000], vec![7; 200_000]] {
        let setup = Setup::new(&files);
        let incomplete = setup.incomplete(&files[2].1);
        fs::create_dir_all(incomplete.parent().unwrap()).unwrap();
        fs::write(incomplete, left).unwrap();
        setup.fetch().unwrap();
        setup.assert_whole(&files[2].1);
    }
}

#[test]
fn files_of_git_are_checked_by_size() {
    let setup = Setup::new(&weights_only());
    setup
        .server
        .fail("GET", "resolve-cache", Fault::Longer(3), 9);
    let error = setup.error();
    assert!(
        error.starts_with("config.json of fast/t5-tiny@main came damaged"),
        "{error}"
    );
    assert!(
        !setup
            .repository()
            .join("blobs")
            .join(git_hash(b"{}"))
            .exists()
    );
}

#[test]
fn a_blob_of_the_wrong_size_and_a_dangling_link_are_replaced() {
    let files = weights_only();
    let setup = Setup::new(&files);
    setup.fetch().unwrap();
    fs::remove_file(setup.blob(&files[2].1)).unwrap();
    setup.fetch().unwrap();
    setup.assert_whole(&files[2].1);

    fs::remove_file(setup.weights()).unwrap();
    fs::write(setup.blob(&files[2].1), "short").unwrap();
    setup.fetch().unwrap();
    setup.assert_whole(&files[2].1);
}

#[test]
fn offline_with_a_warm_cache_needs_no_hub() {
    let setup = Setup::new(&repository());
    let first = setup.fetch().unwrap();
    setup.server.requests();
    let offline = HubConfig {
        offline: true,
        ..setup.config()
    };
    assert_eq!(
        setup.fetch_with(offline.clone(), REPOSITORY).unwrap(),
        first
    );
    assert_eq!(
        setup
            .fetch_with(offline, &format!("{REPOSITORY}@{COMMIT}"))
            .unwrap(),
        first
    );
    assert_eq!(setup.server.requests(), []);
}

#[test]
fn offline_with_a_cold_cache_says_what_to_do() {
    let setup = Setup::new(&repository());
    let offline = HubConfig {
        offline: true,
        ..setup.config()
    };
    let error = |id: &str| {
        setup
            .fetch_with(offline.clone(), id)
            .unwrap_err()
            .to_string()
    };
    let cold = error("fast/t5-tiny@v1");
    assert!(
        cold.starts_with("config.json of fast/t5-tiny@v1 is not in the cache"),
        "{cold}"
    );
    let path = setup.cache.path().display().to_string();
    for part in [
        path.as_str(),
        "HF_HUB_OFFLINE",
        "hf download fast/t5-tiny --revision v1",
    ] {
        assert!(cold.contains(part), "{part}: {cold}");
    }
    assert!(fs::read_dir(setup.cache.path()).unwrap().next().is_none());

    setup.fetch().unwrap();
    fs::remove_file(setup.weights()).unwrap();
    let lacking = error(REPOSITORY);
    assert!(
        lacking.starts_with("model.safetensors or model.safetensors.index.json or"),
        "{lacking}"
    );
    assert_eq!(
        setup
            .server
            .requests()
            .iter()
            .filter(|request| request.path.contains("v1"))
            .count(),
        0
    );
}

#[test]
fn a_hub_that_cannot_be_reached_leaves_what_is_cached() {
    let setup = Setup::new(&repository());
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let config = HubConfig {
        endpoint: format!("http://{closed}"),
        retries: 1,
        ..setup.config()
    };
    let error = setup.fetch_with(config.clone(), REPOSITORY).unwrap_err();
    assert!(
        matches!(error, HubError::Network { attempts: 2, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("check the network"), "{error}");

    let reached = setup.fetch().unwrap();
    assert_eq!(reached.unreached, None);
    let why = |cached: Snapshot| {
        assert_eq!(
            (&cached.dir, &cached.commit),
            (&reached.dir, &reached.commit)
        );
        cached.unreached.unwrap()
    };
    let closed = why(setup.fetch_with(config.clone(), REPOSITORY).unwrap());
    assert!(closed.contains("tried 1 times"), "{closed}");
    let busy = Fault::Status(503, &[]);
    setup.server.fail("GET", "/revision/main", busy, 1);
    assert!(why(setup.fetch().unwrap()).contains("503"));
    // What the hub does say counts.
    let gone = Fault::Status(404, &[("x-error-code", "RevisionNotFound")]);
    setup.server.fail("GET", "/revision/main", gone, 1);
    assert!(matches!(
        setup.fetch().unwrap_err(),
        HubError::RevisionNotFound { .. }
    ));
    fs::remove_file(setup.weights()).unwrap();
    setup.fetch_with(config, REPOSITORY).unwrap_err();
}

#[test]
fn what_is_no_hub_is_said_so() {
    let setup = Setup::new(&repository());
    setup.server.fail(
        "GET",
        "/revision/main",
        Fault::Status(
            302,
            &[("location", "/api/models/fast/t5-tiny/revision/main")],
        ),
        99,
    );
    let error = setup.error();
    assert!(
        error.contains("too many redirects") && error.contains("HF_ENDPOINT"),
        "{error}"
    );

    let setup = Setup::new(&repository());
    setup.server.fail(
        "HEAD",
        "config.json",
        Fault::Status(200, &[("etag", "\"../../../x\"")]),
        1,
    );
    let error = setup.error();
    assert!(error.contains("the ETag"), "{error}");
    setup
        .server
        .fail("GET", "/revision/main", Fault::Status(200, &[]), 1);
    let error = setup.error();
    assert!(error.contains("does not answer as the hub does"), "{error}");
}

#[test]
fn files_in_directories_keep_them() {
    let setup = Setup::new(&[("a/b/weights.bin", large(50))]);
    let files = FileSet(vec![FileChoice::required("weights", ["a/b/weights.bin"])]);
    let hub = Hub::new(setup.config()).unwrap();
    let snapshot = hub
        .fetch(&ModelId::parse(REPOSITORY).unwrap(), &files, &mut |_| {})
        .unwrap();
    assert!(fs::read(snapshot.dir.join("a/b/weights.bin")).unwrap() == large(50).bytes);
}

#[test]
fn two_at_once_download_once() {
    let files = weights_only();
    let setup = Setup::new(&files);
    std::thread::scope(|scope| {
        let both = [0, 1].map(|_| scope.spawn(|| setup.fetch().unwrap()));
        for thread in both {
            thread.join().unwrap();
        }
    });
    assert_eq!(setup.ranges(), [None]);
    setup.assert_whole(&files[2].1);
}

/// The paths below a directory, with what symbolic links point to.
fn tree(dir: &Path) -> Vec<String> {
    fn walk(root: &Path, dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .replace('\\', "/");
            if let Ok(target) = fs::read_link(&path) {
                found.push(format!("{name} -> {}", target.to_str().unwrap()));
            } else if path.is_dir() {
                walk(root, &path, found);
            } else {
                found.push(name);
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort();
    found
}
