#!/usr/bin/env python3
"""Tiny random language models of every family, and what they compute, in float64.

Run with PyTorch: ./make.py writes, beside itself, one directory a model with config.json,
the weights, and expected.safetensors:

  ids          [S, T]     token ids
  ce           [S, T-1]   next-token cross-entropy, nats
  logits       [4, vocab] of sequence 0, the last four positions
  HOOK         [S, 4, d]  what is at the hook, the last four positions
  HOOK.zero    [S, T-1]   cross-entropy with the hook replaced by zeros
  HOOK.half    [S, T-1]   with it halved
  HOOK.kl      [S, T-1]   KL(untouched || halved)
  HOOK.grad    [20, d]    gradient, with respect to what is at the hook when it is halved,
                          of the sum of weight(p) ce(p) over sequence 0, weight(p) being 0
                          before position 5 and 1 + p % 3 from there on; every 7th position

and in score/, for the model gpt2, a random SAE in SAELens' layout, tokens.npy, and
score.json: what replacing two of its hooks by the SAE's reconstruction costs.

Written from the formulas of the papers and of Hugging Face transformers, on its own.
"""
import json
import math
import os
import struct

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
S, T = 2, 140
DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
          torch.float64: "F64", torch.int64: "I64", torch.uint8: "U8"}


def write(path, tensors):
    header, body = {}, b""
    for name, t in tensors.items():
        t = t.contiguous()
        raw = t.view(torch.int16) if t.dtype == torch.bfloat16 else t
        data = raw.numpy().tobytes()
        header[name] = {"dtype": DTYPES[t.dtype], "shape": list(t.shape),
                        "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)


class Weights:
    """Random tensors under their stored names, read back as they were rounded."""

    def __init__(self, dtype):
        self.dtype, self.stored = dtype, {}

    def get(self, name, *shape, scale=None, base=0.0):
        if name not in self.stored:
            scale = scale if scale else 1.5 / math.sqrt(shape[-1])
            self.stored[name] = (torch.randn(*shape) * scale + base).to(self.dtype)
        return self.stored[name].double()


def layer_norm(w, name, x):
    g, b = w.get(name + ".weight", x.shape[-1], scale=0.3, base=1.0), \
        w.get(name + ".bias", x.shape[-1], scale=0.3)
    mean = x.mean(-1, keepdim=True)
    var = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(var + 1e-5) * g + b


def rms_norm(w, name, x, eps, one_plus):
    g = w.get(name + ".weight", x.shape[-1], scale=0.3, base=0.0 if one_plus else 1.0)
    y = x / torch.sqrt((x ** 2).mean(-1, keepdim=True) + eps)
    return y * (1 + g) if one_plus else y * g


def gelu_tanh(u):
    return 0.5 * u * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u ** 3)))


def gelu_erf(u):
    return 0.5 * u * (1 + torch.erf(u / math.sqrt(2)))


def silu(u):
    return u * torch.sigmoid(u)


def llama3_frequencies(freq, scaling):
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    old, factor = scaling["original_max_position_embeddings"], scaling["factor"]
    out = []
    for f in freq.tolist():
        length = 2 * math.pi / f
        if length < old / high:
            out.append(f)
        elif length > old / low:
            out.append(f / factor)
        else:
            s = (old / length - low) / (high - low)
            out.append((1 - s) * f / factor + s * f)
    return torch.tensor(out).double()


