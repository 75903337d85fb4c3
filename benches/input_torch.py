"""PyTorch's side of `limbeck bench input`: one JSON line on stdout.

    pip install torch torchvision pillow && python input_torch.py --make DIR && python input_torch.py --images DIR
    limbeck bench input --images DIR --steps 20 --json

An ImageFolder in a DataLoader: JPEG decoding, RandomResizedCrop(224), a mirror, normalisation. `--make` writes 256 pictures
of 500 x 375 pixels with the spectrum of photographs (amplitudes fall with the frequency), quality 90, at about 0.55 bytes a
pixel, which is what photographs of that size have.
"""
import argparse, json, time
from pathlib import Path

import numpy as np
from PIL import Image


def make(folder, images=256, height=375, width=500):
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.fft.fftfreq(height) * height, np.fft.rfftfreq(width) * width, indexing="ij")
    fall = 1 / np.maximum(np.hypot(y, x), 1) ** 1.15
    for i in range(images):
        # Brightness varies most, colours less, as in photographs.
        planes = [np.fft.irfft2(fall * (rng.normal(size=(*fall.shape, 2)) @ [1, 1j]), (height, width)) for _ in range(3)]
        grey, red, blue = (p / p.std() for p in planes)
        rgb = np.stack([grey * 55 + red * 14, grey * 55 - red * 7 - blue * 7, grey * 55 + blue * 14], -1) + 120
        path = Path(folder) / f"{i % 8}" / f"{i:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb.clip(0, 255).astype(np.uint8)).save(path, quality=90)


a = argparse.ArgumentParser()
a.add_argument("--make"); a.add_argument("--images"); a.add_argument("--batch", type=int, default=64)
a.add_argument("--image-size", type=int, default=224); a.add_argument("--steps", type=int, default=20)
a.add_argument("--workers", type=int, default=2)
a = a.parse_args()
if a.make:
    make(a.make)
if a.images:
    import torch
    from torchvision import datasets, transforms as T

    normal = T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    vary = T.Compose([T.RandomResizedCrop(a.image_size), T.RandomHorizontalFlip(), T.ToTensor(), normal])
    data = datasets.ImageFolder(a.images, vary)
    unmeasured = 3 * a.workers
    count = (2 * unmeasured + a.steps) * a.batch
    order = torch.utils.data.RandomSampler(data, replacement=True, num_samples=count)
    loader = iter(torch.utils.data.DataLoader(data, a.batch, sampler=order, num_workers=a.workers))
    for _ in range(unmeasured):
        next(loader)
    started = time.perf_counter()
    for _ in range(a.steps):
        next(loader)
    seconds = (time.perf_counter() - started) / a.steps
    print(json.dumps({"bench": "input", "framework": f"torch {torch.__version__}", "images": len(data), "batch": a.batch,
                      "image_size": a.image_size, "workers": a.workers, "ms_per_step": seconds * 1e3,
                      "images_per_second": a.batch / seconds}))
