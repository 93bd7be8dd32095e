#!/usr/bin/env bash
# Tries the accelerator at hand, in some seven minutes: whether every backend gives the right numbers there, how fast
# layers train beside Flax's and PyTorch's, how fast models step live, and a short training of keywords on the samples.
#
#   scripts/gpu_check.sh [OUT]
#
# Each step writes OUT/NAME.json (and OUT/NAME.log), and OUT/summary.txt says how each ended, after every step, so that
# a run that is cut off has told what it found. QUICK=1 takes sizes for a processor, to try the script itself. PYTHON
# is the interpreter; PyTorch is measured where it is installed. The status is 1 if a step failed.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-gpu-check} python=${PYTHON:-python} failed=0
mkdir -p "$out"
: >"$out/summary.txt"
export PYTHONPATH=$PWD XLA_PYTHON_CLIENT_PREALLOCATE=false

# step NAME SECONDS COMMAND...: its output is the JSON.
step() {
    local name=$1 limit_s=$2 started=$SECONDS status=0
    shift 2
    timeout --kill-after=5 $((limit_s * slack)) "$@" >"$out/$name.json" 2>"$out/$name.log" || status=$?
    [ $status = 0 ] || failed=1
    echo "$name: status $status after $((SECONDS - started)) s" | tee -a "$out/summary.txt"
}

if [ -n "${QUICK:-}" ]; then
    frames=10 hidden=16 large=(--batch 4 --frames 10 --rounds 2) widths=(16) slack=4 updates=2
else
    frames=200 hidden=128 large=(--batch 512 --frames 1000 --rounds 3) widths=(128 256) slack=1 updates=200
fi

step machine 60 "$python" -c \
    'import json; from streamrnn.bench.machine import describe_machine; print(json.dumps(describe_machine()))'
for dtype in float32 bfloat16; do
    step "backends-$dtype" 60 "$python" -m benchmarks backends --frames $frames --hidden $hidden --dtype $dtype --json
done
for dtype in float32 bfloat16; do
    for width in "${widths[@]}"; do
        step "train-$dtype-$width" 60 "$python" -m benchmarks train --cells gru lstm mingru "${large[@]}" \
            --hidden "$width" --dtype $dtype --json
    done
done
step step-vad 90 "$python" -m streamrnn bench step --json
step train-keywords 60 "$python" -m streamrnn train keywords --data audio_samples/two_words --out "$out/keywords" \
    --steps $updates --validate-every $updates
exit $failed
