"""Every number of the commands against what other implementations arrive at.

tests/data/small comes with the values of tests/ref/make_small.py; the larger data sets are
used where they lie beside the source tree, else these tests are skipped.
"""
import json
import os
import unittest

from program import FIXTURES, SMALL, Case

TOTALS = {"tokens": "positions", "l0": "l0_mean", "l1": "l1_mean",
          "dead_fraction": "dead_fraction", "fvu": "fvu",
          "explained_variance": "explained_variance", "mse": "mse", "cosine": "mean_cosine"}


def load(*path):
    with open(os.path.join(*path)) as f:
        return json.load(f)


class Numbers(Case):
    maxDiff = None

    def totals(self, place, want, *options):
        got = self.answer("scan", *place, *options)
        for key, name in TOTALS.items():
            self.near(got[key], want[name], key)
        self.assertEqual(got["nonzeros"], round(got["l0"] * got["tokens"]))

    def summaries(self, place, want):
        got = self.answer("info", *place)
        for key in ("b_enc", "b_dec", "threshold", "b_gate", "b_mag", "r_mag"):
            if key == "threshold" and got["architecture"] == "batchtopk":
                self.assertEqual(got[key]["count"], 1) # one number, none in the reference
                continue
            if key not in want["bias"]:
                self.assertIsNone(got[key], key)
                continue
            g, w = got[key], want["bias"][key]
            scale = max(abs(w["min"]), abs(w["max"]))
            for name in ("mean", "std", "min", "max"):
                self.near(g[name], w[name], "%s.%s" % (key, name), scale)
            self.near(g["negative_fraction"], w["fraction_negative"], key)
            self.near_counts(g["histogram"]["counts"], w["histogram_64"], key)
            self.assertEqual(g["count"], sum(g["histogram"]["counts"]))
        for name in ("mean", "min", "max"):
            self.near(got["decoder_norm"][name], want["decoder_norm"][name], name)
        return got

    def table(self, place, want):
        rows = self.answer("features", *place)["features"]
        self.assertEqual([r["id"] for r in rows], list(range(len(rows))))
        cosines = [r["encoder_decoder_cosine"] for r in rows]
        self.near(sum(cosines) / len(rows), want["encoder_decoder_cosine"]["mean"],
                  "encoder_decoder_cosine")
        self.assertEqual(sum(r["count"] == 0 for r in rows),
                         want["all_positions"]["dead_count"])
        return rows

    def page(self, got, want, rows, n_tokens):
        most = {k: max(abs(r[k] or 0) for r in rows) for k in ("mean", "max", "delta_fvu")}
        what = "feature %d: " % want["feature"]
        self.near(got["count"], want["active_positions"], what + "count")
        self.near(got["density"], want["density"], what + "density")
        self.near(got["mean"], want["mean_over_active"], what + "mean", most["mean"])
        self.near(got["max"], want["max"], what + "max", most["max"])
        if want.get("delta_fvu") is not None:
            self.near(got["delta_fvu"], want["delta_fvu"], what + "delta_fvu",
                      most["delta_fvu"])
        if want["histogram_40"] is None:
            self.assertIsNone(got["histogram"])
            self.assertEqual((got["top"], got["intervals"]), ([], []))
        else:
            self.near_counts(got["histogram"]["counts"], want["histogram_40"],
                             what + "histogram")
            self.near(got["histogram"]["edges"][-1], want["max"], what + "edges")
        self.assertLessEqual(got["wilson"][0], got["density"])
        self.assertGreaterEqual(got["wilson"][1], got["density"])
        self.top(got["top"], want["top"], what)
        self.neighbours(got["neighbours"], want["neighbours"], what)
        self.intervals(got)
        row = rows[want["feature"]]
        for key in ("density", "count", "mean", "max", "bias", "threshold", "decoder_norm",
                    "encoder_decoder_cosine", "delta_fvu"):
            self.near(got[key], row[key], what + key)

    def top(self, got, want, what):
        """The same places, up to ties within 1e-5."""
        self.assertEqual(len(got), len(want), what)
        for g, w in zip(got, want):
            self.near(g["activation"], w["activation"], what + "top")
            self.assertEqual(len(g["context"]["token_ids"]), len(g["context"]["tokens"]))
            lit = g["position"] - g["context"]["start"]
            self.assertEqual(g["context"]["token_ids"][lit], g["token_id"])
            self.assertEqual(g["context"]["tokens"][lit], g["token"])
            self.near(g["context"]["activations"][lit], g["activation"], what + "context")
        last = want[-1]["activation"] if want else 0
        for w in want:
            if w["activation"] > last * (1 + 1e-5):  # else it may be any of the tie
                self.assertIn((w["sequence"], w["position"], w["token"]),
                              [(g["sequence"], g["position"], g["token_id"]) for g in got],
                              what + "top")

    def neighbours(self, got, want, what):
        self.assertEqual(len(got), len(want))
        for g, w in zip(got, want):
            self.assertLess(abs(g["cosine"] - w["cosine"]), 1e-4, what)
        last = want[-1]["cosine"]
        ids = [g["id"] for g in got]
        for w in want:
            if w["cosine"] > last + 1e-4:
                self.assertIn(w["feature"], ids, what + "neighbours")

    def intervals(self, got):
        if not got["intervals"]:
            return
        self.assertEqual(len(got["intervals"]), 10)
        self.assertEqual(sum(i["count"] for i in got["intervals"]), got["count"])
        for n, i in enumerate(got["intervals"]):
            self.near(i["low"], got["max"] * n / 10, "low", got["max"])
            self.near(i["high"], got["max"] * (n + 1) / 10, "high", got["max"])
            self.assertEqual(len(i["examples"]), min(5, i["count"]))
            for e in i["examples"]:
                self.assertGreater(e["activation"], i["low"] * (1 - 1e-3))
                self.assertLessEqual(e["activation"], i["high"] * (1 + 1e-3))

    def coactive(self, got, want):
        self.assertEqual([c["id"] for c in got], [c["feature"] for c in want])
        for g, w in zip(got, want):
            self.assertEqual(g["count"], w["count"])
            self.near(g["jaccard"], w["jaccard"], "jaccard")
            self.near(g["pmi"], w["pmi"], "pmi")

    def pages(self, place, want, rows, *options):
        ids = [f["feature"] for f in want["features"]]
        got = self.answer("feature", *place, *ids, *options)["features"]
        self.assertEqual([g["id"] for g in got], ids)
        for g, w in zip(got, want["features"]):
            self.page(g, w, rows, want["all_positions"]["positions"])
            if "coactive" in w:
                self.coactive(g["coactive"], w["coactive"])
        return got

    def everything(self, place, want):
        self.totals(place, want["all_positions"])
        self.totals(place, want["without_position_0"], "--skip-first", 1)
        self.summaries(place, want)
        rows = self.table(place, want)
        return rows, self.pages(place, want, rows)


