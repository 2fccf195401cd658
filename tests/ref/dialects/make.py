#!/usr/bin/env python3
"""Makes the checkpoints beside it, the samples, and the numbers that belong to them.

One small checkpoint for each library or architecture that is no ordinary SAE: transcoders,
crosscoders, groupmax, signed TopK, PCA, identity. What each computes is written out here
once more, in float64 with numpy, from what the library's own forward pass does. Run in this
directory; needs numpy and torch; run again, it makes the same numbers.
"""
import json
import os
import struct
import zipfile

import numpy as np
import torch

D, OUT, F, K, ROWS, LENGTH = 8, 6, 24, 4, 20, 8
rng = np.random.default_rng(7)


def numbers(*shape, scale=1.0):
    """Float16 values, so that no form of storage rounds them."""
    return (rng.standard_normal(shape) * scale).astype(np.float16).astype(np.float64)


x = numbers(ROWS * LENGTH, D)
x[:, 0] += 3
target = numbers(ROWS * LENGTH, OUT) + x[:, :OUT] * 0.5
target_d = numbers(ROWS * LENGTH, D) - x[:, ::-1] * 0.5
We, be = numbers(D, F, scale=0.5), numbers(F, scale=0.5)
Wd, bd = numbers(F, D, scale=0.5), numbers(D, scale=0.5)
Wo, bo, skip = numbers(F, OUT, scale=0.5), numbers(OUT, scale=0.5), numbers(OUT, D, scale=0.25)
skip_d = numbers(D, D, scale=0.25)
threshold = np.abs(numbers(F))
pair = numbers(ROWS * LENGTH, 2 * D)
We2, Wd2, bd2 = numbers(2, D, F, scale=0.5), numbers(F, 2, D, scale=0.5), numbers(2, D)
Wd2[3, 1] = 0
Wd2[4, 0] = 0

relu = lambda h: np.maximum(h, 0)  # noqa: E731


# --- files ---------------------------------------------------------------------------------------

def write(path, data):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb" if isinstance(data, bytes) else "w") as f:
        f.write(data)


def npy(a, code="<f4"):
    a = np.ascontiguousarray(a.astype(code))
    header = repr({"descr": code, "fortran_order": False, "shape": a.shape})
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + a.tobytes()


