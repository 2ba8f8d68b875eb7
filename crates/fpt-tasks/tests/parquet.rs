//! XSum in Parquet files that pyarrow wrote: see `parquet/make_fixtures.py`.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use fpt_tasks::{Task, Xsum};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/parquet/{name}.parquet"))
}

#[cfg(not(feature = "parquet"))]
#[test]
fn without_the_feature_the_way_out_is_named() {
    let error = Xsum.read(&path("hub")).unwrap_err();
    let error = error.to_string();
    assert!(
        error.ends_with(
            "hub.parquet: this build reads no parquet; build with --features parquet, \
             or convert to tsv/jsonl"
        ),
        "{error}"
    );
}

#[cfg(feature = "parquet")]
mod with_feature {
    use fpt_tasks::{
        CheckOptions, Dataset, Declaration, DeclaredTask, Gold, Split, TaskName, check, read_split,
    };
    use proptest::prelude::*;

    use super::*;

    fn read(name: &str) -> Dataset {
        Xsum.read(&path(name)).unwrap()
    }

    fn error(name: &str) -> String {
        let error = Xsum.read(&path(name)).unwrap_err();
        let message = error.to_string();
        let file = format!("{}: ", path(name).display());
        message.strip_prefix(&file).unwrap().to_owned()
    }

    #[test]
    fn the_hubs_files_are_read() {
        let data = read("hub");
        let rows: Vec<_> = data
            .examples
            .iter()
            .map(|e| (&*e.id, &*e.source, e.target.as_deref().unwrap()))
            .collect();
        let fire = "The café burned down. Nobody was hurt. Police said \"arson\".";
        assert_eq!(
            rows,
            [
                ("35232142", fire, "A café was lost in a fire."),
                ("40143035", "A team won.", "A team has won the cup."),
                ("35951548", "東京 won.", "Tokyo has won."),
                ("36266422", "A team won.", "A team has won the cup."),
            ]
        );
        let warning = data.warnings.to_string();
        assert!(
            warning.ends_with("hub.parquet: row 5: empty document or summary; skipped"),
            "{warning}"
        );
    }

    #[test]
    fn layouts_and_encodings_make_no_difference() {
        let hub = read("hub").examples;
        for name in ["plain", "pages2", "delta"] {
            assert_eq!(read(name).examples, hub, "{name}");
        }
    }

    #[test]
    fn missing_summaries_are_hidden() {
        let data = read("no_summary");
        assert_eq!(data.examples.len(), 4);
        assert!(data.examples.iter().all(|e| e.gold == Gold::Hidden));
        assert_eq!(data.examples[3].id, "3");

        let data = read("null_summary");
        let hidden: Vec<_> = data.examples.iter().map(|e| e.target.is_none()).collect();
        assert_eq!(hidden, [true, false, false, false]);
        assert_eq!(data.warnings.count(), 1);
    }

    #[test]
    fn other_files_are_refused_by_place() {
        for (name, expected) in [
            (
                "wrong_columns",
                "metadata: no column `document` (article, highlights); is this the task's own file?",
            ),
            (
                "numbers",
                "metadata: column `summary` is INT64; expected text",
            ),
            (
                "lists",
                "metadata: no column `document` (document.list.element); is this the task's own file?",
            ),
            ("latin1", "row 2: column `document`: invalid UTF-8"),
            (
                "empty",
                "no examples; expected the columns document, summary and id",
            ),
        ] {
            assert_eq!(error(name), expected);
        }
        let gzip = error("gzip");
        assert!(
            gzip.starts_with("row group 0: column `document`: compressed with GZIP")
                && gzip.ends_with("write the file with snappy or no compression"),
            "{gzip}"
        );
    }

