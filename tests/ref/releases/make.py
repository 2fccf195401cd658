#!/usr/bin/env python3
"""Makes the tree of checkpoints beside it, as released repositories have them, and what they
encode.

Each file is written as the library that trained it writes it: by torch.save from modules with
the strides that their initialisation leaves, tagged cuda:0, compiled, in backups with their
optimizer, pickled whole, in the old form. What each computes is written out here once more,
in float64 with numpy. All numbers lie on a grid that is so coarse that sums are exact in
float32: where nothing is divided, activations are equal to the bit. Run in this directory;
needs numpy and torch.
"""
import collections
import gzip
import json
import os
import pickle
import shutil
import struct

import numpy as np
import torch
from torch import nn

D, F, K, ROWS, LENGTH = 8, 24, 4, 3, 8
rng = np.random.default_rng(11)


def grid(*shape, of=8, within=1.5):
    return rng.integers(-int(within * of), int(within * of) + 1, shape) / float(of)


x = grid(ROWS * LENGTH, D)
We, Wd = grid(D, F, within=1), grid(F, D, within=1)
be = grid(F, of=64, within=0.25) + (rng.permutation(F) + 1) / 4096  # no two are equal
bd, bo = grid(D, of=16, within=0.5), grid(D)
gate, r_mag, mag = grid(F, of=64, within=0.5), grid(F, of=16, within=0.5), grid(F, of=64, within=0.25)
threshold = np.abs(grid(F, of=16, within=1))
skip, mean = grid(D, D), grid(D)
We2, Wd2, bd2 = grid(2, D // 2, F), grid(F, 2, D // 2), grid(2, D // 2)
JUMP = 0.5

relu = lambda h: np.maximum(h, 0)  # noqa: E731


def top(h, key=lambda h: h):
    keep = np.argsort(-key(h), axis=1, kind="stable")[:, :K]
    f = np.zeros_like(h)
    np.put_along_axis(f, keep, np.take_along_axis(h, keep, 1), 1)
    return f


def group_max(h):
    h = h.reshape(len(h), K, F // K)
    f = np.zeros_like(h)
    np.put_along_axis(f, h.argmax(2)[:, :, None], h.max(2)[:, :, None], 2)
    return f.reshape(len(h), F)


# --- what they encode ----------------------------------------------------------------------------

centred, plain = (x - bd) @ We + be, x @ We + be
norms = np.linalg.norm(Wd, axis=1)
layer = (x - x.mean(1, keepdims=True)) / (x.std(1, ddof=1, keepdims=True) + 1e-5)
m = (x - bd) @ We
two = x.reshape(-1, 2, D // 2)
crossed = relu(np.einsum("bmd,mdf->bf", two, We2) + be)
model_norms = np.linalg.norm(Wd2, axis=2)
total = model_norms.sum(1)
half = np.einsum("bmd,mdf->bf", (two - mean.reshape(2, -1)) * 0.5, We2) + be
bf16 = lambda a: torch.tensor(a).to(torch.bfloat16).double().numpy()  # noqa: E731

encoded = {
    "relu": relu(centred), "relu without b_dec": relu(plain), "topk": top(relu(centred)),
    "topk without b_dec": top(relu(plain)), "signed topk": top(centred, np.abs),
    "groupmax": group_max(relu(centred)), "threshold": relu(centred) * (relu(centred) > JUMP),
    "jumprelu": np.where(plain > threshold, relu(plain), 0),
    "gated": (m + gate > 0) * relu(m * np.exp(r_mag) + mag),
    "relu times norm": relu(centred) * norms, "relu without b_dec times norm": relu(plain) * norms,
    "layer norm topk": relu(top((layer - bd) @ We + be)), "mean taken off": x - mean,
    "crosscoder": crossed, "crosscoder threshold": crossed * (crossed * total > 3),
    "crosscoder normalised": relu(half),
    "bf16 relu": relu((x - bf16(bd)) @ bf16(We) + bf16(be)),
    "bf16 relu without b_dec": relu(x @ bf16(We) + bf16(be)),
    "bf16 topk": top(relu((x - bf16(bd)) @ bf16(We) + bf16(be))),
}
inexact = {"gated", "relu times norm", "relu without b_dec times norm", "layer norm topk"}

# --- files ---------------------------------------------------------------------------------------

shutil.rmtree("tree", ignore_errors=True)
cuda = False
torch.serialization.register_package(1, lambda storage: "cuda:0" if cuda else None,
                                     lambda storage, tag: None)


def place(path):
    path = os.path.join("tree", path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def save(path, value, on="cuda", **options):
    global cuda
    cuda = on == "cuda"
    torch.save(value, place(path), **options)
    cuda = False


def config(path, value):
    with open(place(path), "w") as f:
        json.dump(value, f, indent=1)


def safetensors(path, tensors, code="F32"):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, a in tensors.items():
        block = torch.tensor(np.ascontiguousarray(a)).to(
            {"F32": torch.float32, "BF16": torch.bfloat16}[code])
        raw = block.reshape(-1).view(torch.uint8 if code == "F32" else torch.int16).numpy().tobytes()
        header[name] = {"dtype": code, "shape": list(np.shape(a)),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(place(path), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def t(a):
    return torch.tensor(np.ascontiguousarray(a), dtype=torch.float32)


cases = {}


def case(path, what, fmt, arch, **more):
    assert path not in cases and encoded[what].any()
    cases[path] = {"format": fmt, "architecture": arch, "kind": "sae", "encoded": what, **more}


# --- sparsify: a directory a place, or below it one a seed -----------------------------------------

linear = {"encoder.bias": be, "encoder.weight": We.T, "W_dec": Wd, "b_dec": bd}
NEW = {"activation": "topk", "expansion_factor": 3, "normalize_decoder": True, "num_latents": 0,
       "k": K, "multi_topk": False, "skip_connection": False, "transcode": False, "d_in": D}
OLD = {"expansion_factor": 3, "normalize_decoder": True, "k": K, "d_in": D}


def sparsify(path, cfg, what, hook, tensors=linear, code="F32", arch="topk", **more):
    config(path + "/cfg.json", cfg)
    safetensors(path + "/sae.safetensors", tensors, code)
    case(path, what, "sparsify", arch, hook=hook, k=K, **more)


config("sae-llama-3-8b-32x/config.json", {"sae": OLD, "batch_size": 8, "lr": None})
sparsify("sae-llama-3-8b-32x/layers.10", OLD, "topk", "blocks.10.hook_resid_post")
sparsify("sae-llama-3-8b-32x/layers.2", dict(OLD, signed=False, num_latents=F), "topk",
         "blocks.2.hook_resid_post")
sparsify("sae-pythia-160m-32x/embed_tokens", NEW, "topk", "hook_embed")
sparsify("sae-pythia-160m-32x/layers.3.mlp", dict(NEW, multi_topk=True), "bf16 topk",
         "blocks.3.hook_mlp_out", code="BF16")
sparsify("sae-pythia-160m-32x/layers.3.attention", NEW, "topk", "blocks.3.hook_attn_out")
sparsify("sparsify/layers_3", dict(OLD, signed=True), "signed topk", "blocks.3.hook_resid_post")
sparsify("sparsify/gpt_neox.layers.4.mlp/seed1", dict(NEW, unheard_of=[1]), "topk",
         "blocks.4.hook_mlp_out", ignored=["unheard_of"])
sparsify("sparsify/h.5.mlp.act", dict(NEW, activation="groupmax"), "groupmax",
         "blocks.5.mlp.hook_post", arch="groupmax")
sparsify("transcoders/layers.1.mlp", dict(NEW, transcode=True), "topk without b_dec",
         "blocks.1.mlp.hook_in", kind="transcoder", note="February 2025")
sparsify("transcoders/layers.2.mlp", dict(NEW, transcode=True, skip_connection=True),
         "topk without b_dec", "blocks.2.mlp.hook_in", dict(linear, W_skip=skip),
         kind="skip-transcoder", note="February 2025")
sparsify("transcoders/layers.3.mlp", dict(OLD, skip_connection=True), "topk",
         "blocks.3.mlp.hook_in", dict(linear, W_skip=skip), kind="skip-transcoder",
         note="taken for one that does (--subtract-b-dec)")

# --- dictionary_learning: classes as they initialise themselves ------------------------------------


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.activation_dim, self.dict_size = D, F
        self.bias = nn.Parameter(t(bd))
        self.encoder, self.decoder = nn.Linear(D, F), nn.Linear(F, D, bias=False)
        self.encoder.weight = nn.Parameter(t(We).clone().T)
        self.decoder.weight = nn.Parameter(t(Wd.T).clone())
        self.encoder.bias = nn.Parameter(t(be))


class AutoEncoderNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(D, F), nn.Linear(F, D)
        self.encoder.weight = nn.Parameter(t(We).clone().T)
        self.decoder.weight = nn.Parameter(t(Wd.T).clone())
        self.encoder.bias.data, self.decoder.bias.data = t(be), t(bd)


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.decoder_bias = nn.Parameter(t(bd))
        self.encoder, self.decoder = nn.Linear(D, F, bias=False), nn.Linear(F, D, bias=False)
        self.r_mag, self.gate_bias, self.mag_bias = (
            nn.Parameter(t(v)) for v in (r_mag, gate, mag))
        self.decoder.weight = nn.Parameter(t(Wd.T))
        self.encoder.weight = nn.Parameter(t(We).clone().T)


class JumpRelu(nn.Module):
    def __init__(self):
        super().__init__()
        self.W_enc, self.W_dec = nn.Parameter(t(We)), nn.Parameter(t(Wd))
        self.W_enc.data = t(We.T).T
        self.b_enc, self.b_dec, self.threshold = (nn.Parameter(t(v)) for v in (be, bd, threshold))


class TopK(nn.Module):
    def __init__(self, at=None, k_type=torch.int):
        super().__init__()
        self.register_buffer("k", torch.tensor(K, dtype=k_type))
        if at is not None:
            self.register_buffer("threshold", torch.tensor(at))
        self.encoder, self.decoder = nn.Linear(D, F), nn.Linear(F, D, bias=False)
        self.decoder.weight.data = t(Wd.T)
        self.encoder.weight.data = t(We).T
        self.encoder.bias.data, self.b_dec = t(be), nn.Parameter(t(bd))


class Matryoshka(nn.Module):
    def __init__(self, at=JUMP):
        super().__init__()
        self.register_buffer("k", torch.tensor(K, dtype=torch.int))
        self.register_buffer("threshold", torch.tensor(at))
        self.register_buffer("group_sizes", torch.tensor([6, 18]))
        self.W_enc, self.W_dec = nn.Parameter(t(We)), nn.Parameter(t(Wd))
        self.W_dec.data = t(Wd.T).T
        self.b_enc, self.b_dec = nn.Parameter(t(be)), nn.Parameter(t(bd))


def on_cpu(module):
    return {k: v.cpu() for k, v in module.state_dict().items()}


def trainer(dict_class, trainer_class, **more):
    return {"trainer": {
        "dict_class": dict_class, "trainer_class": trainer_class, "activation_dim": D,
        "dict_size": F, "lr": 1e-4, "warmup_steps": 1000, "steps": 244140, "seed": 0,
        "device": "cuda:0", "layer": 8, "lm_name": "EleutherAI/pythia-160m-deduped",
        "wandb_name": "X_trainer_0", "submodule_name": "resid_post_layer_8", **more},
        "buffer": {"d_submodule": D, "io": "out", "n_ctxs": 244, "ctx_len": 1024,
                   "device": "cuda:0"}}


HOOK = "blocks.8.hook_resid_post"
suite = [
    ("StandardTrainer", "AutoEncoder", AutoEncoder(), "relu", "standard", {}),
    ("PAnnealTrainer", "AutoEncoder", AutoEncoder(), "relu", "standard",
     {"sparsity_function": "Lp^p", "sparsity_penalty": 0.03}),
    ("StandardTrainerAprilUpdate", "AutoEncoder", AutoEncoder(), "relu times norm", "standard",
     {"note": "free decoder norms"}),
    ("StandardTrainerNew", "AutoEncoderNew", AutoEncoderNew(), "relu without b_dec times norm",
     "standard", {}),
    ("GatedSAETrainer", "GatedAutoEncoder", Gated(), "gated", "gated", {}),
    ("JumpReluTrainer", "JumpReluAutoEncoder", JumpRelu(), "jumprelu", "jumprelu",
     {"target_l0": 20}),
    ("TopKTrainer", "AutoEncoderTopK", TopK(0.7), "topk", "topk", {"k": K}),
    ("BatchTopKTrainer", "BatchTopKSAE", TopK(JUMP), "threshold", "batchtopk", {"k": K}),
    ("MatryoshkaBatchTopKTrainer", "MatryoshkaBatchTopKSAE", Matryoshka(), "threshold",
     "matryoshka", {"k": K, "group_fractions": [0.25, 0.75], "group_sizes": [6, 18]}),
    ("MatroyshkaBatchTopKTrainer", "MatroyshkaBatchTopKSAE", Matryoshka(), "threshold",
     "matryoshka", {"k": K}),
]
for i, (name, dict_class, module, what, arch, more) in enumerate(suite):
    path = "saebench/%s_EleutherAI_pythia-160m-deduped_ctx1024_0104/resid_post_layer_8/trainer_%d" % (
        name, i)
    expected = {"note": more.pop("note")} if "note" in more else {}
    save(path + "/ae.pt", on_cpu(module), on="cpu")
    config(path + "/config.json", trainer(dict_class, name, **more))
    case(path, what, "dictionary-learning", arch, hook=HOOK, **expected)
    if name == "BatchTopKTrainer":
        save(path + "/checkpoints/ae_1000.pt", on_cpu(module), on="cpu")
        case(path + "/checkpoints/ae_1000.pt", what, "dictionary-learning", arch, hook=HOOK, step=1000)


def dictionary(path, value, what, arch, cfg=None, on="cuda", save_options={}, **more):
    save(path, value, on, **save_options)
    if cfg:
        config(os.path.dirname(path) + "/config.json", cfg)
    case(path, what, "dictionary-learning", arch, **more)


STANDARD, BATCH = trainer("AutoEncoder", "StandardTrainer"), trainer("BatchTopKSAE", "BatchTopKTrainer", k=K)
TOPK = trainer("AutoEncoderTopK", "TopKTrainer", k=K)
UNSET, UNTOLD = "its threshold was never set", "nothing says its class"
state = AutoEncoder().state_dict()
dictionary("dictionaries/pythia-70m-deduped/mlp_out_layer0/10_32768/ae.pt", state, "relu", "standard",
           hook="blocks.0.hook_mlp_out", note=UNTOLD,
           save_options={"_use_new_zipfile_serialization": False})
dictionary("dictionaries/pythia-70m-deduped/resid_out_layer3/10_32768/ae.pt", state, "relu", "standard",
           {"trainer": {"trainer_class": "StandardTrainer", "activation_dim": D, "dict_size": F},
            "buffer": {"d_submodule": D, "io": "out"}}, hook="blocks.3.hook_resid_post")
dictionary("dl/july/ae.pt", collections.OrderedDict([
    ("encoder.weight", t(We.T)), ("encoder.bias", t(be)), ("decoder", nn.Parameter(t(Wd))),
    ("b_dec", t(bd))]), "topk", "topk",
    {"trainer": {"trainer_class": "TrainerTopK", "dict_class": "AutoEncoderTopK", "k": K, "layer": 3},
     "buffer": {"io": "out"}}, hook="blocks.3.hook_resid_post")
dictionary("dl/october/ae.pt", TopK(None, torch.long).state_dict(), "topk", "topk", BATCH, note=UNSET)
dictionary("dl/december/ae.pt", TopK(None, torch.long).state_dict(), "topk", "topk", TOPK)
dictionary("dl/unset/ae.pt", Matryoshka(-1.0).state_dict(), "topk", "topk",
           trainer("MatryoshkaBatchTopKSAE", "MatryoshkaBatchTopKTrainer", k=K), note=UNSET)
dictionary("dl/compiled/model_final.pt", {"_orig_mod." + k: v for k, v in TopK(JUMP).state_dict().items()},
           "threshold", "batchtopk", BATCH)
dictionary("dl/parallel/ae.pt", {"module." + k: v for k, v in state.items()}, "relu", "standard", STANDARD)
dictionary("dl/bf16/ae.pt", {k: v.bfloat16() for k, v in state.items()}, "bf16 relu", "standard", STANDARD)
dictionary("dl/whole/ae.pt", AutoEncoder(), "relu", "standard", STANDARD)
dictionary("dl/protocol5/ae.pt", state, "relu", "standard", STANDARD,
           save_options={"pickle_protocol": 5, "_use_new_zipfile_serialization": False})
flat = torch.cat([t(We.T).flatten(), t(Wd.T).flatten(), t(be), t(bd)])
dictionary("dl/one_storage/ae.pt", {
    "encoder.weight": flat[:D * F].view(F, D), "decoder.weight": flat[D * F:2 * D * F].view(D, F),
    "encoder.bias": flat[2 * D * F:2 * D * F + F], "bias": flat[2 * D * F + F:]},
    "relu", "standard", STANDARD)
dictionary("dl/numpy_k/ae.pt", dict(on_cpu(TopK()), k=np.int64(K)), "topk", "topk",
           trainer("AutoEncoderTopK", "TopKTrainer"), k=K)
dictionary("dl/other_k/ae.pt", on_cpu(TopK()), "topk", "topk",
           trainer("AutoEncoderTopK", "TopKTrainer", k=K + 1), k=K, note="config.json: k is 5, the file has 4")
dictionary("dl/other_class/ae.pt", on_cpu(TopK(JUMP)), "threshold", "batchtopk",
           trainer("MyBatchTopK", "MyTrainer", k=K), note="its class MyBatchTopK is not known")
dictionary("dl/belied/ae.pt", on_cpu(AutoEncoderNew()), "relu times norm", "standard",
           trainer("AutoEncoder", "StandardTrainerAprilUpdate"), note="its tensors are those of")
dictionary("dl/odd/ae.pt", state, "relu", "standard",
           trainer("<class 'dictionary_learning.dictionary.AutoEncoder'>", "StandardTrainer", layer=[8],
                   l1_penalty=float("nan"), target=float("inf"), submodule_name=None))
dictionary("dl/above/checkpoints/ae_20.pt", state, "relu", "standard", step=20, note=UNTOLD)
module = AutoEncoder()
optimizer = torch.optim.Adam(module.parameters())
sum(p.sum() for p in module.parameters()).backward()
optimizer.step()
module = AutoEncoder()
module.encoder.bias.data /= 4
module.bias.data /= 4
for name, factor in (("backup", 4.0), ("numpy_backup", np.float32(4))):
    dictionary("dl/%s/ae.pt" % name, {
        "step": 5000, "ae": module.state_dict(), "optimizer": optimizer.state_dict(),
        "config": STANDARD["trainer"], "norm_factor": factor}, "relu", "standard", hook=HOOK, step=5000,
        note="a backup of running training: biases are multiplied by its norm_factor 4")
dictionary("dl/sae.pt", {"W_enc": t(We), "W_dec": t(Wd), "b_enc": t(be), "b_dec": t(bd),
                         "k": torch.tensor(K), "threshold": torch.tensor(-1.0)}, "topk", "topk", note=UNTOLD)
dictionary("dl/pca.pt", {"W_enc": t(np.eye(D)), "W_dec": t(np.eye(D)), "mean": t(mean)},
           "mean taken off", "pca", note=UNTOLD)

# by other names, and in other places: the content tells
dictionary("dl/model.ckpt", {"state_dict": {"sae." + k: v for k, v in state.items()}, "epoch": 3},
           "relu", "standard", note=UNTOLD)
dictionary("dl/5b6c0f", [state, {"lr": 0.1}], "relu", "standard", note=UNTOLD)
safetensors("dl/hub/model.safetensors", {
    "encoder.weight": We.T, "encoder.bias": be, "decoder.weight": Wd.T, "b_dec": bd})
config("dl/hub/config.json", {"activation_dim": D, "dict_size": F, "k": K, "unheard_of": 1})
case("dl/hub", "topk", "dictionary-learning", "topk", k=K, ignored=["unheard_of"], note=UNTOLD)
safetensors("dl/ae.safetensors", {
    "encoder.weight": We.T, "encoder.bias": be, "decoder.weight": Wd.T, "bias": bd})
case("dl/ae.safetensors", "relu", "dictionary-learning", "standard", note=UNTOLD)

# --- OpenAI ----------------------------------------------------------------------------------------


def openai(location, layer, what, arch, hook, activation=None, k=K, tied=False, **more):
    path = "sparse-autoencoder/gpt2-small/%s/autoencoders/%d.pt" % (location, layer)
    d = collections.OrderedDict([
        ("pre_bias", t(bd)), ("latent_bias", t(be)), ("stats_last_nonzero", torch.zeros(F).long()),
        ("latents_activation_frequency", torch.ones(F)), ("latents_mean_square", torch.zeros(F)),
        ("encoder.weight", t(We.T))])
    d._metadata = collections.OrderedDict([("", {"version": 1})])
    if tied:
        d["decoder.linear.weight"] = d["encoder.weight"]
    else:
        d["decoder.weight"] = t(Wd.T)
    if activation:
        d["activation"] = activation
    if activation == "TopK":
        d["activation_state_dict"] = collections.OrderedDict([("k", k), ("postact_fn", "ReLU")])
    save(path, d)
    case(path, what, "openai", arch, hook=hook, **more)


openai("mlp_post_act", 3, "relu", "standard", "blocks.3.mlp.hook_post")
openai("resid_delta_mlp_v4", 11, "relu", "standard", "blocks.11.hook_mlp_out", "ReLU", tied=True)
openai("resid_post_mlp_v5_32k", 8, "layer norm topk", "topk", "blocks.8.hook_resid_post", "TopK")
openai("resid_delta_attn_v5_128k", 0, "layer norm topk", "topk", "blocks.0.hook_attn_out", "TopK",
       np.int64(K))
openai("resid_post_attn_v5_32k", 5, "layer norm topk", "topk", "blocks.5.hook_resid_mid", "TopK",
       torch.tensor(K))

# --- flat files ------------------------------------------------------------------------------------

four = collections.OrderedDict([("W_enc", t(We)), ("W_dec", t(Wd)), ("b_enc", t(be)), ("b_dec", t(bd))])
name = "flat/gpt2-small_L5_Hcat_z_lr1.20e-03_l11.80e+00_ds24576_bs4096_nr4_v9"
save(name + ".pt", four)
config(name + "_cfg.json", {"seed": 49, "model_name": "gpt2-small", "layer": 5, "head": "cat",
                            "site": "z", "act_name": "blocks.5.attn.hook_z", "act_size": D,
                            "dict_size": F, "lr": 0.0012, "l1_coeff": 1.8, "enc_dtype": "fp32"})
case(name + ".pt", "relu", "kissane", "standard", hook="blocks.5.attn.hook_z")
save("flat/25.pt", {k: v.bfloat16() for k, v in four.items()})
config("flat/25_cfg.json", {"seed": 49, "d_mlp": D, "dict_mult": 3, "enc_dtype": "bf16"})
case("flat/25.pt", "bf16 relu", "kissane", "standard")
linears = {"encoder.weight": t(We.T), "encoder.bias": t(be), "decoder.weight": t(Wd.T),
           "decoder.bias": t(bd)}
save("flat/DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt", linears)
case("flat/DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt", "relu without b_dec", "deepseek", "standard",
     hook="blocks.19.hook_resid_post")
save("flat/Llama-3.3-70B-Instruct-SAE-l50.pt",
     {k.replace(".", "_linear."): v.bfloat16() for k, v in linears.items()})
case("flat/Llama-3.3-70B-Instruct-SAE-l50.pt", "bf16 relu without b_dec", "goodfire", "standard",
     hook="blocks.50.hook_resid_post")


class LanguageModelSAERunnerConfig:
    """A class that nobody has when the file is opened."""


cfg = LanguageModelSAERunnerConfig()
cfg.__dict__.update(model_name="gpt2-small", hook_point="blocks.4.hook_resid_pre", hook_point_layer=4,
                    d_in=D, d_sae=F, dtype=torch.float32, device=torch.device("cpu"),
                    l1_coefficient=8e-5, lr=np.float64(4e-4))
save("flat/final_sparse_autoencoder_gpt2-small_blocks.4.hook_resid_pre_24.pt", {"cfg": cfg, "state_dict": four})
case("flat/final_sparse_autoencoder_gpt2-small_blocks.4.hook_resid_pre_24.pt", "relu", "mats",
     "standard", hook="blocks.4.hook_resid_pre")
with gzip.GzipFile(place("flat/final_sparse_autoencoder.pkl.gz"), "wb", mtime=0) as f:
    f.write(pickle.dumps({"cfg": cfg, "state_dict": four}, protocol=4))
case("flat/final_sparse_autoencoder.pkl.gz", "relu", "mats", "standard", hook="blocks.4.hook_resid_pre")
cfg.__dict__.update(is_transcoder=True, hook_point="blocks.8.ln2.hook_normalized", d_out=D,
                    out_hook_point="blocks.8.hook_mlp_out")
save("transcoders/final_sparse_autoencoder_gpt2-small_blocks.8.ln2.hook_normalized_24576.pt",
     {"cfg": cfg, "state_dict": collections.OrderedDict(four, b_dec_out=t(bo))})
case("transcoders/final_sparse_autoencoder_gpt2-small_blocks.8.ln2.hook_normalized_24576.pt", "relu",
     "transcoder-circuits", "standard", kind="transcoder", hook="blocks.8.ln2.hook_normalized")

# --- crosscoders -----------------------------------------------------------------------------------

relative = (model_norms[:, 1] / total).tolist()


def crosscoder(path, what, arch="standard", **more):
    case(path, what, "crosscoder", arch, kind="crosscoder", relative_decoder_norm=relative, **more)


path = "crosscoder-gemma-2-2b-model-diff/blocks.14.hook_resid_pre"
turned = t(We2.transpose(2, 0, 1)).permute(1, 2, 0)  # as einops leaves it
save(path + "/cc_weights.pt", collections.OrderedDict([
    ("W_enc", turned), ("W_dec", t(Wd2)), ("b_enc", t(be)), ("b_dec", t(bd2))]))
config(path + "/cfg.json", {"seed": 49, "d_in": D // 2, "dict_size": F, "enc_dtype": "fp32", "l1_coeff": 2,
                            "hook_point": "blocks.14.hook_resid_pre", "model_name": "gemma-2-2b"})
crosscoder(path, "crosscoder", hook="blocks.14.hook_resid_pre", note="sqrt(d)")


def minder(first=t(We2), second=t(Wd2.transpose(1, 0, 2)), **more):
    return dict({"encoder.weight": first, "encoder.bias": t(be), "decoder.weight": second,
                 "decoder.bias": t(bd2), "code_normalization_id": torch.tensor(1)}, **more)


not_a_number = torch.full((2, D // 2), float("nan"))
save("crosscoders/l13-mu4.1e-02/ae_final.pt", {"_orig_mod." + k: v for k, v in minder().items()})
config("crosscoders/l13-mu4.1e-02/config.json", {"trainer": {
    "dict_class": "CrossCoder", "trainer_class": "CrossCoderTrainer", "activation_dim": D // 2,
    "dict_size": F, "num_layers": 2, "layer": 13, "l1_penalty": 0.041}})
crosscoder("crosscoders/l13-mu4.1e-02/ae_final.pt", "crosscoder")
save("crosscoders/batchtopk/model_final.pt", minder(
    second=t(Wd2.transpose(1, 2, 0)).permute(0, 2, 1), k=torch.tensor(K), threshold=torch.tensor(3.0),
    activation_mean=not_a_number, activation_std=not_a_number, activation_global_scale=torch.tensor(1.0)))
crosscoder("crosscoders/batchtopk/model_final.pt", "crosscoder threshold", "batchtopk", k=K)
save("crosscoders/normalised/model_final.pt", minder(
    activation_mean=t(mean.reshape(2, -1)), activation_std=torch.ones(2, D // 2),
    activation_global_scale=torch.tensor(0.5), target_rms=torch.tensor(1.0)))
crosscoder("crosscoders/normalised/model_final.pt", "crosscoder normalised")
safetensors("crosscoders/hub/model.safetensors",
            {k: v for k, v in minder().items() if k != "code_normalization_id"})
config("crosscoders/hub/config.json", {"activation_dim": D // 2, "dict_size": F, "num_layers": 2})
crosscoder("crosscoders/hub", "crosscoder")

# --- what is expected ------------------------------------------------------------------------------


def sparse(f):
    return [[int(a), int(b), float(np.float32(f[a, b]))] for a, b in zip(*np.nonzero(f))]


np.save("acts.npy", x.reshape(ROWS, LENGTH, D).astype(np.float32))
with open("expected.json", "w") as f:
    json.dump({"length": LENGTH, "cases": cases, "inexact": sorted(inexact),
               "encoded": {name: sparse(f) for name, f in encoded.items()}}, f)
print(len(cases), "checkpoints")
