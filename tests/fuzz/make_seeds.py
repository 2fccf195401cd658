#!/usr/bin/env python3
"""Make the seeds of tests/fuzz/corpus: one valid input of each kind, from the small references
of the other tests, and a few that a reader has to look at twice. What fuzzing has found
since lies beside them under the hash of its content and is not made here.

    make_seeds.py SAESCOPE      (the built program, for the index)
"""
import glob
import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TESTS, "e2e"))

from safetensors import pack, safetensors

REF = os.path.join(TESTS, "ref")
SMALL = os.path.join(TESTS, "data", "small")


def put(target, name, data):
    if isinstance(data, str):
        data = data.encode()
    directory = os.path.join(HERE, "corpus", target)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "wb") as f:
        f.write(data)


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def npy(header, data=b"", version=1):
    head = header.encode() + b"\n"
    return (b"\x93NUMPY" + bytes([version, 0])
            + struct.pack("<H" if version == 1 else "<I", len(head)) + head + data)


def arrays():
    put("npy", "float32", read(REF, "containers", "a.npy"))
    put("npy", "fortran", npy("{'descr': '>f8', 'fortran_order': True, 'shape': (2, 3)}", bytes(48)))
    put("npy", "version2", npy("{'descr': '<i4', 'fortran_order': False, 'shape': ()}", bytes(4), 2))
    put("npy", "bfloat16", npy("{'shape': (3L,), 'fortran_order': False, 'descr': '|V2'}", bytes(6)))
    put("npy", "structured", npy("{'descr': [('a', '<f4'), ('b', '<i2', (2,))], "
                                 "'fortran_order': False, 'shape': (1,)}", bytes(8)))
    for name in ("gated", "topk"):
        put("safetensors", name, read(SMALL, "saes", name, "sae_weights.safetensors"))
    put("safetensors", "three", read(REF, "containers", "abk.safetensors"))
    put("safetensors", "meta", struct.pack("<Q", 40) + b'{"__metadata__":{"format":"pt","a":"\\u00e9"}}'[:40])
    for path in sorted(glob.glob(os.path.join(REF, "containers", "*.*"))):
        name = os.path.basename(path)
        if name.endswith(".py"):
            continue
        put("container", name, read(path))
        if name.endswith(".zst"):
            put("zstream", name, read(path))
        if name.endswith(".npz"):
            put("zip", name, read(path))
    for path in sorted(glob.glob(os.path.join(REF, "torch", "*.p*"))):
        if not path.endswith(".py"):
            put("container", os.path.basename(path), read(path))
    put("container", "gemma.npz", read(SMALL, "saes", "gemma", "params.npz"))


def firings():
    for name, code, floats in (("halves", "H", "e"), ("singles", "q", "f")):
        codes = {"H": "U16", "q": "I64", "e": "F16", "f": "F32"}
        hits = [(0, 0, 3, .5), (0, 2, 0, 2.0), (0, 2, 35, 1.0), (1, 1, 7, .25)]
        parts = {"locations": (codes[code], [4, 3], struct.pack(
            "<12" + code, *(n for hit in hits for n in hit[:3]))),
            "activations": (codes[floats], [4], struct.pack("<4" + floats, *(h[3] for h in hits))),
            "tokens": ("I64", [2, 3], struct.pack("<6q", *range(6)))}
        put("firings", name, safetensors(*pack(parts)))


def zips():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as z:
        z.comment = b"a comment"
        with z.open("big", "w", force_zip64=True) as f:
            f.write(b"content" * 20)
        z.writestr("empty", b"")
    put("zip", "zip64", out.getvalue())
    with zipfile.ZipFile(io.BytesIO(read(REF, "torch", "zip.pt"))) as z:
        for name in z.namelist():
            if name.endswith("data.pkl"):
                put("pickle", "torch", z.read(name))


