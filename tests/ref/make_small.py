#!/usr/bin/env python3
"""Make the small bundle tests/data/small and the numbers that saescope should arrive at.

    tests/ref/make_small.py [OUT]            (default: tests/data/small)

Needs nothing but Python's standard library: the definitions of the quantities are written
out here once more, as plain loops in double precision over the values as stored, so that
they share no code and no number format with the program. Run again, it makes the same
bytes.

What is in it: 12 sequences of 16 tokens, activations of 12 dimensions, and one SAE of 48
features for each architecture that has a container of its own easy to write. The data are
sparse combinations of fixed directions plus noise; the SAEs are those directions,
distorted. Feature 47 is dead everywhere; features 1 and 2 often fire together.
"""
import json
import math
import os
import random
import struct
import sys
import zipfile

D, F, SEQUENCES, LENGTH, K = 12, 48, 12, 16, 5
SHOWN = (0, 1, 2, 7, 13, 22, 31, 40, 46, 47)  # features whose pages are in expected.json
N = SEQUENCES * LENGTH
rng = random.Random(20240711)


# --- values as they are stored ----------------------------------------------------------------

def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def f16(x):
    return struct.unpack("<e", struct.pack("<e", x))[0]


def matrix(rows, cols, value):
    return [[f32(value(i, j)) for j in range(cols)] for i in range(rows)]


def flat(m):
    return [x for row in m for x in row] if m and isinstance(m[0], list) else m


def transposed(m):
    return [list(column) for column in zip(*m)]


# --- containers -------------------------------------------------------------------------------

def npy_bytes(values, shape, descr):
    code = {"<f4": "f", "<f2": "e", "<i4": "i"}[descr]
    header = repr({"descr": descr, "fortran_order": False, "shape": tuple(shape)})
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
            + struct.pack("<%d%s" % (len(values), code), *values))


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def write_json(path, value):
    write(path, (json.dumps(value, indent=1) + "\n").encode())


def shape_of(v):
    return [len(v), len(v[0])] if isinstance(v[0], list) else [len(v)]


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, v in tensors.items():
        values = flat(v)
        block = struct.pack("<%df" % len(values), *values)
        header[name] = {"dtype": "F32", "shape": shape_of(v),
                        "data_offsets": [len(data), len(data) + len(block)]}
        data += block
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    write(path, struct.pack("<Q", len(text)) + text + data)


def write_npz(path, tensors):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, v in tensors.items():
            info = zipfile.ZipInfo(name + ".npy", (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(info, npy_bytes(flat(v), shape_of(v), "<f4"))


# --- data and weights -------------------------------------------------------------------------

def unit(v):
    n = math.sqrt(sum(x * x for x in v))
    return [x / n for x in v]


directions = [unit([rng.gauss(0, 1) for _ in range(D)]) for _ in range(F)]
shift = [0.5 * rng.gauss(0, 1) for _ in range(D)]


def sample():
    x = list(shift)
    on = rng.sample(range(F - 1), 3)
    if 1 in on or 2 in on:
        on = sorted(set(on) | {1, 2})
    for i in on:
        a = 1 + 2 * rng.random()
        x = [u + a * v for u, v in zip(x, directions[i])]
    return [f16(u + 0.05 * rng.gauss(0, 1)) for u in x]


acts = [sample() for _ in range(N)]
# Ids beyond ASCII letters: one half of a two-byte character, a newline, a hole (40).
tokens = [rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 40]) for _ in range(N)]
for s in range(SEQUENCES):
    tokens[s * LENGTH] = 0


def weights(kind):
    r = random.Random(kind)
    enc = [[d + 0.1 * r.gauss(0, 1) for d in directions[j]] for j in range(F)]
    w = {
        "W_enc": transposed(matrix(F, D, lambda j, i: enc[j][i])),
        "W_dec": matrix(F, D, lambda j, i: (directions[j][i] + 0.05 * r.gauss(0, 1))
                        * (1 + 0.2 * math.sin(j))),
        "b_dec": [f32(x + 0.01 * r.gauss(0, 1)) for x in shift],
        "b_enc": [f32(-0.8 - 0.3 * r.random()) for _ in range(F)],
    }
    w["b_enc"][F - 1] = f32(-50)  # dead
    if kind == "jumprelu" or kind == "gemma":
        w["threshold"] = [f32(0.3 + 0.4 * r.random()) for _ in range(F)]
    if kind == "gated":
        w["b_gate"] = w.pop("b_enc")
        w["b_mag"] = [f32(0.1 * r.gauss(0, 1)) for _ in range(F)]
        w["r_mag"] = [f32(0.1 * r.gauss(0, 1)) for _ in range(F)]
    return w


