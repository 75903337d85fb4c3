"""Writes trajectory.json: 50 steps of knowledge distillation in PyTorch, on the CPU in f32.

    pip install torch torchvision numpy && python make_trajectory.py [CASE…] [--against channels-last|double]

`--against` also prints how far PyTorch is from itself, in f32 as usual against channels-last images, or against f64. What rounding alone does to a training is the yardstick for any other program's distance.

Weights and images are hashes of their names, so that both sides make them anew and only losses and a sample of the
student's running statistics are kept. The step is DM-KD's: teacher forward, student forward and backward, KL at
temperature 4, SGD with momentum 0.9 and weight decay 5e-4.

Made with torch 2.15.0, one thread. Losses are compared at 1e-3 relative, running statistics at 1e-3 of each tensor's norm;
those of "resnet-usual-rate" at 2e-2, as PyTorch is 4.9e-3 from itself at step 50.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

STEPS, BATCHES, SAMPLES = 50, 5, 4
# Teacher, student, batch, pixels, rate. The small ones leave few values a channel to the last normalisations, and at large
# rates such a training amplifies rounding: at 0.05, PyTorch's own losses of "wrn-small" from weights that differ by 1e-7
# and by 1e-6 are 1e-4 and 4e-4 apart at step 20.
CASES = {
    "wrn-small": ("wrn-40-2", "wrn-16-2", 16, 16, 0.01),
    "resnet-small": ("resnet34", "resnet18", 8, 16, 0.0005),
    "wrn": ("wrn-40-2", "wrn-16-2", 64, 32, 0.01),
    "resnet": ("resnet34", "resnet18", 64, 32, 0.01),
    "wrn-usual-rate": ("wrn-40-2", "wrn-16-2", 64, 32, 0.05),
    # PyTorch with channels-last images is 4.9e-3 from these losses at step 50.
    "resnet-usual-rate": ("resnet34", "resnet18", 64, 32, 0.05),
}
CLASSES = 10
torch.set_num_threads(1)


def uniform(key, shape):
    """f32 in [-1, 1): SplitMix64 from the FNV-1a hash of `key`, the upper 24 bits of each number."""
    state = 0xCBF29CE484222325
    for byte in key.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, np.prod(shape, dtype=int) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)).reshape(shape)


def value(who, name, shape):
    """Activations neither vanish nor grow: He's bound, and a small scale at the end of every residual branch."""
    u, f = uniform(f"{who}/{name}", shape), np.float32
    if len(shape) == 4:
        return u * np.sqrt(f(6) / f(np.prod(shape[1:])))
    if len(shape) == 2:
        return u * (f(3) / np.sqrt(f(shape[1])))
    if name.endswith("running_var"):
        return f(1) + u * f(0.5)
    if name.endswith("weight"):
        return (f(0.3) if name.endswith("bn2.weight") else f(1)) + u * f(0.1)
    return u * f(0.1)


class WideBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.convShortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else None

    def forward(self, x):
        active = F.relu(self.bn1(x))
        skip = x if self.convShortcut is None else self.convShortcut(active)
        return skip + self.conv2(F.relu(self.bn2(self.conv1(active))))


class WideResNet(nn.Module):
    def __init__(self, depth, widen):
        super().__init__()
        self.conv1, inputs = nn.Conv2d(3, 16, 3, 1, 1, bias=False), 16
        for stage in range(3):
            width, block = 16 * widen << stage, nn.Module()
            blocks = []
            for i in range((depth - 4) // 6):
                blocks.append(WideBlock(inputs, width, 2 if stage > 0 and i == 0 else 1))
                inputs = width
            block.layer = nn.Sequential(*blocks)
            setattr(self, f"block{stage + 1}", block)
        self.bn1, self.fc = nn.BatchNorm2d(inputs), nn.Linear(inputs, CLASSES)

    def forward(self, x):
        x = self.block3.layer(self.block2.layer(self.block1.layer(self.conv1(x))))
        return self.fc(F.relu(self.bn1(x)).mean((2, 3)))


def build(name, who):
    if name.startswith("wrn"):
        net = WideResNet(*map(int, name.split("-")[1:]))
    else:
        net = getattr(torchvision.models, name)(num_classes=CLASSES)
        net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    state = {n: torch.from_numpy(np.asarray(value(who, n, tuple(t.shape)))) if t.dim() else t
             for n, t in net.state_dict().items()}
    net.load_state_dict(state)
    return net


def train(case, how=None):
    teacher, student, batch, size, rate = CASES[case]
    form = {"double": {"dtype": torch.float64}, "channels-last": {"memory_format": torch.channels_last}}.get(how, {})
    teacher, student = build(teacher, "teacher").eval().to(**form), build(student, "student").train().to(**form)
    images = [torch.from_numpy(uniform(f"images/{i}", (batch, 3, size, size)) * np.float32(1.75)).to(**form)
              for i in range(BATCHES)]
    sgd = torch.optim.SGD(student.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    losses = []
    for step in range(STEPS):
        x = images[step % BATCHES]
        with torch.no_grad():
            target = F.softmax(teacher(x) / 4, 1)
        loss = F.kl_div(F.log_softmax(student(x) / 4, 1), target, reduction="batchmean") * 16
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    return losses, student.state_dict()


def sample(tensor):
    """The norm, then values of channels evenly apart."""
    values = tensor.double()
    return [values.norm().item()] + [values[i * len(values) // SAMPLES].item() for i in range(SAMPLES)]


if __name__ == "__main__":
    args = argparse.ArgumentParser()
    args.add_argument("cases", nargs="*", metavar="CASE")
    args.add_argument("--against", choices=["channels-last", "double"])
    args = args.parse_args()
    path = Path(__file__).with_name("trajectory.json")
    saved = json.loads(path.read_text()) if path.exists() else {}
    for case in args.cases or CASES:
        losses, state = train(case)
        print(case, losses[0], losses[-1], flush=True)
        if args.against:
            others, _ = train(case, args.against)
            gaps = [abs(a - b) / a for a, b in zip(losses, others)]
            print(f"  against {args.against}:", *(f"step {i + 1}: {gaps[i]:.1e}" for i in range(9, STEPS, 10)), flush=True)
        names = ("teacher", "student", "batch", "size", "rate")
        running = {n: sample(t) for n, t in state.items() if "running" in n}
        saved[case] = dict(zip(names, CASES[case])) | {"losses": losses, "running": running}
        path.write_text(json.dumps(saved, indent=1) + "\n")
