#!/usr/bin/env bash
# Runs every target and prints a table of executions, or some of them: run.sh [--seconds N] [--runs N] [TARGET...]
# One process at a time. A target ends at what comes first: 20 seconds, or what is asked for, or a crash.
set -uo pipefail
cd "$(dirname "$0")"
seconds=20
runs=-1
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) seconds=$2 && shift 2 ;;
    --runs) runs=$2 && shift 2 ;;
    *) break ;;
    esac
done
# Stable Rust is enough: what cargo-fuzz asks of the compiler is only kept from it by this.
export RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER="$PWD/rustc.sh"
build=(-O --codegen-units 16 --sanitizer none)
[ $# -gt 0 ] || set -- $(cargo fuzz list)
for target; do
    cargo fuzz build "${build[@]}" "$target" || exit
done
./seeds.sh
trap 'rm -rf /dev/shm/fpt-fuzz' EXIT
# The longest inputs, where those that libFuzzer chooses would be too long to be many.
longest() {
    case $1 in
    tokenizer_json) echo 40000 ;;
    spiece | checkpoint | weights) echo 16000 ;;
    # Scores take time with the square of it.
    tables | metrics) echo 4000 ;;
    *) echo 8000 ;;
    esac
}
# Burn keeps some kilobytes of each record of a module that it loads, until there is no memory left.
most() {
    if [ "$1" = pretrain_state ] && { [ "$runs" -lt 0 ] || [ "$runs" -gt 40000 ]; }; then
        echo 40000
    else
        echo "$runs"
    fi
}
found=0
echo "| target | executions | a second | coverage | crashes |"
echo "|---|---|---|---|---|"
for target; do
    log=$(mktemp)
    mkdir -p "corpus/$target" "artifacts/$target"
    before=$(ls "artifacts/$target" | wc -l)
    "target/x86_64-unknown-linux-gnu/release/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" \
        -max_total_time="$seconds" -runs="$(most "$target")" -timeout=10 -rss_limit_mb=2048 -max_len="$(longest "$target")" \
        -print_final_stats=1 >"$log" 2>&1
    status=$?
    crashes=$(($(ls "artifacts/$target" | wc -l) - before))
    # A process that ended by itself leaves no figures.
    executions=$(awk '/^stat::number_of_executed_units/ { print $2 }' "$log")
    rate=$(awk '/^stat::average_exec_per_sec/ { print $2 }' "$log")
    coverage=$(grep -o ' cov: [0-9]*' "$log" | tail -1 | tr -dc 0-9)
    echo "| $target | ${executions:-?} | ${rate:-?} | ${coverage:-?} | $crashes |"
    if [ "$status" -ne 0 ] || [ "$crashes" -ne 0 ]; then
        found=1
        tail -40 "$log" >&2
    fi
    rm -rf "$log" /dev/shm/fpt-fuzz
done
exit "$found"
