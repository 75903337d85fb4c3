"""Writes ops.safetensors: inputs, outputs and gradients of PyTorch's training operations on the CPU in f32.

    pip install torch safetensors && python make_ops.py

Made with torch 2.15.0. Compared at 1e-5 of the largest element.
"""
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

torch.manual_seed(0)
saved = {}


def case(name, f, **inputs):
    """Stores inputs, f's output, a random output gradient and the gradients it gives."""
    for tensor in inputs.values():
        tensor.requires_grad_(True)
    y = f(**inputs)
    dy = torch.randn_like(y)
    y.backward(dy)
    saved[f"{name}.y"], saved[f"{name}.dy"] = y.detach(), dy
    for key, tensor in inputs.items():
        saved[f"{name}.{key}"], saved[f"{name}.d{key}"] = tensor.detach(), tensor.grad


def conv(name, images, outputs, kernel, stride, padding, groups=1):
    case(name, lambda x, w, b: F.conv2d(x, w, b, stride, padding, 1, groups), x=torch.randn(images),
         w=torch.randn(outputs, images[1] // groups, kernel, kernel), b=torch.randn(outputs))


conv("conv1", (2, 3, 6, 5), 4, 1, 1, 0)
conv("conv3", (2, 3, 9, 8), 5, 3, 1, 1)
conv("conv3s2", (2, 3, 9, 8), 5, 3, 2, 1)
conv("conv5", (2, 2, 10, 10), 3, 5, 1, 2)
conv("conv7s2", (1, 3, 17, 16), 4, 7, 2, 3)
conv("depthwise", (2, 4, 7, 7), 4, 3, 1, 1, 4)
conv("conv1s2", (2, 4, 7, 5), 3, 1, 2, 0)
conv("conv5s2", (2, 2, 9, 11), 3, 5, 2, 2)
conv("conv7", (2, 2, 9, 9), 3, 7, 1, 3)
conv("wide", (2, 16, 9, 6), 18, 3, 1, 1)
conv("grouped", (2, 6, 8, 7), 9, 3, 1, 1, 3)
conv("groupeds2", (2, 6, 9, 7), 4, 3, 2, 1, 2)
conv("depthwises2", (2, 6, 9, 8), 6, 3, 2, 1, 6)
conv("depthwise5", (2, 3, 9, 8), 3, 5, 1, 2, 3)

mean, var = torch.zeros(5), torch.ones(5)
case("bn", lambda x, w, b, r: F.relu(F.batch_norm(x, mean.clone(), var.clone(), w, b, training=True) + r),
     x=torch.randn(4, 5, 6, 7) * 2 + 1, w=torch.randn(5), b=torch.randn(5), r=torch.randn(4, 5, 6, 7))
saved["bn.mean"] = saved["bn.x"].mean((0, 2, 3))
saved["bn.var"] = saved["bn.x"].var((0, 2, 3), unbiased=False)

case("linear", lambda x, w, b: F.linear(x, w, b), x=torch.randn(5, 7), w=torch.randn(3, 7), b=torch.randn(3))
teacher = torch.randn(5, 3) * 2
case("linear-kl", lambda x, w, b: 16 * F.kl_div(F.log_softmax(F.linear(x, w, b) / 4, 1), F.softmax(teacher / 4, 1),
                                                reduction="batchmean"),
     x=torch.randn(5, 7), w=torch.randn(3, 7), b=torch.randn(3))
saved["linear-kl.teacher"] = teacher

case("maxpool", lambda x: F.max_pool2d(x, 3, 2, 1), x=torch.randn(2, 3, 9, 8))
case("avgpool", lambda x: F.avg_pool2d(x, 2), x=torch.randn(2, 3, 9, 8))

save_file({name: tensor.contiguous() for name, tensor in saved.items()}, Path(__file__).with_name("ops.safetensors"))
