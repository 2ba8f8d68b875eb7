#!/usr/bin/env bash
# Ten minutes on a machine with an NVIDIA card: what only a card can tell. See docs/gpu.md.
#
#   scripts/gpu-check.sh build
#       On a machine with Rust: a program with CUDA and wgpu, stripped and compressed: target/gpu-check/fpt.xz.
#   scripts/gpu-check.sh run OUT_DIR [--device cuda|wgpu|cpu] [--precision bf16|f32] [--small] [--patience N]
#       On the machine with the card, in a checkout with that file: needs python3 with torch and transformers, NVRTC and
#       CUDA's headers; neither Rust nor a network. Each step has a time limit and writes as it goes, so that one that
#       fails or hangs loses only itself.
#       --small: tiny shapes, --patience: time limits times N; to rehearse without a card (--device wgpu --precision f32).
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
PACKED=target/gpu-check/fpt.xz
MOST_BYTES=$((45 * 1000 * 1000))

fail() {
    echo "error: $*" >&2
    exit 2
}

build() {
    # The version of CUDA whose functions the program asks the driver for.
    export CUDARC_CUDA_VERSION=${CUDARC_CUDA_VERSION:-13000}
    cargo build --profile gpu-release -p fpt --features fpt/cuda,fpt/wgpu --bin fpt || fail "the program does not build"
    mkdir -p "$(dirname "$PACKED")"
    xz -6 --threads=0 --stdout "${CARGO_TARGET_DIR:-target}/gpu-release/fpt" >"$PACKED" || fail "xz failed"
    local bytes
    bytes=$(stat -c %s "$PACKED")
    [ "$bytes" -le "$MOST_BYTES" ] || fail "$PACKED has $bytes bytes, more than $MOST_BYTES"
    echo "$PACKED: $bytes bytes"
}

# ---- what a run knows

OUT= DEVICE=cuda PRECISION=bf16 PATIENCE=1 SMALL=no
STEP_END=0 # when the time of the step that runs is over, in seconds of $SECONDS
SHAPE=t5-large LARGEST=t5-xl BATCH=32 SOURCE=512 TARGET=10 SHORT_SOURCE=64 SHORT_TARGET=2 STEPS=10 WARMUP=3
PRODUCTS=(--sizes 17024x1024x2816,1024x1024x1024)

options() {
    while [ $# -gt 0 ]; do
        case $1 in
            --device) DEVICE=${2:?--device needs a name} && shift 2 ;;
            --precision) PRECISION=${2:?--precision needs bf16 or f32} && shift 2 ;;
            --patience) PATIENCE=${2:?--patience needs a number} && shift 2 ;;
            --small) SMALL=yes && shift ;;
            *) fail "unknown argument $1" ;;
        esac
    done
    [[ $PATIENCE =~ ^[1-9][0-9]*$ ]] || fail "--patience $PATIENCE is no whole number"
    if [ "$SMALL" = yes ]; then
        SHAPE=mini LARGEST=mini BATCH=2 SOURCE=16 TARGET=4 SHORT_SOURCE=8 STEPS=2 WARMUP=1
        PRODUCTS=(--sizes 64x64x128,64x64x64)
    fi
}

# The device as PyTorch calls it: what it is compared with runs on the same card, or on the processor.
peer_device() {
    case $DEVICE in
        cuda*) echo "${DEVICE%%,*}" ;;
        *) echo cpu ;;
    esac
}

# ---- steps and their commands

# step NAME SECONDS: what follows belongs to it.
step() {
    STEP_END=$((SECONDS + $2 * PATIENCE))
    {
        echo
        echo "== $1, $2 s (times $PATIENCE), $(date -u +%H:%M:%S)"
    } | tee -a "$OUT/log.txt"
}

# call SECONDS FILE COMMAND...: its standard output goes at the end of FILE, its errors and its end to the log.
call() {
    local limit=$(($1 * PATIENCE)) file="$OUT/$2" left=$((STEP_END - SECONDS)) begin=$SECONDS status=0
    shift 2
    [ "$limit" -le "$left" ] || limit=$left
    echo "\$ $*" >>"$OUT/log.txt"
    if [ "$limit" -le 0 ]; then
        echo "-- not run: the step's time is over" | tee -a "$OUT/log.txt"
        return 1
    fi
    timeout --kill-after=5 "$limit" "$@" >>"$file" 2>>"$OUT/log.txt" </dev/null || status=$?
    local end="status $status"
    [ "$status" -ne 124 ] && [ "$status" -ne 137 ] || end="stopped after $limit s"
    echo "-- $end, $((SECONDS - begin)) s: $*" | tee -a "$OUT/log.txt"
    return "$status"
}

# ---- what CUDA needs at run time

# The first of the files that exist.
first_of() {
    local path
    for path in "$@"; do
        if [ -e "$path" ]; then
            echo "$path"
            return
        fi
    done
    return 1
}