def pickles():
    shared = [1, 2.5, None, True, "text", b"bytes", 1 << 70, -1]
    value = {"a": shared, "b": (shared, {3: frozenset([4])}), "c": {5, 6}, "d": bytearray(b"x")}
    value["self"] = value
    for protocol in (2, 3, 4, 5):
        put("pickle", "protocol%d" % protocol, pickle.dumps(value, protocol))
    put("pickle", "reduce", b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R.")
    put("pickle", "build", b"\x80\x02ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00aK\x01sb.")
    put("pickle", "persistent", b"\x80\x02(X\x07\x00\x00\x00storageK\x01tQ.")


def texts():
    put("tokenizer", "small.json", read(SMALL, "tokenizer.json"))
    put("tokenizer", "byte-level.json", json.dumps({
        "version": "1.0", "added_tokens": [{"id": 6, "content": "<|end|>", "special": True}],
        "normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
        "post_processor": {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<|end|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": [6], "tokens": ["<|end|>"]}}},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "merges": ["a b", ["\u0120", "t"]], "vocab": {
            "a": 0, "b": 1, "ab": 2, "\u0120": 3, "t": 4, "\u0120t": 5}}}))
    put("tokenizer", "byte-fallback.json", json.dumps({
        "added_tokens": [{"id": 0, "content": "<s>", "special": True}],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "model": {"type": "BPE", "byte_fallback": True, "unk_token": "<s>", "vocab": {
            "<s>": 0, "\u2581": 1, "a": 2, "<0xC3>": 3, "<0xA9>": 4, "\u2581a": 5},
            "merges": ["\u2581 a"]},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}}))
    put("tokenizer", "words.json", json.dumps({
        "added_tokens": [{"id": 0, "content": "[SEP]", "special": True}],
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "continuing_subword_prefix": "##",
                  "vocab": {"[SEP]": 0, "un": 1, "##able": 2, "n't": 3}}}))
    put("tokenizer", "unigram.json", json.dumps({
        "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["\u2581a", -1.5]]}}))
    put("tokenizer", "vocab.json", json.dumps({"a": 0, "\u0120b": 1, "<0x0A>": 2}))
    put("tokenizer", "list.json", json.dumps(["a", "b", "\u00e9"]))
    for path in sorted(glob.glob(os.path.join(SMALL, "saes", "*", "cfg.json"))):
        put("config", os.path.basename(os.path.dirname(path)), read(path))
    for name, extra in {"version6": {"metadata": {"hook_name": "blocks.1.hook_resid_pre",
                                                  "sae_lens_version": "6.1.0"}},
                        "batchtopk": {"architecture": "batchtopk", "k": 2},
                        "matryoshka": {"architecture": "matryoshka_batchtopk", "matryoshka_widths": [2, 5]},
                        "normalised": {"normalize_activations": "layer_norm"},
                        "finetuned": {"finetuning_scaling_factor": True}}.items():
        put("config", name, json.dumps(dict(
            {"architecture": "standard", "d_in": 3, "d_sae": 5, "dtype": "float32",
             "apply_b_dec_to_input": True}, **extra)))
    put("bundle", "small", read(SMALL, "bundle.json"))
    put("bundle", "inside", json.dumps({"name": "x", "acts": ["acts.npy", "./acts.npy"], "hook": None,
                                        "saes": {"a": "a", "b": "../b", "c/d": "/e"}}))
    for i, expression in enumerate((
            'density < 0.01 and max > 3 and label ~ "king"', 'not (id = 3 or max>=1e-3) AND token = " king"',
            'label ~ "(a+)+$"', 'label != "\\u00e9\\x41\\n" or density < max', '((((id=1))))',
            'token ~ "(?i)^\\\\s+\\\\p{L}*"')):
        put("filter", "%d" % i, expression)


def field(number, value):
    """Of a protocol buffer: a number, 4 bytes of a float, or text and messages."""
    if isinstance(value, float):
        return bytes([number << 3 | 5]) + struct.pack("<f", value)
    if isinstance(value, int):
        key = number << 3
        return (bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])) + bytes([value])
    return bytes([number << 3 | 2, len(value)]) + value


def pieces():
    for name, kind in (("unigram.model", 1), ("bpe.model", 2)):
        model = b""
        for i, (text, score, type_) in enumerate((
                ("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("<0x0A>", 0.0, 6), ("\u2581", -1.0, 1),
                ("\u2581a", -2.0, 1), ("a", -3.0, 1), ("b", -4.0, 1), ("ab", -2.5, 1))):
            model += field(1, field(1, text.encode()) + field(2, score) + field(3, type_))
        model += field(2, field(3, kind) + field(35, 1) + field(40, 0) + field(41, 1))
        put("tokenizer", name, model + field(3, field(3, 1) + field(5, 1)))


def arrow():
    from test_samples import COLUMNS, END, batch, f32, footer, i32, schema, zstd_buffer
    nodes = [(1, 0), (1, 0), (2, 0), (4, 0), (1, 0), (16, 0)]
    buffers = [b"", i32([0, 3]), b"r00", b"", i32([0, 2]), b"", i32([0, 2, 4]), b"",
               f32([1, 2, 3, 4]), b"", b"", i32(range(16))]
    stream = schema(COLUMNS) + batch(1, nodes, buffers) + END
    put("container", "stream.arrow", stream)
    put("container", "file.arrow", b"ARROW1\0\0" + stream + b"footer")
    put("container", "footer.arrow", b"ARROW1\0\0" + batch(1, nodes, buffers) + END + footer(COLUMNS))
    put("container", "packed.arrow", schema(COLUMNS) + batch(1, nodes, buffers, 1, zstd_buffer) + END)
    put("container", "llmc.bin", struct.pack("<256i3H", 20240520, 1, 3, *[0] * 253, 7, 8, 9))


def index(program):
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "a.index")
        env = dict(os.environ, XDG_CACHE_HOME=tmp, XDG_STATE_HOME=tmp)
        for name in ("prolu", "topk"):
            subprocess.run([program, "scan", SMALL, "--sae", name, "--index", path, "-q", "--json"],
                           check=True, env=env, stdout=subprocess.DEVNULL)
            put("index", name, read(path))
            os.remove(path)


if __name__ == "__main__":
    shutil.rmtree(os.path.join(HERE, "corpus"), ignore_errors=True)
    arrays()
    firings()
    zips()
    pickles()
    texts()
    pieces()
    arrow()
    index(sys.argv[1])
