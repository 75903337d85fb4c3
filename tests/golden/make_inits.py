"""Writes inits.json: spread and largest magnitude of every tensor as the references draw it, [std, max |x|], by name.

    pip install torch torchvision numpy && python make_inits.py

Made with torch 2.15.0 and torchvision 0.29.2. torchvision's networks are as it makes them; the CIFAR families, of
make_classifiers.py, get the initialisation of the distillation papers' repository (CRD): convolutions normal with
variance 2 / (k² · outputs), batch normalisation 1 and 0, VGG's linear layer normal with 0.01, WRN's bias zero.
"""
import json
import math
from pathlib import Path

import torch
import torchvision
from torch import nn

import make_classifiers as reference

torch.manual_seed(0)
reference.CLASSES = 1000


def crd(model):
    vgg, wide = isinstance(model, reference.CifarVgg), isinstance(model, reference.WideResNet)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0, math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels)))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            if vgg:
                nn.init.normal_(module.weight, 0, 0.01)
            if vgg or wide:
                nn.init.zeros_(module.bias)
    return model


def statistics(model):
    state = {key: tensor for key, tensor in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    return {key: [float(f"{t.double().std(correction=0):.6g}"), float(f"{t.abs().max():.6g}")] for key, t in state.items()}


drawn = {}
for name in ["resnet8", "resnet8x4", "cifar-resnet18", "wrn-16-2", "cifar-vgg8"]:
    drawn[name] = statistics(crd(reference.NETWORKS[name][0]()))
for name in ["resnet18", "resnet50", "vgg11", "mobilenet_v2", "shufflenet_v2_x1_0", "efficientnet_b0", "vit_b_16", "convnext_tiny"]:
    drawn[name] = statistics(getattr(torchvision.models, name)(weights=None))
    print(name, flush=True)
Path(__file__).with_name("inits.json").write_text(json.dumps(drawn, separators=(",", ":")))
