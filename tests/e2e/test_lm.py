"""Commands that run a language model, over the tiny models of tests/ref/lm."""
import array
import json
import os
import shutil
import signal
import time
import unittest

from program import FIXTURES, ROOT, SMALL, Case

REF = os.path.join(ROOT, "tests", "ref", "lm")
MODEL = os.path.join(REF, "gpt2")
SAE = os.path.join(REF, "score", "sae")
TOKENS = os.path.join(REF, "score", "tokens.npy")
SCORE_KEYS = """sequences positions ce_original ce_reconstructed ce_zero
    reconstruction_score nats_lost bits_lost kl l0 fvu seconds baseline
    ce_baseline""".split()


class Score(Case):
    def score(self, hook, *words):
        return self.ok("score", SAE, "--model", MODEL, "--tokens", TOKENS, "--hook", hook,
                       *words)

    def test_agrees_with_the_reference(self):
        with open(os.path.join(REF, "score", "score.json")) as f:
            wanted = json.load(f)["scores"]
        for want in wanted:
            got = self.score(want["hook"], "--skip-first", want["skip_first"], "--json").json
            self.assertEqual(sorted(got), sorted(SCORE_KEYS))
            for key in SCORE_KEYS:
                if key in want:
                    self.assertAlmostEqual(got[key], want[key], delta=3e-4, msg=key)

    def test_forms_and_threads_say_the_same(self):
        hook = "blocks.1.hook_resid_pre"
        one = self.score(hook, "--json", "-j1").json
        two = self.score(hook, "--json", "-j2").json
        self.assertEqual({**one, "seconds": 0}, {**two, "seconds": 0})
        head, rows = self.score(hook, "--tsv").tsv
        self.assertEqual(head, SCORE_KEYS)
        self.assertEqual(len(rows), 1)
        self.assertEqual(float(rows[0][2]), one["ce_original"])
        text = self.score(hook).out.decode()
        for key in SCORE_KEYS:
            self.assertIn(key, text)
        self.assertEqual(self.score(hook, "--sequences", 1, "--json").json["sequences"], 1)

    def test_other_baselines(self):
        hook = "blocks.1.hook_resid_pre"
        zero = self.score(hook, "--json").json
        self.assertEqual((zero["baseline"], zero["ce_baseline"]), ("zero", zero["ce_zero"]))
        seen = {zero["ce_baseline"]}
        for baseline in ("mean", "b_dec"):
            got = self.score(hook, "--baseline", baseline, "--json").json
            self.assertEqual((got["baseline"], got["ce_zero"]), (baseline, None))
            self.assertAlmostEqual(
                got["reconstruction_score"], (got["ce_baseline"] - got["ce_reconstructed"]) /
                (got["ce_baseline"] - got["ce_original"]), places=6)
            self.assertEqual(got["kl"], zero["kl"])
            seen.add(got["ce_baseline"])
        self.assertEqual(len(seen), 3)
        self.fails(2, "score", SAE, "--baseline", "best")

    def test_is_computed_once(self):
        hook = "blocks.1.hook_resid_pre"
        first = self.score(hook, "--json").out
        files = self.files()
        self.assertTrue(files and all(f.endswith(".effects") for f in files), files)
        self.assertEqual(self.score(hook, "--json").out, first)  # seconds and all
        again = self.score(hook, "--json", "--rebuild").json
        self.assertNotEqual(again["seconds"], json.loads(first)["seconds"])
        self.assertEqual({**again, "seconds": 0}, {**json.loads(first), "seconds": 0})
        self.assertEqual(self.files(), files)
        # another hook, other positions: other results, and no warning of what is there
        self.score("blocks.0.hook_mlp_out", "--json")
        self.score(hook, "--json", "--skip-first", 1)
        self.assertNotEqual(self.files(), files)
        self.assertEqual(self.score(hook, "--json").out,
                         self.score(hook, "--json").out)
        # a damaged file is said and replaced
        for path in files:
            with open(path, "r+b") as f:
                f.seek(-1, os.SEEK_END)
                last = f.read(1)
                f.seek(-1, os.SEEK_END)
                f.write(bytes([last[0] ^ 1]))
        damaged = self.score(hook, "--json")
        self.assertIn(b"damaged", damaged.err)
        self.assertEqual(self.score(hook, "--json").err, b"")
        before = self.files()
        self.score("blocks.1.hook_resid_mid", "--json", "--no-index")
        self.assertEqual(self.files(), before)

    def says(self, part, *words):
        self.assertIn(part, self.fails(1, "score", *words))

    def test_says_what_is_missing(self):
        model, tokens = ("--model", MODEL), ("--tokens", TOKENS)
        hook = ("--hook", "blocks.1.hook_resid_pre")
        self.says("--model", SAE, *tokens, *hook)
        self.says("--tokens", SAE, *model, *hook)
        self.says("--hook", SAE, *model, *tokens)
        self.says("--acts", SAE, *model, *tokens, *hook, "--from-samples")
        self.says("found blocks.7.hook_resid_pre", SAE, *model, *tokens, "--hook",
                  "blocks.7.hook_resid_pre")
        self.says("config.json", SAE, "--model", self.tmp, *tokens, *hook)
        self.says("found d_in = 16, expected 24", SAE, "--model",
                  os.path.join(REF, "gemma2"), *tokens, *hook)

    def test_a_tokenizer_of_another_model(self):
        vocab = os.path.join(self.tmp, "vocab.json")
        for n, said in ((61, False), (62, True)):
            with open(vocab, "w") as f:
                json.dump({"t%d" % i: i for i in range(n)}, f)
            err = self.score("blocks.1.hook_resid_pre", "--tokenizer", vocab).err.decode()
            self.assertEqual("found 62 ids, expected at most 61" in err, said, err)

    def test_a_loss_that_is_not_finite(self):
        model = os.path.join(self.tmp, "model")
        shutil.copytree(MODEL, model)
        path = os.path.join(model, "model.safetensors")
        os.chmod(path, 0o644)
        with open(path, "r+b") as f:
            f.seek(-4, os.SEEK_END)
            f.write(b"\0\0\xc0\x7f")
        self.says("NaN or infinite", SAE, "--model", model, "--tokens", TOKENS, "--hook",
                  "blocks.1.hook_resid_pre")

    @unittest.skipUnless(os.path.isdir(FIXTURES), "no fixtures")
    def test_can_be_interrupted(self):
        p = self.start("score", os.path.join(FIXTURES, "A"))
        try:
            p.wait(timeout=0.3)
        except Exception:
            p.send_signal(signal.SIGINT)
            out, err = p.communicate(timeout=30)
            self.assertEqual((p.returncode, out, err), (130, b"", b""))
        else:
            self.fail("too fast to be interrupted")


