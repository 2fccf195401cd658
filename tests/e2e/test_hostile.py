"""Inputs that are broken, odd or meant to do harm: one line, exit 1, nothing else.

Checkpoints and samples are made here, byte by byte.
"""
import io
import json
import os
import random
import resource
import shutil
import struct
import time
import unicodedata
import unittest
import zipfile

from program import Case
from safetensors import pack, safetensors

D, F, SEQUENCES, LENGTH = 5, 9, 4, 7
SECONDS = 20  # far above what a refusal takes, on a busy machine and with sanitizers
FORM = r"\Asaescope: [^\n]+: [^\n]+ \(found [^\n]+, expected [^\n]+\)\n\Z"


def floats(values):
    return struct.pack("<%df" % len(values), *values)


def normal(n, seed):
    r = random.Random(seed)
    return [struct.unpack("<f", struct.pack("<f", r.gauss(0, 1)))[0] for _ in range(n)]


def npy(data, shape, descr="<f4", header=None, version=1):
    text = header or "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, shape)
    text = text.encode() + b" " * (63 - (10 + len(text)) % 64) + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + data


def pack_floats(tensors):
    return pack({name: ("F32", shape, floats(values))
                 for name, (shape, values) in tensors.items()})


class Made(Case):
    """A checkpoint and samples that each test may spoil."""

    def setUp(self):
        super().setUp()
        self.tensors = {"W_enc": ([D, F], normal(D * F, 1)), "W_dec": ([F, D], normal(D * F, 2)),
                        "b_enc": ([F], normal(F, 3)), "b_dec": ([D], normal(D, 4))}
        self.config = {"architecture": "standard", "d_in": D, "d_sae": F, "dtype": "float32",
                       "metadata": {"sae_lens_version": "6.18.0"}}
        self.sae = os.path.join(self.tmp, "sae")
        os.mkdir(self.sae)
        self.save()
        self.x = normal(SEQUENCES * LENGTH * D, 5)
        self.shape = (SEQUENCES, LENGTH, D)
        self.acts = self.write("acts.npy", npy(floats(self.x), self.shape))

    def save(self, **config):
        self.header, self.data = pack_floats(self.tensors)
        self.write("sae/sae_weights.safetensors", safetensors(self.header, self.data))
        self.write("sae/cfg.json", json.dumps(dict(self.config, **config)).encode())

    def refused(self, *words, form=None):
        start = time.monotonic()
        line = self.fails(1, *words)
        self.assertLess(time.monotonic() - start, SECONDS, words)
        if form:
            self.assertRegex(line, form)
        for _, _, files in os.walk(self.env["XDG_CACHE_HOME"]):
            self.assertEqual([f for f in files if not f.endswith((".index", ".fidx"))], [])
        return line

    def scan_refused(self, acts, form=None):
        return self.refused("scan", self.sae, "--acts", acts, form=form)


