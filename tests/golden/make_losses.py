"""Writes losses.safetensors: the losses of a student in PyTorch and their gradients, on the CPU in f32.

    pip install torch safetensors && python make_losses.py

Each loss is written down from its paper, in the plainest form there is; made with torch 2.15.0. Values and gradients are
compared at 1e-5 relative to the largest element.
"""
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

torch.manual_seed(0)
n, classes = 8, 10
saved = {
    "student": torch.randn(n, classes) * 3,
    "teacher": torch.randn(n, classes) * 3,
    "weights": torch.rand(n) * 2,
    "temperatures": 1 + torch.rand(n) * 4,
    "student-features": torch.randn(n, 12),
    "teacher-features": torch.randn(n, 12),
    "student-maps": torch.randn(n, 3, 4, 5),
    "teacher-maps": torch.randn(n, 7, 4, 5),
}
targets = torch.randint(0, classes, (n,))


def kl(log_p, log_q):
    return (log_p.exp() * (log_p - log_q)).sum(1)


def kd(s, t, w, tau):
    return (w * tau**2 * kl(F.log_softmax(t / tau[:, None], 1), F.log_softmax(s / tau[:, None], 1))).mean()


def standardised(x):
    """ArXiv 2403.01427 as its authors compute it: the deviation of a sample, and 1e-7."""
    return (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-7)


def dkd(s, t, w, tau, alpha=1.0, beta=8.0):
    """Equations 4 to 7 of arXiv 2203.08679."""
    p, q = F.softmax(t / tau[:, None], 1), F.softmax(s / tau[:, None], 1)
    is_target = F.one_hot(targets, classes).bool()
    two = lambda x: torch.stack([x[is_target], x.masked_fill(is_target, 0).sum(1)], 1)
    others = lambda x: x[~is_target].reshape(n, classes - 1) / x.masked_fill(is_target, 0).sum(1, keepdim=True)
    tckd = kl(two(p).log(), two(q).log())
    nckd = kl(others(p).log(), others(q).log())
    return (w * tau**2 * (alpha * tckd + beta * nckd)).mean()


def pearson(a, b, w):
    """Of each row, with weights of the columns."""
    a, b = (x - (w * x).sum(1, keepdim=True) / w.sum() for x in (a, b))
    return (w * a * b).sum(1) / ((w * a**2).sum(1).sqrt() * (w * b**2).sum(1).sqrt() + 1e-8)


def dist(s, t, w, tau, beta=2.0, gamma=1.5):
    """Equations 7 to 10 of arXiv 2205.10536."""
    p, q = F.softmax(t / tau[:, None], 1), F.softmax(s / tau[:, None], 1)
    inter = (w * tau**2 * (1 - pearson(q, p, torch.ones(classes)))).mean()
    intra = (1 - pearson(q.T, p.T, w)).mean()
    return beta * inter + gamma * (tau**2).mean() * intra


def attention(s, t, w, tau):
    """Equation 2 of arXiv 1612.03928 as its authors compute it."""
    at = lambda x: F.normalize(x.pow(2).mean(1).flatten(1))
    return (w * (at(s) - at(t)).pow(2).mean(1)).mean()


def mse(s, t, w, tau):
    return (w * F.mse_loss(s, t, reduction="none").mean(1)).mean()


losses = {
    "kd": kd,
    "kd-by-deviation": lambda s, t, w, tau: kd(s, t, w, 2 * t.std(1)),
    "kd-standardised": lambda s, t, w, tau: kd(standardised(s), standardised(t), w, tau),
    "dkd": dkd,
    "dist": dist,
    "logit-mse": mse,
    "cross-entropy": lambda s, t, w, tau: (w * F.cross_entropy(s, F.softmax(t, 1), reduction="none")).mean(),
    "hint": mse,
    "attention": attention,
}
kinds = {"hint": "-features", "attention": "-maps"}
for name, loss in losses.items():
    student, teacher = (saved[who + kinds.get(name, "")] for who in ("student", "teacher"))
    for kind, w in [("plain", torch.ones(n)), ("weighted", saved["weights"])]:
        for by, tau in [("one", torch.full((n,), 3.0)), ("each", saved["temperatures"])]:
            x = student.clone().requires_grad_(True)
            value = loss(x, teacher, w, tau)
            value.backward()
            saved[f"{name}.{kind}.{by}.loss"] = value.detach().reshape(1)
            saved[f"{name}.{kind}.{by}.grad"] = x.grad

saved["classes"] = targets.to(torch.uint32)
save_file(saved, Path(__file__).with_name("losses.safetensors"))