class Ablate(Case):
    MODEL = ("--model", MODEL, "--tokens", TOKENS, "--hook", "blocks.1.hook_resid_pre")

    def test_is_against_score(self):
        score = self.ok("score", SAE, *self.MODEL, "--json").json
        for mode, before in (("reconstruction", "ce_reconstructed"),
                             ("error-kept", "ce_original")):
            got = self.ok("ablate", SAE, "3,5", "5-7", *self.MODEL, "--mode", mode,
                          "--json").json
            self.assertEqual((got["sequences"], got["mode"]), (2, mode))
            self.assertEqual([f["id"] for f in got["features"]], [3, 5, 6, 7])
            for f in got["features"]:
                self.assertAlmostEqual(f["ce_before"], score[before], places=6)
                self.assertAlmostEqual(f["ce_after"] - f["ce_before"], f["delta_ce"],
                                       places=6)
                self.assertAlmostEqual(
                    f["reconstruction_score_after"],
                    (score["ce_zero"] - f["ce_after"]) /
                    (score["ce_zero"] - score["ce_original"]), places=5)
                self.assertEqual(len(f["worst"]), 10)
                deltas = [w["delta"] for w in f["worst"]]
                self.assertEqual(deltas, sorted(deltas, reverse=True))

    def test_estimates(self):
        with open(os.path.join(REF, "score", "score.json")) as f:
            want = json.load(f)["scores"][0]
        self.assertEqual(want["hook"], self.MODEL[-1])
        scale = max(map(abs, want["estimate"]))
        for mode, key in (("reconstruction", "estimate"),
                          ("error-kept", "estimate_error_kept")):
            got = self.ok("ablate", SAE, "--top", 7, "--by", "estimate", *self.MODEL, "--mode",
                          mode, "--json").json["features"]
            order = sorted(range(40), key=lambda i: -want[key][i])
            self.assertEqual([f["id"] for f in got], order[:7])
            for f in got:
                self.assertAlmostEqual(f["estimate"], want[key][f["id"]],
                                       delta=1e-4 * scale)
                self.assertIsNotNone(f["delta_ce"])
        quick = self.ok("ablate", SAE, 3, *self.MODEL, "--sequences", 1, "--quick",
                        "--json").json["features"][0]
        self.assertIsNone(quick["estimate"])
        self.assertIn("--model", self.fails(1, "ablate", SAE, "--by", "estimate"))

    def test_at_every_token(self):
        one = self.ok("ablate", SAE, "3,5", *self.MODEL, "--at", 1, "--json").json
        for f in one["features"]:
            tokens = f["tokens"]
            self.assertEqual([t["position"] for t in tokens], list(range(140)))
            self.assertIsNone(tokens[-1]["delta"])
            deltas = {t["position"]: t["delta"] for t in tokens}
            self.assertEqual(sum(t["taken"] > 0 for t in tokens) > 0, any(
                t["delta"] for t in tokens))
            for w in f["worst"]:
                if w["sequence"] == 1:
                    self.assertAlmostEqual(deltas[w["position"]], w["delta"], places=6)
        head, rows = self.ok("ablate", SAE, "3,5", *self.MODEL, "--at", 0, "--tsv",
                             "--table", "tokens").tsv
        self.assertEqual(len(rows), 280)
        self.assertIn("expected 0 to 1", self.fails(1, "ablate", SAE, 3, *self.MODEL, "--at",
                                                    2))
        self.assertIn("--model", self.fails(1, "ablate", SMALL, 3, "--at", 0))

    def test_what_is_known_is_not_computed_again(self):
        few = self.ok("ablate", SAE, "3,5", *self.MODEL, "--json").out
        files = self.files()
        stamps = [os.stat(f).st_mtime_ns for f in files]
        self.assertEqual(self.ok("ablate", SAE, "3,5", *self.MODEL, "--json").out, few)
        self.assertEqual([os.stat(f).st_mtime_ns for f in files], stamps)
        more = self.ok("ablate", SAE, "3-6", *self.MODEL, "--json").json
        alone = self.ok("ablate", SAE, "3-6", *self.MODEL, "--json", "--no-index").json
        self.assertEqual(more, alone)
        self.assertEqual(self.files(), files)

    def test_by_max_times_density(self):
        table = self.ok("features", SMALL, "--json").json["features"]
        keys = [f["max"] * f["density"] for f in table]
        order = sorted(range(len(keys)), key=lambda i: -keys[i])
        got = self.ok("ablate", SMALL, "--top", 5, "--by", "max*density", "--json").json
        self.assertEqual([f["id"] for f in got["features"]], order[:5])

    def test_forms(self):
        head, rows = self.ok("ablate", SAE, "3,5", *self.MODEL, "--tsv").tsv
        self.assertEqual([r[head.index("id")] for r in rows], ["3", "5"])
        head, rows = self.ok("ablate", SAE, "3,5", *self.MODEL, "--tsv", "--table",
                             "worst").tsv
        self.assertEqual(len(rows), 20)
        self.assertIn("delta_ce", self.ok("ablate", SAE, 3, *self.MODEL).out.decode())
        by = self.ok("ablate", SAE, "--top", 4, "--by", "bias", *self.MODEL, "--json").json
        table = self.ok("features", SAE, "--sort", "bias", "--limit", 4, "--json").json
        self.assertEqual([f["id"] for f in by["features"]],
                         [f["id"] for f in table["features"]])

    def test_without_a_model(self):
        got = self.ok("ablate", SMALL, 3, "--json")
        self.assertIn(b"no language model", got.err)
        f = got.json["features"][0]
        page = self.ok("feature", SMALL, 3, "--json").json
        self.assertEqual((f["active_tokens"], f["delta_fvu"]),
                         (page["count"], page["delta_fvu"]))
        self.assertIsNone(f["delta_ce"])
        self.assertEqual(f["worst"], [])
        self.assertIn("--model", self.fails(1, "ablate", SAE, 3))
        self.assertIn("found 40", self.fails(1, "ablate", SAE, 40, *self.MODEL))
        self.fails(2, "ablate", SAE, *self.MODEL)
        self.fails(2, "ablate", SAE, 3, "--by", "bias", *self.MODEL)
        self.fails(2, "ablate", SAE, "--by", "beauty", *self.MODEL)


