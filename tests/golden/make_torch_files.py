"""Writes torch/: small files as torch.save writes them, and what they hold in torch/expected.safetensors.

    pip install torch safetensors numpy && python make_torch_files.py

Made with torch 2.15.0. `zip` is the present format, `legacy` that before PyTorch 1.6.
"""
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

folder = Path(__file__).with_name("torch")
folder.mkdir(exist_ok=True)
torch.manual_seed(0)
expected = {}


def both(name, content, tensors):
    """Saves `content` in both formats; `tensors` is what a reader should find."""
    for form in ["zip", "legacy"]:
        path = folder / f"{name}-{form}.pth"
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    for key, tensor in tensors.items():
        expected[f"{name}/{key}"] = tensor.detach().clone().contiguous()


model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4))
both("plain", model.state_dict(), model.state_dict())

optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
model(torch.randn(2, 2, 4, 4)).sum().backward()
optimizer.step()
prefixed = OrderedDict((f"module.{key}", tensor) for key, tensor in model.state_dict().items())
# As the distillation papers' repository and ImageNet's example script save: a tensor stands beside the wrapped ones.
both("wrapped", {"epoch": 240, "arch": "resnet8x4", "best_acc": torch.tensor(72.5), "model": prefixed,
                 "optimizer": optimizer.state_dict()}, model.state_dict())
both("nested", {"model": {"state_dict": model.state_dict()}, "lr": [0.1, 0.01], "done": False, "size": (1, 2)}, model.state_dict())
parameters = {"a": nn.Parameter(torch.randn(3)), "size": torch.Size([3])}
both("parameters", parameters, {"a": parameters["a"]})

base = torch.arange(24, dtype=torch.float32)
kinds = {
    "f64": torch.randn(2, 3, dtype=torch.float64),
    "f16": torch.randn(5).half(),
    "bf16": torch.randn(5).bfloat16(),
    "i64": torch.tensor([-(2**40), 7]),
    "u8": torch.tensor([0, 255], dtype=torch.uint8),
    "scalar": torch.tensor(1.5),
    "empty": torch.empty(0, 3),
    # Views of one storage: in order but not from its start, turned, with steps, repeated.
    "slice": base[6:12],
    "turned": base.reshape(4, 6).t(),
    "steps": base.reshape(2, 3, 4)[:, ::2, 1:],
    "repeated": base[:3].expand(2, 3),
}
narrow = {"i32": torch.tensor([-5, 6], dtype=torch.int32), "i16": torch.tensor([-5, 6], dtype=torch.int16),
          "i8": torch.tensor([-5, 6], dtype=torch.int8)}
flags = {"bool": torch.tensor([True, False])}
both("kinds", kinds | narrow | flags, kinds | {k: t.long() for k, t in narrow.items()} | {k: t.byte() for k, t in flags.items()})

torch.save(model, folder / "whole-model.pth")
torch.save({"note": "no tensors"}, folder / "no-tensors.pth")
torch.jit.save(torch.jit.script(nn.Linear(2, 2)), folder / "script.pt")

save_file(expected, folder / "expected.safetensors")
