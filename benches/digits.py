"""The table and the picture of docs/digits.md, from the results of benches/digits.sh.

    python benches/digits.py OUT/results.jsonl docs/digits.svg
"""
import json
import statistics
import sys

ARMS = [
    ("guidance-1", "guidance 1, 30 steps"),
    ("guidance-1.3", "guidance 1.3"),
    ("guidance-2", "guidance 2"),
    ("guidance-4", "guidance 4"),
    ("steps-10", "10 steps"),
    ("steps-100", "100 steps"),
    ("teacher-middle", "the middle teacher"),
    ("teacher-weak", "the weak teacher"),
]


def read(path):
    arms = {}
    for line in open(path):
        found = json.loads(line)
        arms.setdefault(found["run"].rpartition("-")[0], []).append(found)
    return arms


def table(arms):
    first = [found["top1"] for found in arms[ARMS[0][0]]]
    print("| | teacher | students, mean of each draw | mean ± sd over draws | sd within a draw | against the first, per draw |")
    print("|---|---|---|---|---|---|")
    for key, name in ARMS:
        found = arms[key]
        top1 = [100 * one["top1"] for one in found]
        within = (sum((100 * one["top1_std"]) ** 2 for one in found) / len(found)) ** 0.5
        gap = [100 * (one["top1"] - other) for one, other in zip(found, first, strict=True)]
        gap = "" if key == ARMS[0][0] else f"{statistics.mean(gap):+.2f} ± {statistics.stdev(gap):.2f}".replace("-", "−")
        draws = ", ".join(f"{value:.2f}" for value in top1)
        mean = f"{statistics.mean(top1):.2f} ± {statistics.stdev(top1):.2f} %"
        print(f"| {name} | {100 * found[0]['teacher_top1']:.2f} % | {draws} | {mean} | {within:.2f} | {gap} |")


def picture(arms, path):
    left, right, row, low, high = 170, 610, 30, 94.5, 99.5
    x = lambda value: left + (value - low) / (high - low) * (right - left)
    height = row * len(ARMS) + 50
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {height}" font-family="sans-serif" font-size="13">']
    out.append(f'<rect width="640" height="{height}" fill="white"/>')
    for tick in range(95, 100):
        out.append(f'<path d="M{x(tick):.1f} 10V{height - 40}" stroke="#ddd"/>')
        out.append(f'<text x="{x(tick):.1f}" y="{height - 22}" text-anchor="middle" fill="#555">{tick}</text>')
    out.append(f'<text x="{(left + right) / 2}" y="{height - 5}" text-anchor="middle" fill="#555">top-1 on 10,000 real digits, %</text>')
    for at, (key, name) in enumerate(ARMS):
        y = 10 + row * (at + 0.5)
        out.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{name}</text>')
        teacher = x(100 * arms[key][0]["teacher_top1"])
        out.append(f'<path d="M{teacher:.1f} {y - 9}V{y + 9}" stroke="#999" stroke-width="2"/>')
        for one in arms[key]:
            out.append(f'<circle cx="{x(100 * one["top1"]):.1f}" cy="{y}" r="4.5" fill="#1f6fb4" fill-opacity="0.6"/>')
    out.append("</svg>")
    open(path, "w").write("\n".join(out) + "\n")


arms = read(sys.argv[1])
table(arms)
picture(arms, sys.argv[2])