class Features(Case):
    MODEL = ("--model", MODEL, "--tokens", TOKENS, "--hook", "blocks.1.hook_resid_pre")

    def test_effects_are_columns(self):
        with open(os.path.join(REF, "score", "score.json")) as f:
            want = json.load(f)["scores"][0]
        known = self.ok("ablate", SAE, "3,7", *self.MODEL, "--json").json["features"]
        got = self.ok("features", SAE, *self.MODEL, "--columns",
                      "estimate,estimate_kept,delta_ce,delta_ce_kept", "--json").json
        for f in got["features"]:
            for key, name in (("estimate", "estimate"),
                              ("estimate_kept", "estimate_error_kept")):
                self.assertAlmostEqual(f[key], want[name][f["id"]], delta=1e-4)
            exact = [k["delta_ce"] for k in known if k["id"] == f["id"]]
            self.assertEqual(f["delta_ce"], exact[0] if exact else None)
            self.assertIsNone(f["delta_ce_kept"])
        top = self.ok("features", SAE, *self.MODEL, "--sort", "estimate", "--filter",
                      "estimate > 0", "--json").json["features"]
        order = sorted((i for i in range(40) if want["estimate"][i] > 0),
                       key=lambda i: -want["estimate"][i])
        self.assertEqual([f["id"] for f in top], order)
        by = self.ok("ablate", SAE, *self.MODEL, "--by", "delta_ce", "--top", 1, "--json").json
        self.assertEqual(by["features"][0]["id"],
                         max(known, key=lambda k: k["delta_ce"])["id"])

    def test_without_a_model(self):
        r = self.ok("features", SMALL, "--columns", "estimate", "--json")
        self.assertIn(b"no language model", r.err)
        self.assertIsNone(r.json["features"][0]["estimate"])


