"""Writes mix.safetensors: a batch mixed by torchvision's MixUp and CutMix with given shares and box.

    pip install torch torchvision safetensors && python make_mix.py

torchvision mixes each image with the one before it in the batch. `box` is left, top, right, bottom in pixels, the last two
excluded. Made with torch 2.15.0.
"""
from pathlib import Path

import torch
from safetensors.torch import save_file
from torchvision.transforms import v2

torch.manual_seed(0)
n, classes, height, width = 5, 4, 7, 9
images, labels = torch.rand(n, 3, height, width), torch.tensor([0, 1, 2, 3, 1])
left, top, right, bottom = 2, 1, 9, 5
area = 1 - (right - left) * (bottom - top) / (height * width)
saved = {"images": images, "labels": labels.to(torch.uint32), "cutmix.box": torch.tensor([left, top, right, bottom]).to(torch.uint32)}
for name, mix, share, more in [
    ("mixup", v2.MixUp(num_classes=classes), 0.3, {"lam": 0.3}),
    ("cutmix", v2.CutMix(num_classes=classes), area, {"box": (left, top, right, bottom), "lam_adjusted": area}),
]:
    params = {"labels": labels, "batch_size": n, **more}
    saved[f"{name}.images"] = mix.transform(images.clone(), params).contiguous()
    saved[f"{name}.targets"] = mix.transform(labels, params).contiguous()
    saved[f"{name}.share"] = torch.tensor([share])
save_file(saved, Path(__file__).with_name("mix.safetensors"))
