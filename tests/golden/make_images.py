"""Writes images.safetensors and images/: decoding and every transform by PIL and torchvision, on images of 64 x 80 pixels.

    pip install torch torchvision pillow safetensors && python make_images.py

Made with torchvision 0.29.2 and Pillow 13.0. Changes of colour and affine maps to the nearest pixel are compared exactly,
resized images at 1/255, decoded JPEGs at 6/255 at most and 0.5/255 on average, decoded PNG and WebP exactly.
"""
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

here = Path(__file__).parent
rng = np.random.default_rng(0)
height, width = 64, 80
# A smooth picture with an edge and a little noise: colours of every hue, and no value that is rare.
y, x = np.mgrid[0:height, 0:width] / 64.0
waves = [np.sin(2 * np.pi * (a * x + b * y) + c) for a, b, c in [(1, 0.5, 0), (0.3, 1.2, 2), (0.7, -0.9, 4)]]
picture = np.stack(waves, -1) * 95 + 128 + 40 * ((x - 0.6) ** 2 + (y - 0.5) ** 2 < 0.08)[..., None]
picture = (picture + rng.normal(0, 4, picture.shape)).clip(3, 250).astype(np.uint8)
photo = Image.fromarray(picture)
grey = photo.convert("L")
saved = {"photo": photo, "grey": grey}

nearest = dict(interpolation=InterpolationMode.NEAREST)
shear = lambda im, sx, sy: F.affine(
    im, 0.0, [0, 0], 1.0, [float(np.degrees(np.arctan(sx))), float(np.degrees(np.arctan(sy)))], center=[0, 0], **nearest
)
shift = lambda im, dx, dy: F.affine(im, 0.0, [dx, dy], 1.0, [0.0, 0.0], **nearest)
changes = {
    "brightness-0.6": lambda im: F.adjust_brightness(im, 0.6),
    "brightness-1.4": lambda im: F.adjust_brightness(im, 1.4),
    "contrast-0.6": lambda im: F.adjust_contrast(im, 0.6),
    "contrast-1.4": lambda im: F.adjust_contrast(im, 1.4),
    "saturation-0.6": lambda im: F.adjust_saturation(im, 0.6),
    "saturation-1.4": lambda im: F.adjust_saturation(im, 1.4),
    "hue-0.1": lambda im: F.adjust_hue(im, 0.1),
    "hue--0.3": lambda im: F.adjust_hue(im, -0.3),
    "sharpness-0.1": lambda im: F.adjust_sharpness(im, 0.1),
    "sharpness-1.9": lambda im: F.adjust_sharpness(im, 1.9),
    "posterize-4": lambda im: F.posterize(im, 4),
    "solarize-127.5": lambda im: F.solarize(im, 127.5),
    "autocontrast": F.autocontrast,
    "equalize": F.equalize,
    "shear-x-0.27": lambda im: shear(im, 0.27, 0),
    "shear-x--0.09": lambda im: shear(im, -0.09, 0),
    "shear-y-0.27": lambda im: shear(im, 0, 0.27),
    "translate-x-7": lambda im: shift(im, 7, 0),
    "translate-y--5": lambda im: shift(im, 0, -5),
    "rotate-27": lambda im: F.rotate(im, 27.0, **nearest),
    "rotate--9": lambda im: F.rotate(im, -9.0, **nearest),
    "flip": F.hflip,
}
for name, change in changes.items():
    saved[name], saved[f"grey.{name}"] = change(photo), change(grey)

for name, im in [("photo", photo), ("grey", grey)]:
    for crop, window, side in [("down", (3, 5, 40, 50), 24), ("up", (10, 20, 13, 11), 32), ("same", (8, 9, 24, 24), 24)]:
        saved[f"{name}.crop-{crop}"] = F.resized_crop(im, *window, [side, side])
    saved[f"{name}.centre"] = F.center_crop(F.resize(im, 37), [32, 32])

(here / "images").mkdir(exist_ok=True)
photo.save(here / "images/photo.jpg", quality=90)
photo.save(here / "images/progressive.jpg", quality=90, progressive=True)
photo.save(here / "images/full-colour.jpg", quality=95, subsampling=0)
photo.save(here / "images/photo.png")
photo.save(here / "images/photo.webp", lossless=True)
grey.save(here / "images/grey.jpg", quality=90)
for file in ["photo.jpg", "progressive.jpg", "full-colour.jpg", "photo.png", "photo.webp"]:
    decoded = Image.open(here / "images" / file).convert("RGB")
    saved[file], saved[f"grey.{file}"] = decoded, decoded.convert("L")
saved["grey.jpg"] = Image.open(here / "images/grey.jpg").convert("RGB")

arrays = {name: np.asarray(im).reshape(im.height, im.width, -1).copy() for name, im in saved.items()}
save_file(arrays, here / "images.safetensors")
