"""PyTorch's side of the forward comparison: one JSON line on stdout.

Needs torch and torchvision (PyPI). A torchvision classifier in evaluation mode with random weights, f32, under
`torch.inference_mode`; `--channels-last` lays images and weights out so.
"""
import argparse, json, resource, statistics, time
import torch, torchvision

a = argparse.ArgumentParser()
a.add_argument("--model", default="resnet50")
a.add_argument("--size", type=int, default=224)
a.add_argument("--batch", type=int, default=16)
a.add_argument("--classes", type=int, default=1000)
a.add_argument("--rounds", type=int, default=15)
a.add_argument("--threads", type=int, default=2)
a.add_argument("--channels-last", action="store_true")
a = a.parse_args()
torch.set_num_threads(a.threads)
torch.manual_seed(0)
network = getattr(torchvision.models, a.model)(num_classes=a.classes).eval()
images = torch.rand(a.batch, 3, a.size, a.size)
if a.channels_last:
    network, images = (thing.to(memory_format=torch.channels_last) for thing in (network, images))
times = []
with torch.inference_mode():
    for round in range(a.rounds + 2):  # two that don't count
        start = time.perf_counter()
        network(images)
        times.append(time.perf_counter() - start)
median = statistics.median(times[2:])
print(json.dumps({
    "peer": f"torch {torch.__version__}", "model": a.model, "size": a.size, "batch": a.batch, "threads": a.threads,
    "channels_last": a.channels_last, "rounds": a.rounds, "ms_per_step": median * 1e3,
    "images_per_second": a.batch / median,
    "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
