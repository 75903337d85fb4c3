"""Writes onnx/*.onnx and onnx.safetensors: networks exported from PyTorch, and what PyTorch itself makes of some images.

    pip install torch onnx onnxscript safetensors && python make_onnx.py

Made with torch 2.15.0 and onnx 1.23.2. Compared at 1e-4 of the largest element.

`strong` is the committed teacher assets/mnist/teacher-strong.safetensors, rebuilt here layer by layer. `cnn` has random
weights, once with a dynamic batch, once with a batch of 2, once with the channels last. The rest are models that the ONNX
plugin has to refuse.
"""
import gzip
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
here = Path(__file__).parent
mnist = here.parents[1] / "assets/mnist"
(here / "onnx").mkdir(exist_ok=True)
saved = {}


class Block(nn.Module):
    """conv-bn-relu-conv-bn, added to the (projected) input, relu."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        skip = self.downsample(x) if hasattr(self, "downsample") else x
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + skip)


class ResNet8(nn.Module):
    """The CIFAR family's ResNet-8 at half width, for grey images; gives logits and features."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(Block(*widths)) for widths in [(8, 8, 1), (8, 16, 2), (16, 32, 2)])
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        features = x.mean((2, 3))
        return self.fc(features), features


class Cnn(nn.Module):
    """A bit of everything that classifiers are made of, for images of 12 px with three channels and seven classes."""

    def __init__(self, channels_last=False):
        super().__init__()
        self.channels_last = channels_last
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.SiLU())
        self.wide = nn.Sequential(nn.Conv2d(8, 16, 1), nn.GELU(), nn.MaxPool2d(2))
        self.head = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 7))
        for name, buffer in self.named_buffers():
            if "running" in name:
                nn.init.uniform_(buffer, 0.5, 1.5)

    def forward(self, x):
        if self.channels_last:
            x = x.permute(0, 3, 1, 2)
        features = F.adaptive_avg_pool2d(self.wide(self.depthwise(self.stem(x))), 1).flatten(1)
        return self.head(features), features


def export(name, network, example, batch):
    """One file without paths and traces of this machine; `batch` is None for a dynamic one."""
    dynamic = None if batch else ({0: torch.export.Dim("n")},)
    program = torch.onnx.export(network.eval(), (example,), dynamo=True, input_names=["images"],
                                output_names=["logits", "features"], dynamic_shapes=dynamic, verbose=False)
    model = program.model_proto
    for part in [model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input,
                 *model.graph.output, *model.graph.initializer, *model.functions]:
        for field in ("metadata_props", "doc_string"):
            part.ClearField(field)
    model.graph.ClearField("value_info")
    model.graph.name = name
    onnx.checker.check_model(model)
    onnx.save(model, here / f"onnx/{name}.onnx")


def golden(name, network, images, normalised):
    logits, features = network.eval()(normalised)
    saved.update({f"{name}.images": images, f"{name}.logits": logits, f"{name}.features": features})


with torch.no_grad():
    strong = ResNet8()
    strong.load_state_dict(load_file(mnist / "teacher-strong.safetensors"), strict=False)
    missing = set(strong.state_dict()) - set(load_file(mnist / "teacher-strong.safetensors"))
    assert all(name.endswith("num_batches_tracked") for name in missing), missing
    pixels = gzip.open(mnist / "t10k-images-idx3-ubyte.gz").read()[16:16 + 8 * 784]
    digits = torch.tensor(list(pixels), dtype=torch.float32).reshape(8, 1, 28, 28) / 255
    export("strong", strong, digits[:2], None)
    golden("strong", strong, digits, (digits - 0.1307) / 0.3081)
    # In double precision, normalised as the teacher's metadata has it: whose error is whose.
    exact = strong.double()((digits.double() - 0.13066047) / 0.3081078)
    saved.update({"strong.exact-logits": exact[0].float(), "strong.exact-features": exact[1].float()})

    cnn, last = Cnn(), Cnn(channels_last=True)
    last.load_state_dict(cnn.state_dict())
    images = torch.rand(5, 3, 12, 12)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    golden("cnn", cnn, images, (images - mean[:, None, None]) / std[:, None, None])
    export("cnn", cnn, images[:2], None)
    export("cnn-batch2", cnn, images[:2], 2)
    export("cnn-nhwc", last, images[:2].permute(0, 2, 3, 1).contiguous(), None)

