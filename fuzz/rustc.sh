#!/usr/bin/env bash
# RUSTC_WRAPPER of the builds here: only what reads is instrumented. Coverage of Burn's tensors would tell nothing of a
# reader, and cost time, of compiling and of every execution.
case "${CARGO_PKG_NAME:-}" in
fpt* | burn-pack | burn-store | bytes | ciborium* | flate2 | http | parquet | prost | pytorch-reader | safetensors | serde* | \
    snap | spm_precompiled | tar | tokenizers | toml* | winnow | zip)
    exec "$@"
    ;;
esac
for argument in "$@"; do
    shift
    [ "$argument" = -Cpasses=sancov-module ] || set -- "$@" "$argument"
done
exec "$@"