class Small(Numbers):
    def test_every_architecture(self):
        for want in load(SMALL, "expected.json"):
            with self.subTest(want["sae"]):
                rows, indexed = self.everything((SMALL, "-s", want["sae"]), want)
                direct = self.pages((SMALL, "-s", want["sae"]), want, rows, "--no-index")
                for a, b in zip(indexed, direct):
                    self.assertEqual(a["top"], b["top"])
                    self.assertEqual(a["histogram"], b["histogram"])

    def test_wide_contexts_are_exact_too(self):
        words = ("feature", SMALL, 3, "--context", 15)
        self.ok("scan", SMALL)
        indexed = self.answer(*words)
        self.assertEqual(indexed["top"], self.answer(*words, "--no-index")["top"])
        for e in indexed["top"]:
            self.assertEqual(e["context"]["start"], 0)
            self.assertEqual(len(e["context"]["tokens"]), 16)
        for e in self.answer("feature", SMALL, 3, "--context", 0)["top"]:
            self.assertEqual(e["context"]["tokens"], [e["token"]])

    def test_hist_prints_what_info_and_features_say(self):
        place = (SMALL, "-s", "jumprelu")
        info = self.answer("info", *place)
        rows = self.answer("features", *place)["features"]
        for of in ("b_enc", "b_dec", "threshold", "decoder_norm"):
            got = self.answer("hist", *place, "--of", of)
            self.assertEqual(got.pop("of"), of)
            self.assertEqual(got.pop("excluded"), 0)
            self.assertEqual(got, info[of])
        for of in ("density", "max", "encoder_decoder_cosine", "delta_fvu"):
            got = self.answer("hist", *place, "--of", of)
            values = [r[of] for r in rows]
            self.assertEqual(got["count"], len(values))
            self.near(got["mean"], sum(values) / len(values), of)
            self.near(got["min"], min(values), of)
            self.near(got["max"], max(values), of)
            self.assertEqual(sum(got["histogram"]["counts"]), len(values))

    def test_hist_options(self):
        place = (SMALL, "-s", "standard", "--of", "density")
        rows = self.answer("features", SMALL, "-s", "standard")["features"]
        values = [r["density"] for r in rows]
        log = self.answer("hist", *place, "--log", "--bins", 7)
        self.assertEqual(log["excluded"], values.count(0))
        self.assertEqual(len(log["histogram"]["counts"]), 7)
        self.assertEqual(log["count"], len(values))
        self.assertLess(log["histogram"]["edges"][0], 0)
        part = self.answer("hist", *place, "--range", "0.05,0.1", "--bins", 4)
        inside = sum(0.05 <= v <= 0.1 for v in values)
        self.assertEqual(sum(part["histogram"]["counts"]), inside)
        self.assertEqual(part["excluded"], len(values) - inside)
        self.assertEqual(part["histogram"]["edges"][0], 0.05)


@unittest.skipUnless(os.path.isdir(os.path.join(FIXTURES, "A")), "no larger data sets")
class Large(Numbers):
    def test_data_set_A(self):
        bundle = os.path.join(FIXTURES, "A")
        for entry in load(bundle, "index.json")["saes"]:
            path = entry["path"]
            with self.subTest(path):
                want = load(FIXTURES, "expected", entry["expected"])
                self.everything((bundle, "-s", os.path.join(bundle, path)), want)

    def test_toy(self):
        bundle = os.path.join(FIXTURES, "toy")
        for name, want in load(bundle, "expected.json")["saes"].items():
            with self.subTest(name):
                self.totals((bundle, "-s", name), want["summary"])


if __name__ == "__main__":
    unittest.main()