save_file({name: tensor.contiguous() for name, tensor in saved.items()}, here / "onnx.safetensors")


def by_hand(name, inputs, outputs, nodes, initializers=()):
    """A model of a few nodes; inputs and outputs as (name, type, shape)."""
    infos = [[helper.make_tensor_value_info(*value) for value in values] for values in (inputs, outputs)]
    graph = helper.make_graph(nodes, name, *infos, initializer=list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (here / f"onnx/{name}.onnx").write_bytes(model.SerializeToString())


FLOAT, IMAGE = TensorProto.FLOAT, ["n", 1, 2, 2]
flatten = helper.make_node("Flatten", ["x"], ["y"])
by_hand("flat", [("x", FLOAT, IMAGE)], [("y", FLOAT, ["n", 4])], [flatten])
by_hand("any-size", [("x", FLOAT, ["n", "c", "h", "w"])], [("y", FLOAT, None)], [flatten])
by_hand("softmax", [("x", FLOAT, IMAGE)], [("y", FLOAT, ["n", 4])],
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("Softmax", ["flat"], ["y"])])
by_hand("two-inputs", [("x", FLOAT, IMAGE), ("t", FLOAT, IMAGE)], [("y", FLOAT, ["n", 4])],
        [helper.make_node("Add", ["x", "t"], ["s"]), helper.make_node("Flatten", ["s"], ["y"])])
by_hand("two-outputs", [("x", FLOAT, IMAGE)], [("y", FLOAT, ["n", 4]), ("z", FLOAT, ["n", 4])],
        [flatten, helper.make_node("Neg", ["y"], ["z"])])
by_hand("uint8", [("x", TensorProto.UINT8, IMAGE)], [("y", FLOAT, ["n", 4])],
        [helper.make_node("Cast", ["x"], ["f"], to=FLOAT), helper.make_node("Flatten", ["f"], ["y"])])
by_hand("double-output", [("x", FLOAT, IMAGE)], [("y", TensorProto.DOUBLE, ["n", 4])],
        [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Cast", ["f"], ["y"], to=TensorProto.DOUBLE)])
by_hand("vectors", [("x", FLOAT, ["n", 4])], [("y", FLOAT, ["n", 4])], [helper.make_node("Neg", ["x"], ["y"])])
by_hand("map-output", [("x", FLOAT, IMAGE)], [("y", FLOAT, IMAGE)], [helper.make_node("Neg", ["x"], ["y"])])
# Fine for a black image, which the plugin tries first; NaN for a white one.
by_hand("nan", [("x", FLOAT, IMAGE)], [("y", FLOAT, ["n", 4])],
        [helper.make_node("Neg", ["x"], ["minus"]), helper.make_node("Sqrt", ["minus"], ["root"]),
         helper.make_node("Flatten", ["root"], ["y"])])
by_hand("always-nan", [("x", FLOAT, IMAGE)], [("y", FLOAT, ["n", 4])],
        [helper.make_node("Sub", ["x", "x"], ["none"]), helper.make_node("Div", ["none", "none"], ["nan"]),
         helper.make_node("Flatten", ["nan"], ["y"])])
elsewhere = TensorProto(name="w", data_type=FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
elsewhere.external_data.add(key="location", value="weights.bin")
by_hand("external", [("x", FLOAT, IMAGE)], [("y", FLOAT, ["n", 4])],
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("Add", ["flat", "w"], ["y"])], [elsewhere])
# A node that no version of the runtime knows.
by_hand("unknown-node", [("x", FLOAT, IMAGE)], [("y", FLOAT, ["n", 4])], [helper.make_node("Guess", ["x"], ["y"])])