class Token(Case):
    MODEL = ("--model", MODEL, "--tokens", TOKENS, "--hook", "blocks.1.hook_resid_pre")

    def check(self, *words):
        for order, key in (("norm", "norm"), ("projection", "projection")):
            got = self.ok("token", *words, "--order", order, "--top", 1000, "--json").json
            parts = got["parts"]
            self.assertEqual(len(parts), got["l0"] + 2)
            self.assertEqual([p[key] for p in parts],
                             sorted([p[key] for p in parts], reverse=True))
            self.assertAlmostEqual(sum(p["share"] for p in parts), 1, places=4)
            self.assertAlmostEqual(parts[-1]["cumulative"], 1, places=4)
            self.assertLess(parts[-1]["left"], 1e-4)
            self.assertEqual(sorted(p["kind"] for p in parts if p["kind"] != "feature"),
                             ["b_dec", "error"])
        head, rows = self.ok("token", *words, "--tsv", "--top", 3).tsv
        self.assertEqual(len(rows), 3)
        self.assertIn("share", self.ok("token", *words).out.decode())
        return got

    def test_of_the_model(self):
        self.check(SAE, "1:20", *self.MODEL)
        self.assertIn("of 2 sequences of 140",
                      self.fails(1, "token", SAE, "2:0", *self.MODEL))

    def test_of_the_samples(self):
        got = self.check(SMALL, "2:5")
        for part in got["parts"]:
            if part["kind"] != "feature":
                continue
            top = self.ok("feature", SMALL, part["id"], "--top", 100, "--json").json["top"]
            here = [t["activation"] for t in top if (t["sequence"], t["position"]) == (2, 5)]
            if here:
                self.assertAlmostEqual(here[0], part["activation"], places=5)

    def test_bad_words(self):
        for word in ("5", "1:2:3", "a:b", "1:", ":1", "-1:3", "1:-3"):
            self.fails(2, "token", SMALL, word)
        self.fails(2, "token", SMALL)
        self.assertIn("--acts", self.fails(1, "token", SAE, "0:0"))


