"""One distillation step of Limbeck and of PyTorch, one after the other, as rows of a Markdown table on stdout.

    cargo xtask build && pip install torch torchvision && python benches/distill.py [ROW…] [--peers eager,channels-last,compile]

Two threads on both sides. `--compile` spends a minute or more on compiling before its first step.
"""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROWS = {
    "resnet-32": ("resnet34", "resnet18", 64, 32),
    "wrn-32": ("wrn-40-2", "wrn-16-2", 64, 32),
    "resnet-224": ("resnet18", "resnet18", 16, 224),
}
PEERS = {"eager": [], "channels-last": ["--channels-last"], "compile": ["--compile"]}

parser = argparse.ArgumentParser()
parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all by default")
parser.add_argument("--peers", default="eager,channels-last,compile")
parser.add_argument("--steps", default="5")
parser.add_argument("--limbeck", default=str(ROOT / "target/release/limbeck"))
args = parser.parse_args()


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ | {"RAYON_NUM_THREADS": "2"})
    return json.loads(done.stdout)


print("| row | who | ms a step | images/s | peak MiB | ratio |\n|---|---|---|---|---|---|", flush=True)
for row in args.rows or ROWS:
    teacher, student, batch, size = ROWS[row]
    sizes = ["--teacher", teacher, "--student", student, "--batch", str(batch), "--image-size", str(size),
             "--steps", args.steps]
    ours = run([args.limbeck, "bench", "distill", *sizes, "--json"])
    print(f"| {row} | Limbeck | {ours['ms_per_step']:.0f} | {ours['images_per_second']:.1f} "
          f"| {ours['peak_memory_mib']:.0f} | |", flush=True)
    print(json.dumps(ours), file=sys.stderr, flush=True)
    for peer in filter(None, args.peers.split(",")):
        theirs = run([sys.executable, str(ROOT / "benches/torch_distill_step.py"), *sizes, *PEERS[peer]])
        print(f"| {row} | {theirs['peer']} {peer} | {theirs['ms_per_step']:.0f} | {theirs['images_per_second']:.1f} "
              f"| {theirs['peak_memory_mib']:.0f} | {theirs['ms_per_step'] / ours['ms_per_step']:.2f}× |", flush=True)
