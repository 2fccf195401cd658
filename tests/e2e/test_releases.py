"""Checkpoints as repositories have them encode what tests/ref/releases/make.py says: the same
features, and where its numbers are exact the same bits."""
import json
import os
import struct
import unittest

from program import ROOT, Case

REF = os.path.join(ROOT, "tests", "ref", "releases")
TREE = os.path.join(REF, "tree")
ACTS = os.path.join(REF, "acts.npy")

with open(os.path.join(REF, "expected.json"), encoding="utf-8") as file:
    EXPECTED = json.load(file)
CASES = EXPECTED["cases"]


def f32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


class Releases(Case):
    def test_what_they_are(self):
        for path, case in CASES.items():
            with self.subTest(path):
                info = self.answer("info", os.path.join(TREE, path))
                for key in ("format", "kind", "architecture", "hook", "k", "step", "ignored"):
                    if key in case:
                        self.assertEqual(info[key], case[key], key)
                what = case["encoded"]
                self.assertEqual(info["normalisation"], "layer_norm" if "layer norm" in what else
                                 "factor" if "normalised" in what else "none")
                self.assertEqual(info["norm_factor"], 0.5 if "normalised" in what else None)
                self.assertEqual(info["subtracts"], what != "jumprelu" and
                                 "without b_dec" not in what and
                                 what not in ("crosscoder", "crosscoder threshold"))
                self.assertEqual(info["decoder_norms_in_activations"], "times norm" in what)
                if "note" in case:
                    self.assertTrue(any(case["note"] in n for n in info["notes"]), info["notes"])
                elif case["format"] != "transcoder-circuits":
                    self.assertEqual(info["notes"], [])

    def test_what_they_encode(self):
        """Every activation of every feature, from the one pass without an index."""
        for path, case in CASES.items():
            with self.subTest(path):
                path = os.path.join(TREE, path)
                n = self.answer("info", path)["d_sae"]
                got = {}
                for page in self.answer("feature", path, "--acts", ACTS, "--no-index", "--quick",
                                        "--top", 1000, *range(n))["features"]:
                    for hit in page["top"]:
                        token = hit["sequence"] * EXPECTED["length"] + hit["position"]
                        got[token, page["id"]] = f32(hit["activation"])
                want = {(t, j): v for t, j, v in EXPECTED["encoded"][case["encoded"]]}
                self.assertEqual(sorted(got), sorted(want))
                room = 1e-6 if case["encoded"] in EXPECTED["inexact"] else 0
                worst = max(abs(got[at] - v) / (1 + room * abs(v)) for at, v in want.items())
                self.assertLessEqual(worst, 4 * room)

    def test_what_a_scan_finds(self):
        """The same from the scan, and one relative norm a feature of crosscoders."""
        for path, case in CASES.items():
            with self.subTest(path):
                hits = EXPECTED["encoded"][case["encoded"]]
                rows = self.answer("features", os.path.join(TREE, path), "--acts", ACTS)["features"]
                for row in rows:
                    values = [abs(v) for _, j, v in hits if j == row["id"]]
                    self.assertEqual(row["count"], len(values))
                    self.assertAlmostEqual(row["max"], max(values, default=0), delta=1e-5)
                for row, want in zip(rows, case.get("relative_decoder_norm", [])):
                    self.assertAlmostEqual(row["relative_decoder_norm"], want, delta=1e-6)

    def test_relative_norms(self):
        """On a feature's page and as a histogram; no other checkpoint has them."""
        name = "crosscoders/hub"
        path, want = os.path.join(TREE, name), CASES[name]["relative_decoder_norm"]
        page = self.answer("feature", path, 5)
        self.assertAlmostEqual(page["relative_decoder_norm"], want[5], delta=1e-6)
        hist = self.answer("hist", path, "--of", "relative_decoder_norm", "--bins", 2, "--range", "0,1")
        self.assertEqual(hist["histogram"]["counts"],
                         [sum(v < 0.5 for v in want), sum(v >= 0.5 for v in want)])
        self.assertAlmostEqual(hist["mean"], sum(want) / len(want), delta=1e-6)
        path = os.path.join(TREE, "flat/25.pt")
        self.assertNotIn("relative_decoder_norm", self.answer("feature", path, 5))
        self.assertEqual(self.fails(1, "hist", path, "--of", "relative_decoder_norm"),
                         "saescope: %s: no relative_decoder_norm (found none, a checkpoint of "
                         "architecture standard has none)\n" % path)

    def test_a_repository_of_several_is_opened_as_it_is(self):
        """All that is below a directory, by the way there, in natural order."""
        for tree, first, some in (
                ("sae-llama-3-8b-32x", "layers.2", "layers.10"),
                ("saebench", None, "trainer_6"),
                ("sparse-autoencoder", None, "resid_post_mlp_v5_32k/autoencoders/8.pt"),
                ("dictionaries", None, "resid_out_layer3/10_32768")):
            with self.subTest(tree):
                tree = os.path.join(TREE, tree)
                if first:
                    self.assertEqual(self.answer("info", tree)["path"], os.path.join(tree, first))
                found = self.answer("info", tree, "-s", some)["path"]
                self.assertTrue(found.endswith(some), found)
        self.assertIn("no such SAE (found ", self.fails(1, "info", TREE, "-s", "nothing"))


if __name__ == "__main__":
    unittest.main()