def yarn_frequencies(freq, dims, base, scaling, context):
    """Peng et al. 2023: pairs that turn often within the old context stay as they are."""
    old = scaling.get("original_max_position_embeddings", context)

    def pair(turns):
        return dims * math.log(old / (turns * 2 * math.pi)) / (2 * math.log(base))

    first = max(math.floor(pair(scaling.get("beta_fast", 32))), 0)
    last = min(math.ceil(pair(scaling.get("beta_slow", 1))), dims - 1)
    ramp = ((torch.arange(dims // 2).double() - first) / (last - first)).clamp(0, 1)
    assert ((ramp > 0) & (ramp < 1)).any()
    return freq / scaling["factor"] * ramp + freq * (1 - ramp)


def rotary(x, dims, base, scaling=None, context=None):
    """x [S, T, H, dh]; pairs (i, i + dims/2)."""
    kind, size = scaling["rope_type"] if scaling else "default", 1.0
    if kind == "dynamic":
        assert x.shape[1] > context
        base *= (scaling["factor"] * x.shape[1] / context - (scaling["factor"] - 1)) ** \
            (dims / (dims - 2))
    freq = base ** (-torch.arange(0, dims, 2).double() / dims)
    if kind == "linear":
        freq = freq / scaling["factor"]
    elif kind == "llama3":
        freq = llama3_frequencies(freq, scaling)
    elif kind == "yarn":
        freq = yarn_frequencies(freq, dims, base, scaling, context)
        size = 0.1 * math.log(scaling["factor"]) + 1
    angle = torch.outer(torch.arange(x.shape[1]).double(), freq)
    cos, sin = size * angle.cos()[None, :, None], size * angle.sin()[None, :, None]
    a, b, rest = x[..., :dims // 2], x[..., dims // 2:dims], x[..., dims:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)


def attention(q, k, v, scale, cap=None, window=None):
    """q [S, T, H, dh], k and v [S, T, G, dh] -> [S, T, H dh]."""
    groups = q.shape[2] // k.shape[2]
    k, v = k.repeat_interleave(groups, 2), v.repeat_interleave(groups, 2)
    scores = torch.einsum("sqhd,skhd->shqk", q, k) * scale
    if cap:
        scores = cap * torch.tanh(scores / cap)
    i, j = torch.arange(q.shape[1])[:, None], torch.arange(q.shape[1])[None]
    hidden = j > i
    if window:
        hidden = hidden | (i - j >= window)
    p = scores.masked_fill(hidden, -math.inf).softmax(-1)
    return torch.einsum("shqk,skhd->sqhd", p, v).flatten(2)


def heads(x, n):
    return x.view(*x.shape[:2], n, -1)


class GPT2:
    def __init__(self, cfg, w, prefix=""):
        self.cfg, self.w, self.p = cfg, w, prefix

    def embed(self, ids):
        c, w = self.cfg, self.w
        return w.get(self.p + "wte.weight", c["vocab_size"], c["n_embd"], scale=0.7)[ids] + \
            w.get(self.p + "wpe.weight", c["n_positions"], c["n_embd"], scale=0.3)[:T]

    def conv(self, name, x, out):
        return x @ self.w.get(name + ".weight", x.shape[-1], out) + \
            self.w.get(name + ".bias", out, scale=0.2)

    def attn(self, i, x):
        c, n = self.cfg, self.p + "h.%d." % i
        d, h = c["n_embd"], c["n_head"]
        q, k, v = self.conv(n + "attn.c_attn", layer_norm(self.w, n + "ln_1", x),
                            3 * d).split(d, -1)
        scale = (d // h) ** -0.5
        if c.get("scale_attn_by_inverse_layer_idx"):
            scale /= i + 1
        return self.conv(n + "attn.c_proj",
                         attention(heads(q, h), heads(k, h), heads(v, h), scale), d)

    def mlp(self, i, x):
        n, d = self.p + "h.%d." % i, self.cfg["n_embd"]
        u = self.conv(n + "mlp.c_fc", layer_norm(self.w, n + "ln_2", x),
                      self.cfg.get("n_inner") or 4 * d)
        return self.conv(n + "mlp.c_proj", gelu_tanh(u), d)

    def head(self, x):
        return layer_norm(self.w, self.p + "ln_f", x) @ \
            self.w.get(self.p + "wte.weight").T

    parallel = False
    layers = property(lambda self: self.cfg["n_layer"])


class NeoX:
    def __init__(self, cfg, w):
        self.cfg, self.w = cfg, w
        self.parallel, self.layers = cfg["use_parallel_residual"], cfg["num_hidden_layers"]

    def embed(self, ids):
        c = self.cfg
        return self.w.get("gpt_neox.embed_in.weight", c["vocab_size"], c["hidden_size"],
                          scale=0.7)[ids]

    def linear(self, name, x, out):
        return x @ self.w.get(name + ".weight", out, x.shape[-1]).T + \
            self.w.get(name + ".bias", out, scale=0.2)

    def attn(self, i, x):
        c, n = self.cfg, "gpt_neox.layers.%d." % i
        d, h = c["hidden_size"], c["num_attention_heads"]
        qkv = self.linear(n + "attention.query_key_value",
                          layer_norm(self.w, n + "input_layernorm", x), 3 * d)
        q, k, v = qkv.view(S, T, h, 3, d // h).unbind(3)
        dims = int(c["rotary_pct"] * (d // h))
        q, k = (rotary(t, dims, c["rotary_emb_base"]) for t in (q, k))
        return self.linear(n + "attention.dense", attention(q, k, v, (d // h) ** -0.5), d)

    def mlp(self, i, x):
        c, n = self.cfg, "gpt_neox.layers.%d." % i
        u = self.linear(n + "mlp.dense_h_to_4h",
                        layer_norm(self.w, n + "post_attention_layernorm", x),
                        c["intermediate_size"])
        return self.linear(n + "mlp.dense_4h_to_h", gelu_erf(u), c["hidden_size"])

    def head(self, x):
        c = self.cfg
        return layer_norm(self.w, "gpt_neox.final_layer_norm", x) @ \
            self.w.get("embed_out.weight", c["vocab_size"], c["hidden_size"]).T


class Llama:
    parallel, gemma = False, False

    def __init__(self, cfg, w):
        self.cfg, self.w, self.layers = cfg, w, cfg["num_hidden_layers"]

    def table(self, name):
        c = self.cfg
        return self.w.get(name, c["vocab_size"], c["hidden_size"], scale=0.7)

    def embed(self, ids):
        return self.table("model.embed_tokens.weight")[ids]

    def norm(self, name, x):
        return rms_norm(self.w, name, x, self.cfg["rms_norm_eps"], self.gemma)

    def linear(self, name, x, out):
        return x @ self.w.get(name + ".weight", out, x.shape[-1]).T

    def qkv(self, n, x):
        c = self.cfg
        h, g = c["num_attention_heads"], c.get("num_key_value_heads",
                                               c["num_attention_heads"])
        dh = c.get("head_dim") or c["hidden_size"] // h
        u = self.norm(n + "input_layernorm", x)
        q, k, v = (heads(self.linear(n + "self_attn.%s_proj" % s, u, m * dh), m)
                   for s, m in (("q", h), ("k", g), ("v", g)))
        q, k = (rotary(t, dh, c["rope_theta"], c.get("rope_scaling"),
                       c["max_position_embeddings"]) for t in (q, k))
        return q, k, v, dh

    def attn(self, i, x):
        n = "model.layers.%d." % i
        q, k, v, dh = self.qkv(n, x)
        return self.linear(n + "self_attn.o_proj", attention(q, k, v, dh ** -0.5),
                           self.cfg["hidden_size"])

    def gated(self, n, u, act):
        f = self.cfg["intermediate_size"]
        return self.linear(n + "mlp.down_proj",
                           act(self.linear(n + "mlp.gate_proj", u, f)) *
                           self.linear(n + "mlp.up_proj", u, f), self.cfg["hidden_size"])

    def mlp(self, i, x):
        n = "model.layers.%d." % i
        return self.gated(n, self.norm(n + "post_attention_layernorm", x), silu)

    def head(self, x):
        tied = self.cfg["tie_word_embeddings"]
        return self.norm("model.norm", x) @ \
            self.table("model.embed_tokens.weight" if tied else "lm_head.weight").T


class Gemma2(Llama):
    gemma = True

    def slides(self, i):
        types = self.cfg.get("layer_types")
        return types[i] == "sliding_attention" if types else i % 2 == 0

    def embed(self, ids):
        scale = torch.tensor(self.cfg["hidden_size"] ** 0.5).to(self.w.dtype).double()
        return Llama.embed(self, ids) * scale

    def attn(self, i, x):
        c, n = self.cfg, "model.layers.%d." % i
        q, k, v, _ = self.qkv(n, x)
        z = attention(q, k, v, c["query_pre_attn_scalar"] ** -0.5,
                      c["attn_logit_softcapping"],
                      c["sliding_window"] if self.slides(i) else None)
        return self.norm(n + "post_attention_layernorm",
                         self.linear(n + "self_attn.o_proj", z, c["hidden_size"]))

    def mlp(self, i, x):
        n = "model.layers.%d." % i
        y = self.gated(n, self.norm(n + "pre_feedforward_layernorm", x), gelu_tanh)
        return self.norm(n + "post_feedforward_layernorm", y)

    def head(self, x):
        cap = self.cfg["final_logit_softcapping"]
        return cap * torch.tanh(Llama.head(self, x) / cap)


def run(m, ids, hook=None, factor=None, leaf=False):
    """Log-probabilities [S, T, vocab], logits, and every hook's value; `hook` is
    multiplied by factor (leaf: and seen like that, ready for a gradient)."""
    seen = {}

    def at(layer, site, x):
        name = "blocks.%d.hook_%s" % (layer, site)
        seen[name] = x
        if name != hook:
            return x
        if leaf:
            seen[name] = (x * factor).detach().requires_grad_()
            return seen[name]
        return x * factor

    x = m.embed(ids)
    for i in range(m.layers):
        x = at(i, "resid_pre", x)
        a = at(i, "attn_out", m.attn(i, x))
        if m.parallel:
            x = x + a + at(i, "mlp_out", m.mlp(i, x))
        else:
            x = at(i, "resid_mid", x + a)
            x = x + at(i, "mlp_out", m.mlp(i, x))
        x = at(i, "resid_post", x)
    logits = m.head(x)
    return logits.log_softmax(-1), logits, seen


def cross_entropy(logp, ids):
    return -logp[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]


def gradient(m, ids, hook):
    logp, _, seen = run(m, ids, hook, 0.5, leaf=True)
    p = torch.arange(T - 1)
    (cross_entropy(logp, ids)[0] * ((p >= 5) * (1 + p % 3))).sum().backward()
    return seen[hook].grad[0, ::7]


def make(name, model, cfg, dtype, junk={}, shards=1, **options):
    path = os.path.join(HERE, name)
    os.makedirs(path, exist_ok=True)
    torch.manual_seed(sum(map(ord, name)))
    w = Weights(dtype)
    m = model(cfg, w, **options)
    ids = torch.randint(0, cfg["vocab_size"], (S, T))
    logp, logits, seen = run(m, ids)
    out = {"ids": ids, "ce": cross_entropy(logp, ids), "logits": logits[0, -4:]}
    for hook, x in seen.items():
        if hook == "blocks.0.hook_resid_pre":
            out[hook + ".grad"] = gradient(m, ids, hook)
        if not hook.startswith("blocks.1."):
            continue
        out[hook + ".grad"] = gradient(m, ids, hook)
        out[hook] = x[:, -4:]
        out[hook + ".zero"] = cross_entropy(run(m, ids, hook, 0.0)[0], ids)
        half = run(m, ids, hook, 0.5)[0]
        out[hook + ".half"] = cross_entropy(half, ids)
        out[hook + ".kl"] = (logp.exp() * (logp - half)).sum(-1)[:, :-1]
    write(os.path.join(path, "expected.safetensors"),
          {k: v if v.dtype == torch.int64 else v.float() for k, v in out.items()})
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump(cfg, f, indent=1)
    stored = {**w.stored, **junk}
    if shards == 1:
        write(os.path.join(path, "model.safetensors"), stored)
        return m
    names = list(stored)
    files = {n: "model-%05d-of-%05d.safetensors" % (i % shards + 1, shards)
             for i, n in enumerate(names)}
    for file in sorted(set(files.values())):
        write(os.path.join(path, file), {n: stored[n] for n in names if files[n] == file})
    with open(os.path.join(path, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {}, "weight_map": files}, f, indent=1)


def run_with(m, ids, hook, change):
    """As run, with change(x) in place of what is at the hook."""
    found = run(m, ids)[2][hook]
    value = change(found)
    factor = value / found  # elementwise: run multiplies
    return run(m, ids, hook, factor)[0], found


def score(m, ids, hook, sae, skip):
    """The keys of `saescope score`, in float64, and the estimate of every feature: the
    gradient of the mean CE at x_hat (error_kept: at x), dotted with minus its part of it."""
    logp, _, seen = run(m, ids)
    x = seen[hook]
    f = torch.relu((x - sae["b_dec"]) @ sae["W_enc"] + sae["b_enc"])
    y = f @ sae["W_dec"] + sae["b_dec"]
    replaced = run_with(m, ids, hook, lambda _: y)[0]
    zero = run(m, ids, hook, 0.0)[0]
    mean = lambda v: float(v[:, skip:].mean())
    ce = {"ce_original": mean(cross_entropy(logp, ids)),
          "ce_reconstructed": mean(cross_entropy(replaced, ids)),
          "ce_zero": mean(cross_entropy(zero, ids))}
    xs, ys = x[:, skip:].flatten(0, 1), y[:, skip:].flatten(0, 1)
    slopes = {}
    for key, at in (("estimate", y), ("estimate_error_kept", x)):
        leaf = (at / x).detach().requires_grad_()  # elementwise: run multiplies
        cross_entropy(run(m, ids, hook, leaf)[0], ids)[:, skip:].mean().backward()
        slopes[key] = (-(leaf.grad / x @ sae["W_dec"].T) * f).sum((0, 1)).tolist()
    return {"hook": hook, "skip_first": skip, "sequences": S,
            "positions": S * (T - 1 - skip), **ce,
            "reconstruction_score": (ce["ce_zero"] - ce["ce_reconstructed"]) /
                                    (ce["ce_zero"] - ce["ce_original"]),
            "kl": mean((logp.exp() * (logp - replaced)).sum(-1)[:, :-1]),
            "l0": float((f[:, skip:] > 0).sum(-1).double().mean()),
            "fvu": float(((xs - ys) ** 2).sum() / ((xs - xs.mean(0)) ** 2).sum()), **slopes}


def write_npy(path, ids):
    head = "{'descr': '<i8', 'fortran_order': False, 'shape': (%d, %d), }" % tuple(ids.shape)
    head += " " * (-(len(head) + 11) % 64) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() +
                ids.numpy().tobytes())


def make_score(m, d, d_sae):
    path = os.path.join(HERE, "score")
    os.makedirs(os.path.join(path, "sae"), exist_ok=True)
    torch.manual_seed(7)
    W_dec = torch.nn.functional.normalize(torch.randn(d_sae, d), dim=-1)
    sae = {"W_dec": W_dec, "W_enc": 0.4 * W_dec.T + 0.05 * torch.randn(d, d_sae),
           "b_enc": -0.1 * torch.rand(d_sae), "b_dec": 0.1 * torch.randn(d)}
    write(os.path.join(path, "sae", "sae_weights.safetensors"), sae)
    with open(os.path.join(path, "sae", "cfg.json"), "w") as f:
        json.dump({"architecture": "standard", "d_in": d, "d_sae": d_sae,
                   "dtype": "float32", "apply_b_dec_to_input": True,
                   "metadata": {"sae_lens_version": "6.0.0"}}, f, indent=1)
    ids = torch.randint(0, m.cfg["vocab_size"], (S, T))
    write_npy(os.path.join(path, "tokens.npy"), ids)
    double = {k: v.double() for k, v in sae.items()}
    with open(os.path.join(path, "score.json"), "w") as f:
        json.dump({"scores": [score(m, ids, hook, double, skip) for hook, skip in
                              (("blocks.1.hook_resid_pre", 0), ("blocks.1.hook_mlp_out", 0),
                               ("blocks.0.hook_attn_out", 5))]}, f, indent=1)


GPT2_CONFIG = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 16,
               "n_head": 2, "n_layer": 2, "n_positions": 150, "vocab_size": 61,
               "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
               "bos_token_id": 60}
NEOX_CONFIG = {"model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"],
               "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2,
               "intermediate_size": 48, "layer_norm_eps": 1e-5, "hidden_act": "gelu",
               "rotary_pct": 0.5, "rotary_emb_base": 10000, "use_parallel_residual": True,
               "max_position_embeddings": 256, "vocab_size": 61,
               "tie_word_embeddings": False}
LLAMA_CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"],
                "hidden_size": 16, "intermediate_size": 40, "num_hidden_layers": 2,
                "num_attention_heads": 2, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
                "hidden_act": "silu", "vocab_size": 61, "tie_word_embeddings": False,
                "max_position_embeddings": 256}

GEMMA2_CONFIG = {
    **LLAMA_CONFIG, "model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"],
    "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 24, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "query_pre_attn_scalar": 12, "attn_logit_softcapping": 3.0,
    "final_logit_softcapping": 5.0, "sliding_window": 9, "rms_norm_eps": 1e-6,
    "torch_dtype": "bfloat16", "tie_word_embeddings": True, "num_hidden_layers": 3}

if __name__ == "__main__":
    gpt2 = make("gpt2", GPT2, {**GPT2_CONFIG, "scale_attn_by_inverse_layer_idx": True,
                               "n_inner": 40}, torch.float32)
    make_score(gpt2, 16, 40)
    make("gpt2_f16", GPT2, {**GPT2_CONFIG, "vocab_size": 1300}, torch.float16,
         prefix="transformer.",
         junk={"transformer.h.0.attn.bias": torch.ones(1, 1, 4, 4, dtype=torch.uint8),
               "transformer.h.0.attn.masked_bias": torch.tensor(-math.inf)})
    make("neox", NeoX, NEOX_CONFIG, torch.float16,
         junk={"gpt_neox.layers.0.attention.bias": torch.ones(1, 1, 4, 4, dtype=torch.uint8),
               "gpt_neox.layers.0.attention.masked_bias": torch.tensor(-math.inf).half(),
               "gpt_neox.layers.0.attention.rotary_emb.inv_freq": torch.ones(2)})
    make("neox_sequential", NeoX, {**NEOX_CONFIG, "use_parallel_residual": False},
         torch.float32)
    make("llama2", Llama, LLAMA_CONFIG, torch.float32)
    make("llama3", Llama,
         {**LLAMA_CONFIG, "num_attention_heads": 4, "num_key_value_heads": 2,
          "rope_theta": 500000.0, "head_dim": 8, "tie_word_embeddings": True,
          "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                           "high_freq_factor": 4.0,
                           "original_max_position_embeddings": 64}},
         torch.bfloat16, shards=2)
    make("llama_linear", Llama,
         {**LLAMA_CONFIG, "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
         torch.float16)
    make("llama_dynamic", Llama,
         {**LLAMA_CONFIG, "max_position_embeddings": 64,
          "rope_scaling": {"rope_type": "dynamic", "factor": 3.0}}, torch.float16)
    make("llama_yarn", Llama,
         {**LLAMA_CONFIG, "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 8,
                                           "original_max_position_embeddings": 64}},
         torch.float16)
    make("gemma2", Gemma2, GEMMA2_CONFIG, torch.bfloat16)
    make("gemma2_types", Gemma2,
         {**GEMMA2_CONFIG, "attn_logit_softcapping": None, "layer_types":
          ["full_attention", "sliding_attention", "sliding_attention"]}, torch.bfloat16)
