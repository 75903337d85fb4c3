"""Writes optim.safetensors: 24 updates by PyTorch's optimisers, schedules, clipping, accumulation and averages, in f32.

    pip install torch safetensors && python make_optim.py

Made with torch 2.15.0. Parameters are compared after every update at 1e-5 relative to the largest, learning rates at 1e-6.
"""
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.optim import SGD, AdamW
from torch.optim import lr_scheduler as sched
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

torch.manual_seed(0)
steps, lr = 24, 0.1
# Some gradients are large, so that clipping at 2 does both.
gradients = {"w": torch.randn(steps, 3, 4), "b": torch.randn(steps, 5)}
size = torch.logspace(-1.5, 1, steps)[torch.randperm(steps)]
gradients = {k: g * size.reshape(-1, *[1] * (g.dim() - 1)) for k, g in gradients.items()}
start = {"w": torch.randn(3, 4), "b": torch.randn(5)}
saved = {f"gradient.{k}": g for k, g in gradients.items()} | {f"start.{k}": p for k, p in start.items()}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w, self.b = (torch.nn.Parameter(start[k].clone()) for k in "wb")


def cosine(o):
    return sched.CosineAnnealingLR(o, steps)


def step(o):
    return sched.MultiStepLR(o, [8, 16], 0.5)


def warm(o, then):
    """Six steps of growth, then `then`."""
    return sched.SequentialLR(o, [sched.LinearLR(o, 1 / 6, total_iters=5), then(o)], [6])


schedules = {
    "constant": lambda o: sched.ConstantLR(o, 1.0),
    "cosine": cosine,
    "step": step,
    "warm-cosine": lambda o: warm(o, lambda o: sched.CosineAnnealingLR(o, steps - 6)),
    "warm-step": lambda o: warm(o, lambda o: sched.MultiStepLR(o, [2, 10], 0.5)),
}
rules = {
    "sgd": lambda p: SGD(p, lr),
    "momentum": lambda p: SGD(p, lr, momentum=0.9, weight_decay=0.05),
    "nesterov": lambda p: SGD(p, lr, momentum=0.9, weight_decay=0.05, nesterov=True),
    "adamw": lambda p: AdamW(p, lr, weight_decay=0.1),
}


def run(case, rule, schedule="constant", clip=None, every=1, ema=None):
    net = Net()
    optimizer = rules[rule](net.parameters())
    scheduler = schedules[schedule](optimizer)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(ema)) if ema else None
    if average:
        average.n_averaged += 1  # the average starts at the first values, not after the first update
    rates, trail = [], {"w": [], "b": []}
    for i in range(steps):
        for k in "wb":
            p = getattr(net, k)
            g = gradients[k][i] / every
            p.grad = g.clone() if p.grad is None else p.grad + g
        rates.append(optimizer.param_groups[0]["lr"])
        if (i + 1) % every == 0:
            if clip:
                torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()
            if average:
                average.update_parameters(net)
        else:
            optimizer._opt_called = True
        scheduler.step()
        for k in "wb":
            trail[k].append(getattr(average.module if average else net, k).detach().clone())
    saved[f"{case}.lr"] = torch.tensor(rates)
    saved.update({f"{case}.{k}": torch.stack(v) for k, v in trail.items()})


for rule in rules:
    run(f"rule-{rule}", rule)
for schedule in schedules:
    run(f"schedule-{schedule}", "nesterov", schedule)
run("clip", "adamw", clip=2.0)
run("accumulate", "momentum", every=3, clip=2.0)
run("ema", "adamw", "cosine", ema=0.8)
save_file({k: v.contiguous() for k, v in saved.items()}, Path(__file__).with_name("optim.safetensors"))
