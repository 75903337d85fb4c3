"""Writes kd.safetensors: PyTorch's distillation loss and its gradient, on the CPU in f32.

    pip install torch safetensors && python make_kd.py

Made with torch 2.15.0. Losses are compared at 1e-5 relative, gradients at 1e-6.
"""
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

torch.manual_seed(0)
student, teacher = torch.randn(6, 10) * 3, torch.randn(6, 10) * 3
weights = torch.rand(6) * 2
saved = {"student": student, "teacher": teacher, "weights": weights}
for case, tau in [("t1", 1.0), ("t4", 4.0), ("t10", 10.0)]:
    for kind, w in [("plain", torch.ones(6)), ("weighted", weights)]:
        logits = student.clone().requires_grad_(True)
        each = F.kl_div(F.log_softmax(logits / tau, 1), F.softmax(teacher / tau, 1), reduction="none").sum(1)
        loss = (w * each).mean() * tau**2
        loss.backward()
        saved[f"{case}.{kind}.loss"], saved[f"{case}.{kind}.grad"] = loss.detach().reshape(1), logits.grad

save_file(saved, Path(__file__).with_name("kd.safetensors"))
