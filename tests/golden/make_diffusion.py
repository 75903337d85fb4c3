"""Golden numbers of the diffusion side, from PyTorch and diffusers: `python make_diffusion.py` writes diffusion.safetensors.

Needs torch, diffusers and safetensors (PyPI); made with torch 2.13 and diffusers 0.42. A small DiT with random weights:
its output and gradients under the tensor names of the official DiT; ten steps of DDPM with learned variance and of DDIM;
the hybrid loss of improved DDPM, written out below.
"""
import json, math
import torch, diffusers
from diffusers import DDIMScheduler, DDPMScheduler, DiTTransformer2DModel
from safetensors.torch import save_file

torch.manual_seed(0)
WIDTH, DEPTH, HEADS, PATCH, SIZE, CHANNELS, CLASSES = 32, 2, 4, 2, 8, 3, 5
net = DiTTransformer2DModel(num_attention_heads=HEADS, attention_head_dim=WIDTH // HEADS, in_channels=CHANNELS,
    out_channels=2 * CHANNELS, num_layers=DEPTH, sample_size=SIZE, patch_size=PATCH, num_embeds_ada_norm=CLASSES,
    attention_bias=True, activation_fn="gelu-approximate", norm_type="ada_norm_zero", norm_elementwise_affine=False,
    norm_eps=1e-6).eval()
for p in net.parameters():
    torch.nn.init.normal_(p, std=0.1)
out = {}

# diffusers holds one copy of the timestep and class embedding a block, and spaces the frequencies by n - 1 where the
# official code divides by n; make both as in the official code.
first = net.transformer_blocks[0].norm1.emb
for block in net.transformer_blocks:
    block.norm1.emb = first
    block.norm1.emb.time_proj.downscale_freq_shift = 0
names = {
    "pos_embed.proj": "x_embedder.proj",
    "transformer_blocks.0.norm1.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "transformer_blocks.0.norm1.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "proj_out_1": "final_layer.adaLN_modulation.1", "proj_out_2": "final_layer.linear",
}
for i in range(DEPTH):
    a, b = f"transformer_blocks.{i}", f"blocks.{i}"
    names |= {f"{a}.norm1.linear": f"{b}.adaLN_modulation.1", f"{a}.attn1.to_out.0": f"{b}.attn.proj",
              f"{a}.ff.net.0.proj": f"{b}.mlp.fc1", f"{a}.ff.net.2": f"{b}.mlp.fc2"}
params = dict(net.named_parameters())


def official(get):
    """Every tensor by its official name; `get` takes the parameter and gives what to store of it."""
    found = {"y_embedder.embedding_table.weight":
             get(params["transformer_blocks.0.norm1.emb.class_embedder.embedding_table.weight"])}
    for theirs, ours in names.items():
        for part in ("weight", "bias"):
            found[f"{ours}.{part}"] = get(params[f"{theirs}.{part}"])
    for i in range(DEPTH):
        for part in ("weight", "bias"):
            found[f"blocks.{i}.attn.qkv.{part}"] = torch.cat(
                [get(params[f"transformer_blocks.{i}.attn1.to_{x}.{part}"]) for x in "qkv"])
    return found


x = torch.randn(3, CHANNELS, SIZE, SIZE)
t, y = torch.tensor([0, 417, 999]), torch.tensor([1, 4, CLASSES])
result = net(x, timestep=t, class_labels=y).sample
r = torch.randn_like(result)
(result * r).sum().backward()
out |= {f"dit.param.{k}": v for k, v in official(lambda p: p.detach()).items()}
out |= {f"dit.grad.{k}": v for k, v in official(lambda p: p.grad).items()}
out |= {"dit.x": x, "dit.t": t.float(), "dit.y": y.to(torch.int64), "dit.out": result.detach(), "dit.r": r}