SAES = {  # name: (kind of activation, is b_dec taken off the input, container)
    "standard": ("standard", True, "saelens"),
    "jumprelu": ("jumprelu", False, "saelens"),
    "topk": ("topk", True, "saelens"),
    "gated": ("gated", True, "saelens"),
    "prolu": ("prolu", True, "npy"),
    "gemma": ("jumprelu", False, "gemma"),
}


def save(out, name, w):
    kind, subtract, container = SAES[name]
    path = os.path.join(out, "saes", name)
    config = {"architecture": kind, "d_in": D, "d_sae": F, "dtype": "float32",
              "apply_b_dec_to_input": subtract, "normalize_activations": "none",
              "hook_name": "blocks.2.hook_resid_pre", "model_name": "none"}
    if kind == "topk":
        config["k"] = K
        config["rescale_acts_by_decoder_norm"] = False
    if container == "gemma":
        write_npz(os.path.join(path, "params.npz"), w)
        return
    write_json(os.path.join(path, "cfg.json"), config)
    if container == "saelens":
        write_safetensors(os.path.join(path, "sae_weights.safetensors"), w)
        return
    for key, v in w.items():
        write(os.path.join(path, key + ".npy"), npy_bytes(flat(v), shape_of(v), "<f4"))


# --- what the program should find ---------------------------------------------------------------

def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def encode(name, w, x):
    kind, subtract, _ = SAES[name]
    u = [a - b for a, b in zip(x, w["b_dec"])] if subtract else x
    m = [sum(u[i] * w["W_enc"][i][j] for i in range(D)) for j in range(F)]
    if kind == "gated":
        return [max(m[j] * math.exp(w["r_mag"][j]) + w["b_mag"][j], 0)
                if m[j] + w["b_gate"][j] > 0 else 0 for j in range(F)]
    b = w["b_enc"]
    if kind == "prolu":
        return [m[j] if m[j] > 0 and m[j] + b[j] > 0 else 0 for j in range(F)]
    h = [m[j] + b[j] for j in range(F)]
    if kind == "jumprelu":
        return [h[j] if h[j] > 0 and h[j] > w["threshold"][j] else 0 for j in range(F)]
    if kind == "topk":
        best = sorted(range(F), key=lambda j: (-h[j], j))[:K]
        return [max(h[j], 0) if j in best else 0 for j in range(F)]
    return [max(v, 0) for v in h]


def decode(w, f):
    return [w["b_dec"][i] + sum(f[j] * w["W_dec"][j][i] for j in range(F) if f[j])
            for i in range(D)]


def cosine(a, b):
    n = math.sqrt(dot(a, a) * dot(b, b))
    return dot(a, b) / n if n else 0.0


def totals(xs, fs, ys):
    n = len(xs)
    mean = [sum(x[i] for x in xs) / n for i in range(D)]
    error = sum((a - b) ** 2 for x, y in zip(xs, ys) for a, b in zip(x, y))
    around = sum((x[i] - mean[i]) ** 2 for x in xs for i in range(D))
    dead = sum(all(f[j] == 0 for f in fs) for j in range(F))
    return {
        "positions": n,
        "l0_mean": sum(sum(a != 0 for a in f) for f in fs) / n,
        "l1_mean": sum(sum(f) for f in fs) / n,
        "dead_count": dead,
        "dead_fraction": dead / F,
        "fvu": error / around,
        "explained_variance": 1 - error / around,
        "mse": error / (n * D),
        "mean_cosine": sum(cosine(x, y) for x, y in zip(xs, ys)) / n,
    }, around


def bins(values, lo, hi, n):
    counts = [0] * n
    for v in values:
        counts[min(n - 1, int((v - lo) / (hi - lo) * n)) if hi > lo else n - 1] += 1
    return counts


def vector_summary(v):
    n = len(v)
    mean = sum(v) / n
    return {
        "mean": mean,
        "std": math.sqrt(sum((x - mean) ** 2 for x in v) / n),
        "min": min(v),
        "max": max(v),
        "fraction_negative": sum(x < 0 for x in v) / n,
        "histogram_64": bins(v, min(v), max(v), 64),
    }


