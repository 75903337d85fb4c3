"""Writes classifiers.safetensors: logits and features of every network, from PyTorch on the CPU in f32.

    pip install torch torchvision safetensors numpy && python make_classifiers.py

Made with torch 2.15.0 and torchvision 0.29.2. Weights are not stored: each element follows from its tensor's name and its
position (`values`), which the test computes again. The metadata holds names and shapes of each network's tensors.
The CIFAR families are written here, with the names of the distillation papers' repository (CRD).
"""
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

CLASSES = 10


def values(name, shape):
    """Uniform in [-1, 1), 24 bits: FNV-1a of the name seeds SplitMix64."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    count, step = math.prod(shape), 1 << 15
    u = np.empty(count, np.float32)
    # In pieces that stay in the cache.
    for start in range(0, count, step):
        index = np.arange(start + 1, min(start + step, count) + 1, dtype=np.uint64)
        with np.errstate(over="ignore"):
            z = index * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        u[start : start + step] = (z >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    return u.reshape(shape)


def weights(name, shape, gain):
    """Of a size that keeps signals alive through many layers; running statistics are not 0 and 1 either."""
    u = values(name, shape)
    if name.endswith("running_var"):
        return np.float32(1) + np.float32(0.5) * u
    if len(shape) > 1:
        return u * np.float32(gain * math.sqrt(6 / math.prod(shape[1:])))
    if name.endswith("weight"):
        return np.float32(0.75) + np.float32(0.25) * u
    return np.float32(0.2) * u


def images(size, count=2):
    """In patches of 8 px with noise over them, so that they stay different through averages."""
    patches = values("patches", (count, 3, size // 8, size // 8)).repeat(8, axis=2).repeat(8, axis=3)
    return np.float32(2) * patches + values("noise", (count, 3, size, size))


class Block(nn.Module):
    """The basic block; names of the projection differ between repositories."""

    def __init__(self, inputs, outputs, stride, project):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.project = project
        if stride > 1 or inputs != outputs:
            self.add_module(project, nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (getattr(self, self.project)(x) if hasattr(self, self.project) else x))


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride, project):
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.project = project
        if stride > 1 or inputs != outputs:
            self.add_module(project, nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)))

    def forward(self, x):
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(self.bn3(self.conv3(y)) + (getattr(self, self.project)(x) if hasattr(self, self.project) else x))


class CifarResNet(nn.Module):
    """3×3 stem without pooling; `counts` blocks of `widths` a stage."""

    def __init__(self, stem, widths, counts, block=Block, project="downsample", last="fc"):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, stem, 3, 1, 1, bias=False), nn.BatchNorm2d(stem)
        self.stages, inputs = len(widths), stem
        for stage, (width, count) in enumerate(zip(widths, counts)):
            blocks = []
            for i in range(count):
                blocks.append(block(inputs, width, 2 if stage > 0 and i == 0 else 1, project))
                inputs = width * (4 if block is Bottleneck else 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.last = last
        self.add_module(last, nn.Linear(inputs, CLASSES))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return getattr(self, self.last)(x.mean((2, 3)))


class WideBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        if inputs != outputs:
            self.convShortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        active = F.relu(self.bn1(x))
        skip = self.convShortcut(active) if hasattr(self, "convShortcut") else x
        return skip + self.conv2(F.relu(self.bn2(self.conv1(active))))


class WideStage(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    def __init__(self, depth, widen):
        super().__init__()
        self.conv1, inputs = nn.Conv2d(3, 16, 3, 1, 1, bias=False), 16
        for stage in range(3):
            blocks = []
            for i in range((depth - 4) // 6):
                blocks.append(WideBlock(inputs, 16 * widen << stage, 2 if stage > 0 and i == 0 else 1))
                inputs = 16 * widen << stage
            self.add_module(f"block{stage + 1}", WideStage(blocks))
        self.bn1, self.fc = nn.BatchNorm2d(inputs), nn.Linear(inputs, CLASSES)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(F.relu(self.bn1(x)).mean((2, 3)))


class CifarVgg(nn.Module):
    """Five blocks, pooling after the first three (and the fourth at 64 px), one linear layer."""

    def __init__(self, counts):
        super().__init__()
        inputs = 3
        for stage, (count, width) in enumerate(zip(counts, [64, 128, 256, 512, 512])):
            layers = []
            for _ in range(count):
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                inputs = width
            self.add_module(f"block{stage}", nn.Sequential(*layers[:-1]))
        self.classifier = nn.Linear(512, CLASSES)

    def forward(self, x):
        large = x.shape[2] == 64
        for stage in range(5):
            x = F.relu(getattr(self, f"block{stage}")(x))
            if stage < 3 or (stage == 3 and large):
                x = F.max_pool2d(x, 2)
        return self.classifier(x.mean((2, 3)))


def cifar_resnet(depth, widths=(16, 16, 32, 64)):
    return lambda: CifarResNet(widths[0], widths[1:], [(depth - 2) // 6] * 3)


def four_stages(counts, block):
    return lambda: CifarResNet(64, [64, 128, 256, 512], counts, block, "shortcut", "linear")


def vision(name, **options):
    return lambda: getattr(torchvision.models, name)(weights=None, num_classes=CLASSES, **options)


def small_stem(name):
    """As is usual for Tiny-ImageNet: 3×3 of stride 1, and no pooling."""
    model = vision(name)()
    model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    return model


# Name: how to build it, its last linear layer, the side of the images.
NETWORKS = {f"resnet{depth}": (cifar_resnet(depth), "fc", 32) for depth in [8, 14, 20, 32, 44, 56, 110]}
NETWORKS["resnet8-half"] = cifar_resnet(8, (8, 8, 16, 32)), "fc", 32
for depth in [8, 32]:
    NETWORKS[f"resnet{depth}x4"] = cifar_resnet(depth, (32, 64, 128, 256)), "fc", 32
NETWORKS["cifar-resnet18"] = four_stages([2, 2, 2, 2], Block), "linear", 32
NETWORKS["cifar-resnet34"] = four_stages([3, 4, 6, 3], Block), "linear", 32
NETWORKS["cifar-resnet50"] = four_stages([3, 4, 6, 3], Bottleneck), "linear", 32
for depth, widen in [(16, 1), (16, 2), (40, 1), (40, 2)]:
    NETWORKS[f"wrn-{depth}-{widen}"] = (lambda depth=depth, widen=widen: WideResNet(depth, widen)), "fc", 32
for depth, counts in {8: [1] * 5, 11: [1, 1, 2, 2, 2], 13: [2] * 5, 16: [2, 2, 3, 3, 3], 19: [2, 2, 4, 4, 4]}.items():
    NETWORKS[f"cifar-vgg{depth}"] = (lambda counts=counts: CifarVgg(counts)), "classifier", 32
for name in ["resnet18", "resnet34", "resnet50", "resnet101", "wide_resnet50_2", "shufflenet_v2_x1_0"]:
    NETWORKS[name] = vision(name), "fc", 64
# torchvision's own at the size of CIFAR, and the CIFAR stem at the size of Tiny-ImageNet.
for name in ["resnet18", "resnet50"]:
    NETWORKS[f"{name} (7×7)"] = vision(name), "fc", 32
    NETWORKS[f"{name} (3×3)"] = (lambda name=name: small_stem(name)), "fc", 64
for depth in [11, 13, 16, 19]:
    for suffix in ["", "_bn"]:
        NETWORKS[f"vgg{depth}{suffix}"] = vision(f"vgg{depth}{suffix}"), "classifier.6", 64
NETWORKS["mobilenet_v2"] = vision("mobilenet_v2"), "classifier.1", 64
NETWORKS["efficientnet_b0"] = vision("efficientnet_b0"), "classifier.1", 64
NETWORKS["vit_b_16"] = vision("vit_b_16", image_size=64), "heads.head", 64
NETWORKS["convnext_tiny"] = vision("convnext_tiny"), "classifier.2", 64


# SiLU and the excitation halve the signal: without larger weights, nothing of the images would be left at the end.
GAINS = {"efficientnet_b0": 1.4}


def main():
    """For the networks named on the command line, in place of what the file has of them; without names, for all."""
    path = Path(__file__).with_name("classifiers.safetensors")
    saved, shapes = {}, {}
    if names := sys.argv[1:]:
        with safe_open(path, "pt") as file:
            saved, shapes = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()
    for name in names or NETWORKS:
        (build, last, size), gain = NETWORKS[name], GAINS.get(name, 1.0)
        model = build().eval()
        state = {key: tensor for key, tensor in model.state_dict().items() if not key.endswith("num_batches_tracked")}
        with torch.no_grad():
            for key, tensor in state.items():
                tensor.copy_(torch.from_numpy(weights(key, tensor.shape, gain)))
            features = []
            model.get_submodule(last).register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
            logits = model(torch.from_numpy(images(size)))
        saved[f"{name}.logits"], saved[f"{name}.features"] = logits, features[0]
        shapes[name] = json.dumps({key: list(tensor.shape) for key, tensor in state.items()}, separators=(",", ":"))
        spread = (logits[0] - logits[1]).abs().max() / logits.abs().max()
        print(f"{name}: size {size}, logits to {logits.abs().max():.3g}, the two images differ by {spread:.2g} of it")
        assert torch.isfinite(logits).all() and spread > 0.002
        shapes |= {f"{name}.size": str(size), f"{name}.gain": str(gain)}
        save_file({key: tensor.contiguous() for key, tensor in saved.items()}, path, shapes)


if __name__ == "__main__":
    main()
