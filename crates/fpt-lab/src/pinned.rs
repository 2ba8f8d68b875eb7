//! Results that must not move, in texts beside a test.

use std::fs;
use std::path::Path;

/// That `text` is what stands in `directory` for processors with these vector units, in `<vector units>.txt`: others sum
/// in other orders. Where there is no such file, `close` compares, ours with that for any other processor.
///
/// With `FPT_PIN=write` in the environment the file of this processor is written anew first.
pub fn assert_pinned(text: &str, directory: &Path, close: impl FnOnce(&str, &str)) {
    let file = directory.join(format!("{}.txt", vector_units()));
    if std::env::var_os("FPT_PIN").is_some_and(|value| value == "write") {
        fs::write(&file, text).unwrap();
    }
    let Ok(expected) = fs::read_to_string(&file) else {
        let others = fs::read_dir(directory).unwrap();
        let mut others: Vec<_> = others.map(|entry| entry.unwrap().path()).collect();
        others.sort();
        let other = others.first().expect("results of some processor");
        return close(text, &fs::read_to_string(other).unwrap());
    };
    for (number, (ours, theirs)) in text.lines().zip(expected.lines()).enumerate() {
        assert_eq!(ours, theirs, "line {} of {}", number + 1, file.display());
    }
    assert_eq!(text.lines().count(), expected.lines().count());
}

/// What decides the order of sums.
fn vector_units() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return "avx2";
        }
        "x86-64"
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::env::consts::ARCH
}