# Directories where CUDA's parts may lie: the system's toolkits, that of nvcc, and those of PyTorch's packages.
cuda_roots() {
    local nvcc
    [ -z "${CUDA_PATH:-}" ] || echo "$CUDA_PATH"
    if nvcc=$(command -v nvcc); then dirname "$(dirname "$(readlink -f "$nvcc")")"; fi
    ls -d /usr/local/cuda /usr/local/cuda-* /opt/cuda 2>/dev/null
    timeout 20 python3 - <<'PYTHON' 2>/dev/null
import glob, importlib.util
spec = importlib.util.find_spec("nvidia")
for root in spec.submodule_search_locations if spec else []:
    for part in sorted(glob.glob(root + "/cu1*"), reverse=True) + glob.glob(root + "/cuda_*"):
        print(part)
PYTHON
}

find_cuda() {
    local roots=() nvrtc headers root
    mapfile -t roots < <(cuda_roots)
    local nvrtcs=() includes=()
    for root in "${roots[@]}"; do
        nvrtcs+=("$root"/lib64/libnvrtc.so.13 "$root"/targets/*/lib/libnvrtc.so.13 "$root"/lib/libnvrtc.so.13)
        includes+=("$root"/include/cuda_fp16.h)
    done
    for root in "${roots[@]}"; do
        nvrtcs+=("$root"/lib64/libnvrtc.so.12 "$root"/lib/libnvrtc.so.12)
    done
    if nvrtc=$(first_of "${nvrtcs[@]}"); then
        export LD_LIBRARY_PATH="$(dirname "$nvrtc")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    fi
    if headers=$(first_of "${includes[@]}"); then
        CUDA_PATH=$(dirname "$(dirname "$headers")")
        export CUDA_PATH
    fi
    echo "NVRTC: ${nvrtc:-not found}"
    echo "headers: ${headers:-not found}"
    echo "LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}"
    echo "CUDA_PATH=${CUDA_PATH:-}"
}

unpack() {
    WORK=$(mktemp -d) || fail "no directory for temporary files"
    trap 'rm -rf "$WORK"' EXIT
    FPT=$WORK/fpt
    if [ -n "${FPT_PROGRAM:-}" ]; then
        cp "$FPT_PROGRAM" "$FPT"
    elif command -v xz >/dev/null; then
        xz --decompress --stdout "$PACKED" >"$FPT"
    else
        python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2], "wb"))' \
            "$PACKED" "$FPT"
    fi || fail "there is no program: scripts/gpu-check.sh build makes $PACKED, or FPT_PROGRAM names one"
    chmod +x "$FPT"
}

# ---- the steps

environment() {
    step "a. driver, NVRTC, headers, devices" 30
    {
        uname -a
        nproc
        command -v nvcc
    } >>"$OUT/environment.txt" 2>&1
    find_cuda >"$WORK/cuda.txt"
    cat "$WORK/cuda.txt" >>"$OUT/environment.txt"
    if command -v nvidia-smi >/dev/null; then
        call 10 environment.txt nvidia-smi
    else
        echo "nvidia-smi: not found" >>"$OUT/environment.txt"
    fi
    call 20 environment.txt python3 -c 'import torch, transformers; print("torch", torch.__version__, "CUDA", torch.version.cuda, "transformers", transformers.__version__)'
    call 20 environment.txt "$FPT" devices
}

doctor() {
    step "b. doctor and parity of the kernels" 90
    call 50 doctor.txt "$FPT" doctor --device "$DEVICE" --precision f32
    [ "$PRECISION" = f32 ] || call 60 doctor.txt "$FPT" doctor --device "$DEVICE" --precision "$PRECISION"
}

products() {
    step "c. products of matrices" 60
    call 35 products.jsonl "$FPT" bench products --device "$DEVICE" --precision "$PRECISION" "${PRODUCTS[@]}" --json
    call 30 products.jsonl python3 xtask/bench/gpu_products.py --device "$(peer_device)" --precision "$PRECISION" \
        "${PRODUCTS[@]}"
}

# The most that our products reach, in TFLOP/s, as an argument of `fpt bench step`; nothing where that is not known.
peak() {
    python3 - "$OUT/products.jsonl" <<'PYTHON'
import json, sys
try:
    lines = [json.loads(line) for line in open(sys.argv[1])]
    ours = next(line for line in lines if "torch" not in line.get("program", ""))
    print(f"--peak-tflops={max(product['gflops_per_second'] for product in ours['products']) / 1e3}")
except (OSError, ValueError, KeyError, StopIteration):
    pass
PYTHON
}

# ours FILE SECONDS SHAPE SOURCE TARGET STEPS MORE...
ours() {
    local file=$1 seconds=$2 shape=$3 source=$4 target=$5 steps=$6
    shift 6
    local peak=()
    mapfile -t peak < <(peak)
    call "$seconds" "$file" "$FPT" bench step --model-shape "$shape" --batch "$BATCH" --source "$source" \
        --target "$target" --precision "$PRECISION" --steps "$steps" --warmup "$WARMUP" --device "$DEVICE" --json "${peak[@]}" "$@"
}

# theirs FILE SECONDS VARIANT SOURCE TARGET
theirs() {
    call "$2" "$1" python3 xtask/bench/gpu_step.py --model-shape "$SHAPE" --variant "$3" --device "$(peer_device)" \
        --precision "$PRECISION" --batch "$BATCH" --source "$4" --target "$5" --steps "$STEPS" --warmup "$WARMUP"
}

# Where large products have new shapes several kernels are tried, each compiled first. The choices are kept for the next
# processes, also where this one is stopped, so that their time limits are of what they measure.
tuning() {
    step "tuning of the products of $SHAPE" 100
    ours tuning.jsonl 75 "$SHAPE" "$SOURCE" "$TARGET" 1
    ours tuning.jsonl 50 "$SHAPE" "$SHORT_SOURCE" "$SHORT_TARGET" 1
}

steps() {
    step "d. training step of $SHAPE" 170
    # What does not fit may fit with less kept.
    ours steps.jsonl 60 "$SHAPE" "$SOURCE" "$TARGET" "$STEPS" ||
        ours steps.jsonl 40 "$SHAPE" "$SOURCE" "$TARGET" "$STEPS" --recompute attention
    theirs steps.jsonl 35 eager "$SOURCE" "$TARGET"
    theirs steps.jsonl 35 sdpa "$SOURCE" "$TARGET"
    ours steps.jsonl 40 "$SHAPE" "$SHORT_SOURCE" "$SHORT_TARGET" "$STEPS"
    theirs steps.jsonl 35 eager "$SHORT_SOURCE" "$SHORT_TARGET"
    theirs steps.jsonl 35 sdpa "$SHORT_SOURCE" "$SHORT_TARGET"
    theirs steps.jsonl 90 compile "$SOURCE" "$TARGET"
    theirs steps.jsonl 90 compile "$SHORT_SOURCE" "$SHORT_TARGET"
    # Once more, against a card that was slower or faster at first.
    ours steps.jsonl 40 "$SHAPE" "$SOURCE" "$TARGET" "$STEPS"
}

stages() {
    step "e. wall shares of partial models and schedules" 100
    ours stages.jsonl 100 "$SHAPE" "$SOURCE" "$TARGET" "$STEPS" --stages
}

largest() {
    step "f. a step of $LARGEST" 50
    ours largest.jsonl 50 "$LARGEST" "$SOURCE" "$TARGET" 1 ||
        ours largest.jsonl 40 "$LARGEST" "$SOURCE" "$TARGET" 1 --recompute layers
}

readme() {
    local card
    card=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1)
    cat <<README
# ${card:-$DEVICE, no NVIDIA card}, $(date -u +%F)

\`scripts/gpu-check.sh run DIR $ARGUMENTS\`

environment.txt: driver, compiler, devices. doctor.txt: what is safe on the device. products.jsonl: products of matrices,
here and in PyTorch. tuning.jsonl: first steps, while kernels are tried. steps.jsonl: training steps of $SHAPE, batch
$BATCH, sources of $SOURCE and $SHORT_SOURCE tokens, here and in PyTorch (eager, SDPA, torch.compile). stages.jsonl:
partial models and schedules. largest.jsonl: a step of $LARGEST. log.txt: each command, how it ended and how long it took;
what is missing in a file failed, and its reason is there.
README
}

run() {
    OUT=${1:?run needs a directory for what it writes}
    shift
    ARGUMENTS=$*
    options "$@"
    mkdir -p "$OUT" && OUT=$(cd "$OUT" && pwd) || fail "cannot write to $OUT"
    [ -z "$(ls -A "$OUT")" ] || fail "$OUT is not empty"
    unpack
    readme >"$OUT/README.md"
    environment
    doctor
    products
    tuning
    steps
    stages
    largest
    grep -c '^-- status 0' "$OUT/log.txt" >"$WORK/good"
    grep '^-- ' "$OUT/log.txt" | grep -v '^-- status 0' >"$WORK/bad"
    echo "$(cat "$WORK/good") commands ended well, $(wc -l <"$WORK/bad") did not:" | tee -a "$OUT/log.txt"
    cat "$WORK/bad"
    # A step that failed is a result; nothing at all is none.
    [ "$(cat "$WORK/good")" -gt 0 ]
}

case ${1:-} in
    build) build ;;
    run) shift && run "$@" ;;
    *) fail "usage: scripts/gpu-check.sh build | run OUT_DIR [--device D] [--precision P] [--small] [--patience N]" ;;
esac
