#!/usr/bin/env python3
"""The peer of bench_lm: a GPT-2 model from the hook on, in PyTorch.

peer_lm.py DIR N T THREADS: the model in DIR (model.safetensors), activations and token ids
as bench_lm writes them there, the first N sequences of T. Prints seconds and mean cross-entropy of the
fastest of several ways to cut the tokens into batches. Exit status 1 without PyTorch.
"""
import json
import math
import os
import struct
import sys
import time

try:
    import numpy
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit(1)

LAYERS, FIRST, HEADS, D, EPS = 12, 6, 12, 768, 1e-5


def load(path):
    data = numpy.memmap(path, mode="r")
    size = struct.unpack("<Q", data[:8].tobytes())[0]
    header = json.loads(data[8:8 + size].tobytes())
    return {name: torch.from_numpy(numpy.frombuffer(
                data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]],
                dtype=numpy.float32).reshape(t["shape"]).copy())
            for name, t in header.items()}


def layer(w, i, x, mask):
    def norm(name, x):
        return F.layer_norm(x, (D,), w[f"h.{i}.{name}.weight"], w[f"h.{i}.{name}.bias"], EPS)

    def linear(name, x):
        b = w[f"h.{i}.{name}.bias"]
        return torch.addmm(b, x.view(-1, x.shape[-1]), w[f"h.{i}.{name}.weight"]).view(
            *x.shape[:-1], -1)

    n, T, _ = x.shape
    q, k, v = (a.view(n, T, HEADS, D // HEADS).transpose(1, 2)
               for a in linear("attn.c_attn", norm("ln_1", x)).split(D, dim=2))
    scores = q @ k.transpose(2, 3) / math.sqrt(D // HEADS)
    z = scores.masked_fill(mask, -math.inf).softmax(-1) @ v
    x = x + linear("attn.c_proj", z.transpose(1, 2).reshape(n, T, D))
    h = linear("mlp.c_fc", norm("ln_2", x))
    h = 0.5 * h * (1 + torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h ** 3)))
    return x + linear("mlp.c_proj", h)


def tail(w, x, ids, batch):
    """Mean loss of x [sequences, T, D], `batch` sequences at a time."""
    T = x.shape[1]
    mask = torch.ones(T, T, dtype=torch.bool).triu(1)
    losses = []
    for s in range(0, len(x), batch):
        h = x[s:s + batch]
        for i in range(FIRST, LAYERS):
            h = layer(w, i, h, mask)
        h = F.layer_norm(h, (D,), w["ln_f.weight"], w["ln_f.bias"], EPS)
        h, targets = h[:, :-1].reshape(-1, D), ids[s:s + batch, 1:].reshape(-1)
        losses.append(F.cross_entropy(h @ w["wte.weight"].T, targets, reduction="none"))
    return torch.cat(losses).mean().item()


def main():
    path, (n, T, threads) = sys.argv[1], map(int, sys.argv[2:5])
    torch.set_num_threads(threads)
    w = load(os.path.join(path, "model.safetensors"))
    x = torch.from_numpy(numpy.fromfile(os.path.join(path, "resid.f32"),
                                        numpy.float32, n * T * D)).view(n, T, D)
    ids = torch.from_numpy(numpy.fromfile(os.path.join(path, "ids.i64"),
                                          numpy.int64, n * T)).view(n, T)
    best = math.inf
    with torch.no_grad():
        for batch in sorted({max(1, tokens // T) for tokens in (512, 1024, 2048)}):
            start = time.monotonic()
            mean = tail(w, x, ids, batch)
            best = min(best, time.monotonic() - start)
    print(best, mean)


main()
