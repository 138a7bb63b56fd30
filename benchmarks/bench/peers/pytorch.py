"""PyTorch, by the same lines as host.mjs: matrix products and a ViT with LoRA or DoRA as PEFT computes them.

DoRA is PEFT's own formulation: the norm of W + s B A is taken of the materialised sum, and detached.
"""
import json
import math
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Linear(nn.Module):
    def __init__(self, i, o, peft=None, r=8, alpha=8):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(o, i) * 0.02)
        self.bias = nn.Parameter(torch.zeros(o))
        self.peft, self.scale = peft, alpha / r
        if peft:
            self.lora_a = nn.Parameter(torch.randn(r, i) * 0.02)
            self.lora_b = nn.Parameter(torch.zeros(o, r) + 0.001)
        if peft == "dora":
            self.lora_m = nn.Parameter(self.weight.detach().norm(dim=1))

    def forward(self, x):
        base = F.linear(x, self.weight, self.bias)
        if not self.peft:
            return base
        low = F.linear(F.linear(x, self.lora_a), self.lora_b)
        if self.peft == "lora":
            return base + self.scale * low
        norm = (self.weight + self.scale * (self.lora_b @ self.lora_a)).norm(dim=1).detach()
        g = self.lora_m / norm
        return base + (g - 1) * (base - self.bias) + g * self.scale * low


class Block(nn.Module):
    def __init__(self, s, peft):
        super().__init__()
        d = s["hidden"]
        self.heads = s["heads"]
        self.norm1, self.norm2 = nn.LayerNorm(d, 1e-6), nn.LayerNorm(d, 1e-6)
        self.q, self.k, self.v, self.o = Linear(d, d, peft), Linear(d, d), Linear(d, d, peft), Linear(d, d)
        self.fc1, self.fc2 = Linear(d, 4 * d), Linear(4 * d, d)
        self.scale1 = nn.Parameter(torch.ones(d)) if s["layerScale"] else None
        self.scale2 = nn.Parameter(torch.ones(d)) if s["layerScale"] else None

    def forward(self, x):
        b, n, d = x.shape
        y = self.norm1(x)
        split = lambda t: t.view(b, n, self.heads, d // self.heads).transpose(1, 2)
        q, k, v = split(self.q(y)), split(self.k(y)), split(self.v(y))
        a = (q @ k.transpose(-1, -2) / math.sqrt(d // self.heads)).softmax(-1) @ v
        y = self.o(a.transpose(1, 2).reshape(b, n, d))
        x = x + (y if self.scale1 is None else self.scale1 * y)
        y = self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return x + (y if self.scale2 is None else self.scale2 * y)


class Vit(nn.Module):
    def __init__(self, s, method):
        super().__init__()
        d, p = s["hidden"], s["patch"]
        n = (s["image"] // p) ** 2
        peft = method if method in ("lora", "dora") else None
        self.patch = nn.Conv2d(3, d, p, p)
        self.cls = nn.Parameter(torch.zeros(1, 1, d))
        self.positions = nn.Parameter(torch.randn(1, n + 1, d) * 0.02)
        self.blocks = nn.ModuleList([Block(s, peft) for _ in range(s["layers"])])
        self.norm = nn.LayerNorm(d, 1e-6)
        self.head = nn.Linear(d, s["classes"])
        if method != "full":
            for name, parameter in self.named_parameters():
                parameter.requires_grad_(name.startswith("head") or ".lora_" in name)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def product(p):
    a, b = torch.randn(p["m"], p["k"]), torch.randn(p["k"], p["n"])

    def run():
        for _ in range(p["calls"]):
            y = a @ b
        return y[-1, -1].item()

    return run


def vit(spec):
    s, method = spec["shape"], spec["method"]
    device = "cuda" if spec.get("device") == "cuda" else "cpu"
    model = Vit(s, method).to(device)
    x = torch.randn(spec["batch"], 3, s["image"], s["image"]).to(device)
    y = (torch.arange(spec["batch"]) * 7 % s["classes"]).to(device)
    half = lambda: torch.autocast(device, torch.float16, enabled=bool(spec.get("f16")))
    if method == "forward":
        model.eval()

        def forward():
            with torch.no_grad(), half():
                return model(x)[-1, -1].item()

        return forward
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-4, weight_decay=0.05)

    def step():
        with half():
            loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def say(value):
    print("@bench " + json.dumps(value), flush=True)


def blas():
    """The BLAS library in use, as folder/file, where the system tells (Linux)."""
    try:
        with open("/proc/self/maps") as maps:
            return sorted({"/".join(l.split("/")[-2:]).strip() for l in maps if "libblas" in l or "openblas" in l})[:1]
    except OSError:
        return []


def highest():
    """Bytes of this process's highest memory; see host.mjs."""
    try:
        with open("/proc/self/status") as status:
            return next(int(l.split()[1]) * 1024 for l in status if l.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    spec = json.loads(sys.argv[1])
    torch.manual_seed(0)
    torch.set_num_threads(spec["threads"])
    runs = [product(p) for p in spec["products"]] if spec["work"] == "matmul" else [vit(spec)]
    name = "PyTorch " + ".".join(torch.__version__.split(".")[:2])
    say({"versions": {name: " with ".join([torch.__version__, *blas()])}, "notes": []})
    for line in sys.stdin:
        begun = time.perf_counter()
        for _ in range(spec.get("repeat", 1)):
            value = runs[int(line.split()[1])]()
        ms = (time.perf_counter() - begun) * 1000
        say({"ms": ms, "value": value, "rss": highest()})


try:
    main()
except Exception as error:
    say({"error": str(error).split("\n")[0]})