def safetensors(path, tensors, code="F32"):
    header, data = {}, b""
    for name, a in tensors.items():
        block = torch.tensor(np.ascontiguousarray(a)).to(
            {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}[code])
        raw = block.contiguous().view(torch.uint8 if code == "F32" else torch.int16).numpy()
        raw = raw.tobytes()
        header[name] = {"dtype": code, "shape": list(a.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    write(path, struct.pack("<Q", len(text)) + text + data)


def t(a):
    return torch.tensor(np.ascontiguousarray(a), dtype=torch.float32)


def save(path, value):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    torch.save(value, path)


def npz(path, arrays):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with zipfile.ZipFile(path, "w") as z:
        for name, a in arrays.items():
            z.writestr(zipfile.ZipInfo(name + ".npy"), npy(a))


class Config:
    pass


# --- what it comes to ----------------------------------------------------------------------------

def totals(f, y, goal, rows):
    """Totals, and of every feature count, mean, max and rise of FVU. rows: what a unit of an
    activation adds to y."""
    n = len(f)
    out = {"l0": (f != 0).sum() / n, "l1": np.abs(f).sum() / n,
           "count": (f != 0).sum(0).tolist(), "max": np.abs(f).max(0).tolist(),
           "mean": [np.abs(c[c != 0]).mean() if c.any() else None for c in f.T]}
    if goal is None:
        return dict(out, fvu=None, mse=None, delta_fvu=[None] * f.shape[1])
    error, all_ = goal - y, ((goal - goal.mean(0)) ** 2).sum()
    out["fvu"] = (error ** 2).sum() / all_
    out["mse"] = (error ** 2).mean()
    out["delta_fvu"] = [(((error + np.outer(f[:, i], rows[i])) ** 2).sum()
                         - (error ** 2).sum()) / all_ for i in range(f.shape[1])]
    return out


def top(h, k, key=lambda h: h):
    keep = np.argsort(-key(h), axis=1, kind="stable")[:, :k]
    f = np.zeros_like(h)
    np.put_along_axis(f, keep, np.take_along_axis(h, keep, 1), 1)
    return f


cases = {}


def case(name, path, f, y, rows, fmt, kind, arch, goal=None, acts="acts", **more):
    assert len(f) == len(x) and 0 < (f != 0).mean() <= 1
    cases[name] = dict(totals(f, y, {None: None, "self": globals()["pair"] if acts == "pair"
                                     else x, "target": target, "target_d": target_d}[goal],
                              rows),
                       path=path, format=fmt, kind=kind, architecture=arch, acts=acts,
                       target=None if goal in (None, "self") else goal, **more)


def saelens(name, cfg, tensors, code="F32"):
    cfg = {"d_in": D, "d_sae": F, "dtype": "float32", "metadata": {
        "hook_name": "blocks.1.ln2.hook_normalized", "hook_name_out": "blocks.1.hook_mlp_out",
        "sae_lens_version": "6.18.0"}, **cfg}
    write(name + "/cfg.json", json.dumps(cfg))
    safetensors(name + "/sae_weights.safetensors", tensors, code)


base = {"W_enc": We, "W_dec": Wo, "b_enc": be, "b_dec": bo}
f = relu(x @ We + be)
saelens("saelens_transcoder", {"architecture": "transcoder", "d_out": OUT}, base)
case("saelens_transcoder", "saelens_transcoder", f, f @ Wo + bo, Wo, "saelens", "transcoder",
     "standard", "target", hook="blocks.1.ln2.hook_normalized", hook_out="blocks.1.hook_mlp_out")
case("saelens_transcoder, no target", "saelens_transcoder", f, f @ Wo + bo, Wo, "saelens",
     "transcoder", "standard")
saelens("saelens_skip", {"architecture": "skip_transcoder", "d_out": OUT},
        dict(base, W_skip=skip), "F16")
case("saelens_skip", "saelens_skip", f, f @ Wo + bo + x @ skip.T, Wo, "saelens",
     "skip-transcoder", "standard", "target")
# The input is normalised, the output is not brought back, the skip takes x as it is.
norm = x * np.sqrt(D) / np.linalg.norm(x, axis=1, keepdims=True)
h = norm @ We + be
f = np.where(h > threshold, relu(h), 0)
saelens("saelens_jumprelu_skip", {"architecture": "jumprelu_skip_transcoder", "d_out": OUT,
                                  "normalize_activations": "constant_norm_rescale"},
        dict(base, W_skip=skip, threshold=threshold))
case("saelens_jumprelu_skip", "saelens_jumprelu_skip", f, f @ Wo + bo + x @ skip.T, Wo,
     "saelens", "skip-transcoder", "jumprelu", "target", normalisation="constant_norm_rescale",
     subtracts=False)

# sparsify: groupmax, signed, transcoders of before and after February 2025
linear = {"encoder.weight": We.T, "encoder.bias": be, "W_dec": Wd, "b_dec": bd}
h = relu((x - bd) @ We + be).reshape(len(x), K, F // K)
f = np.zeros_like(h)
np.put_along_axis(f, h.argmax(2)[:, :, None], h.max(2)[:, :, None], 2)
f = f.reshape(len(x), F)
write("sparsify_groupmax/layers.3/cfg.json", json.dumps({"activation": "groupmax", "k": K,
      "expansion_factor": 3, "num_latents": 0, "normalize_decoder": True, "multi_topk": False,
      "skip_connection": False, "transcode": False, "d_in": D}))
safetensors("sparsify_groupmax/layers.3/sae.safetensors", linear, "BF16")
del f
# bfloat16 keeps 8 bits of the 11 that the numbers have: what is stored counts
bf = {n: torch.tensor(a).to(torch.bfloat16).double().numpy() for n, a in linear.items()}
h = relu((x - bf["b_dec"]) @ bf["encoder.weight"].T + bf["encoder.bias"])
h = h.reshape(len(x), K, F // K)
f = np.zeros_like(h)
np.put_along_axis(f, h.argmax(2)[:, :, None], h.max(2)[:, :, None], 2)
f = f.reshape(len(x), F)
case("sparsify_groupmax", "sparsify_groupmax/layers.3", f, f @ bf["W_dec"] + bf["b_dec"],
     bf["W_dec"], "sparsify", "sae", "groupmax", "self", hook="blocks.3.hook_resid_post", k=K)
h = (x - bd) @ We + be
f = top(h, K, np.abs)
assert (f < 0).any() and (f > 0).any()
write("sparsify_signed/cfg.json", json.dumps({"k": K, "signed": True, "expansion_factor": 3,
                                               "normalize_decoder": True, "d_in": D}))
safetensors("sparsify_signed/sae.safetensors", linear)
case("sparsify_signed", "sparsify_signed", f, f @ Wd + bd, Wd, "sparsify", "sae", "topk", "self")
f = top(relu(x @ We + be), K)
write("sparsify_skip/layers.2.mlp/cfg.json", json.dumps({"activation": "topk", "k": K,
      "skip_connection": True, "transcode": True, "num_latents": F, "d_in": D}))
safetensors("sparsify_skip/layers.2.mlp/sae.safetensors", dict(linear, W_skip=skip_d))
case("sparsify_skip", "sparsify_skip/layers.2.mlp", f, f @ Wd + bd + x @ skip_d.T, Wd, "sparsify",
     "skip-transcoder", "topk", "target_d", hook="blocks.2.mlp.hook_in",
     hook_out="blocks.2.hook_mlp_out")
f = top(relu((x - bd) @ We + be), K)
case("sparsify_skip, b_dec subtracted", "sparsify_skip/layers.2.mlp", f,
     f @ Wd + bd + x @ skip_d.T, Wd, "sparsify", "skip-transcoder", "topk", "target_d",
     options=["--subtract-b-dec", "on"])

# circuit-tracer: W_dec either way round
f = relu(x @ We + be)
safetensors("tracer/layer_5.safetensors", {"W_enc": We.T, "W_dec": Wo.T, "b_enc": be,
                                            "b_dec": bo, "W_skip": skip})
write("tracer/config.yaml", "model_name: \"a/model\"\nmodel_kind: transcoder_set\n"
      "feature_input_hook: mlp.hook_in # read here\nfeature_output_hook: hook_mlp_out\n"
      "transcoders:\n  - layer_5.safetensors\n")
case("tracer", "tracer", f, f @ Wo + bo + x @ skip.T, Wo, "circuit-tracer", "skip-transcoder",
     "standard", "target", hook="blocks.5.mlp.hook_in", hook_out="blocks.5.hook_mlp_out")
h = x @ We + be
f = np.where(h > threshold, relu(h), 0)
safetensors("tracer_other/layer_0.safetensors",
            {"W_enc": We.T, "W_dec": Wo, "b_enc": be, "b_dec": bo,
             "activation_function.threshold": threshold})
case("tracer_other", "tracer_other/layer_0.safetensors", f, f @ Wo + bo, Wo, "circuit-tracer",
     "transcoder", "jumprelu", "target")

# transcoder-circuits: two biases
cfg = Config()
cfg.__dict__.update(hook_point="blocks.4.ln2.hook_normalized", is_transcoder=True, d_in=D,
                    out_hook_point="blocks.4.hook_mlp_out", dtype=torch.float32, d_sae=F)
save("circuits.pt", {"cfg": cfg, "state_dict": {
    "W_enc": t(We), "b_enc": t(be), "W_dec": t(Wo), "b_dec": t(bd), "b_dec_out": t(bo)}})
f = relu((x - bd) @ We + be)
case("circuits", "circuits.pt", f, f @ Wo + bo, Wo, "transcoder-circuits", "transcoder",
     "standard", "target", hook="blocks.4.ln2.hook_normalized", hook_out="blocks.4.hook_mlp_out")

# Gemma Scope: transcoders of both versions
gemma = {"W_enc": We, "W_dec": Wo, "b_enc": be, "b_dec": bo, "threshold": threshold}
h = x @ We + be
f = np.where(h > threshold, relu(h), 0)
path = "gemma-scope-2b-pt-transcoders/layer_3/width_16k/average_l0_5"
npz(path + "/params.npz", gemma)
case("gemma_transcoder", path, f, f @ Wo + bo, Wo, "gemma-scope", "transcoder", "jumprelu",
     "target", hook="blocks.3.ln2.hook_normalized", hook_out="blocks.3.hook_mlp_out")
write("gemma_affine/config.json", json.dumps({"architecture": "jump_relu", "width": F,
      "affine_connection": True, "type": "transcoder", "l0": 5,
      "hf_hook_point_in": "model.layers.5.pre_feedforward_layernorm.output",
      "hf_hook_point_out": "model.layers.5.post_feedforward_layernorm.output"}))
safetensors("gemma_affine/params.safetensors",
            {"w_enc": We, "w_dec": Wo, "b_enc": be, "b_dec": bo, "threshold": threshold,
             "affine_skip_connection": skip.T})
case("gemma_affine", "gemma_affine", f, f @ Wo + bo + x @ skip.T, Wo, "gemma-scope",
     "skip-transcoder", "jumprelu", "target", hook="blocks.5.ln2.hook_normalized",
     hook_out="blocks.5.hook_mlp_out")

# OpenMOSS: another norm at either end
norm_in, norm_out = 5.0, 3.0
s_in, s_out = np.sqrt(D) / norm_in, np.sqrt(OUT) / norm_out
write("moss/hyperparams.json", json.dumps({"act_fn": "relu", "norm_activation": "dataset-wise",
      "hook_point_in": "blocks.0.ln2", "hook_point_out": "blocks.0.hook_mlp_out",
      "dataset_average_activation_norm": {"in": norm_in, "out": norm_out},
      "sparsity_include_decoder_norm": False, "use_decoder_bias": True}))
safetensors("moss/checkpoints/final.safetensors", {
    "encoder.weight": We.T, "encoder.bias": be, "decoder.weight": Wo.T, "decoder.bias": bo})
f = relu(x @ We + be / s_in)
case("moss", "moss", f, f @ (Wo * s_in / s_out) + bo / s_out, Wo * s_in / s_out, "llama-scope",
     "transcoder", "standard", "target")
write("moss_new/config.json", json.dumps({"act_fn": "relu", "norm_activation": "dataset-wise",
      "sae_type": "sae", "hook_point_in": "a", "hook_point_out": "b"}))
safetensors("moss_new/sae_weights.safetensors", {
    "W_E": We, "b_E": be, "W_D": Wo, "b_D": bo,
    "dataset_average_activation_norm.a": np.array(norm_in),
    "dataset_average_activation_norm.b": np.array(norm_out)})
f = relu(x * s_in @ We + be)
case("moss_new", "moss_new", f, (f @ Wo + bo) / s_out, Wo / s_out, "openmoss", "transcoder",
     "standard", "target")

# crosscoders: two models side by side
save("crosscoder/3.pt", {"W_enc": t(We2), "W_dec": t(Wd2), "b_enc": t(be), "b_dec": t(bd2)})
write("crosscoder/3_cfg.json", json.dumps({"d_in": D, "dict_size": F, "enc_dtype": "fp32",
      "hook_point": "blocks.14.hook_resid_pre", "l1_coeff": 2}))
f = relu(pair[:, :D] @ We2[0] + pair[:, D:] @ We2[1] + be)
y = np.concatenate([f @ Wd2[:, 0] + bd2[0], f @ Wd2[:, 1] + bd2[1]], 1)
a, b = np.linalg.norm(Wd2[:, 0], axis=1), np.linalg.norm(Wd2[:, 1], axis=1)
case("crosscoder", "crosscoder/3.pt", f, y, Wd2.reshape(F, 2 * D), "crosscoder", "crosscoder",
     "standard", "self", "pair", hook="blocks.14.hook_resid_pre",
     relative_decoder_norm=(b / (a + b)).tolist())

# dictionaries whose activations have either sign
mean = x.mean(0).astype(np.float16).astype(np.float64)
basis = np.linalg.qr(numbers(D, D))[0].astype(np.float32).astype(np.float64)
save("pca.pt", {"W_enc": t(basis.T), "W_dec": t(basis), "mean": t(mean)})
f = (x - mean) @ basis.T
case("pca", "pca.pt", f, f @ basis + mean, basis, "dictionary-learning", "sae", "pca", "self")
save("identity/ae.pt", {})
write("identity/config.json", json.dumps({"trainer": {"dict_class": "IdentityDict",
      "activation_dim": D, "submodule_name": "resid_post_layer_2"}, "buffer": {}}))
case("identity", "identity", x, x, np.eye(D), "dictionary-learning", "sae", "identity", "self",
     hook="blocks.2.hook_resid_post")
save("8.pt", {"pre_bias": t(bd), "latent_bias": t(be), "encoder.weight": t(We.T),
              "decoder.weight": t(Wd.T), "stats_last_nonzero": torch.zeros(F).long(),
              "activation": "Identity", "activation_state_dict": {}})
f = (x - bd) @ We + be
case("openai_identity", "8.pt", f, f @ Wd + bd, Wd, "openai", "sae", "identity", "self")

# what the files do not say: a factor of the input, the data's mean
plain = {"W_enc": We, "W_dec": Wd, "b_enc": be, "b_dec": bd}
saelens("saelens_factor", {"architecture": "standard",
                           "normalize_activations": "expected_average_only_in"}, plain)
for name, s, option in (("factor", 0.37, "0.37"), ("estimated factor", np.sqrt(D) / np.mean(
        np.linalg.norm(x, axis=1)), "estimate")):
    f = relu((x * s - bd) @ We + be)
    case(name, "saelens_factor", f, (f @ Wd + bd) / s, Wd / s, "saelens", "sae", "standard",
         "self", options=["--norm-factor", option], normalisation="factor", norm_factor=s,
         subtracts=True)
f = relu((x - bd) @ We + be)
case("no factor", "saelens_factor", f, f @ Wd + bd, Wd, "saelens", "sae", "standard", "self",
     normalisation="none", norm_factor=None, subtracts=True,
     warning="trained on activations times a factor that is not in the files: they are used as "
             "they are and may be too small or too large (--norm-factor N, or estimate)")
save("mean.pt", {"state_dict": {n: t(a) for n, a in plain.items()}, "act_mean": t(mean)})
f = relu((x - mean - bd) @ We + be)
case("mean", "mean.pt", f, f @ Wd + bd + mean, Wd, "kissane", "sae", "standard", "self",
     options=["--subtract-mean", "act_mean"])
f = relu((x - bd) @ We + be)
case("mean not taken off", "mean.pt", f, f @ Wd + bd, Wd, "kissane", "sae", "standard", "self",
     warning="'act_mean' in the file is not taken off the input (--subtract-mean act_mean)")

# OpenMOSS since 2025: decoder norms decide what is on, and are in no activation
norms = np.linalg.norm(Wd, axis=1)
scale = np.sqrt(D) / norm_in
config = {"sae_type": "sae", "d_model": D, "expansion_factor": 3, "use_decoder_bias": True,
          "norm_activation": "dataset-wise", "sparsity_include_decoder_norm": True, "top_k": K,
          "hook_point_in": "blocks.15.hook_resid_post",
          "hook_point_out": "blocks.15.hook_resid_post", "use_glu_encoder": False}
mean_norm = {"dataset_average_activation_norm.blocks.15.hook_resid_post": np.array(norm_in)}
h = x * scale @ We + be
log_threshold = np.log(threshold + 0.01).astype(np.float32)
write("moss_r1/config.json", json.dumps(dict(config, act_fn="jumprelu")))
safetensors("moss_r1/sae_weights.safetensors", {
    "encoder.weight": We.T, "encoder.bias": be, "decoder.weight": Wd.T, "decoder.bias": bd,
    "log_jumprelu_threshold": log_threshold, **mean_norm})
f = np.where(h * norms > np.exp(log_threshold.astype(np.float64)), h, 0)
case("moss_r1", "moss_r1", f, (f @ Wd + bd) / scale, Wd / scale, "llama-scope", "sae",
     "jumprelu", "self", hook="blocks.15.hook_resid_post", normalisation="factor",
     norm_factor=scale, subtracts=False)
write("moss_topk/config.json", json.dumps(dict(config, act_fn="topk")))
safetensors("moss_topk/sae_weights.safetensors",
            {"W_E": We, "b_E": be, "W_D": Wd, "b_D": bd, **mean_norm})
f = relu(top(h * norms, K)) / norms
case("moss_topk", "moss_topk", f, (f @ Wd + bd) / scale, Wd / scale, "openmoss", "sae", "topk",
     "self", hook="blocks.15.hook_resid_post", k=K)
case("moss_topk, folded", "moss_topk", f * norms, (f @ Wd + bd) / scale,
     Wd / norms[:, None] / scale, "openmoss", "sae", "topk", "self",
     options=["--fold-decoder-norms", "on"])
# cross-layer transcoders: the layer's own decoder, and one to another layer
Wc = numbers(F, 4, OUT, scale=0.5)
warning = ("one layer of a cross-layer transcoder: W_dec is what it writes to layer %d of %d to "
           "%d (--decoder-layer N), where other layers write too: the error against a target is "
           "not the whole transcoder's")
f = relu(x @ We + be)
safetensors("clt/W_enc_2.safetensors", {"W_enc_2": We.T, "b_enc_2": be, "b_dec_2": bo}, "BF16")
safetensors("clt/W_dec_2.safetensors", {"W_dec_2": Wc}, "BF16")
write("clt/config.yaml", "model_name: google/gemma-2-2b\nmodel_kind: cross_layer_transcoder\n"
      "feature_input_hook: \"hook_resid_mid\"\nfeature_output_hook: \"hook_mlp_out\"\n")
bf16 = lambda a: torch.tensor(a).to(torch.bfloat16).double().numpy()  # noqa: E731
f, Wb, bb = relu(x @ bf16(We) + bf16(be)), bf16(Wc), bf16(bo)
case("clt", "clt", f, f @ Wb[:, 0] + bb, Wb[:, 0], "circuit-tracer", "transcoder", "standard",
     "target", hook="blocks.2.hook_resid_mid", hook_out="blocks.2.hook_mlp_out",
     warning=warning % (2, 2, 5))
case("clt, another layer", "clt/W_enc_2.safetensors", f, f @ Wb[:, 3], Wb[:, 3],
     "circuit-tracer", "transcoder", "standard", "target", hook_out="blocks.5.hook_mlp_out",
     options=["--decoder-layer", "5"], warning=warning % (5, 2, 5))
path = "gemma-scope-2-270m-pt/clt/layer_1_width_16k_l0_medium_affine"
safetensors(path + "/params.safetensors", {
    "w_enc": We, "b_enc": be, "threshold": threshold, "w_dec": Wc, "b_dec": bo,
    "affine_skip_connection": skip.T})
h = x @ We + be
f = np.where(h > threshold, relu(h), 0)
case("gemma_clt", path, f, f @ Wc[:, 1] + bo + x @ skip.T, Wc[:, 1], "gemma-scope",
     "skip-transcoder", "jumprelu", "target", hook="blocks.1.ln2.hook_normalized",
     hook_out="blocks.1.hook_mlp_out", warning=warning % (1, 1, 3))
case("gemma_clt, another layer", path, f, f @ Wc[:, 3], Wc[:, 3], "gemma-scope", "transcoder",
     "jumprelu", "target", hook_out="blocks.3.hook_mlp_out", options=["--decoder-layer", "3"])

# GLU encoders: the pre-activation times the sigmoid of another
Wg, bg = numbers(D, F, scale=0.5), numbers(F, scale=0.5)
write("moss_glu/config.json", json.dumps(dict(config, act_fn="jumprelu", use_glu_encoder=True)))
safetensors("moss_glu/sae_weights.safetensors", {
    "W_E": We, "b_E": be, "W_D": Wd, "b_D": bd, "W_E_glu": Wg, "b_E_glu": bg,
    "activation_function.log_jumprelu_threshold": log_threshold, **mean_norm})
h = (x * scale @ We + be) / (1 + np.exp(-(x * scale @ Wg + bg)))
f = np.where(h * norms > np.exp(log_threshold.astype(np.float64)), h, 0)
case("moss_glu", "moss_glu", f, (f @ Wd + bd) / scale, Wd / scale, "openmoss", "sae", "jumprelu",
     "self")
h = (x @ We + be / s_in) / (1 + np.exp(-(x @ Wg + bg)))
write("moss_glu_old/hyperparams.json", json.dumps({
      "act_fn": "relu", "norm_activation": "dataset-wise", "use_glu_encoder": True,
      "hook_point_in": "blocks.0.hook_mlp_out", "hook_point_out": "blocks.0.hook_mlp_out",
      "dataset_average_activation_norm": {"in": norm_in, "out": norm_in},
      "sparsity_include_decoder_norm": True, "use_decoder_bias": True}))
safetensors("moss_glu_old/checkpoints/final.safetensors", {
    "encoder.weight": We.T, "encoder.bias": be, "decoder.weight": Wd.T, "decoder.bias": bd,
    "encoder_glu.weight": Wg.T, "encoder_glu.bias": bg}, "F16")
f = relu(h) * norms
case("moss_glu_old", "moss_glu_old", f, f @ (Wd / norms[:, None]) + bd / s_in,
     Wd / norms[:, None], "llama-scope", "sae", "standard", "self")

for name, a in (("acts", x), ("target", target), ("target_d", target_d), ("pair", pair)):
    write(name + ".npy", npy(a.reshape(ROWS, LENGTH, -1)))
write("expected.json", json.dumps(cases, indent=None, separators=(",", ":")) + "\n")
print(len(cases), "cases")
