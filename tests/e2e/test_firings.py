"""Caches of firings give what their firings are, and what a scan that finds the same gives."""
import json
import os
import random
import struct
import unittest

from program import SMALL, Case
from safetensors import pack, safetensors

SAE = os.path.join(SMALL, "saes", "standard")
D_SAE, ROWS, POSITIONS = 48, 12, 16
CODES = {"U16": "H", "U32": "I", "I64": "q", "F16": "e", "F32": "f"}


class Firings(Case):
    def setUp(self):
        super().setUp()
        self.draw(ROWS, (0, .01, .1, .5, .95))

    def draw(self, rows, rates):
        draw = random.Random(7)
        rate = [draw.choice(rates) for _ in range(D_SAE)]
        self.tokens = [draw.randrange(40) for _ in range(rows * POSITIONS)]
        # By row, position, feature; values that half precision holds exactly.
        self.firings = [(t // POSITIONS, t % POSITIONS, j, draw.randrange(1, 2048) / 256)
                        for t in range(rows * POSITIONS) for j in range(D_SAE)
                        if draw.random() < rate[j]]

    def file(self, name, firings, first=0, integers="U16", floats="F16", tokens=True, other=None):
        """One file of a cache; other: arrays in place of its own."""
        numbers = lambda code, values: struct.pack("<%d%s" % (len(values), CODES[code]), *values)
        arrays = {"locations": (integers, [len(firings), 3], numbers(integers, [
            n for r, p, j, _ in firings for n in (r, p, j - first)])),
            "activations": (floats, [len(firings)], numbers(floats, [a for *_, a in firings]))}
        if tokens:
            arrays["tokens"] = ("I64", [len(self.tokens) // POSITIONS, POSITIONS],
                                numbers("I64", self.tokens))
        arrays.update(other or {})
        return self.write(name, safetensors(*pack(arrays)))

    def cache(self, name="latents/layers.1", ends=(10, 29, 48), **options):
        """The directory of a cache in files that share the features out."""
        for first, end in zip((0, *ends), ends):
            self.file("%s/%d_%d.safetensors" % (name, first, end - 1),
                      [f for f in self.firings if first <= f[2] < end], first, **options)
        return os.path.join(self.tmp, name)

    def config(self, name="latents/layers.1", **keys):
        self.write(name + "/config.json", json.dumps(dict(
            {"cache_ctx_len": POSITIONS, "batch_size": 4, "n_tokens": ROWS * POSITIONS + 9,
             "model_name": "m"}, **keys)).encode())

    def features(self, *words):
        return self.answer("features", SAE, "--sort", "id", "--reverse", *words)["features"]

    def check_features(self, got, firings=None, tokens=ROWS * POSITIONS):
        firings = self.firings if firings is None else firings
        self.assertEqual([f["id"] for f in got], list(range(D_SAE)))
        for f in got:
            values = [a for _, _, j, a in firings if j == f["id"]]
            self.assertEqual(f["count"], len(values))
            self.assertAlmostEqual(f["density"], len(values) / tokens, 8)
            self.assertEqual(f["max"], max(values, default=0))
            if values:
                self.assertAlmostEqual(f["mean"], sum(values) / len(values), 7)
            self.assertIsNone(f["delta_fvu"])

    def check_feature(self, page, j):
        hits = sorted(((-a, r, p) for r, p, i, a in self.firings if i == j))
        top = [(-t["activation"], t["sequence"], t["position"]) for t in page["top"]]
        self.assertEqual(top, hits[:20])
        at = {(r, p): a for r, p, i, a in self.firings if i == j}
        for t in page["top"]:
            c = t["context"]
            r, start = t["sequence"], c["start"]
            places = range(start, start + len(c["activations"]))
            self.assertEqual(c["activations"], [at.get((r, p), 0) for p in places])
            self.assertEqual(c["token_ids"], [self.tokens[r * POSITIONS + p] for p in places])
        bins = [0] * 40
        for a in at.values():
            bins[min(39, int(40 * a / -hits[0][0]))] += 1
        self.assertEqual(page["histogram"]["counts"], bins)
        pairs = {}
        for r, p, i, _ in self.firings:
            if i != j and (r, p) in at:
                pairs[i] = pairs.get(i, 0) + 1
        counts = [sum(i == k for _, _, i, _ in self.firings) for k in range(D_SAE)]
        jaccard = sorted((n / (len(at) + counts[i] - n) for i, n in pairs.items() if n >= 5),
                         reverse=True)[:10]
        self.assertEqual(len(page["coactive"]), len(jaccard))
        for c, want in zip(page["coactive"], jaccard):
            self.assertAlmostEqual(c["jaccard"], want, 8)
            self.assertEqual(c["count"], pairs[c["id"]])

    def test_numbers(self):
        acts = self.cache()
        totals = self.answer("scan", SAE, "--acts", acts)
        self.assertEqual((totals["tokens"], totals["sequences"], totals["nonzeros"]),
                         (ROWS * POSITIONS, ROWS, len(self.firings)))
        self.assertAlmostEqual(totals["l0"], len(self.firings) / totals["tokens"], 7)
        self.assertAlmostEqual(totals["l1"], sum(a for *_, a in self.firings) /
                               totals["tokens"], 6)
        for key in ("fvu", "explained_variance", "mse", "cosine"):
            self.assertIsNone(totals[key])
        checks = {c["name"]: c["text"] for c in
                  self.answer("info", SAE, "--acts", acts)["checks"]}
        self.assertEqual(checks["samples"], "a cache of firings: nothing is known of the "
                                            "reconstruction")
        self.assertIn("L0 %.4g " % totals["l0"], checks["sparsity"])
        self.check_features(self.features("--acts", acts))
        busy = max(range(D_SAE), key=lambda j: sum(f[2] == j for f in self.firings))
        for j in (busy, self.firings[0][2], self.firings[-1][2]):
            self.check_feature(self.answer("feature", SAE, j, "--acts", acts), j)

    def test_one_feature_without_an_index(self):
        acts = self.cache()
        busy = max(range(D_SAE), key=lambda j: sum(f[2] == j for f in self.firings))
        for j in (busy, self.firings[0][2]):
            page = self.answer("feature", SAE, j, "--acts", acts)
            self.assertEqual(self.files(), [])
            self.check_feature(page, j)

    def test_forms(self):
        want = self.features("--acts", self.cache())
        tokens = self.write("tokens.bin", struct.pack("<%dH" % len(self.tokens), *self.tokens))
        raw = ("--tokens", tokens, "--token-dtype", "uint16")
        self.assertEqual(self.features("--acts", self.cache("a", integers="U32")), want)
        self.assertEqual(self.features("--acts", self.cache("b/m"), "-j", "1"), want)
        self.assertEqual(self.features("--acts", self.tmp + "/b"), want)
        self.assertEqual(self.features("--acts", self.cache("a[1] *")), want)
        self.assertEqual(self.features("--acts", self.tmp + "/b/m/*.safetensors"), want)
        acts = self.cache("z")
        for name in os.listdir(acts): # a frame of one raw block each
            path = os.path.join(acts, name)
            with open(path, "rb") as f:
                data = f.read()
            os.unlink(path)
            self.write(path + ".zst", b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(data)) +
                       struct.pack("<I", len(data) << 3 | 1)[:3] + data)
        self.assertEqual(self.features("--acts", acts + "/*.zst"), want)
        whole = self.file("c/layers.1.safetensors", self.firings, integers="I64", floats="F32")
        self.assertEqual(self.features("--acts", whole), want)
        acts = self.cache("d", tokens=False)
        self.config("d")
        r = self.ok("--json", "features", SAE, "--sort", "id", "--reverse", "--acts", acts)
        self.assertEqual(r.json["features"], want)
        self.assertIn(b"0_9.safetensors: warning: no token ids: the text has as many tokens as "
                      b"config.json says (192)\n", r.err)
        self.assertEqual(self.features("--acts", acts, *raw), want)

    def test_what_a_scan_finds_as_a_cache(self):
        """All firings that a scan of the small samples finds, given as a cache: the same
        numbers, bit for bit, whether by the index or without."""
        acts = ("--acts", os.path.join(SMALL, "acts.npy"), "--tokens",
                os.path.join(SMALL, "tokens.npy"))
        self.firings = sorted(
            (t["sequence"], t["position"], j, t["activation"]) for j in range(D_SAE)
            for t in self.answer("feature", SAE, j, "--quick", "--top", "192", *acts)["top"])
        cache = self.file("layers.1.safetensors", self.firings, integers="I64", floats="F32",
                          tokens=False)
        given = ("--acts", cache, *acts[2:])
        without = [self.answer("feature", SAE, j, *given) for j in (0, 5, 30)]
        for got, want in zip(self.features(*given), self.features(*acts)):
            self.assertIsNone(got.pop("delta_fvu"))
            want.pop("delta_fvu")
            self.assertEqual(got, want)
        for page, j in zip(without, (0, 5, 30)):
            want = self.answer("feature", SAE, j, *acts)
            for got in (self.answer("feature", SAE, j, *given), page):
                self.assertIsNone(got["delta_fvu"])
                self.assertEqual(dict(got, delta_fvu=0), dict(want, delta_fvu=0))

    def test_limits(self):
        acts = self.cache()
        self.check_features(self.features("--acts", acts, "--sequences", "5"),
                            [f for f in self.firings if f[0] < 5], 5 * POSITIONS)
        self.check_features(self.features("--acts", acts, "--skip-first", "2"),
                            [f for f in self.firings if f[1] >= 2], ROWS * (POSITIONS - 2))
        left = [i for i, t in enumerate(self.tokens) if t not in (3, 8)]
        self.check_features(self.features("--acts", acts, "--skip-tokens", "3,8"),
                            [f for f in self.firings if f[0] * POSITIONS + f[1] in set(left)],
                            len(left))

    def test_threads_and_memory_change_nothing(self):
        self.draw(512, (.2, .5))
        self.assertGreater(len(self.firings), 100000) # several blocks, several runs
        acts = self.cache(ends=(40, 41, 48))
        said = [(self.features("--acts", acts, "--rebuild", *words),
                 self.answer("feature", SAE, 40, "--acts", acts),
                 self.answer("feature", SAE, 40, "--acts", acts, "--no-index", *words))
                for words in (("-j", "1"), ("-j", "7"), ("-j", "2", "--memory", "1M"))]
        self.check_features(said[0][0], tokens=512 * POSITIONS)
        self.assertEqual(said[0][1], said[0][2])
        self.assertEqual(said[0], said[1])
        self.assertEqual(said[0], said[2])

    def test_part_of_the_features(self):
        acts = self.cache()
        os.unlink(acts + "/10_28.safetensors")
        r = self.ok("--json", "scan", SAE, "--acts", acts)
        self.assertIn(b"warning: 19 of 48 features are in no file of the cache: nothing is known "
                      b"of where they fire\n", r.err)
        there = set(range(10)) | set(range(29, 48))
        dead = len(there - {f[2] for f in self.firings})
        self.assertAlmostEqual(r.json["dead_fraction"], dead / len(there), 8)

    def test_beyond_half_precision(self):
        self.firings[5] = (*self.firings[5][:3], float("inf"))
        acts = self.cache()
        r = self.ok("--json", "features", SAE, "--acts", acts, "--sort", "max")
        self.assertEqual((r.json["features"][0]["id"], r.json["features"][0]["max"]),
                         (self.firings[5][2], 65504))
        self.assertIn(b"warning: 1 activations of the cache were too great for half precision and "
                      b"are taken as 65504\n", r.err)
        top = self.answer("feature", SAE, self.firings[5][2], "--acts", acts)["top"][0]
        self.assertEqual(top["activation"], 65504)

    def test_a_changed_file_is_scanned_again(self):
        acts = self.cache()
        before = self.features("--acts", acts)
        self.firings = [f for f in self.firings if f[0] != 3]
        self.cache()
        self.check_features(self.features("--acts", acts))
        self.assertNotEqual(self.features("--acts", acts), before)

    def refused(self, says, acts, *words, command="scan"):
        self.assertEqual(self.fails(1, command, SAE, "--acts", acts, *words),
                         "saescope: %s\n" % says)

    def test_what_is_no_cache(self):
        one = "x/0_47.safetensors"
        path = os.path.join(self.tmp, one)

        def bad(says, firings=None, **options):
            self.file(one, self.firings if firings is None else firings, **options)
            self.refused(path + ": " + says, path)

        first, rest = self.firings[0], self.firings[1:]
        for i, (place, what) in enumerate((((ROWS, 0, 0), "row 12, position 0, feature 0"),
                                           ((0, POSITIONS, 0), "row 0, position 16, feature 0"),
                                           ((0, 0, D_SAE), "row 0, position 0, feature 48"))):
            bad("locations[0] is outside of the cache (found %s, expected below 12, 16, 48)" %
                what, [(*place, 1.0), *rest])
        bad("locations[1] is not after the one before it (found row %d, position %d, feature %d, "
            "expected them by row, position, feature)" % first[:3], [first, first, *rest])
        bad("locations[%d] is not after the one before it (found row 0, position %d, feature %d, "
            "expected them by row, position, feature)" % (len(rest), *first[1:3]),
            [*rest, first])
        bad("activations[0] is none of this SAE (found -1, expected 0 or more)",
            [(*first[:3], -1.0), *rest])
        bad("activations[0] is none of this SAE (found nan, expected 0 or more)",
            [(*first[:3], float("nan")), *rest])
        bad("activations[0] is none of this SAE (found inf, expected 0 or more)",
            [(*first[:3], float("inf")), *rest], floats="F32")
        bad("locations do not fit (found uint16 [2, 2], expected integers [n, 3]: row, position, "
            "feature)", other={"locations": ("U16", [2, 2], bytes(8))})
        bad("activations do not fit (found float16 [1], expected floating point [%d], one for "
            "every location)" % len(self.firings), other={"activations": ("F16", [1], bytes(2))})
        bad("tokens do not fit (found float32 [1, 1], expected integers [rows, positions])",
            other={"tokens": ("F32", [1, 1], bytes(4))})
        bad("a cache of firings of how many tokens? (found no token ids and no cache_ctx_len, "
            "batch_size and n_tokens in config.json, expected --tokens of [rows, positions])",
            tokens=False)
        path = self.file("y/0_48.safetensors", self.firings)
        self.refused("%s: not the SAE of the firings in %s (found feature 48 there, expected 0 to "
                     "47)" % (SAE, path), path)
        path = self.file("y/9_3.safetensors", self.firings)
        self.refused("%s: the name is of no features (found 9 to 3, expected START_END, both in)" %
                     path, path)

    def test_what_does_not_go_together(self):
        acts = self.cache()
        more = self.file("latents/layers.1/9_9.safetensors", [])
        self.refused("%s: a feature in two files (found 9 in %s/0_9.safetensors too, expected "
                     "files that share the features out)" % (more, acts), acts)
        os.unlink(more)
        npy = os.path.join(SMALL, "acts.npy")
        self.refused("%s: activations and firings do not go together (found both, the others in "
                     "%s/0_9.safetensors, expected files of one kind)" % (npy, acts), acts,
                     "--acts", npy)
        self.refused("%s/0_9.safetensors: activations and firings do not go together (found both, "
                     "the others in %s, expected files of one kind)" % (acts, npy), npy,
                     "--acts", acts)
        tokens = self.write("few.bin", struct.pack("<9H", *range(9)))
        self.refused("%s: token ids do not fit the firings in %s/0_9.safetensors (found 9 ids, "
                     "expected 192)" % (tokens, acts), acts, "--tokens", tokens,
                     "--token-dtype", "uint16")
        self.cache("latents/layers.2")
        self.refused("%s/latents: several caches of firings (found layers.1, layers.2, expected "
                     "one of these directories)" % self.tmp, self.tmp + "/latents")
        self.assertEqual(self.fails(1, "info", acts), "saescope: %s: not a checkpoint (found a "
                         "cache of firings, expected the SAE that it is of; --acts takes the "
                         "cache)\n" % acts)
        named_so = self.write("5_10.safetensors", safetensors(*pack({"x": ("F32", [1], bytes(4))})))
        self.assertEqual(self.fails(1, "info", named_so), "saescope: %s: not a checkpoint (found 1 "
                         "tensors, the first called 'x', expected the names of an SAE)\n" % named_so)
        self.assertEqual(self.fails(1, "token", SAE, "0:3", "--acts", acts), "saescope: "
                         "%s/0_9.safetensors: no activations (found a cache of firings, expected "
                         "--acts FILE or --model DIR)\n" % acts)


if __name__ == "__main__":
    unittest.main()