    #[test]
    fn bombs_are_refused() {
        let repeated = error("repeated");
        assert!(
            repeated.ends_with("more than 256 times the text of the file"),
            "{repeated}"
        );
        // Lengths of hundreds of millions of texts, as differences of no bits.
        let count = error("delta_count");
        assert!(
            count.ends_with("a page claims more values than it can have"),
            "{count}"
        );
        // A header of a page that claims to expand to 2 GiB.
        let bytes = std::fs::read(path("hub")).unwrap();
        let header = [0x15, 4, 0x15];
        assert_eq!(bytes[4..7], header, "the first page holds a dictionary");
        let rest = bytes[7..].iter().position(|&byte| byte < 0x80).unwrap() + 8;
        let claim = [0xfe, 0xff, 0xff, 0xff, 0x0f];
        let bytes = [&bytes[..7], &claim, &bytes[rest..]].concat();
        let message = Xsum
            .read_from(&mut &*bytes, "bomb.parquet".as_ref())
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("bomb.parquet: row group 0: column `document`: ")
                && message.contains("bytes claims to expand to 2147483647"),
            "{message}"
        );
    }

    #[test]
    fn reports_count_rows() {
        let report = check(&Xsum, &path("hub"), &CheckOptions::default()).unwrap();
        let text = report.to_string();
        assert!(
            text.contains("hub.parquet:5: warning: empty document or summary; skipped")
                && text.contains("hub.parquet:4: note: same input as row 2"),
            "{text}"
        );
        assert_eq!((report.examples, report.duplicates.inputs), (4, 1));

        let report = check(&Xsum, &path("latin1"), &CheckOptions::default()).unwrap();
        assert_eq!((report.examples, report.errors), (2, 1));
        assert_eq!(
            report.problems[0].message,
            "row 2: column `document`: invalid UTF-8"
        );
    }

    #[test]
    fn splits_are_found_under_the_hubs_names() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("xsum")).unwrap();
        let hub = dir.path().join("xsum/xsum_train.parquet");
        std::fs::copy(path("hub"), &hub).unwrap();
        assert_eq!(Xsum.path(dir.path(), Split::Train), Some(hub));
        let data = read_split(dir.path(), &Xsum, Split::Train).unwrap();
        assert_eq!(data.examples.len(), 4);
    }

    #[test]
    fn declared_tasks_read_texts_and_numbers() {
        let declared = |columns: &str| {
            let json = format!(
                r#"{{"files": "a.parquet", "holdout": {{"dev": 1}}, "target": "{{{{ summary }}}}", {columns}}}"#
            );
            let declaration: Declaration = serde_json::from_str(&json).unwrap();
            DeclaredTask::new(TaskName::new("own").unwrap(), declaration).unwrap()
        };
        let task = declared(
            r#""source": "{{ document }}", "labels": {"1": "a", "2": "b", "3": "c", "4": "d", "5": "e"}"#,
        );
        let data = task.read(&path("numbers")).unwrap();
        let targets: Vec<_> = data
            .examples
            .iter()
            .map(|e| e.target.clone().unwrap())
            .collect();
        assert_eq!(targets, ["a", "b", "c", "d", "e"]);
        assert_eq!(data.examples[2].source, "東京 won.");
        // All columns, an id among them; null is nothing.
        let task = declared(r#""source": "{{ row.document }}""#);
        let data = task.read(&path("null_summary")).unwrap();
        assert_eq!(
            (data.examples[0].id.as_str(), &data.examples[0].target),
            ("35232142", &None)
        );
        assert_eq!(data.examples[4].source, "");
        let error = |columns: &str, file: &str| {
            let error = declared(columns).read(&path(file)).unwrap_err();
            error.to_string()
        };
        let message = error(r#""source": "{{ body }}""#, "hub");
        assert!(message.contains("no column `body`"), "{message}");
        let message = error(r#""source": "{{ document }}""#, "lists");
        assert!(message.contains("lists.parquet"), "{message}");
    }

    fn any_file() -> impl Strategy<Value = Vec<u8>> {
        let names = ["hub", "plain", "pages2", "delta", "null_summary"];
        let files = names.map(|name| std::fs::read(path(name)).unwrap());
        proptest::sample::select(files.to_vec())
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(
            mut bytes in any_file(),
            damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..5),
            cut in any::<proptest::sample::Index>(),
            keep in 0..4_usize,
        ) {
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if keep == 0 {
                // What is cut off from the middle leaves the footer whole.
                let at = cut.index(bytes.len());
                bytes.remove(at);
            }
            match Xsum.read_from(&mut &*bytes, "dir/file.parquet".as_ref()) {
                Ok(data) => prop_assert!(!data.examples.is_empty()),
                Err(error) => prop_assert!(error.to_string().starts_with("dir/file.parquet: ")),
            }
            let path = Path::new("dir/file.parquet");
            fpt_tasks::check_from(&Xsum, &mut &*bytes, path, &CheckOptions::default()).unwrap();
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            // With the footer's mark, or nothing is read at all.
            let bytes = [b"PAR1", &*bytes, &(bytes.len() as u32).to_le_bytes(), b"PAR1"].concat();
            let error = Xsum.read_from(&mut &*bytes, "dir/file.parquet".as_ref());
            prop_assert!(error.unwrap_err().to_string().starts_with("dir/file.parquet: "));
        }
    }
}