class Weights(Made):
    def weights(self, data, form=None):
        self.write("sae/sae_weights.safetensors", data)
        return self.refused("info", self.sae, form=form)

    def test_cut_anywhere(self):
        whole = safetensors(self.header, self.data)
        for n in (0, 1, 7, 8, 9, 60, len(whole) - len(self.data), len(whole) - 1):
            with self.subTest(n):
                self.weights(whole[:n])
        self.weights(whole + b"\0", FORM)

    def test_headers_that_lie(self):
        def spoil(**entry):
            return safetensors(dict(self.header, W_enc=dict(self.header["W_enc"], **entry)),
                               self.data)
        whole = safetensors(self.header, self.data)
        text = json.dumps(self.header).encode()
        twice = text[:-1] + b',"W_enc":' + json.dumps(self.header["W_enc"]).encode() + b"}"
        for name, data in {
                "dtype": spoil(dtype="F33"), "dtype that is none": spoil(dtype=3),
                "shape": spoil(shape=[D, F + 1]), "negative": spoil(shape=[-D, -F]),
                "overflow": spoil(shape=[1 << 40, 1 << 40]), "2^64": spoil(shape=[1 << 64, 1]),
                "dimensions": spoil(shape=[1] * 30 + [D, F]), "text": spoil(shape="59"),
                "overlap": spoil(data_offsets=[4, 4 + 4 * D * F]),
                "far": spoil(data_offsets=[10 ** 9, 10 ** 9 + 4 * D * F]),
                "reversed": spoil(data_offsets=[4 * D * F, 0]),
                "fractions": spoil(data_offsets=[0.0, 180.0]),
                "length": struct.pack("<Q", 1 << 63) + whole[8:],
                "100 MB": struct.pack("<Q", 10 ** 8) + whole[8:],
                "twice": safetensors(twice, self.data),
                "deep": safetensors(b'{"a":' + b"[" * 100000 + b"]" * 100000 + b"}"),
                "list": safetensors(b"[1]"), "empty": safetensors(b"{}"),
                "UTF-8": safetensors(b'{"\xff":1}')}.items():
            with self.subTest(name):
                self.weights(data)

    def test_shapes_that_disagree_are_both_named(self):
        for name, shape in {"W_dec": [F - 1, D], "b_enc": [F - 1], "b_dec": [D + 1],
                            "W_enc": [F, D]}.items():
            with self.subTest(name):
                kept = self.tensors[name]
                n = shape[0] * (shape[1] if len(shape) > 1 else 1)
                self.tensors[name] = (shape, [0.5] * n)
                self.save()
                line = self.refused("info", self.sae, form=FORM)
                self.assertIn(name, line)
                self.assertIn(str(shape), line)
                self.tensors[name] = kept

    def test_configurations(self):
        for config in ({"architecture": 5}, {"d_in": "x"}, {"dtype": 7}, {"hook_name": 5},
                       {"apply_b_dec_to_input": "yes"}, {"architecture": "topk", "k": "8"},
                       {"architecture": "topk"}, {"architecture": "topk", "k": 0},
                       {"architecture": "topk", "k": -1}, {"architecture": "topk", "k": 2.5},
                       {"architecture": "topk", "k": F + 1}, {"architecture": "topk", "k": 1e30}):
            with self.subTest(config):
                self.save(**config)
                self.refused("info", self.sae, form=FORM)
        for key, value in (("architecture", "strange"), ("normalize_activations", "strange"),
                           ("reshape_activations", "strange"), ("dtype", "int7")):
            self.save(**{key: value})
            line = self.refused("info", self.sae)
            self.assertIn(key, line)
            self.assertIn(value, line)
        for data in (b"", b"{", b"[]", b"[" * 1000000, b'{"d_in":1e999}', b'{"a":"\xff"}'):
            self.write("sae/cfg.json", data)
            self.refused("info", self.sae)

    def test_what_is_no_file(self):
        for name in ("cfg.json", "sae_weights.safetensors"):
            path = os.path.join(self.sae, name)
            for make in (os.mkdir, os.mkfifo, lambda p: os.symlink(name, p),
                         lambda p: os.symlink("/nonexistent", p)):
                os.rename(path, path + ".kept")
                make(path)
                self.refused("info", self.sae)
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
                os.rename(path + ".kept", path)
        for path in ("/dev/null", "/dev/zero"):
            self.refused("info", path, form=FORM)
            self.scan_refused(path, FORM)

    def test_weights_that_are_not_finite(self):
        shape, values = self.tensors["W_enc"]
        values[1 * F + 3], values[2 * F + 7] = float("nan"), float("inf")
        self.save()
        r = self.ok("features", self.sae, "--acts", self.acts, "--json")
        warnings = r.err.decode().splitlines()
        self.assertEqual(len(warnings), 1)
        for word in ("W_enc", "2", "[1, 3]"):
            self.assertIn(word, warnings[0])
        self.assertEqual([f["id"] for f in r.json["features"] if f.get("broken")], [3, 7])
        for f in r.json["features"]:
            self.assertEqual(f["density"] is None, bool(f.get("broken")))
            self.assertEqual(f["count"] == 0, bool(f.get("broken")) or f["density"] == 0)
        dead = sum(f["density"] == 0 for f in r.json["features"])
        self.assertAlmostEqual(self.answer("scan", self.sae, "--acts", self.acts)
                               ["dead_fraction"], dead / (F - 2))
        for options in ((), ("--no-index",)):
            page = self.answer("feature", self.sae, 7, "--acts", self.acts, *options)
            self.assertTrue(page["broken"])
            self.assertEqual((page["count"], page["top"]), (0, []))
            self.assertNotIn("broken", self.answer("feature", self.sae, 6, "--acts", self.acts,
                                                   *options))


    def test_a_bias_that_is_not_finite(self):
        """b_dec in x_hat only: what does not rest on x_hat is right; taken off the input
        too: nothing is. The same answers with an index and without."""
        without = self.answer("scan", self.sae, "--acts", self.acts)
        pages = {}
        for off in (True, False):
            self.save(apply_b_dec_to_input=off)
            pages[off] = self.answer("features", self.sae, "--acts", self.acts)["features"]
        self.tensors["b_dec"][1][2] = float("nan")
        for off in (True, False):
            with self.subTest(off):
                self.save(apply_b_dec_to_input=off)
                r = self.ok("scan", self.sae, "--acts", self.acts, "--json")
                for word in (b"b_dec has 1 NaN", b"[2]", b"fvu"):
                    self.assertIn(word, r.err)
                for key in ("fvu", "explained_variance", "mse", "cosine"):
                    self.assertIsNone(r.json[key])
                self.assertEqual(r.json["tokens"], without["tokens"])
                self.assertEqual(r.json["skipped_tokens"], 0)
                for key in ("l0", "l1", "dead_fraction"):
                    self.assertEqual(r.json[key] is None, off)
                for i in range(F):
                    self.one_page(i, off, pages[off][i])

    def one_page(self, i, broken, was):
        with_index = self.answer("feature", self.sae, i, "--acts", self.acts)
        r = self.ok("feature", self.sae, i, "--acts", self.acts, "--json", "--no-index")
        if not broken and was["count"]:
            self.assertIn(b"delta_fvu is null", r.err)
        for page in (with_index, r.json):
            self.assertEqual(page.get("broken", False), broken)
            if was["count"]:
                self.assertIsNone(page["delta_fvu"])
            if broken:
                self.assertEqual((page["count"], page["density"], page["top"]), (0, None, []))
        for key in ("count", "density", "mean", "max", "histogram", "top", "intervals",
                    "coactive"):
            self.assertEqual(with_index[key], r.json[key], key)
            if not broken and key in was:
                self.assertEqual(r.json[key], was[key], key)

    def test_numbers_beyond_single_precision(self):
        """Nothing that is null without a word; sums at any scale."""
        for scale, weights in ((1e20, 1), (1e-30, 1), (1, 1e20)):
            for name in ("W_dec", "b_dec"):
                shape, values = self.tensors[name]
                self.tensors[name] = (shape, [v * weights for v in values])
            self.save()
            acts = self.write("scaled.npy", npy(floats([v * scale for v in self.x]), self.shape))
            r = self.ok("scan", self.sae, "--acts", acts, "--json")
            delta = [f["delta_fvu"] for f in
                     self.answer("features", self.sae, "--acts", acts)["features"]]
            nulls = [k for k in ("l0", "l1", "fvu", "mse", "cosine") if r.json[k] is None]
            if nulls or None in delta:
                self.assertRegex(r.err, rb"warning: .*(not finite|single precision).* null")
            self.assertEqual(bool(nulls), weights > 1)