# Samplers: ten evenly spaced steps over given predictions.
STEPS = 10
visited = [round(i * 999 / (STEPS - 1)) for i in range(STEPS)][::-1]
shape = (2, 1, 4, 4)
predictions, noises = torch.randn(STEPS, 2, 2, 4, 4), torch.randn(STEPS, *shape)
out |= {"sampler.start": torch.randn(shape), "sampler.predictions": predictions, "sampler.noises": noises}
common = dict(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2", clip_sample=True, clip_sample_range=1.0)



import diffusers.schedulers.scheduling_ddpm as ddpm_module
import diffusers.schedulers.scheduling_ddim as ddim_module
for name in ("ddpm", "ddim", "ddim_eta"):
    step_noise = {}
    current = {}
    for module in (ddpm_module, ddim_module):
        module.randn_tensor = lambda shape, **_: current["noise"].reshape(shape)
    if name == "ddpm":
        scheduler = DDPMScheduler(variance_type="learned_range", **common)
        scheduler.set_timesteps(timesteps=visited)
    else:
        scheduler = DDIMScheduler(set_alpha_to_one=True, **common)
        scheduler.num_inference_steps = STEPS
    x = out["sampler.start"].clone()
    for i, timestep in enumerate(visited):
        current["noise"] = noises[i]
        if name == "ddpm":
            x = scheduler.step(predictions[i], timestep, x).prev_sample
        else:
            # DDIMScheduler takes the step before as t - 1000 // n; tell it ours.
            previous = visited[i + 1] if i + 1 < STEPS else -1
            scheduler.config.num_train_timesteps = (timestep - previous) * STEPS
            scheduler.final_alpha_cumprod = torch.tensor(1.0)
            eta = 0.0 if name == "ddim" or previous < 0 else 0.7
            x = scheduler.step(predictions[i][:, :1], timestep, x, eta=eta, use_clipped_model_output=True).prev_sample
    out[f"sampler.{name}"] = x

# The hybrid loss, on a linear schedule of 1000 steps (Nichol & Dhariwal's reference code, with its 1/1000 rescaling).
betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
alpha_bar = torch.cumprod(1 - betas, 0)
previous = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
posterior = betas * (1 - previous) / (1 - alpha_bar)
log_posterior = torch.cat([posterior[1:2], posterior[1:]]).log()
x0 = (torch.randint(0, 256, (3, CHANNELS, SIZE, SIZE)).float() / 127.5) - 1
t, noise = torch.tensor([0, 3, 800]), torch.randn(3, CHANNELS, SIZE, SIZE)
at = lambda v: v[t].float()[:, None, None, None]
noisy = at(alpha_bar.sqrt()) * x0 + at((1 - alpha_bar).sqrt()) * noise
net.zero_grad()
epsilon, v = net(noisy, timestep=t, class_labels=y).sample.chunk(2, 1)
simple = (epsilon - noise).square().mean()
guess = (noisy - at((1 - alpha_bar).sqrt()) * epsilon.detach()) / at(alpha_bar.sqrt())
w0, wt = betas * previous.sqrt() / (1 - alpha_bar), (1 - previous) * (1 - betas).sqrt() / (1 - alpha_bar)
mean, true_mean = at(w0) * guess + at(wt) * noisy, at(w0) * x0 + at(wt) * noisy
share = (v + 1) / 2
logvar = share * at(betas.log()) + (1 - share) * at(log_posterior)
low = at(log_posterior)
kl = 0.5 * (-1 + logvar - low + torch.exp(low - logvar) + (true_mean - mean) ** 2 * torch.exp(-logvar))
cdf = lambda z: 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z ** 3)))
inv = torch.exp(-0.5 * logvar)
upper, lower = cdf(inv * (x0 - mean + 1 / 255)), cdf(inv * (x0 - mean - 1 / 255))
p = torch.where(x0 < -0.999, upper, torch.where(x0 > 0.999, 1 - lower, upper - lower))
nll = -p.clamp(min=1e-12).log()
bound = torch.where((t == 0)[:, None, None, None], nll, kl).mean() / math.log(2)
(simple + bound).backward()
out |= {"loss.x0": x0, "loss.noise": noise, "loss.t": t, "loss.simple": simple.detach(), "loss.bound": bound.detach(),
        "loss.grad.final_layer.linear.weight": params["proj_out_2.weight"].grad,
        "loss.grad.blocks.0.mlp.fc1.weight": params["transformer_blocks.0.ff.net.0.proj.weight"].grad}

config = dict(size=SIZE, channels=CHANNELS, patch=PATCH, width=WIDTH, depth=DEPTH, heads=HEADS, classes=CLASSES)
save_file({k: v.contiguous().clone() for k, v in out.items()}, __file__.replace("make_diffusion.py", "diffusion.safetensors"),
          metadata={"config": json.dumps(config), "torch": torch.__version__, "diffusers": diffusers.__version__})
print("simple", simple.item(), "bound", bound.item())
