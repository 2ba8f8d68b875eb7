//! Results that must not move, in a text beside a test.

use std::fs;
use std::path::Path;

/// That `text` is what stands in `file`, below a line that names the processor it was made on. Processors with other
/// vector units sum in other orders: on those `close` compares, ours with theirs.
///
/// With `FPT_PIN=write` in the environment the file is written anew first.
pub fn assert_pinned(text: &str, file: &Path, close: impl FnOnce(&str, &str)) {
    let text = format!("processor {}\n{text}", vector_units());
    if std::env::var_os("FPT_PIN").is_some_and(|value| value == "write") {
        fs::write(file, &text).unwrap();
    }
    let expected = fs::read_to_string(file).unwrap();
    if text.lines().next() != expected.lines().next() {
        return close(&text, &expected);
    }
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
            return "x86-64 with AVX-512";
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return "x86-64 with AVX2";
        }
        "x86-64"
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::env::consts::ARCH
}
