"""Loads students that Limbeck wrote into PyTorch, by name, and compares their logits with Limbeck's.

    pip install torch torchvision timm safetensors numpy && python load_checkpoints.py FOLDER

timm's ResNets have torchvision's names: they load the same files, where timm is installed.

FOLDER has NAME.safetensors and NAME.expected (images and logits), as the test `checkpoints_load_in_pytorch_by_name` writes.
"""
import json
import sys
from pathlib import Path

import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import load_file

import make_classifiers as reference

try:
    import timm
except ImportError:
    timm = None


def compare(who, model, path):
    model.load_state_dict(load_file(path))  # strict: every name and shape
    expected = load_file(path.with_suffix(".expected"))
    with torch.no_grad():
        logits = model.eval()(expected["images"])
    error = ((logits - expected["logits"]).abs().max() / logits.abs().max().clamp(min=1e-6)).item()
    print(f"{who}, logits differ by {error:.1e}", flush=True)
    assert error <= 1e-4


for path in sorted(Path(sys.argv[1]).glob("*.safetensors")):
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["limbeck"])
    name = about["network"]
    options = {"image_size": int(about["size"])} if name.startswith("vit") else {}
    if hasattr(torchvision.models, name):
        model = getattr(torchvision.models, name)(weights=None, num_classes=reference.CLASSES, **options)
    else:
        model = reference.NETWORKS[name][0]()
    compare(f"{name}: loaded", model, path)
    if timm and name.startswith("resnet") and hasattr(torchvision.models, name):
        compare(f"{name}: in timm", timm.create_model(name, num_classes=reference.CLASSES), path)
