#!/usr/bin/env bash
# What guidance, denoising steps and the teacher's strength do to the students of the demo (docs/digits.md).
#
#   cargo xtask build && benches/digits.sh OUT [DRAWS]
#
# Each arm draws 2,000 digits anew with each of DRAWS seeds (4 unless told) and distils three students from all of them: no
# policy chooses, none weighs. Goes on where it was stopped. OUT/results.jsonl gets one line a draw.
set -euo pipefail
out=${1:?usage: benches/digits.sh OUT [DRAWS]}
draws=${2:-4}
cd "$(dirname "$0")/.."
mkdir -p "$out"
out=$(realpath "$out")

run() { # NAME SETTING…
    local name=$1 settings=()
    shift
    for setting in run.seed="$draw" select.policy= distill.weigher= baseline.real=false "$@"; do settings+=(--set "$setting"); done
    target/release/limbeck run recipes/mnist.toml --out "$out/$name-$draw" "${settings[@]}"
}

# The digits that another run has drawn, for another teacher.
again() { # FROM NAME SETTING…
    local from=$out/$1-$draw name=$2
    shift 2
    if [ ! -e "$out/$name-$draw" ]; then
        mkdir -p "$out/$name-$draw.new"
        cp -r "$from/plan.toml" "$from/pool" "$out/$name-$draw.new/"
        rm -f "$out/$name-$draw.new"/pool/*/grades*
        mv "$out/$name-$draw.new" "$out/$name-$draw"
    fi
    run "$name" "$@"
}

weights() { echo "teacher.weights=\"../assets/mnist/teacher-$1.safetensors\""; }

for draw in $(seq 0 $((draws - 1))); do
    for guidance in 1 1.3 2 4; do
        run "guidance-$guidance" synth.guidance="$guidance"
    done
    run steps-10 synth.guidance=1 synth.steps=10
    run steps-100 synth.guidance=1 synth.steps=100
    for teacher in middle weak; do
        again guidance-1 "teacher-$teacher" synth.guidance=1 "$(weights "$teacher")"
    done
done

for summary in "$out"/*/summary.json; do
    # {"run": NAME-DRAW, …the object `eval` of the summary}
    name=$(basename "$(dirname "$summary")")
    sed -n '/"eval": {/,/}/p' "$summary" | tr -d '\n' | sed -E "s/ +/ /g; s/^ ?\"eval\": \{/{\"run\": \"$name\",/; s/\},?\$/}\n/"
done > "$out/results.jsonl"
