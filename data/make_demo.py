#!/usr/bin/python3
"""Makes the demo bundle of this directory from nothing.

Needs Debian's python3-torch, python3-numpy, bible-kjv and bible-kjv-text, and nothing from
the network.  Running saescope needs none of them.

    python3 make_demo.py [--work DIR] [--out DIR] [--threads N] [--small] [STAGE ...]

The stages, in order; all of them when none is named:

    text       the King James Bible as plain text, split by chapters into training and held-out text
    tokenizer  byte-level BPE, written as a Hugging Face tokenizer.json
    lm         a small language model of GPT-2 architecture
    acts       its activations: training activations (work directory) and the samples of the bundle
    saes       the sparse autoencoders, and the checkpoints of one run
    bundle     bundle.json
    figures    measures what was made, from the files as stored; writes the tables of README.md
    look       prints the strongest examples of features, to see whether they mean something

Every stage reads what the earlier ones left in the work directory and skips what is already
there, so an interrupted run goes on where it stopped: delete a file to make it again.  All
random numbers come from SEED and the step, so a resumed run equals one that ran through.  The
results depend on the BLAS and the number of threads in the last bits, and training amplifies
that: another machine makes an equally good demo, not the same bytes.

--small goes the whole way in a few minutes, with a twentieth of the steps: it shows that the
script runs, and makes a bundle that opens; its features mean little.
"""
import argparse
import json
import math
import multiprocessing
import os
import re
import struct
import subprocess
import time
from collections import Counter, defaultdict

# Threads that wait for work must not spin: torch's would take the cores from those of OpenBLAS.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

SEED = 1611

# the text
HELD_OUT_EVERY = 10      # of ten chapters one, drawn at random, is held out
# the tokenizer
VOCAB = 2048
EOT = "<|endoftext|>"    # id 0; every sequence starts with it
# the language model
D_MODEL, N_LAYER, N_HEAD, N_CTX = 128, 4, 4, 128
LM_STEPS, LM_BATCH, LM_LR, LM_DROPOUT = 6000, 16, 3e-3, 0.05
# the samples
HOOK_LAYER = 2           # the residual stream that enters this block
SAMPLE_SEQS, SHARDS = 320, 4
# the sparse autoencoders
D_SAE, K = 1024, 16
ACT_PASSES = 4           # training activations: so many times the training text
SAE_STEPS, SAE_BATCH, SAE_LR = 4000, 1024, 1e-3
SAE_WARM, SAE_DECAY = 0.05, 0.3        # shares of the steps: the coefficient rises, the rate falls
ENC_START = 0.5                        # of a decoder row: greater, and 1024 features together overshoot
SAE_GAIN = 8                           # of the controller that leads the coefficient to the L0 wanted
BANDWIDTH = 0.6                        # of JumpReLU's kernel
REVIVE_EVERY, REVIVE_UNTIL, REVIVE_BELOW, REVIVED_SIZE = 500, 0.8, 2e-5, 0.5
# kind; L0 wanted; coefficient of L1 (JumpReLU: of L0) to start from; what learns faster than the rest.
# ProLU's gates close and do not open again, so these three runs end below what they want: K is where
# prolu-ste-a ends.
RUNS = {
    "prolu-ste-a": {"kind": "prolu-ste", "l0": 20, "start": 0.7, "seed": 1, "speed": {"b_enc": 20},
                    "steps": (10, 40, 120, 400, 1000, 1800, 2800, SAE_STEPS)},
    "prolu-ste-b": {"kind": "prolu-ste", "l0": 10, "start": 1.4, "seed": 2,
                    "speed": {"b_enc": 20}},
    "prolu-relu": {"kind": "prolu-relu", "l0": 19, "start": 0.8, "seed": 3, "speed": {"b_enc": 5}},
    "relu": {"kind": "relu", "l0": K, "start": 1.2, "seed": 4},
    "jumprelu": {"kind": "jumprelu", "l0": K, "start": 0.6, "seed": 5,
                 "speed": {"log_threshold": 3}},
    "topk": {"kind": "topk", "l0": K, "seed": 6},
}


