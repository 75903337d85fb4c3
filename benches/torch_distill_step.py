"""PyTorch's side of the distillation-step comparison: one JSON line on stdout.

Needs torch and torchvision (PyPI). Below 64 px the torchvision ResNets take their CIFAR form: 3x3 stem, no max-pool;
wrn-D-K is the wide residual network of depth D and width K for CIFAR. The step is DM-KD's: teacher forward without
gradients, student forward and backward, KL at temperature 4, SGD with momentum and weight decay.
"""
import argparse, json, resource, statistics, time
import torch, torchvision
from torch import nn
from torch.nn import functional as F

class WideBlock(nn.Module):
    """Pre-activation block: bn-relu-conv3x3 twice, 1x1 projection of the activated input where the width changes."""
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.project = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else None

    def forward(self, x):
        active = F.relu(self.bn1(x), inplace=True)
        skip = x if self.project is None else self.project(active)
        return skip + self.conv2(F.relu(self.bn2(self.conv1(active)), inplace=True))


def wide_resnet(depth, widen, classes):
    blocks, widths = (depth - 4) // 6, [16, 16 * widen, 32 * widen, 64 * widen]
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)]
    for stage in range(3):
        for i in range(blocks):
            layers.append(WideBlock(widths[stage] if i == 0 else widths[stage + 1], widths[stage + 1],
                                    2 if stage > 0 and i == 0 else 1))
    return nn.Sequential(*layers, nn.BatchNorm2d(widths[3]), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(widths[3], classes))


def build(name, classes, size):
    if name.startswith("wrn-"):
        return wide_resnet(*map(int, name.split("-")[1:]), classes)
    net = getattr(torchvision.models, name)(num_classes=classes)
    if size < 64:
        net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    return net


a = argparse.ArgumentParser()
a.add_argument("--teacher", default="resnet34"); a.add_argument("--student", default="resnet18")
a.add_argument("--batch", type=int, default=64); a.add_argument("--image-size", type=int, default=32)
a.add_argument("--classes", type=int, default=100); a.add_argument("--steps", type=int, default=5)
a.add_argument("--threads", type=int, default=2); a.add_argument("--device", default="cpu")
a.add_argument("--channels-last", action="store_true"); a.add_argument("--compile", action="store_true")
a = a.parse_args()
torch.set_num_threads(a.threads)
teacher = build(a.teacher, a.classes, a.image_size).eval().to(a.device)
student = build(a.student, a.classes, a.image_size).train().to(a.device)
images = torch.randn(a.batch, 3, a.image_size, a.image_size, device=a.device)
if a.channels_last:
    teacher, student = (m.to(memory_format=torch.channels_last) for m in (teacher, student))
    images = images.to(memory_format=torch.channels_last)
if a.compile:
    teacher, student = torch.compile(teacher), torch.compile(student)
sgd = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)

def step():
    with torch.no_grad():
        target = teacher(images)
    loss = F.kl_div(F.log_softmax(student(images) / 4, 1), F.softmax(target / 4, 1), reduction="batchmean") * 16
    sgd.zero_grad(); loss.backward(); sgd.step()
    if a.device != "cpu":
        torch.cuda.synchronize()

step(); step()
times = []
for _ in range(a.steps):
    start = time.perf_counter(); step(); times.append(time.perf_counter() - start)
median = statistics.median(times)
print(json.dumps({"peer": f"torch {torch.__version__}", "device": a.device, "threads": a.threads, "batch": a.batch,
                  "ms_per_step": median * 1e3, "images_per_second": a.batch / median,
                  "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