class Samples(Made):
    def test_npy_headers(self):
        data = floats(self.x)
        whole = npy(data, self.shape)
        for n in (0, 3, 6, 9, 10, 60, 128, len(whole) - 1):
            self.scan_refused(self.write("a.npy", whole[:n]))
        for descr in ("<i4", "|O", "<c8", "<f3", "|S4", "<U4", "", "|b1"):
            self.scan_refused(self.write("a.npy", npy(data, self.shape, descr)), FORM)
        for shape in ("(4, 7, 6)", "(140,)", "()", "4", "(4, -7, 5)", "(0, 7, 5)", "(4, 7, 0)",
                      "(1 << 62, 4)", "(4611686018427387904, 4611686018427387904, 5)",
                      "(99999999999999999999,)", "(4000000000, 1000000, 5)", "(4, 7, 5"):
            with self.subTest(shape):
                self.scan_refused(self.write("a.npy", npy(data, shape)))
        for header in ("{", "(" * 30000, "__import__('os')", "{'shape': (1,)}"):
            self.scan_refused(self.write("a.npy", npy(data, 0, header=header)))
        huge = b"\x93NUMPY\2\0" + struct.pack("<I", 0xffffffff) + b"{" * 1000
        self.scan_refused(self.write("a.npy", huge), FORM)

    def member(self, data, key=":x", method=zipfile.ZIP_DEFLATED, names=("x.npy",)):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as z:
            for name in names:
                z.writestr(name, data)
        return out.getvalue()

    def test_zips(self):
        whole = self.member(npy(floats(self.x), self.shape))
        path = os.path.join(self.tmp, "a.npz")
        directory = whole.index(b"PK\1\2")

        def patched(at, form, value):
            return (whole[:directory + at] + struct.pack(form, value)
                    + whole[directory + at + struct.calcsize(form):])
        bad = {"cut %d" % n: whole[:n] for n in (4, 30, 100, directory, len(whole) - 1)}
        bad.update({"behind": whole + b"xx", "CRC": patched(16, "<I", 0),
                    "size": patched(24, "<I", 0xfffffff0), "less": patched(24, "<I", 100),
                    "packed": patched(20, "<I", 0xfffffff0), "place": patched(42, "<I", 1 << 20),
                    "method": patched(10, "<H", 12), "encrypted": patched(8, "<H", 1),
                    "stored": patched(10, "<H", 0),
                    "leaves": self.member(b"", names=("../x.npy",)),
                    "nothing": self.member(b"", names=())})
        for name, data in bad.items():
            with self.subTest(name):
                self.write("a.npz", data)
                self.scan_refused(path + ":x")
        self.write("a.npz", whole)
        self.scan_refused(path + ":y", FORM)
        self.ok("scan", self.sae, "--acts", path + ":x")

    def test_a_bomb_stays_small(self):
        header = npy(b"", (100000, 700, D))
        bomb = self.write("a.npz", self.member(header + bytes(1 << 27)))
        self.scan_refused(bomb + ":x", FORM)
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        self.assertLess(most, 512 << 10)  # KiB; of all that this program has run so far

    def test_shapes_that_disagree_are_both_named(self):
        two = self.write("b.npy", npy(floats([1.0] * 4 * 6 * D), (4, 6, D)))
        line = self.refused("scan", self.sae, "--acts", self.acts, "--acts", two, form=FORM)
        for word in ("acts.npy", "b.npy", "[4, 7, 5]", "[4, 6, 5]"):
            self.assertIn(word, line)
        wide = self.write("c.npy", npy(floats([1.0] * 4 * 7 * 6), (4, 7, 6)))
        line = self.scan_refused(wide, FORM)
        for word in ("sae", "c.npy", "[5, 9]", "[4, 7, 6]"):
            self.assertIn(word, line)
        for shape in ((3, 7), (7, 4), (27,)):
            n = shape[0] * (shape[1] if len(shape) > 1 else 1)
            ids = self.write("t.npy", npy(struct.pack("<%di" % n, *[1] * n), shape, "<i4"))
            line = self.refused("scan", self.sae, "--acts", self.acts, "--tokens", ids, form=FORM)
            for word in ("acts.npy", "t.npy", "[4, 7, 5]", "[%d" % shape[0]):
                self.assertIn(word, line)
        self.refused("scan", self.sae, "--acts", self.acts, "--seq-len", 3, form=FORM)

    def test_no_sample_that_counts(self):
        n = len(self.x)
        none = self.write("n.npy", npy(floats([float("nan")] * n), self.shape))
        for words in (("scan",), ("feature", 3), ("feature", 3, "--no-index"), ("features",)):
            for place in (("--acts", none), ("--acts", self.acts, "--skip-first", LENGTH)):
                with self.subTest(words + place):
                    self.refused(words[0], self.sae, *words[1:], *place, form=FORM)


