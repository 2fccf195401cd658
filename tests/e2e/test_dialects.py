"""Checkpoints that are no ordinary SAE give the numbers of tests/ref/dialects/make.py."""
import json
import os
import unittest

from program import ROOT, Case

REF = os.path.join(ROOT, "tests", "ref", "dialects")

with open(os.path.join(REF, "expected.json"), encoding="utf-8") as file:
    CASES = json.load(file)


class Dialects(Case):
    def words(self, case):
        words = [os.path.join(REF, case["path"]), "--acts", os.path.join(REF, case["acts"] + ".npy")]
        if case["target"]:
            words += ["--target", os.path.join(REF, case["target"] + ".npy")]
        return words + case.get("options", [])

    def close(self, got, want, what):
        """f32 sums of at most 48 terms of order 1."""
        if got is None or want is None:
            self.assertEqual(got, want, what)
        else:
            self.assertLessEqual(abs(got - want), 2e-5 * (1 + abs(want)), what)

    def test_what_they_are(self):
        for name, case in CASES.items():
            with self.subTest(name):
                info = self.answer("info", *self.words(case))
                for key in ("format", "kind", "architecture", "hook", "hook_out", "k",
                            "normalisation", "subtracts"):
                    if key in case:
                        self.assertEqual(info[key], case[key], key)
                if "norm_factor" in case:
                    self.close(info["norm_factor"], case["norm_factor"], "norm_factor")

    def test_warnings(self):
        for name, case in CASES.items():
            if "warning" in case:
                with self.subTest(name):
                    lines = self.ok("info", *self.words(case)).err.decode().splitlines()
                    path = os.path.join(REF, case["path"])
                    self.assertIn("saescope: %s: warning: %s" % (path, case["warning"]), lines)

    def test_totals(self):
        for name, case in CASES.items():
            with self.subTest(name):
                scan = self.answer("scan", *self.words(case))
                for key in ("l0", "l1", "fvu", "mse"):
                    self.close(scan[key], case[key], key)
                self.close(scan["explained_variance"],
                           None if case["fvu"] is None else 1 - case["fvu"], "ev")

    def test_every_feature(self):
        for name, case in CASES.items():
            with self.subTest(name):
                rows = self.answer("features", *self.words(case))["features"]
                self.assertEqual([r["count"] for r in rows], case["count"])
                for key in ("max", "mean", "delta_fvu"):
                    for r, want in zip(rows, case[key]):
                        self.close(r[key], want, (key, r["id"]))
                for r, want in zip(rows, case.get("relative_decoder_norm", [])):
                    self.close(r["relative_decoder_norm"], want, r["id"])

    def test_one_feature_without_an_index(self):
        """One pass finds what the scan finds; the rise of FVU of a transcoder needs a scan."""
        for name, case in CASES.items():
            with self.subTest(name):
                page = self.answer("feature", *self.words(case), "3", "--no-index")
                self.assertEqual(page["count"], case["count"][3])
                self.close(page["max"], case["max"][3], "max")
                if case["kind"] in ("sae", "crosscoder"):
                    self.close(page["delta_fvu"], case["delta_fvu"][3], "delta_fvu")

    def test_converted(self):
        """What SAELens has words for comes back as the same numbers."""
        refused = {"circuits": "SAELens' transcoders take nothing off the input",
                   "sparsify_groupmax": "SAELens' configuration has no word",
                   "sparsify_skip": "SAELens has no such transcoder",
                   "sparsify_skip, b_dec subtracted": "SAELens has no such transcoder",
                   "crosscoder": "the form has no word for its kind",
                   "pca": "SAELens' configuration has no word",
                   "identity": "SAELens' configuration has no word",
                   "openai_identity": "SAELens' configuration has no word",
                   "moss_glu": "the form has no word for its encoder",
                   "moss_glu_old": "the form has no word for its encoder",
                   "moss_topk": "decoder norms rank its features and are in no activation"}
        for name, case in CASES.items():
            for to in ("saelens", "npy"):
                with self.subTest((name, to)):
                    out = os.path.join(self.tmp, "%s %s" % (name, to))
                    words = [os.path.join(REF, case["path"]), out, "--to", to]
                    words += case.get("options", [])
                    if "estimate" in words:
                        continue
                    if name in refused:
                        self.assertIn("cannot be converted: " + refused[name],
                                      self.fails(1, "convert", *words))
                        continue
                    self.ok("convert", *words)
                    words = self.words(case)[1:]
                    if case.get("options"):
                        words = words[:-len(case["options"])]
                    info = self.answer("info", out)
                    self.assertEqual(info["kind"], case["kind"])
                    scan = self.answer("scan", out, *words)
                    for key in ("l0", "l1", "fvu"):
                        self.close(scan[key], case[key], key)

    def test_sort_and_filter_by_relative_norm(self):
        case = CASES["crosscoder"]
        rows = self.answer("features", *self.words(case), "--sort", "relative_decoder_norm",
                           "--filter", "relative_decoder_norm > 0.5")["features"]
        want = case["relative_decoder_norm"]
        ids = sorted((i for i, v in enumerate(want) if v > 0.5), key=lambda i: -want[i])
        self.assertEqual([r["id"] for r in rows], ids)
        self.assertEqual(rows[0]["relative_decoder_norm"], 1)

    def test_words_that_are_no_factor(self):
        for word in ("0", "-1", "x", "nan", "1e400", "1x", ""):
            self.assertEqual(self.fails(2, "info", os.path.join(REF, "pca.pt"),
                                        "--norm-factor=" + word),
                             "saescope: --norm-factor: found '%s', expected a number above 0 or "
                             "estimate\n" % word)

    def test_refusals(self):
        acts, target = (os.path.join(REF, n + ".npy") for n in ("acts", "target"))
        skip = os.path.join(REF, "saelens_skip")
        factor, mean = (os.path.join(REF, n) for n in ("saelens_factor", "mean.pt"))
        norm = os.path.join(REF, "saelens_jumprelu_skip")
        for words, says in (
                (["info", factor, "--norm-factor", "estimate"],
                 "%s: --norm-factor estimate: no activation samples (found none, expected --acts "
                 "FILE)" % factor),
                (["info", norm, "--norm-factor", "2"],
                 "%s: --norm-factor: every input is normalised by itself (found "
                 "constant_norm_rescale, expected none)" % norm),
                (["info", mean, "--subtract-mean", "nothing"],
                 "%s: --subtract-mean nothing: no such vector (found none, expected its name in "
                 "the file)" % mean),
                (["info", mean, "--subtract-mean", "b_enc"],
                 "%s: b_enc has a wrong shape (found [24], expected [8])" % mean),
                (["info", norm, "--subtract-mean", "b_dec"],
                 "%s: --subtract-mean b_dec: not together with a normalised input (found one, "
                 "expected none)" % norm),
                (["scan", skip, "--target", target],
                 "%s: a target without samples (found no --acts, expected what the transcoder "
                 "reads)" % target),
                (["scan", skip, "--acts", acts, "--target", acts],
                 "%s: W_dec does not fit the target in %s (found [24, 6] and [20, 8, 8], expected "
                 "a target of d_out = 6)" % (skip, acts)),
                (["scan", skip, "--acts", acts, "--subtract-b-dec", "on"],
                 "%s: b_dec cannot be taken off the input (found d_in 8 and d_out 6, expected the "
                 "same)" % skip),
                (["convert", os.path.join(REF, "pca.pt"), self.tmp + "/out"],
                 "%s/pca.pt: cannot be converted: SAELens' configuration has no word for its "
                 "architecture (found pca, expected standard, prolu, jumprelu, topk, batchtopk, "
                 "matryoshka or gated)" % REF)):
            self.assertEqual(self.fails(1, *words), "saescope: %s\n" % says)


if __name__ == "__main__":
    unittest.main()