def make_small():
    """A twentieth of everything.  Processes that are spawned begin with the constants above."""
    global LM_STEPS, ACT_PASSES, SAMPLE_SEQS, SAE_STEPS, REVIVE_EVERY
    if SAE_STEPS < 4000:
        return
    for run in RUNS.values():
        if "steps" in run:
            run["steps"] = tuple(sorted({max(1, s // 20) for s in run["steps"]}))
    LM_STEPS, ACT_PASSES, SAMPLE_SEQS = LM_STEPS // 20, 1, SAMPLE_SEQS // 20
    SAE_STEPS, REVIVE_EVERY = SAE_STEPS // 20, REVIVE_EVERY // 20


def log(*words):
    print(time.strftime("%H:%M:%S"), *words, flush=True)


# ---- files -------------------------------------------------------------------------------

SAFE_DTYPES = {"float32": "F32", "float16": "F16"}


def write_safetensors(path, tensors):
    """tensors: {name: numpy array}.  Eight bytes of header length, JSON header, data."""
    header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, array in tensors.items():
        blob = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": SAFE_DTYPES[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".new", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    os.rename(path + ".new", path)


def read_safetensors(path):
    with open(path, "rb") as f:
        (n,) = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(n))
        data = f.read()
    header.pop("__metadata__", None)
    types = {v: k for k, v in SAFE_DTYPES.items()}
    return {name: np.frombuffer(data[t["data_offsets"][0]:t["data_offsets"][1]],
                                dtype=types[t["dtype"]]).reshape(t["shape"])
            for name, t in header.items()}


def write_json(path, value):
    with open(path + ".new", "w") as f:
        json.dump(value, f, indent=1, ensure_ascii=False)
        f.write("\n")
    os.rename(path + ".new", path)


def read_json(path):
    with open(path) as f:
        return json.load(f)


# ---- text --------------------------------------------------------------------------------

def read_chapters():
    """The Bible as a list of chapters: one verse a line, no references."""
    out = subprocess.run(["bible", "-f", "Gen1:1-Rev22:21"], check=True, capture_output=True)
    chapters, last = [], None
    for line in out.stdout.decode("ascii").splitlines():
        m = re.match(r"([0-9]?[A-Za-z]+)([0-9]+):[0-9]+ (.*)", line)
        if not m:
            continue
        if m.group(1, 2) != last:
            chapters.append([])
            last = m.group(1, 2)
        chapters[-1].append(re.sub(" +", " ", m.group(3)).strip())
    return ["\n".join(c) for c in chapters]


def stage_text(o):
    if os.path.exists(o.work + "/text.json"):
        return
    chapters = read_chapters()
    assert len(chapters) == 1189, len(chapters)
    rng = np.random.default_rng(SEED)
    held = {i + int(rng.integers(HELD_OUT_EVERY)) for i in range(0, len(chapters), HELD_OUT_EVERY)}
    text = {"train": [c for i, c in enumerate(chapters) if i not in held],
            "held": [c for i, c in enumerate(chapters) if i in held]}
    log("text:", {k: (len(v), sum(map(len, v))) for k, v in text.items()}, "(chapters, characters)")
    write_json(o.work + "/text.json", text)


# ---- tokenizer ---------------------------------------------------------------------------

# GPT-2's split.  Python's re has no \p{L}: [^\W\d_] is the same set but for rare numerals.
SPLIT = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")


def byte_chars():
    """GPT-2's table of printable stand-ins for the 256 bytes."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table, extra = {b: chr(b) for b in plain}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + extra)
            extra += 1
    return table


BYTE_CHARS = byte_chars()
CHAR_BYTES = {c: b for b, c in BYTE_CHARS.items()}


def train_bpe(text, n_merges):
    """The most frequent pair is merged, n_merges times; equals in favour of the smaller string."""
    words = Counter(SPLIT.findall(text))
    parts = [[BYTE_CHARS[b] for b in w.encode()] for w in words]
    counts = list(words.values())
    pairs, where = Counter(), defaultdict(set)
    for i, p in enumerate(parts):
        for pair in zip(p, p[1:]):
            pairs[pair] += counts[i]
            where[pair].add(i)
    merges = []
    while len(merges) < n_merges:
        best = max(pairs.values())
        pair = min(p for p, n in pairs.items() if n == best)
        merges.append(pair)
        for i in list(where[pair]):
            p = parts[i]
            for q in zip(p, p[1:]):
                pairs[q] -= counts[i]
                where[q].discard(i)
            parts[i] = p = merge_pair(p, pair)
            for q in zip(p, p[1:]):
                pairs[q] += counts[i]
                where[q].add(i)
        pairs = +pairs
    return merges


def merge_pair(parts, pair):
    out, i = [], 0
    while i < len(parts):
        if i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair:
            out.append(parts[i] + parts[i + 1])
            i += 2
        else:
            out.append(parts[i])
            i += 1
    return out


class Tokenizer:
    def __init__(self, path):
        model = read_json(path)["model"]
        self.ids = model["vocab"]
        self.ranks = {tuple(m.split(" ")): i for i, m in enumerate(model["merges"])}
        self.strings = {i: t for t, i in self.ids.items()}
        self.cache = {}

    def encode(self, text):
        ids = []
        for word in SPLIT.findall(text):
            if word not in self.cache:
                parts = [BYTE_CHARS[b] for b in word.encode()]
                while len(parts) > 1:
                    pair = min(zip(parts, parts[1:]), key=lambda p: self.ranks.get(p, math.inf))
                    if pair not in self.ranks:
                        break
                    parts = merge_pair(parts, pair)
                self.cache[word] = [self.ids[p] for p in parts]
            ids += self.cache[word]
        return ids

    def decode(self, ids):
        return "".join(EOT if i == 0 else
                       bytes(CHAR_BYTES[c] for c in self.strings[i]).decode("utf-8", "replace")
                       for i in map(int, ids))


def stage_tokenizer(o):
    path = o.out + "/tokenizer.json"
    if not os.path.exists(path):
        text = "\n\n".join(read_json(o.work + "/text.json")["train"])
        chars = sorted(BYTE_CHARS.values())
        merges = train_bpe(text, VOCAB - 1 - len(chars))
        vocab = {t: i for i, t in enumerate([EOT, *chars, *map("".join, merges)])}
        assert len(vocab) == VOCAB
        special = {"id": 0, "content": EOT, "single_word": False, "lstrip": False,
                   "rstrip": False, "normalized": False, "special": True}
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                      "use_regex": True}
        bos = {"SpecialToken": {"id": EOT, "type_id": 0}}
        write_json(path, {
            "version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [special], "normalizer": None,
            "pre_tokenizer": byte_level,
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [bos, {"Sequence": {"id": "A", "type_id": 0}},
                         bos, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {EOT: {"id": EOT, "ids": [0], "tokens": [EOT]}}},
            "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None,
                      "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": vocab, "merges": [" ".join(m) for m in merges]}})
    if os.path.exists(o.work + "/held.npy"):
        return
    tok = Tokenizer(path)
    for part, chapters in read_json(o.work + "/text.json").items():
        text = "\n\n".join(chapters)
        ids = tok.encode(text)
        assert tok.decode(ids) == text
        log(f"tokenizer: {part} {len(ids)} tokens, {len(text) / len(ids):.2f} characters each")
        np.save(f"{o.work}/{part}.npy", np.array(ids, dtype=np.uint16))


# ---- language model ----------------------------------------------------------------------

class Conv1D(nn.Module):
    """GPT-2's linear layer: y = x W + b with W stored [in, out]."""

    def __init__(self, n_in, n_out, std):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_in, n_out) * std)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x):
        return torch.addmm(self.bias, x.view(-1, x.shape[-1]), self.weight).view(*x.shape[:-1], -1)