class Names(Made):
    """What a file calls things: visible text in every answer, never a terminal's to obey."""
    EVIL = "\x1b[31m\x1b]0;t\x07\x9b1m\u202er\u2066\u200b\ufeff\u2028\x85\r\n\t\b\x7f\u00ad\U000e0041e\u0301\u4e2d"

    def harmless(self, words, r):
        self.assertIn(r.status, (0, 1), (words, r.err))
        for text in (r.out.decode(), r.err.decode()):
            odd = [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cn")]
            self.assertEqual(set(odd) - {"\n"} - ({"\t"} if "--tsv" in words else set()), set(), words)
        for line in r.err.decode().splitlines():
            self.assertRegex(line, "^saescope: ")

    def test_everywhere(self):
        evil = self.EVIL
        self.tensors[evil] = ([1], [1.0])
        self.save(hook_name=evil, **{evil: {evil: [evil]}})
        sae = os.path.join(self.tmp, evil)
        os.rename(self.sae, sae)
        ids = self.write("t.npy", npy(struct.pack("<28i", *[i % 3 for i in range(28)]), (4, 7), "<i4"))
        vocab = {evil: 0, "a" + evil: 1, "z": 2}
        tokens = self.write("tokenizer.json", json.dumps({"model": {"type": "BPE", "vocab": vocab, "merges": []}}).encode())
        words = (sae, "--acts", self.acts, "--tokens", ids, "--tokenizer", tokens)
        identity = self.answer("info", sae)["checkpoint"]
        labels = self.write(evil + ".jsonl", b"".join(json.dumps(
            {"checkpoint": identity, "feature": i, "label": evil, "note": evil}).encode() + b"\n" for i in range(F)))
        for form in ((), ("--tsv",), ("--json",), ("--ascii",)):
            for command in (("info",), ("scan",), ("features",), ("feature", "0", "1"), ("score",),
                            ("hist", "--of", "density"), ("cosine",), ("compare", sae), ("ablate", "1"),
                            ("feature", evil), ("features", "--filter", evil), ("features", "--sort", evil)):
                asked = (command[0], *words, *command[1:], "--labels", labels, *form)
                r = self.run_program(*asked)
                if "--json" in form and r.status == 0:
                    self.assertIsInstance(r.json, dict)
                if r.status != 2:
                    self.harmless(asked, r)

    def test_messages_cut_between_characters(self):
        for n in range(1, 4):
            long = "x" * n + "\u4e2d" * 60
            for words in (("info", long), ("scan", self.sae, "--acts", self.acts + ":" + long),
                          ("info", "/".join([long] * 12))):
                self.harmless(words, self.run_program(*words))
            self.save(architecture=long * 9)
            self.harmless((), self.run_program("info", self.sae))


class Valid(Made):
    """Odd, but right."""

    def totals(self, *words):
        got = self.answer("scan", self.sae, *words)
        return {k: v for k, v in got.items() if k not in ("seconds", "tokens_per_second", "index")}

    def test_forms_of_the_same_samples(self):
        want = self.totals("--acts", self.acts, "--no-index")
        n = len(self.x)
        columns = [self.x[(s * LENGTH + p) * D + k] for k in range(D) for p in range(LENGTH)
                   for s in range(SEQUENCES)]
        fortran = "{'descr': '<f4', 'fortran_order': True, 'shape': (4, 7, 5), }"
        member = io.BytesIO()
        with zipfile.ZipFile(member, "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("x.npy", npy(floats(self.x), self.shape))
        tensors = {"x": (list(self.shape), self.x)}
        forms = {
            "big.npy": npy(struct.pack(">%df" % n, *self.x), self.shape, ">f4"),
            "double.npy": npy(struct.pack("<%dd" % n, *self.x), self.shape, "<f8"),
            "fortran.npy": npy(floats(columns), 0, header=fortran),
            "version2.npy": npy(floats(self.x), self.shape, version=2),
            "zip.npz": member.getvalue(), "zip.npz:x": member.getvalue(),
            "s.safetensors": safetensors(*pack_floats(tensors)),
            "behind.npy": npy(floats(self.x) + b"more", self.shape)}
        for name, data in forms.items():
            with self.subTest(name):
                path = self.write(name.split(":")[0], data)
                key = name[len(name.split(":")[0]):]
                self.assertEqual(self.totals("--acts", path + key, "--no-index"), want)
        for i in range(SEQUENCES):
            part = self.x[i * LENGTH * D:(i + 1) * LENGTH * D]
            self.write("part-%d.npy" % i, npy(floats(part), (1, LENGTH, D)))
        self.assertEqual(self.totals("--acts", os.path.join(self.tmp, "part-*.npy"),
                                     "--no-index"), want)
        flat = self.write("flat.npy", npy(floats(self.x), (SEQUENCES * LENGTH, D)))
        self.assertEqual(self.totals("--acts", flat, "--seq-len", LENGTH, "--no-index"), want)

    def test_one_of_each(self):
        self.tensors = {"W_enc": ([1, 1], [1.0]), "W_dec": ([1, 1], [1.0]), "b_enc": ([1], [0.0]),
                        "b_dec": ([1], [0.0])}
        self.save()
        one = self.write("one.npy", npy(floats([2.0]), (1, 1)))
        got = self.answer("scan", self.sae, "--acts", one)
        self.assertEqual((got["tokens"], got["l0"], got["fvu"], got["mse"]), (1, 1, None, 0))
        page = self.answer("feature", self.sae, 0, "--acts", one)
        self.assertEqual((page["max"], page["count"], page["delta_fvu"]), (2, 1, None))
        self.assertEqual(page["neighbours"], [])

    def test_samples_without_variance(self):
        same = self.write("same.npy", npy(floats([1.0] * len(self.x)), self.shape))
        got = self.answer("scan", self.sae, "--acts", same)
        self.assertEqual((got["fvu"], got["explained_variance"]), (None, None))
        self.assertIsNotNone(got["mse"])

    def test_lengths_of_lists(self):
        place = (self.sae, "--acts", self.acts)
        count = self.answer("feature", *place, 2)["count"]
        self.assertGreater(count, 1)
        for options in ((), ("--no-index",)):
            for n in (0, 1, 1000000):
                page = self.answer("feature", *place, 2, "--top", n, *options)
                self.assertEqual(len(page["top"]), min(n, count))
                self.assertEqual(len(page["intervals"]), 10)
        self.assertEqual(self.answer("features", *place, "--limit", 0)["features"], [])

    def test_filters_take_numbers_as_they_are_printed(self):
        place = (self.sae, "--acts", self.acts)
        keys = ("density", "mean", "max", "bias", "decoder_norm", "encoder_decoder_cosine",
                "delta_fvu", "count", "id")
        rows = self.answer("features", *place)["features"]
        for key in keys:
            for value in {r[key] for r in rows if r[key] is not None}:
                for op, holds in (("=", lambda v: v == value), ("<", lambda v: v < value),
                                  (">=", lambda v: v >= value)):
                    got = self.answer("features", *place, "--filter",
                                      "%s %s %.9g" % (key, op, value))["features"]
                    self.assertEqual([r["id"] for r in got], [r["id"] for r in rows if
                                     r[key] is not None and holds(r[key])], (key, op, value))


if __name__ == "__main__":
    unittest.main()
