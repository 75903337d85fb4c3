"""Writes preprocess.safetensors: an image, and what torchvision makes of it, through PIL and on tensors.

    pip install torch torchvision pillow safetensors && python make_preprocess.py

Made with torchvision 0.29.2. Compared at 2/255 a pixel.
"""
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

torch.manual_seed(0)
height, width = 83, 118
rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
# Waves from coarse to finer than the resized pixels, edges that overshoot, and noise.
waves = torch.stack([torch.sin(rows * columns / 300), torch.sin(columns * 1.3), torch.sign(torch.sin(rows / 7 + columns / 5))])
image = ((waves * 0.45 + 0.5 + torch.randn(3, height, width) * 0.05).clamp(0, 1) * 255).round().to(torch.uint8)
saved = {"image": image}
for name in ["bilinear", "bicubic"]:
    for side in [32, 60, 100]:
        resize = v2.Resize(side, interpolation=v2.InterpolationMode(name), antialias=True)
        pil = resize(Image.fromarray(image.permute(1, 2, 0).numpy()))
        saved[f"{name}.{side}.pil"] = F.pil_to_tensor(pil)
        saved[f"{name}.{side}.bytes"] = resize(image)
        if name == "bilinear":  # on fractions, the cubic overshoots unchecked
            saved[f"{name}.{side}.fractions"] = resize(image.float() / 255).half()  # 2⁻¹² is precise enough
for side in [31, 32, 80, 83]:
    saved[f"crop.{side}"] = F.center_crop(image, [side, side])
save_file({key: tensor.contiguous() for key, tensor in saved.items()}, Path(__file__).with_name("preprocess.safetensors"))