class Logits(Case):
    def test_a_page_has_them(self):
        page = self.ok("feature", SAE, 3, "--model", MODEL, "--json").json["logits"]
        raw = self.ok("feature", SAE, 3, "--model", MODEL, "--json", "--raw-logits").json
        self.assertNotEqual(page, raw["logits"])
        for list_, sign in ((page["top"], 1), (page["bottom"], -1)):
            logits = [sign * e["logit"] for e in list_]
            self.assertEqual(len(logits), 10)
            self.assertEqual(logits, sorted(logits, reverse=True))
            self.assertEqual(list_[0]["token"], "<%d>" % list_[0]["token_id"])
        head, rows = self.ok("feature", SAE, 3, "--model", MODEL, "--tsv", "--table",
                             "promotes").tsv
        self.assertEqual([int(r[head.index("token_id")]) for r in rows],
                         [e["token_id"] for e in page["top"]])
        self.assertIn("promotes", self.ok("feature", SAE, 3, "--model", MODEL).out.decode())

    def test_filter_by_promoted_token(self):
        pages = self.ok("feature", SAE, "0-39", "--model", MODEL, "--json").json["features"]
        for token in (0, 17, 60):
            want = [p["id"] for p in pages
                    if token in [e["token_id"] for e in p["logits"]["top"]]]
            got = self.ok("features", SAE, "--model", MODEL, "--json", "--filter",
                          'promotes = "<%d>"' % token).json["features"]
            self.assertEqual([f["id"] for f in got], want)
        self.assertIn("--model", self.fails(1, "features", SAE, "--filter",
                                            'promotes = "<1>"'))

    def test_without_a_model(self):
        self.assertIsNone(self.ok("feature", SAE, 3, "--json").json["logits"])
        r = self.run_program("feature", SAE, 3, "--model", os.path.join(REF, "gemma2"))
        self.assertEqual((r.status, r.out), (1, b""))
        self.assertIn(b"found W_dec of 16 columns, expected 24", r.err)

    def test_a_bundle_whose_model_is_broken(self):
        bundle = os.path.join(self.tmp, "b")
        os.makedirs(os.path.join(bundle, "model"))
        shutil.copytree(SAE, os.path.join(bundle, "sae"))
        shutil.copy(TOKENS, os.path.join(bundle, "tokens.npy"))
        with open(os.path.join(bundle, "model", "config.json"), "w") as f:
            f.write('{"model_type": "mamba"}')
        with open(os.path.join(bundle, "bundle.json"), "w") as f:
            json.dump({"name": "b", "model": "model", "saes": {"a": "sae"}}, f)
        r = self.ok("feature", bundle, 3, "--json")
        self.assertIsNone(r.json["logits"])
        self.assertIn(b'found "mamba"', r.err)


