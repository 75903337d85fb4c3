"""Writes gradients.safetensors: a training step's loss, gradients and running statistics, from PyTorch on the CPU in f32.

    pip install torch torchvision safetensors numpy && python make_gradients.py [NETWORK…] [--against channels-last|double]

`--against` also prints how far PyTorch is from itself: the yardstick for any other program's distance.

One step of distillation: the student in training mode, KL at temperature 4 to a teacher's logits. Weights, images and those
logits are hashes of names, as in make_classifiers.py. Of each tensor only its norm and some elements evenly apart are kept,
tensors in the order of their names. What is left out at random can't be the same on both sides: the last dropout is taken
away (the test goes on from the features before it), and stochastic depth keeps every image, which it scales all the same.

Made with torch 2.15.0 and torchvision 0.29.2, one thread.
"""
import argparse
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from make_classifiers import CLASSES, GAINS, NETWORKS, images, values, weights

IMAGES, SAMPLES = 8, 3
# Each family's ways through training, and the side of its images.
SIZES = {
    "resnet8x4": 32, "cifar-resnet50": 32, "wrn-16-2": 32, "cifar-vgg8": 32, "resnet18": 64, "resnet50": 64,
    "mobilenet_v2": 64, "shufflenet_v2_x1_0": 64, "efficientnet_b0": 64, "vit_b_16": 32, "convnext_tiny": 64,
}
torch.set_num_threads(1)


class KeepAll(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        return x / (1 - self.p)


def build(name):
    build, _, size = NETWORKS[name]
    if name == "vit_b_16":
        model = torchvision.models.vit_b_16(weights=None, num_classes=CLASSES, image_size=SIZES[name])
    else:
        model = build()
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, torchvision.ops.StochasticDepth):
            model.set_submodule(path, KeepAll(module.p))
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                tensor.copy_(torch.from_numpy(weights(key, tensor.shape, GAINS.get(name, 1.0))))
    return model.train()


def step(name, how=None):
    """The loss; gradients and running statistics by name."""
    form = {"double": {"dtype": torch.float64}, "channels-last": {"memory_format": torch.channels_last}}.get(how, {})
    model = build(name).to(**form)
    x = torch.from_numpy(images(SIZES[name], IMAGES)).to(**form)
    teacher = torch.from_numpy(np.float32(3) * values("teacher", (IMAGES, CLASSES))).to(x.dtype)
    loss = F.kl_div(F.log_softmax(model(x) / 4, 1), F.softmax(teacher / 4, 1), reduction="batchmean") * 16
    loss.backward()
    gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
    running = {key: tensor for key, tensor in model.state_dict().items() if ".running_" in key}
    return loss.detach(), gradients, running


def kept(tensors):
    """Norm and elements of each, `[tensors, 1 + SAMPLES]`."""
    rows = []
    for _, tensor in sorted(tensors.items()):
        flat = tensor.detach().contiguous().double().flatten()
        rows.append([flat.norm().item()] + [flat[i * len(flat) // SAMPLES].item() for i in range(SAMPLES)])
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 1 + SAMPLES)


def gap(found, expected):
    """The largest difference, relative to the norm of its tensor and a thousandth of the largest norm."""
    found, expected = kept(found), kept(expected)
    return ((found - expected).abs().amax(1) / (expected[:, 0] + 1e-3 * expected[:, 0].max())).max().item() if len(expected) else 0


if __name__ == "__main__":
    args = argparse.ArgumentParser()
    args.add_argument("networks", nargs="*", metavar="NETWORK")
    args.add_argument("--against", choices=["channels-last", "double"])
    args = args.parse_args()
    path = Path(__file__).with_name("gradients.safetensors")
    saved = {}
    if args.networks and path.exists():
        with safe_open(path, "pt") as file:
            saved = {key: file.get_tensor(key) for key in file.keys()}
    for name in args.networks or SIZES:
        loss, gradients, running = step(name)
        print(f"{name}: loss {loss:.4f}, {len(gradients)} gradients", flush=True)
        if args.against:
            other, *others = step(name, args.against)
            gaps = [abs(other - loss).item() / loss.item(), gap(others[0], gradients), gap(others[1], running)]
            print("  against {}: loss {:.1e}, gradients {:.1e}, running statistics {:.1e}".format(args.against, *gaps))
        saved |= {f"{name}.loss": loss.reshape(1), f"{name}.gradients": kept(gradients), f"{name}.running": kept(running)}
        save_file(saved, path)
