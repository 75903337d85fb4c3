"""A classifier's forward pass by Limbeck and by PyTorch, in turns, as rows of a Markdown table on stdout.

    cargo xtask build && pip install torch torchvision && python benches/forward.py [NETWORK…] [--repeats 3]

Batch 16 at 224 px, f32, two threads on both sides. Each turn is the median of some passes; the fastest turn of each side
counts, as what else a machine does only makes it slower.
"""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = {"eager": [], "channels-last": ["--channels-last"]}

parser = argparse.ArgumentParser()
parser.add_argument("networks", nargs="*", default=["resnet50", "mobilenet_v2"])
parser.add_argument("--size", default="224")
parser.add_argument("--batch", default="16")
parser.add_argument("--rounds", default="5")
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--limbeck", default=str(ROOT / "target/release/limbeck"))
args = parser.parse_args()


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ | {"RAYON_NUM_THREADS": "2"})
    print(done.stdout.decode().strip(), file=sys.stderr, flush=True)
    return json.loads(done.stdout)["ms_per_step"]


print("| network | who | ms a pass | images/s | ratio |\n|---|---|---|---|---|", flush=True)
for network in args.networks:
    sizes = ["--model", network, "--size", args.size, "--batch", args.batch, "--rounds", args.rounds]
    commands = {"Limbeck": [args.limbeck, "bench", "backend", "--json", "--classes", "1000", *sizes]}
    for peer, flags in PEERS.items():
        commands[f"PyTorch {peer}"] = [sys.executable, str(ROOT / "benches/torch_forward.py"), *sizes, *flags]
    turns = [{who: run(command) for who, command in commands.items()} for _ in range(args.repeats)]
    best = {who: min(turn[who] for turn in turns) for who in commands}
    for who, ms in best.items():
        ratio = "" if who == "Limbeck" else f"{ms / best['Limbeck']:.2f}×"
        print(f"| {network} | {who} | {ms:.0f} | {1e3 * int(args.batch) / ms:.1f} | {ratio} |", flush=True)