class Prompt(Case):
    DATA = os.path.join(ROOT, "data")

    def prompt(self, *words):
        return self.ok("prompt", self.DATA, "--text", "the king of Israel", *words)

    def test_forms_say_the_same(self):
        got = self.prompt("--json", "--top", 3).json
        self.assertEqual("".join(t["token"] for t in got["tokens"]),
                         "<|endoftext|>the king of Israel")
        self.assertIsNone(got["tokens"][-1]["ce"])
        ce = [t["ce"] for t in got["tokens"][:-1]]
        self.assertAlmostEqual(sum(ce) / len(ce), got["ce"], places=6)
        for token in got["tokens"]:
            self.assertEqual(len(token["features"]), min(3, token["active"]))
            strengths = [f["activation"] for f in token["features"]]
            self.assertEqual(strengths, sorted(strengths, reverse=True))
        self.assertEqual(len(got["next"]), 10)
        head, rows = self.prompt("--tsv").tsv
        self.assertEqual([float(r[head.index("ce")]) for r in rows[:-1]], ce)
        head, rows = self.prompt("--tsv", "--table", "features", "--top", 3).tsv
        self.assertEqual([(int(p), int(i)) for p, i, *_ in rows],
                         [(p, f["id"]) for p, t in enumerate(got["tokens"]) for f in t["features"]])
        text = self.prompt().out.decode()
        for token in got["tokens"]:
            self.assertIn(token["token"], text)
            self.assertIn("#%d " % token["features"][0]["id"], text)

    def test_begin_of_text(self):
        self.assertEqual(len(self.prompt("--json").json["tokens"]),
                         len(self.prompt("--json", "--bos", "yes").json["tokens"]))
        without = self.prompt("--json", "--bos", "no").json["tokens"]
        self.assertEqual(without[0]["token"], "th")
        empty = self.ok("prompt", self.DATA, "--text", "", "--bos", "no", "--json").json
        self.assertEqual((empty["tokens"], empty["ce"], empty["next"]), ([], None, []))
        one = self.ok("prompt", self.DATA, "--text", "", "--json").json
        self.assertEqual([t["token"] for t in one["tokens"]], ["<|endoftext|>"])

    def test_features_out(self):
        plain = self.prompt("--json").json
        strongest = plain["tokens"][3]["features"][0]["id"]
        for mode in ("reconstruction", "error-kept"):
            got = self.prompt("--json", "--ablate", strongest, "--mode", mode).json
            self.assertEqual(got["ablated"]["ids"], [strongest])
            self.assertEqual(got["ablated"]["mode"], mode)
            self.assertGreater(got["ablated"]["kl"], 1e-4)
            self.assertEqual(got["ce"], plain["ce"])
            if mode == "error-kept":
                self.assertAlmostEqual(got["ablated"]["ce_before"], plain["ce"], places=6)
            self.assertIn("probability_after", got["next"][0])
            self.assertGreater(got["next_kl"], 0)

    def test_what_cannot_be(self):
        for words, says in ((("--ablate", "99999"), "found 99999"),
                            (("--hook", "blocks.77.hook_resid_pre"), "no such hook"),
                            (("--tokenizer", "none.json"), "none.json")):
            self.assertIn(says, self.fails(1, "prompt", self.DATA, "--text", "x", *words))
        self.assertIn("expected --text", self.fails(2, "prompt", self.DATA))
        self.assertIn("no tokenizer", self.fails(1, "prompt", SAE, "--model", MODEL,
                                                 "--text", "x"))
        self.assertIn("longer than the context",
                      self.fails(1, "prompt", self.DATA, "--text", "a b " * 1000))