def feature(w, j, xs, fs, ys, around):
    hits = sorted(((fs[t][j], t) for t in range(N) if fs[t][j]), key=lambda h: (-h[0], h[1]))
    rows = w["W_dec"]
    near = sorted(((cosine(rows[j], rows[i]), i) for i in range(F) if i != j),
                  key=lambda c: (-c[0], c[1]))
    rise = 0.0
    for a, t in hits:
        e = [p - q for p, q in zip(xs[t], ys[t])]
        c = [a * v for v in rows[j]]
        rise += 2 * dot(e, c) + dot(c, c)
    count = [sum(1 for f in fs if f[i]) for i in range(F)]
    both = [sum(1 for f in fs if f[i] and f[j]) for i in range(F)]
    pairs = [{"feature": i, "count": both[i],
              "jaccard": both[i] / (count[i] + count[j] - both[i]),
              "pmi": math.log(both[i] * N / (count[i] * count[j]))}
             for i in range(F) if i != j and both[i] >= 5]
    pairs.sort(key=lambda p: (-p["jaccard"], p["feature"]))
    most = hits[0][0] if hits else 0
    return {
        "feature": j,
        "density": len(hits) / N,
        "active_positions": len(hits),
        "mean_over_active": sum(a for a, _ in hits) / len(hits) if hits else None,
        "max": most,
        "delta_fvu": rise / around,
        "histogram_40": bins([a for a, _ in hits], 0, most, 40) if hits else None,
        "top": [{"sequence": t // LENGTH, "position": t % LENGTH, "activation": a,
                 "token": tokens[t]} for a, t in hits[:20]],
        "neighbours": [{"feature": i, "cosine": c} for c, i in near[:10]],
        "coactive": pairs[:10],
    }


def expected(name, w):
    fs = [encode(name, w, x) for x in acts]
    ys = [decode(w, f) for f in fs]
    everything, around = totals(acts, fs, ys)
    late = [t for t in range(N) if t % LENGTH]
    norms = [math.sqrt(dot(r, r)) for r in w["W_dec"]]
    columns = transposed(w["W_enc"])
    return {
        "sae": name,
        "all_positions": everything,
        "without_position_0": totals([acts[t] for t in late], [fs[t] for t in late],
                                     [ys[t] for t in late])[0],
        "bias": {k: vector_summary(w[k])
                 for k in ("b_enc", "b_dec", "threshold", "b_gate", "b_mag", "r_mag")
                 if k in w},
        "decoder_norm": {"mean": sum(norms) / F, "min": min(norms), "max": max(norms)},
        "encoder_decoder_cosine": {
            "mean": sum(cosine(columns[j], w["W_dec"][j]) for j in range(F)) / F},
        "features": [feature(w, j, acts, fs, ys, around) for j in SHOWN],
    }


def check_margins(name, w):
    """Nothing may hang on rounding: no activation within 1e-5 of its threshold."""
    for x in acts:
        f = sorted(a for a in encode(name, w, x) if a)
        assert not f or f[0] > 1e-5, name


def rounded(v):
    """Enough digits for any comparison, without the noise of the last ones."""
    if isinstance(v, float):
        return float("%.10g" % v)
    if isinstance(v, list):
        return [rounded(x) for x in v]
    if isinstance(v, dict):
        return {k: rounded(x) for k, x in v.items()}
    return v


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "data", "small")
    write(os.path.join(out, "acts.npy"), npy_bytes(flat(acts), [SEQUENCES, LENGTH, D], "<f2"))
    write(os.path.join(out, "tokens.npy"), npy_bytes(tokens, [SEQUENCES, LENGTH], "<i4"))
    vocabulary = ["<|endoftext|>", "\u0120king", "\u0120the", "a", "\u010a", "\u00c3",
                  "\u00a9", "b", "\"", "\\"]
    write_json(os.path.join(out, "tokenizer.json"), {
        "version": "1.0",
        "added_tokens": [{"id": 0, "content": vocabulary[0], "special": True,
                          "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False}],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(vocabulary)},
                  "merges": []},
    })
    results = []
    for name in SAES:
        w = weights(name)
        check_margins(name, w)
        save(out, name, w)
        results.append(expected(name, w))
    write_json(os.path.join(out, "bundle.json"), {
        "name": "small", "hook": "blocks.2.hook_resid_pre", "acts": "acts.npy",
        "tokens": "tokens.npy", "tokenizer": "tokenizer.json",
        "saes": {name: "saes/" + name for name in SAES}})
    write(os.path.join(out, "expected.json"),
          json.dumps(rounded(results), separators=(",", ":")).encode() + b"\n")


if __name__ == "__main__":
    main()