class GeluNew(torch.autograd.Function):
    """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))); spelt out, it is faster on a CPU."""

    @staticmethod
    def forward(ctx, x):
        t = torch.tanh((x * x).mul_(0.044715).add_(1).mul_(x).mul_(math.sqrt(2 / math.pi)))
        ctx.save_for_backward(x, t)
        return (t + 1).mul_(x).mul_(0.5)

    @staticmethod
    def backward(ctx, g):
        x, t = ctx.saved_tensors
        inner = (x * x).mul_(3 * 0.044715).add_(1).mul_(math.sqrt(2 / math.pi)).mul_(x)
        return (1 - t * t).mul_(inner).add_(t).add_(1).mul_(0.5).mul_(g)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_attn = Conv1D(D_MODEL, 3 * D_MODEL, 0.02)
        self.c_proj = Conv1D(D_MODEL, D_MODEL, 0.02 / math.sqrt(2 * N_LAYER))

    def forward(self, x, mask):
        n, t, d = x.shape
        q, k, v = (y.view(n, t, N_HEAD, -1).transpose(1, 2)
                   for y in self.c_attn(x).split(D_MODEL, dim=2))
        scores = q @ (k * (d // N_HEAD) ** -0.5).transpose(2, 3) + mask[:t, :t]
        return self.c_proj((F.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(n, t, d))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_fc = Conv1D(D_MODEL, 4 * D_MODEL, 0.02)
        self.c_proj = Conv1D(4 * D_MODEL, D_MODEL, 0.02 / math.sqrt(2 * N_LAYER))

    def forward(self, x):
        return self.c_proj(GeluNew.apply(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1 = nn.LayerNorm(D_MODEL)
        self.attn = Attention()
        self.ln_2 = nn.LayerNorm(D_MODEL)
        self.mlp = Mlp()

    def forward(self, x, mask, dropout):
        x = x + F.dropout(self.attn(self.ln_1(x), mask), dropout, self.training)
        return x + F.dropout(self.mlp(self.ln_2(x)), dropout, self.training)


class GPT2(nn.Module):
    """The names of the parameters are those of the original GPT-2 files."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(VOCAB, D_MODEL)
        self.wpe = nn.Embedding(N_CTX, D_MODEL)
        nn.init.normal_(self.wte.weight, std=0.02)
        nn.init.normal_(self.wpe.weight, std=0.01)
        self.h = nn.ModuleList([Block() for _ in range(N_LAYER)])
        self.ln_f = nn.LayerNorm(D_MODEL)
        self.mask = torch.full((N_CTX, N_CTX), -1e9).triu(1)

    def head(self, ids, upto=N_LAYER, dropout=0.0):
        """The residual stream that enters block `upto`."""
        x = self.wte(ids) + self.wpe.weight[:ids.shape[1]]
        x = F.dropout(x, dropout, self.training)
        for block in self.h[:upto]:
            x = block(x, self.mask, dropout)
        return x

    def tail(self, x, start=N_LAYER):
        """The logits, from the residual stream that enters block `start`."""
        for block in self.h[start:]:
            x = block(x, self.mask, 0.0)
        return F.linear(self.ln_f(x), self.wte.weight)

    def loss(self, ids, dropout=0.0):
        logits = self.tail(self.head(ids[:, :-1], dropout=dropout))
        return F.cross_entropy(logits.reshape(-1, VOCAB), ids[:, 1:].reshape(-1))


def rows_at(stream, starts):
    """Sequences [EOT, N_CTX - 1 tokens of the stream from each start]."""
    index = np.asarray(starts)[:, None] + np.arange(N_CTX - 1)
    rows = np.zeros((len(index), N_CTX), dtype=np.int64)
    rows[:, 1:] = stream[index]
    return torch.from_numpy(rows)


def held_out_loss(model, held):
    """Mean loss over the whole held-out text, cut into rows."""
    model.eval()
    with torch.no_grad():
        starts = np.arange(0, len(held) - N_CTX, N_CTX - 1)
        losses = [model.loss(rows_at(held, s)) * len(s) for s in np.array_split(starts, 16)]
    model.train()
    return float(sum(losses) / len(starts))


def warm_cosine(step, steps, warm, floor):
    if step < warm:
        return (step + 1) / warm
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def load_lm(o):
    """The model as stored: rounded to f16, computing in f32."""
    model = GPT2()
    stored = read_safetensors(o.out + "/model/model.safetensors")
    model.load_state_dict({k: torch.from_numpy(v.astype(np.float32)) for k, v in stored.items()})
    return model.eval().requires_grad_(False)


def stage_lm(o):
    path, saved = o.out + "/model/model.safetensors", o.work + "/lm.pt"
    if os.path.exists(path):
        return
    train, held = (np.load(f"{o.work}/{p}.npy").astype(np.int64) for p in ("train", "held"))
    torch.manual_seed(SEED)
    model, first = GPT2(), 0
    decay = [p for p in model.parameters() if p.dim() == 2]
    plain = [p for p in model.parameters() if p.dim() != 2]
    adam = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1},
                              {"params": plain, "weight_decay": 0.0}], betas=(0.9, 0.98))
    if os.path.exists(saved):
        state = torch.load(saved)
        model.load_state_dict(state["model"])
        adam.load_state_dict(state["adam"])
        first = state["step"]
    model.train()
    mean, begun = 0.0, time.time()
    for step in range(first, LM_STEPS):
        torch.manual_seed(SEED + step)                 # for the dropout
        rng = np.random.default_rng([SEED, step])
        ids = rows_at(train, rng.integers(0, len(train) - N_CTX, LM_BATCH))
        for group in adam.param_groups:
            group["lr"] = LM_LR * warm_cosine(step, LM_STEPS, 150, 0.02)
        loss = model.loss(ids, LM_DROPOUT)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        mean = loss.item() if step == first else 0.98 * mean + 0.02 * loss.item()
        if (step + 1) % 50 == 0:
            rate = (step + 1 - first) * LM_BATCH * N_CTX / (time.time() - begun)
            log(f"lm: step {step + 1} loss {mean:.3f}, {rate:.0f} tokens/s")
        if (step + 1) % 400 == 0:
            log(f"lm: step {step + 1} held-out loss {held_out_loss(model, held):.3f}")
            torch.save({"model": model.state_dict(), "adam": adam.state_dict(),
                        "step": step + 1}, saved + ".new")
            os.rename(saved + ".new", saved)
    os.makedirs(o.out + "/model", exist_ok=True)
    write_json(o.out + "/model/config.json", {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2",
        "activation_function": "gelu_new", "attn_pdrop": 0.0, "embd_pdrop": LM_DROPOUT,
        "resid_pdrop": LM_DROPOUT, "bos_token_id": 0, "eos_token_id": 0,
        "initializer_range": 0.02, "layer_norm_epsilon": 1e-5, "n_ctx": N_CTX,
        "n_embd": D_MODEL, "n_head": N_HEAD, "n_inner": None, "n_layer": N_LAYER,
        "n_positions": N_CTX, "tie_word_embeddings": True, "torch_dtype": "float16",
        "vocab_size": VOCAB})
    write_safetensors(path, {k: v.detach().numpy().astype(np.float16)
                             for k, v in model.state_dict().items()})
    log(f"lm: held-out loss as stored {held_out_loss(load_lm(o), held):.4f}")


# ---- activations -------------------------------------------------------------------------

def stage_acts(o):
    """acts-NN.npy, tokens.npy: held-out text.  work/acts.npy: training text, ACT_PASSES times cut
    into sequences at different places, so that every token is seen after several contexts."""
    model, tok = load_lm(o), Tokenizer(o.out + "/tokenizer.json")
    if not os.path.exists(o.out + "/tokens.npy"):
        held = np.load(o.work + "/held.npy")
        newline = tok.encode("\n")[0]
        verse = [0] + [i + 1 for i in range(len(held) - 1)
                       if held[i] == newline and held[i + 1] != newline]
        starts, free = [], 0                     # sequences that begin with a verse and do not overlap
        for v in verse:
            if free <= v <= len(held) - N_CTX:
                starts.append(v)
                free = v + N_CTX - 1
        log(f"acts: {SAMPLE_SEQS} of {len(starts)} held-out sequences")
        starts = [starts[i * len(starts) // SAMPLE_SEQS] for i in range(SAMPLE_SEQS)]
        rows = rows_at(held.astype(np.int64), starts)
        with torch.no_grad():
            acts = model.head(rows, HOOK_LAYER).numpy().astype(np.float16)
        norms = np.linalg.norm(acts.astype(np.float32), axis=2)
        log(f"acts: mean norm {norms[:, 1:].mean():.1f}, at position 0 {norms[:, 0].mean():.1f}")
        for i, shard in enumerate(np.array_split(acts, SHARDS)):
            np.save(f"{o.out}/acts-{i:02d}.npy", shard)
        np.save(o.out + "/tokens.npy", rows.numpy().astype(np.int32))
    if not os.path.exists(o.work + "/acts.npy"):
        train, parts = np.load(o.work + "/train.npy").astype(np.int64), []
        for i in range(ACT_PASSES):
            first = i * (N_CTX - 1) // ACT_PASSES
            starts = np.arange(first, len(train) - N_CTX, N_CTX - 1)
            for some in np.array_split(starts, 64):
                with torch.no_grad():
                    x = model.head(rows_at(train, some), HOOK_LAYER)
                parts.append(x.reshape(-1, D_MODEL).numpy().astype(np.float16))
        acts = np.concatenate(parts)
        log(f"acts: {len(acts)} training activations")
        np.save(o.work + "/acts.new.npy", acts)
        os.rename(o.work + "/acts.new.npy", o.work + "/acts.npy")


# ---- sparse autoencoders -----------------------------------------------------------------

class ProLU(torch.autograd.Function):
    """f = m where m > 0 and m + b > 0, else 0.  The bias only gates, so its true gradient is zero;
    ProLU-ReLU and ProLU-STE are the two synthetic gradients of Taggart's post (2024)."""

    @staticmethod
    def forward(ctx, m, b, ste):
        f = m * ((m > 0) & (m + b > 0))
        ctx.save_for_backward(f)
        ctx.ste = ste
        return f

    @staticmethod
    def backward(ctx, g):
        (f,) = ctx.saved_tensors
        gated = g * (f > 0)
        if not ctx.ste:
            return gated, gated.sum(0), None
        times_m = g * f                          # f is m where the gate is open
        return gated + times_m, times_m.sum(0), None


class JumpReLU(torch.autograd.Function):
    """f = h where h > theta, else 0, and the number of open gates, both with the gradient for theta
    of Rajamanoharan et al. (2024): a rectangle kernel of width BANDWIDTH around the threshold."""

    @staticmethod
    def forward(ctx, h, theta):
        gate = (h > theta).float()
        ctx.save_for_backward(h, theta, gate)
        return h * gate, gate

    @staticmethod
    def backward(ctx, g_f, g_gate):
        h, theta, gate = ctx.saved_tensors
        kernel = ((h - theta).abs() < BANDWIDTH / 2).float() / BANDWIDTH
        return g_f * gate, -(kernel * (theta * g_f + g_gate)).sum(0)


class Sae:
    """Encoder, activation and decoder, as tensors under the names of the files."""

    def __init__(self, kind, k, tensors):
        self.kind, self.k, self.t = kind, k, tensors

    def encode(self, x):
        """The activations, and for JumpReLU also the gates."""
        t = self.t
        m = (x - t["b_dec"]) @ t["W_enc"]
        if self.kind in ("prolu-ste", "prolu-relu"):
            return ProLU.apply(m, t["b_enc"], self.kind == "prolu-ste"), None
        h = m + t["b_enc"]
        if self.kind == "relu":
            return h.relu(), None
        if self.kind == "topk":
            top = h.topk(self.k, dim=1, sorted=False)
            return torch.zeros_like(h).scatter(1, top.indices, top.values.relu()), None
        return JumpReLU.apply(h, t["threshold"] if "threshold" in t else t["log_threshold"].exp())

    def decode(self, f):
        return f @ self.t["W_dec"] + self.t["b_dec"]


ARCHITECTURE = {"prolu-ste": "prolu", "prolu-relu": "prolu", "relu": "standard",
                "jumprelu": "jumprelu", "topk": "topk"}


def save_sae(path, sae, scale, step, coefficient, run):
    """The SAE was trained on scale * x.  With f / scale for f every kind is the same for x itself,
    and only what is added to or compared with activations has to be divided."""
    t = {k: v.detach().clone() for k, v in sae.t.items()}
    if "log_threshold" in t:
        t["threshold"] = t.pop("log_threshold").exp()
    for name in ("b_enc", "b_dec", "threshold"):
        if name in t:
            t[name] /= scale
    os.makedirs(path, exist_ok=True)
    cfg = {"architecture": ARCHITECTURE[sae.kind], "d_in": D_MODEL, "d_sae": D_SAE,
           "dtype": "float16", "device": "cpu", "apply_b_dec_to_input": True,
           "normalize_activations": "none", "reshape_activations": "none"}
    if sae.kind == "topk":
        cfg.update(k=sae.k, rescale_acts_by_decoder_norm=False)
    training = {"steps": step, "total_steps": SAE_STEPS, "batch_tokens": SAE_BATCH,
                "learning_rate": SAE_LR, "seed": run["seed"], "input_scale": scale}
    if sae.kind.startswith("prolu"):
        training["gradient"] = sae.kind.split("-")[1]
    if sae.kind == "jumprelu":
        training.update(l0_coefficient=coefficient, bandwidth=BANDWIDTH)
    elif sae.kind != "topk":
        training["l1_coefficient"] = coefficient
    if sae.kind != "topk":
        training["target_l0"] = run["l0"]
    # sae_lens_version says which layout this file has, not who wrote it
    cfg["metadata"] = {"sae_lens_version": "6.22.2", "model_name": "kjv-gpt2-4l",
                       "hook_name": f"blocks.{HOOK_LAYER}.hook_resid_pre", "hook_head_index": None,
                       "prepend_bos": True, "context_size": N_CTX,
                       "dataset_path": "bible-kjv-text", "training": training}
    write_json(path + "/cfg.json", cfg)
    write_safetensors(path + "/sae_weights.safetensors",
                      {k: t[k].numpy().astype(np.float16)
                       for k in ("W_enc", "W_dec", "b_enc", "b_dec", "threshold") if k in t})


def load_sae(path):
    """An SAE as stored, in f32."""
    cfg = read_json(path + "/cfg.json")
    kind = {"standard": "relu", "prolu": "prolu-relu"}.get(cfg["architecture"], cfg["architecture"])
    stored = read_safetensors(path + "/sae_weights.safetensors")
    return Sae(kind, cfg.get("k"), {k: torch.from_numpy(v.astype(np.float32))
                                    for k, v in stored.items()}), cfg


def revive(sae, adam, dead, x, generator):
    """Dead features start anew as directions of badly reconstructed activations."""
    t = sae.t
    with torch.no_grad():
        f, _ = sae.encode(x)
        error = x - sae.decode(f)
        alive = torch.ones(D_SAE, dtype=torch.bool)
        alive[dead] = False
        pick = torch.multinomial(error.pow(2).sum(1) ** 2, len(dead), generator=generator)
        rows = F.normalize(error[pick], dim=1)
        t["W_dec"][dead] = rows
        size = t["W_enc"][:, alive].norm(dim=0).mean()
        t["W_enc"][:, dead] = rows.T * size * REVIVED_SIZE
        t["b_enc"][dead] = -0.02 if sae.kind.startswith("prolu") else 0.0
        if "log_threshold" in t:
            t["log_threshold"][dead] = math.log(0.1)
        for name, p in t.items():
            if p in adam.state and name != "b_dec":
                for moment in ("exp_avg", "exp_avg_sq"):
                    where = adam.state[p][moment]
                    if name == "W_enc":
                        where[:, dead] = 0
                    else:
                        where[dead] = 0


def train_sae(o, name, mean, scale):
    torch.set_num_threads(1)
    if o.small:
        make_small()
    run = RUNS[name]
    kind, target = run["kind"], run["l0"]
    acts = torch.from_numpy(np.load(o.work + "/acts.npy", mmap_mode="c"))
    generator = torch.Generator().manual_seed(run["seed"])
    rows = F.normalize(torch.randn(D_SAE, D_MODEL, generator=generator), dim=1)
    t = {"W_enc": ENC_START * rows.T, "W_dec": rows.clone(),
         "b_enc": torch.zeros(D_SAE), "b_dec": mean * scale}
    if kind == "jumprelu":
        t["log_threshold"] = torch.full((D_SAE,), math.log(0.5))
    t = {k: v.requires_grad_() for k, v in t.items()}
    sae = Sae(kind, target, t)
    adam = torch.optim.Adam([{"params": [v], "speed": run.get("speed", {}).get(k, 1)}
                             for k, v in t.items()], betas=(0.9, 0.999))
    coefficient = run.get("start")
    fired, l0_mean, loss_mean = torch.zeros(D_SAE), None, None
    order, begun = None, time.time()
    per_pass = len(acts) // SAE_BATCH
    for step in range(SAE_STEPS):
        if step % per_pass == 0:
            order = torch.randperm(len(acts), generator=generator)
        at = step % per_pass * SAE_BATCH
        x = acts[order[at:at + SAE_BATCH]].float() * scale

        f, gate = sae.encode(x)
        error = (x - sae.decode(f)).pow(2).sum(1).mean()
        loss, warm = error, min(1.0, step / (SAE_WARM * SAE_STEPS))
        if kind == "jumprelu":
            loss = error + warm * coefficient * gate.sum(1).mean()
        elif coefficient:
            loss = error + warm * coefficient * f.sum(1).mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()

        with torch.no_grad():
            rows = t["W_dec"]                    # the decoder moves on the sphere
            rows.grad -= (rows.grad * rows).sum(1, keepdim=True) * rows
            for group in adam.param_groups:
                group["lr"] = group["speed"] * SAE_LR * min(1.0, (step + 1) / 100, 0.02 + (SAE_STEPS - step)
                                           / (SAE_STEPS * SAE_DECAY))
            adam.step()
            rows /= rows.norm(dim=1, keepdim=True)

            active = f > 0
            fired += active.sum(0)
            l0 = float(active.sum()) / len(x)
            l0_mean = l0 if l0_mean is None else 0.98 * l0_mean + 0.02 * l0
            loss_mean = error.item() if loss_mean is None else 0.98 * loss_mean + 0.02 * error.item()
            # the coefficient goes where L0 is as wanted, but stands still at first and at last
            if coefficient and 0.3 * SAE_STEPS <= step < 0.9 * SAE_STEPS:
                drift = max(-0.3, min(0.3, math.log(l0_mean / target)))
                coefficient *= math.exp(drift * SAE_GAIN / SAE_STEPS)

        done = step + 1
        if done % REVIVE_EVERY == 0:
            dead = (fired < REVIVE_BELOW * REVIVE_EVERY * SAE_BATCH).nonzero()[:, 0]
            if len(dead) and done <= REVIVE_UNTIL * SAE_STEPS:
                some = torch.randint(len(acts), (8192,), generator=generator)
                revive(sae, adam, dead, acts[some].float() * scale, generator)
            log(f"{name}: step {done} L0 {l0_mean:.2f} error {loss_mean / D_MODEL:.4f} coefficient "
                f"{coefficient or 0:.4f} rare {len(dead)} negative {(t['b_enc'] < 0).float().mean():.3f} "
                f"b_enc {t['b_enc'].mean():.2f}+-{t['b_enc'].std():.2f} "
                f"{done * SAE_BATCH / (time.time() - begun):.0f} tokens/s")
            fired.zero_()
        if done in run.get("steps", ()):
            save_sae(f"{o.out}/saes/{name}-training/step_{done:06d}", sae, scale, done,
                     coefficient, run)
    save_sae(f"{o.out}/saes/{name}", sae, scale, SAE_STEPS, coefficient, run)


def stage_saes(o):
    todo = [n for n in RUNS if not os.path.exists(f"{o.out}/saes/{n}/sae_weights.safetensors")]
    if not todo:
        return
    acts = torch.from_numpy(np.load(o.work + "/acts.npy", mmap_mode="c"))
    some = acts[::16].float()
    mean = some.mean(0)
    scale = math.sqrt(D_MODEL / float((some - mean).pow(2).sum(1).mean()))
    log(f"saes: {len(acts)} activations, scaled by {scale:.4f}")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"   # one core for each run
    with multiprocessing.get_context("spawn").Pool(o.threads) as pool:
        pool.starmap(train_sae, [(o, name, mean, scale) for name in todo], chunksize=1)


def sae_paths(o):
    """The SAEs of the bundle in its order: {name: path}."""
    paths = {n: "saes/" + n for n in RUNS}
    for n, run in RUNS.items():
        paths.update({f"{n}-training/step_{s:06d}": f"saes/{n}-training/step_{s:06d}"
                      for s in run.get("steps", ())})
    return paths


def stage_bundle(o):
    write_json(o.out + "/bundle.json", {
        "name": "King James demo", "hook": f"blocks.{HOOK_LAYER}.hook_resid_pre",
        "acts": "acts-*.npy", "tokens": "tokens.npy", "tokenizer": "tokenizer.json",
        "model": "model", "saes": sae_paths(o)})


# ---- figures -----------------------------------------------------------------------------

def load_samples(o):
    shards = [np.load(f"{o.out}/acts-{i:02d}.npy") for i in range(SHARDS)]
    tokens = torch.from_numpy(np.load(o.out + "/tokens.npy").astype(np.int64))
    return torch.from_numpy(np.concatenate(shards)).float(), tokens


def measure(model, saes, acts, tokens):
    """What `scan` and `score` print, for all SAEs in one pass over the language model."""
    flat = acts.reshape(-1, D_MODEL)
    variance = (flat - flat.mean(0)).pow(2).sum().item()
    positions = tokens.shape[0] * (N_CTX - 1)
    count = {n: torch.zeros(D_SAE) for n in saes}
    error, ce, kl = Counter(), Counter(), Counter()

    def log_probabilities(x):
        return F.log_softmax(model.tail(x, HOOK_LAYER)[:, :-1], dim=2)

    for i in range(0, len(tokens), 16):
        ids, stored = tokens[i:i + 16], acts[i:i + 16].reshape(-1, D_MODEL)
        x = model.head(ids, HOOK_LAYER)
        original, nexts = log_probabilities(x), ids[:, 1:, None]
        weights = original.exp()
        ce["original"] -= original.gather(2, nexts).sum().item() / positions
        ce["zero"] -= log_probabilities(torch.zeros_like(x)).gather(2, nexts).sum().item() / positions
        for n, sae in saes.items():
            f, _ = sae.encode(stored)
            count[n] += (f != 0).sum(0)
            error[n] += (stored - sae.decode(f)).pow(2).sum().item()
            f, _ = sae.encode(x.reshape(-1, D_MODEL))
            logs = log_probabilities(sae.decode(f).view_as(x))
            ce[n] -= logs.gather(2, nexts).sum().item() / positions
            kl[n] += (weights * (original - logs)).sum().item() / positions
    return ce["original"], ce["zero"], {
        n: {"l0": count[n].sum().item() / len(flat), "fvu": error[n] / variance,
            "dead": (count[n] == 0).float().mean().item(),
            "dense": (count[n] > 0.1 * len(flat)).float().mean().item(),
            "negative": (sae.t["b_enc"] < 0).float().mean().item(),
            "ce": ce[n], "kl": kl[n],
            "score": (ce["zero"] - ce[n]) / (ce["zero"] - ce["original"])}
        for n, sae in saes.items()}


def stage_figures(o):
    model = load_lm(o)
    acts, tokens = load_samples(o)
    held = np.load(o.work + "/held.npy").astype(np.int64)
    lm, loaded = held_out_loss(model, held), {n: load_sae(f"{o.out}/{p}")
                                              for n, p in sae_paths(o).items()}
    with torch.no_grad():
        original, zero, figures = measure(model, {n: l[0] for n, l in loaded.items()}, acts, tokens)
    lines = [f"Language model: held-out loss {lm:.3f} nats a token over all held-out text; "
             f"on the samples {original:.4f} (`ce_original`),",
             f"with the hook replaced by zeros {zero:.4f} (`ce_zero`).", "",
             "| SAE | coefficient | steps | L0 | FVU | dead | b_enc < 0 | CE reconstructed | "
             "reconstruction score | KL |", "| --- " + "| ---: " * 9 + "|"]
    for name, s in figures.items():
        t = loaded[name][1]["metadata"]["training"]
        coefficient = t.get("l1_coefficient", t.get("l0_coefficient"))
        what = f"k = {K}" if coefficient is None else f"{coefficient:.4f}"
        lines.append(f"| {name} | {what} | {t['steps']} | {s['l0']:.2f} | {s['fvu']:.4f} | "
                     f"{100 * s['dead']:.1f} % | {100 * s['negative']:.1f} % | "
                     f"{s['ce']:.4f} | {s['score']:.4f} | {s['kl']:.4f} |")
    path = o.out + "/README.md"
    if os.path.exists(path):
        with open(path) as f:
            text = f.read()
        begin, end = "<!-- figures -->\n", "<!-- end of figures -->"
        head, rest = text.split(begin)
        with open(path, "w") as f:
            f.write(head + begin + "\n".join(lines) + "\n" + rest[rest.index(end):])
    print("\n".join(lines))


def stage_look(o):
    """Eight examples each of features from all over the range of density."""
    tok = Tokenizer(o.out + "/tokenizer.json")
    acts, tokens = load_samples(o)
    sae, _ = load_sae(f"{o.out}/saes/{o.sae}")
    with torch.no_grad():
        f = torch.cat([sae.encode(a)[0] for a in acts])
    density = (f > 0).float().mean(0)
    order = density.argsort(descending=True)
    order = order[density[order] > 0]
    ids = o.features or order[torch.linspace(0, len(order) - 1, o.count).long()].tolist()
    for i in ids:
        values, at = f[:, i].topk(8)
        print(f"\n#{i} density {density[i]:.5f} max {values[0]:.2f} b_enc {sae.t['b_enc'][i]:.3f}")
        for v, a in zip(values.tolist(), at.tolist()):
            s, p = divmod(a, N_CTX)
            row = tokens[s].tolist()
            text = tok.decode(row[max(0, p - 10):p]), tok.decode(row[p:p + 1]), \
                tok.decode(row[p + 1:p + 7])
            print(f"  {v:6.2f}  " + "{}[{}]{}".format(*text).replace("\n", "/"))


STAGES = {"text": stage_text, "tokenizer": stage_tokenizer, "lm": stage_lm, "acts": stage_acts,
          "saes": stage_saes, "bundle": stage_bundle, "figures": stage_figures, "look": stage_look}


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", default="demo-work", help="work directory (default: ./demo-work)")
    p.add_argument("--out", default=here, help="where the bundle goes (default: beside this script)")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--small", action="store_true", help="a twentieth of the work; needs --out")
    p.add_argument("--sae", default="prolu-ste-a", help="look: at this one")
    p.add_argument("--features", type=int, nargs="+", help="look: at these")
    p.add_argument("--count", type=int, default=40, help="look: at so many")
    p.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(STAGES))
    o = p.parse_args()
    for stage in o.stages:
        if stage not in STAGES:
            p.error(f"no stage {stage}: choose from {', '.join(STAGES)}")
    if o.small and os.path.abspath(o.out) == here:
        p.error("--small: not over the real demo (expected --out DIR)")
    if o.small:
        make_small()
    for path in (o.work, o.out):
        os.makedirs(path, exist_ok=True)
    torch.set_num_threads(o.threads)
    for name, run in STAGES.items():
        if name in o.stages or not o.stages:
            run(o)


if __name__ == "__main__":
    main()