class Capture(Case):
    DATA = os.path.join(ROOT, "data")
    TEXT = os.path.join(ROOT, "README.md")

    def words(self, out, *more):
        return ("capture", "--model", os.path.join(self.DATA, "model"), "--tokenizer",
                os.path.join(self.DATA, "tokenizer.json"), "--hook", "blocks.2.hook_resid_pre",
                "--text", self.TEXT, "-o", out, *more)

    def test_the_bundle_opens_and_fits(self):
        sae = os.path.join(self.DATA, "saes", "relu")
        losses = set()
        for name, more in (("f16", ()), ("f32", ("--dtype", "f32")), ("z", ("--zstd",))):
            out = os.path.join(self.tmp, name)
            got = self.ok(*self.words(out, "--json", *more)).json
            self.assertEqual(got["seq_len"], 128)
            self.assertEqual(got["tokens"], got["rows"] * 128)
            self.assertEqual(sorted(os.listdir(out)), sorted(
                ["bundle.json", "tokenizer.json", "tokens.npy",
                 "acts.npy.zst" if name == "z" else "acts.npy"]))
            # no warning: the samples are what the model gives at the hook
            r = self.ok("score", out, "--sae", sae, "--model", os.path.join(self.DATA, "model"),
                        "--sequences", 6, "--json")
            self.assertEqual(r.err, b"")
            losses.add(r.json["ce_original"])
            self.assertEqual(self.ok("scan", out, "--sae", sae, "--json").json["tokens"],
                             got["tokens"])
        self.assertEqual(len(losses), 1)

    def test_what_path_says_is_taken(self):
        out = os.path.join(self.tmp, "out")
        got = self.ok("capture", self.DATA, "--text", self.TEXT, "-o", out, "--tokens-limit", 256,
                      "--json").json
        self.assertEqual((got["rows"], got["hook"]), (2, "blocks.2.hook_resid_pre"))

    def test_nothing_is_written_over(self):
        out = os.path.join(self.tmp, "out")
        os.mkdir(out)
        self.assertIn("is there already", self.fails(1, *self.words(out)))
        self.assertEqual(os.listdir(out), [])
        self.assertFalse(os.path.exists(out + ".partial"))

    def stop_in_the_middle(self, number, out):
        """Stop a capture that has noted how far it is; a text that is done before that is too
        short for this machine."""
        text = os.path.join(self.tmp, "long.txt")
        state = os.path.join(out + ".partial", "capture.json")
        for times in (30, 120, 480):
            with open(self.TEXT, "rb") as f, open(text, "wb") as g:
                g.write(f.read() * times)
            words = self.words(out, "--text", text, "--json", "-j1")
            process = self.start(*words)
            done = 0
            while done < 1 and process.poll() is None:
                try:
                    with open(state) as f:
                        done = json.load(f)["done"]
                except (FileNotFoundError, ValueError):
                    pass
                time.sleep(0.02)
            process.send_signal(number)
            stdout, err = process.communicate(timeout=60)
            if done > 0:
                break
            shutil.rmtree(out, ignore_errors=True)
        self.assertFalse(stdout)
        return process.returncode, err, done, words

    def test_stopped_and_going_on(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
            out = os.path.join(self.tmp, "out%d" % number)
            ended, err, done, words = self.stop_in_the_middle(number, out)
            self.assertEqual(ended, status)
            self.assertFalse(os.path.exists(out))
            if number == signal.SIGINT:
                self.assertRegex(err, rb"\Asaescope: .*out2\.partial: \d+ rows are kept; [^\n]*\n\Z")
            got = self.ok(*words).json
            self.assertGreaterEqual(got["resumed"], done)
            self.assertLess(got["resumed"], got["rows"])
            self.assertFalse(os.path.exists(out + ".partial"))

    def test_beyond_f16(self):
        """The embedding ten million times too large."""
        model = os.path.join(self.tmp, "model")
        shutil.copytree(MODEL, model)
        name = os.path.join(model, "model.safetensors")
        with open(name, "rb") as f:
            data = f.read()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8:8 + size])
        key = next(k for k in header if k.endswith("wte.weight"))
        self.assertEqual(header[key]["dtype"], "F32")
        a, b = (8 + size + n for n in header[key]["data_offsets"])
        values = array.array("f", data[a:b])
        data = data[:a] + array.array("f", [v * 1e7 for v in values]).tobytes() + data[b:]
        with open(name, "wb") as f:
            f.write(data)
        tokenizer = os.path.join(self.tmp, "tokenizer.json")
        with open(tokenizer, "w") as f:
            json.dump({"model": {"type": "BPE", "merges": [], "vocab": {"a": 0, "b": 1}}}, f)
        text = os.path.join(self.tmp, "text")
        with open(text, "w") as f:
            f.write("ab" * 100)
        out = os.path.join(self.tmp, "out")
        words = ("capture", "--model", model, "--tokenizer", tokenizer, "--hook",
                 "blocks.1.hook_resid_pre", "--text", text, "-o", out, "--seq-len", 20)
        said = self.fails(1, *words)
        self.assertIn("beyond f16", said)
        self.assertIn("--dtype f32", said)
        self.assertFalse(os.path.exists(out + ".partial") or os.path.exists(out))
        self.ok(*words, "--dtype", "f32")

    def test_what_is_missing(self):
        out = os.path.join(self.tmp, "out")
        words = list(self.words(out))
        for option in ("--model", "--tokenizer", "--hook"):
            i = words.index(option)
            self.assertIn(option, self.fails(1, *words[:i], *words[i + 2:]))
        for option in ("--text", "-o"):
            i = words.index(option)
            self.assertIn(option, self.fails(2, *words[:i], *words[i + 2:]))
        self.assertIn("no such hook", self.fails(1, *words, "--hook", "blocks.99.hook_resid_pre"))
        self.assertFalse(os.path.exists(out + ".partial"))


if __name__ == "__main__":
    unittest.main()
