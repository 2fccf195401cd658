"""What scripts rely on: exit status, one line on stderr, forms of output, missing inputs."""
import fcntl
import json
import os
import pty
import random
import resource
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
import unittest

from program import SMALL, Case

INFO_KEYS = """format rule kind architecture d_in d_out d_sae dtype hook k config ignored notes
    tensors b_enc b_dec threshold b_gate b_mag r_mag decoder_norm""".split()
SUMMARY_KEYS = """count mean std min max negative_fraction zero_fraction histogram""".split()
SCAN_KEYS = """tokens sequences skipped_tokens l0 l1 dead_fraction fvu explained_variance mse
    cosine nonzeros seconds tokens_per_second index""".split()
FEATURES_KEYS = """id density count mean max bias threshold decoder_norm
    encoder_decoder_cosine nearest_cosine delta_fvu label""".split()
FEATURE_KEYS = """id density wilson delta_fvu count mean max bias threshold decoder_norm
    encoder_decoder_cosine histogram top intervals neighbours logits coactive""".split()
EXAMPLE_KEYS = "sequence position activation token_id token context".split()


def npy(path, values, shape, descr="<f4"):
    code = {"<f4": "f", "<i4": "i", "<i8": "q", "<f2": "e"}[descr]
    header = repr({"descr": descr, "fortran_order": False, "shape": tuple(shape)})
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
                + struct.pack("<%d%s" % (len(values), code), *values))


def npy_values(path, code):
    with open(path, "rb") as f:
        data = f.read()
    start = 10 + struct.unpack("<H", data[8:10])[0]
    return list(struct.unpack("<%d%s" % ((len(data) - start) // struct.calcsize(code), code),
                              data[start:]))


def without(answer, *keys):
    return {k: v for k, v in answer.items() if k not in keys}


class Bundle(Case):
    """Works on a copy of the small bundle that it may change."""

    def setUp(self):
        super().setUp()
        self.bundle = os.path.join(self.tmp, "small")
        shutil.copytree(SMALL, self.bundle)
        os.chmod(self.bundle, 0o755)

    def path(self, *names):
        return os.path.join(self.bundle, *names)

    def edit(self, name, change):
        with open(self.path(name)) as f:
            value = json.load(f)
        change(value)
        with open(self.path(name), "w") as f:
            json.dump(value, f)

    def drop(self, *keys):
        self.edit("bundle.json", lambda b: [b.pop(k) for k in keys])


class CommandLine(Case):
    def test_words_that_cannot_be_parsed(self):
        for words in ([], ["--jsn", SMALL], ["info"], ["info", SMALL, "--top", "3"],
                      ["info", SMALL, "extra"], ["feature", SMALL], ["feature", SMALL, "x"],
                      ["feature", SMALL, "1x"], ["features", SMALL, "--limit", "many"],
                      ["features", SMALL, "--sort", "densty"],
                      ["features", SMALL, "--columns", "id,nothing"],
                      ["features", SMALL, "--filter", "density <"],
                      ["features", SMALL, "--filter", "nothing < 1"],
                      ["hist", SMALL], ["hist", SMALL, "--of", "nothing"],
                      ["hist", SMALL, "--of", "b_enc", "--range", "2,1"],
                      ["scan", SMALL, "--memory", "lots"], ["scan", SMALL, "--seq-len", "0"],
                      ["scan", SMALL, "--json", "--tsv"], ["scan", SMALL, "-j", "0"],
                      ["scan", SMALL, "--tsv", "--table", "nothing"], ["fetures", SMALL]):
            with self.subTest(words):
                self.fails(2, *words)

    def test_inputs_that_are_bad(self):
        for words in (["info", "/nonexistent"], ["info", "/dev/null"],
                      ["info", SMALL, "-s", "nothing"], ["info", SMALL, "--hook"][:2]
                      + ["--acts", "/nonexistent.npy"],
                      ["feature", SMALL, "48"], ["feature", SMALL, "-1"],
                      ["feature", SMALL, "99999999999999999999"],
                      ["feature", SMALL, "1", "40-48"],
                      ["features", SMALL, "--filter", 'promotes = "x"'],
                      ["hist", SMALL, "-s", "gated", "--of", "b_enc"],
                      ["hist", SMALL, "-s", "standard", "--of", "threshold"],
                      ["scan", os.path.join(SMALL, "saes", "standard")],
                      ["scan", SMALL, "--skip-first", "16"],
                      ["scan", SMALL, "--tokens", os.path.join(SMALL, "acts.npy")],
                      ["scan", SMALL, "--index", "/nonexistent/index"]):
            with self.subTest(words):
                self.fails(1, *words)

    def test_messages_say_what_to_do(self):
        self.assertIn("--json", self.fails(2, "info", SMALL, "--jsn"))
        self.assertIn("features", self.fails(2, "fetures", SMALL))
        self.assertIn("density", self.fails(2, "features", SMALL, "--sort", "densty"))
        self.assertIn("0 to 47", self.fails(1, "feature", SMALL, "48"))
        self.assertIn("--acts",
                      self.fails(1, "scan", os.path.join(SMALL, "saes", "standard")))

    def test_labels_are_taken_over_and_listed(self):
        export = os.path.join(self.tmp, "export.json")
        with open(export, "w") as f:
            json.dump([{"index": "3", "description": "kings"}, {"index": 3, "description": "later"},
                       {"index": 5, "description": "caf\u00e9", "modelId": "x"}], f)
        self.assertEqual(self.answer("labels", SMALL), {"imported": 0, "labels": []})
        got = self.answer("labels", SMALL, "--import", export)
        self.assertEqual(got["imported"], 2)
        self.assertEqual(got["labels"], [
            {"id": 3, "label": "kings", "note": None, "favourite": False},
            {"id": 5, "label": "caf\u00e9", "note": None, "favourite": False}])
        self.assertEqual(self.answer("labels", SMALL)["labels"], got["labels"])
        self.assertEqual([r["label"] for r in self.answer("features", SMALL)["features"]][3:6],
                         ["kings", None, "caf\u00e9"])
        with open(export, "w") as f:
            f.write("[]")
        self.assertIn("no explanations", self.fails(1, "labels", SMALL, "--import", export))

    def test_help_and_version(self):
        for words in (["--help"], ["-h"], ["info", "--help"], ["features", "-h"]):
            r = self.ok(*words)
            self.assertIn(b"usage: saescope", r.out)
            self.assertLess(max(map(len, r.out.decode().splitlines())), 100)
        for words in (["--version"], ["-V"], ["scan", "--version"]):
            self.assertRegex(self.ok(*words).out, rb"\Asaescope \d+\.\d+\.\d+\n\Z")
        self.assertEqual(self.files(), [])

    def test_options_may_stand_anywhere(self):
        want = self.answer("info", SMALL, "-s", "topk")
        self.assertEqual(want["architecture"], "topk")
        for words in (["-s", "topk", "info", SMALL], ["info", "-stopk", "--", SMALL],
                      ["--sae=topk", "info", SMALL],
                      ["info", os.path.join(SMALL, "saes", "topk")]):
            self.assertEqual(without(self.answer(*words), "path", "hook", "checks", "samples"),
                             without(want, "path", "hook", "checks", "samples"))

    def test_stdout_that_takes_nothing(self):
        with open("/dev/full", "wb") as full:
            r = self.run_program("info", SMALL, "--json", stdout=full)
        self.assertEqual(r.status, 1)
        self.assertRegex(r.err, rb"\Asaescope: standard output: [^\n]+\n\Z")
        read, write = os.pipe()
        os.close(read)
        r = self.run_program("info", SMALL, "--json", stdout=write)
        os.close(write)
        self.assertEqual((r.status, r.err), (1, b""))  # "| head" is no reason to complain
        with open("/dev/full", "wb") as full:
            self.assertEqual(self.run_program("--help", stdout=full).status, 1)

    def test_a_limit_on_the_size_of_files(self):
        """No signal, no half of an index; what is asked is answered where it can be."""
        def limit(size):
            return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        target = os.path.join(self.tmp, "limited.index")
        for size in (0, 4096, 20000):
            process = self.start("scan", SMALL, "--index", target, preexec_fn=limit(size))
            out, err = process.communicate(timeout=300)
            self.assertEqual((process.returncode, out), (1, b""), err)
            err = b"\n".join(l for l in err.split(b"\n") if b": warning: " not in l)
            self.assertRegex(err, rb"\Asaescope: [^\n]+ \(found '[^\n]+, expected [^\n]+\)\n\Z")
            self.assertFalse(os.path.exists(target))

    def test_closed_descriptors_do_not_reach_files(self):
        r = subprocess.run(["sh", "-c", 'exec "$0" info "$1" --json >&- 2>&-',
                            os.environ["SAESCOPE"], SMALL], env=self.env)
        self.assertEqual(r.returncode, 1)

    def test_no_escape_sequence_where_there_is_no_terminal(self):
        for words in (["info", SMALL], ["features", SMALL], ["feature", SMALL, 3],
                      ["hist", SMALL, "--of", "b_enc"], ["scan", SMALL],
                      ["compare", SMALL, "standard", "topk"], ["cosine", SMALL, "--matrix"]):
            r = self.ok(*words, "--color", "always", "--verbose")
            self.assertNotIn(b"\x1b", r.out + r.err)
            r = self.ok(*words, "--ascii")
            self.assertTrue(r.out.isascii(), words)


class Forms(Case):
    def test_json_keys(self):
        info = self.answer("info", SMALL)
        self.assertLessEqual(set(INFO_KEYS), set(info))
        self.assertLessEqual(set(SUMMARY_KEYS), set(info["b_enc"]))
        self.assertEqual(len(info["b_enc"]["histogram"]["edges"]), 65)
        self.assertEqual(len(info["b_enc"]["histogram"]["counts"]), 64)
        self.assertEqual({t["name"] for t in info["tensors"]},
                         {"W_enc", "W_dec", "b_enc", "b_dec"})
        plain = self.answer("info", SMALL, "-s", "prolu")["tensors"]
        self.assertEqual({t["name"]: t["shape"] for t in plain},
                         {"W_enc": [12, 48], "W_dec": [48, 12], "b_enc": [48], "b_dec": [12]})
        self.assertEqual(info["hook"], "blocks.2.hook_resid_pre")
        scan = self.answer("scan", SMALL)
        self.assertLessEqual(set(SCAN_KEYS), set(scan))
        self.assertEqual(os.path.getsize(scan["index"]["path"]), scan["index"]["bytes"])
        row = self.answer("features", SMALL)["features"][0]
        self.assertLessEqual(set(FEATURES_KEYS), set(row))
        page = self.answer("feature", SMALL, 3)
        self.assertLessEqual(set(FEATURE_KEYS), set(page))
        self.assertIsNone(page["logits"])
        self.assertEqual(len(page["histogram"]["edges"]), 41)
        self.assertLessEqual(set(EXAMPLE_KEYS), set(page["top"][0]))
        self.assertEqual(set(page["neighbours"][0]) & {"id", "cosine"}, {"id", "cosine"})
        self.assertLessEqual({"low", "high", "count", "examples"}, set(page["intervals"][0]))
        several = self.answer("feature", SMALL, 3, "5,7-8")["features"]
        self.assertEqual([f["id"] for f in several], [3, 5, 7, 8])
        self.assertEqual(several[0], page)

    def test_tsv_tables(self):
        head, rows = self.ok("features", SMALL, "--tsv").tsv
        self.assertEqual(head, FEATURES_KEYS)
        self.assertEqual(len(rows), 48)
        want = self.answer("features", SMALL)["features"]
        for row, w in zip(rows, want):
            self.assertEqual(row[0], str(w["id"]))
            self.assertEqual(float(row[1]), w["density"])
        page = self.answer("feature", SMALL, 3)
        for table, n in (("top", len(page["top"])), ("neighbours", 10), ("intervals", 10),
                         ("histogram", 40), ("coactive", len(page["coactive"])),
                         ("examples", sum(len(i["examples"]) for i in page["intervals"]))):
            head, rows = self.ok("feature", SMALL, 3, "--tsv", "--table", table).tsv
            self.assertEqual(head[0], "feature")
            self.assertEqual(len(rows), n, table)
            self.assertEqual({r[0] for r in rows}, {"3"})
        head, rows = self.ok("feature", SMALL, 3, 4, "--tsv").tsv
        self.assertEqual([r[head.index("id")] for r in rows], ["3", "4"])
        head, rows = self.ok("feature", SMALL, 3, 4, "--tsv", "--table", "top").tsv
        self.assertEqual({r[0] for r in rows}, {"3", "4"})
        head, rows = self.ok("scan", SMALL, "--tsv").tsv
        self.assertEqual(len(rows), 1)
        self.assertIn("index.path", head)
        head, rows = self.ok("info", SMALL, "--tsv", "--table", "histogram").tsv
        self.assertEqual(head, ["of", "low", "high", "count"])
        self.assertEqual({r[0] for r in rows}, {"b_enc", "b_dec", "decoder_norm"})
        head, rows = self.ok("hist", SMALL, "--of", "b_enc", "--tsv", "--table",
                             "histogram").tsv
        self.assertEqual(len(rows), 64)

    def test_a_dead_feature(self):
        page = self.answer("feature", SMALL, 47)
        self.assertEqual((page["count"], page["max"], page["density"]), (0, 0, 0))
        self.assertEqual((page["mean"], page["histogram"]), (None, None))
        self.assertEqual((page["top"], page["intervals"], page["coactive"]), ([], [], []))
        head, rows = self.ok("feature", SMALL, 47, "--tsv", "--table", "top").tsv
        self.assertEqual(rows, [])
        self.assertIn("activation", head)

    def test_tokens_as_text(self):
        tops = [e for i in range(20) for e in self.answer("feature", SMALL, i)["top"]]
        seen = {e["token_id"]: e for e in tops}
        self.assertEqual(seen[1]["token"], " king")
        self.assertNotIn("bytes", seen[1])
        self.assertEqual((seen[5]["token"], seen[5]["bytes"]), ("\ufffd", "c3"))
        self.assertEqual(seen[40]["token"], "<40>")
        self.assertEqual(seen[4]["token"], "\n")
        rows = self.ok("feature", SMALL, "0-19", "--tsv", "--table", "top").tsv
        column = rows[0].index("token")
        self.assertLessEqual({"\\n", '"', "\\\\", " king", "<40>"},
                             {r[column] for r in rows[1]})

    def test_order_filter_and_columns(self):
        rows = self.answer("features", SMALL)["features"]
        def ids(*words):
            return [r["id"] for r in self.answer("features", SMALL, *words)["features"]]
        by = sorted(rows, key=lambda r: (-r["density"], r["id"]))
        self.assertEqual(ids("--sort", "density"), [r["id"] for r in by])
        self.assertEqual(ids("--sort", "density", "--limit", 3), [r["id"] for r in by[:3]])
        up = sorted(rows, key=lambda r: (r["max"], r["id"]))
        self.assertEqual(ids("--sort", "max", "--reverse"), [r["id"] for r in up])
        self.assertEqual(ids("--reverse"), list(range(47, -1, -1)))
        self.assertEqual(ids("--sort", "id"), list(range(47, -1, -1)))
        self.assertEqual(ids("--filter", "density < 0.05 and max > 1 or id = 3"),
                         [r["id"] for r in rows
                          if r["density"] < 0.05 and r["max"] > 1 or r["id"] == 3])
        self.assertEqual(ids("--filter", "mean < 100"), list(range(47)))
        self.assertEqual(ids("--filter", "not mean < 100"), [47])
        self.assertEqual(ids("--limit", 0), [])
        got = self.answer("features", SMALL, "--columns", "max,density")["features"]
        self.assertEqual(set(got[0]), {"id", "max", "density"})
        self.assertTrue(all(r["nearest_cosine"] is None for r in rows))
        near = self.answer("features", SMALL, "--columns", "nearest_cosine")["features"]
        for i in (0, 5):
            page = self.answer("feature", SMALL, i)
            self.assertAlmostEqual(near[i]["nearest_cosine"], page["neighbours"][0]["cosine"],
                                   delta=1e-5)

    def test_filter_by_token(self):
        pages = self.answer("feature", SMALL, "0-47")["features"]
        got = self.answer("features", SMALL, "--filter", 'token = " king"')["features"]
        self.assertEqual([r["id"] for r in got],
                         [p["id"] for p in pages
                          if " king" in [e["token"] for e in p["top"]]])

    def test_labels(self):
        name = os.path.join(self.tmp, "labels.jsonl")
        words = ("features", SMALL, "--labels", name)
        self.assertTrue(all(r["label"] is None for r in self.answer(*words)["features"]))
        self.assertFalse(os.path.exists(name))
        checkpoint = self.answer("info", SMALL)["checkpoint"]
        label = "kings\u202e \u00e9"
        with open(name, "w") as f:
            json.dump({"checkpoint": checkpoint, "feature": 3, "label": label, "note": "",
                       "favourite": False, "time": 1}, f)
            f.write("\n")
        labelled = [r for r in self.answer(*words)["features"] if r["label"] is not None]
        self.assertEqual([(r["id"], r["label"]) for r in labelled], [(3, label)])
        raw = self.ok(*words, "--json").out
        self.assertIn(b"\\u202e \xc3\xa9", raw)
        for expression, ids in (('label ~ "^king"', [3]), ('label = "kings"', []),
                                ('label ~ "KING"', []), ('label ~ "(?i)KING"', [3]), ("labelled", [3]),
                                ("favourite", []), ("id < 2 and not labelled", [0, 1])):
            got = self.answer(*words, "--filter", expression)["features"]
            self.assertEqual([r["id"] for r in got], ids)
        self.assertEqual(self.answer("feature", *words[1:], 3)["label"], label)
        for form in ([], ["--tsv"]):
            self.assertNotIn("\u202e", self.ok(*words, *form).out.decode())


SIDE_KEYS = "name architecture d_sae l0 fvu dead_fraction b_enc reconstruction_score".split()


class Two(Bundle):
    """compare and cosine."""

    def test_compare(self):
        got = self.answer("compare", SMALL, "standard", "jumprelu")
        for key, name in (("a", "standard"), ("b", "jumprelu")):
            side = got[key]
            self.assertLessEqual(set(SIDE_KEYS), set(side))
            self.assertEqual((side["name"], side["d_sae"]), (name, 48))
            self.assertIsNone(side["reconstruction_score"])  # no language model
            scan = self.answer("scan", SMALL, "-s", name)
            self.assertEqual([side[k] for k in ("l0", "fvu", "dead_fraction")],
                             [scan[k] for k in ("l0", "fvu", "dead_fraction")])
            self.assertEqual(side["b_enc"], self.answer("info", SMALL, "-s", name)["b_enc"])
        self.assertEqual([m["a"] for m in got["matches"]], list(range(48)))
        mean = sum(m["cosine"] for m in got["matches"]) / 48
        self.assertAlmostEqual(got["mmcs"]["a_to_b"], mean, delta=1e-6)
        self.assertEqual(got["matching"], "optimal")
        for side in "ab":
            self.assertEqual(sorted(p[side] for p in got["one_to_one"]), list(range(48)))
        self.assertEqual(got["unmatched"]["threshold"], 0.5)
        self.assertEqual(got["unmatched"]["a"],
                         [m["a"] for m in got["matches"] if m["cosine"] < 0.5])
        other = self.answer("cosine", SMALL, "-s", "standard", "--against", "jumprelu",
                            "--matrix")["matrix"]
        close = {a: [b for b in sorted(range(48), key=lambda b: -row[b]) if row[b] >= 0.7][:8]
                 for a, row in enumerate(other)}
        self.assertEqual({s["a"]: s["b"] for s in got["split"]},
                         {a: b for a, b in close.items() if len(b) > 1})
        quick = self.answer("compare", SMALL, "standard", "jumprelu", "--quick")
        self.assertIsNone(quick["split"])
        self.assertEqual([(m["a"], m["b"], m["cosine"], m["mutual"]) for m in quick["matches"]],
                         [(m["a"], m["b"], m["cosine"], m["mutual"]) for m in got["matches"]])
        greedy = self.answer("compare", SMALL, "standard", "jumprelu", "--matching", "greedy")
        self.assertEqual(greedy["matching"], "greedy")
        best = max(got["matches"], key=lambda m: m["cosine"])
        self.assertIn((best["a"], best["b"]), [(p["a"], p["b"])
                                               for p in greedy["one_to_one"]])
        self.assertLessEqual(sum(p["cosine"] for p in greedy["one_to_one"]),
                             sum(p["cosine"] for p in got["one_to_one"]) + 1e-5)
        self.assertEqual(greedy["matches"], got["matches"])

    def test_compare_takes_its_sides_from_anywhere(self):
        want = self.answer("compare", self.bundle, "standard", "topk")
        one, two = self.path("saes", "standard"), self.path("saes", "topk")
        for words in ([self.bundle, one, "topk"], [one, two],
                      [self.bundle, "-s", "standard", "-s", two], ["-s", one, "-s", two]):
            got = self.answer("compare", *words)
            for key in ("mmcs", "matches", "one_to_one", "unmatched"):
                self.assertEqual(got[key], want[key])
            self.assertEqual(got["b"]["l0"], want["b"]["l0"])
        turned = self.answer("compare", two, one)
        self.assertEqual(turned["a"]["l0"], want["b"]["l0"])
        self.assertAlmostEqual(turned["mmcs"]["a_to_b"], want["mmcs"]["b_to_a"], delta=1e-6)
        same = self.answer("compare", one, one)
        self.assertEqual(same["a"], same["b"])
        for m in same["matches"]:
            self.assertAlmostEqual(m["cosine"], 1, delta=1e-6)
        alone = os.path.join(self.tmp, "alone")
        shutil.copytree(one, alone)
        without_samples = self.answer("compare", alone, alone)
        self.assertIsNone(without_samples["a"]["l0"])
        self.assertEqual([without(m, "correlation") for m in without_samples["matches"]],
                         [without(m, "correlation") for m in same["matches"]])
        self.assertTrue(all(m["correlation"] is None for m in without_samples["matches"]))
        for m in same["matches"]:
            self.assertAlmostEqual(m["encoder_cosine"], 1, delta=1e-6)
            if m["correlation"] is not None:  # it fires
                self.assertAlmostEqual(m["correlation"], 1, delta=1e-6)
        given = self.answer("compare", alone, alone, "-a", self.path("acts.npy"))
        self.assertEqual(given["a"]["l0"], want["a"]["l0"])

    def test_compare_refuses(self):
        for words in ([], [SMALL], [SMALL, "standard", "topk", "gated"],
                      [SMALL, "standard", "-s", "topk"], ["-s", "a", "-s", "b", "-s", "c"],
                      [SMALL, "standard", "topk", "--matching", "best"]):
            self.fails(2, "compare", *words)
        self.fails(1, "compare", SMALL, "standard", "nothing")
        self.fails(1, "compare", "/nonexistent", "/nonexistent")
        narrow = self.path("narrow")
        os.mkdir(narrow)
        for name, shape in (("W_enc", [9, 5]), ("W_dec", [5, 9]), ("b_enc", [5]),
                            ("b_dec", [9])):
            npy(os.path.join(narrow, name + ".npy"), [0.5] * (45 if shape[1:] else shape[0]),
                shape)
        for words in ([self.bundle, "standard", narrow], [narrow, self.path("saes", "topk")]):
            line = self.fails(1, "compare", *words)
            for word in ("narrow", "d_in = 9", "d_in = 12", words[-1] if words[0] == narrow
                         else "standard"):
                self.assertIn(word, line)
        self.fails(1, "compare", self.path("saes", "standard"), self.path("saes", "topk"),
                   self.path("saes", "gated"))

    def test_compare_forms(self):
        words = ("compare", SMALL, "standard", "gated")
        head, rows = self.ok(*words, "--tsv").tsv
        self.assertEqual(len(rows), 1)
        self.assertEqual(rows[0][head.index("b.architecture")], "gated")
        for table in ("matches", "one_to_one"):
            head, rows = self.ok(*words, "--tsv", "--table", table).tsv
            self.assertEqual(head[:3], ["a", "b", "cosine"])
            self.assertEqual(len(rows), 48)
        self.assertIsNone(self.answer(*words)["b"]["b_enc"])
        text = self.ok(*words).out.decode()
        for word in ("MMCS", "optimal", "mutual", "fvu"):
            self.assertIn(word, text)

    def test_pareto(self):
        got = self.answer("compare", "--pareto", SMALL)
        with open(os.path.join(SMALL, "bundle.json")) as f:
            names = list(json.load(f)["saes"])
        self.assertEqual([s["name"] for s in got["saes"]], names)
        self.assertEqual(got["near"], 0.05)
        for s in got["saes"]:
            scan = self.answer("scan", SMALL, "-s", s["name"])
            for key in ("l0", "fvu", "explained_variance", "dead_fraction"):
                self.assertEqual(s[key], scan[key])
            self.assertIsNone(s["reconstruction_score"])  # no language model
            self.assertFalse(s["front_score"])
            beaten = any(o["l0"] <= s["l0"] and o["fvu"] <= s["fvu"] and
                         (o["l0"] < s["l0"] or o["fvu"] < s["fvu"]) for o in got["saes"])
            self.assertEqual(s["front_fvu"], not beaten)
        l0 = {s["name"]: s["l0"] for s in got["saes"]}
        for percent in (0, 5, 30, 100):
            near = self.answer("compare", "--pareto", SMALL, "--near-l0", percent)["near_l0"]
            want = {frozenset((a, b)) for a in names for b in names if a != b and
                    abs(l0[a] - l0[b]) <= percent / 100 * max(l0[a], l0[b])}
            self.assertEqual({frozenset((p["a"], p["b"])) for p in near}, want)
            self.assertEqual([p["gap"] for p in near], sorted(p["gap"] for p in near))
            for p in near:
                self.assertLessEqual(p["l0_a"], p["l0_b"])
        some = ["topk", "standard", "gated"]
        paths = [self.path("saes", n) for n in some]
        for words in ([SMALL, *some], [SMALL, *sum((["-s", n] for n in some), [])], paths,
                      sum((["-s", p] for p in paths), [])):
            got = self.answer("compare", "--pareto", *words)
            self.assertEqual([(s["name"], s["l0"]) for s in got["saes"]],
                             [(n, l0[n]) for n in some])
        head, rows = self.ok("compare", "--pareto", SMALL, "--tsv").tsv
        self.assertEqual([r[head.index("name")] for r in rows], names)
        head, rows = self.ok("compare", "--pareto", SMALL, "--tsv", "--table", "near_l0",
                             "--near-l0", 100).tsv
        self.assertEqual(len(rows), len(names) * (len(names) - 1) / 2)
        self.assertIn("nearly equal", self.ok("compare", "--pareto", SMALL).out.decode())
        self.fails(2, "compare", "--pareto")
        self.fails(2, "compare", "--pareto", SMALL, "--near-l0", "x")
        self.fails(1, "compare", "--pareto", SMALL, "standard", "nothing")

    def test_cosine(self):
        got = self.answer("cosine", SMALL, "--matrix")
        matrix = got["matrix"]
        self.assertEqual((got["rows"], got["columns"], len(matrix)), (48, 48, 48))
        off = [c for i, row in enumerate(matrix) for j, c in enumerate(row) if i != j]
        mean = sum(off) / len(off)
        self.assertAlmostEqual(got["mean"], mean, delta=1e-6)
        self.assertAlmostEqual(got["std"] ** 2, sum((c - mean) ** 2 for c in off) / len(off),
                               delta=1e-6)
        for b in got["best"]:
            self.assertNotEqual(b["row"], b["column"])
            self.assertAlmostEqual(b["cosine"], max(c for j, c in enumerate(matrix[b["row"]])
                                                    if j != b["row"]), delta=1e-6)
        self.assertEqual(len(got["bias_row"]), 48)
        self.assertNotIn("matrix", self.answer("cosine", SMALL))
        other = self.answer("cosine", SMALL, "--against", "jumprelu")
        pairs = self.answer("compare", SMALL, "standard", "jumprelu")["matches"]
        self.assertEqual([(b["row"], b["column"]) for b in other["best"]],
                         [(m["a"], m["b"]) for m in pairs])
        head, rows = self.ok("cosine", SMALL, "--tsv", "--table", "matrix").tsv
        self.assertEqual(head, ["row", "column", "cosine"])
        self.assertEqual([float(r[2]) for r in rows], [c for row in matrix for c in row])
        self.assertEqual(self.ok("cosine", SMALL, "--tsv", "--matrix").tsv[1], rows)
        self.assertIn("0", self.ok("cosine", SMALL, "--matrix").out.decode())

    def test_cosine_with_the_truth(self):
        truth = [0.0] * 36
        for i in range(3):
            truth[12 * i + i] = 2.0 - 3 * (i == 1)
        npy(self.path("truth.npy"), truth, [3, 12])
        direct = self.answer("cosine", self.bundle, "--truth", self.path("truth.npy"))
        self.edit("bundle.json", lambda b: b.update(ground_truth="truth.npy"))
        got = self.answer("cosine", self.bundle, "--matrix")
        self.assertEqual({k: got[k] for k in direct}, direct)
        self.assertEqual((got["rows"], got["columns"], len(got["bias_row"])), (48, 3, 3))
        against = self.answer("cosine", self.bundle, "--against", "topk")
        self.assertEqual(against["columns"], 48)
        self.assertNotIn("composites", against)
        npy(self.path("truth.npy"), truth, [4, 9])
        line = self.fails(1, "cosine", self.bundle)
        for word in ("standard", "truth.npy", "[48, 12]", "[4, 9]"):
            self.assertIn(word, line)
        self.fails(1, "cosine", self.bundle, "--truth", self.path("tokens.npy"))
        self.fails(1, "cosine", self.bundle, "--truth", "/nonexistent.npy")
        self.fails(1, "cosine", self.bundle, "--against", "nothing")
        self.fails(2, "cosine", self.bundle, "--against", "topk", "--truth", "x")


    def test_a_feature_over_a_run(self):
        """The steps of a run, in their order, each with its own numbers."""
        run = self.path("run")
        for step, name in ((200, "topk"), (30, "standard"), (1000, "jumprelu")):
            shutil.copytree(os.path.join(SMALL, "saes", name), os.path.join(run, "step_%d" % step))
        acts = os.path.join(self.bundle, "acts.npy")
        words = ["-s", "step_200"] + (["--acts", acts] if os.path.exists(acts) else [])
        if len(words) > 2:
            self.ok("scan", run, *words)
        page = self.answer("feature", run, 5, *words)
        self.assertEqual([p["step"] for p in page["series"]], [30, 200, 1000])
        for point, name in zip(page["series"], ("standard", "topk", "jumprelu")):
            own = self.answer("features", SMALL, "-s", name)["features"][5]
            self.assertEqual(point["bias"], own["bias"])
            self.assertEqual(point["threshold"], own["threshold"])
        if len(words) > 2:
            self.assertEqual(page["series"][1]["density"], page["density"])
        self.assertIsNone(page["series"][0]["density"])
        self.assertNotIn("series", self.answer("feature", SMALL, 5))

    def test_hist_of_several(self):
        """Each is what it is alone, but for the edges, which all share."""
        several = self.answer("hist", SMALL, "-s", "standard", "-s", "topk", "--of", "b_enc")
        self.assertEqual(several["of"], "b_enc")
        alone = [self.answer("hist", SMALL, "-s", name, "--of", "b_enc")
                 for name in ("standard", "topk")]
        edges = several["histograms"][0]["histogram"]["edges"]
        self.assertEqual(edges[0], min(h["min"] for h in alone))
        self.assertAlmostEqual(edges[-1], max(h["max"] for h in alone), delta=1e-7)
        for one, want in zip(several["histograms"], alone):
            self.assertEqual(one["histogram"]["edges"], edges)
            self.assertEqual(sum(one["histogram"]["counts"]), one["count"])
            for key in set(want) - {"histogram"}:
                self.assertEqual(one[key], want[key], key)
            for lower, upper in zip(("p5", "p25", "p50", "p75"), ("p25", "p50", "p75", "p95")):
                self.assertLessEqual(one["quantiles"][lower], one["quantiles"][upper])
        rows = self.ok("features", SMALL, "-s", "topk", "--tsv", "--columns", "density").tsv[1]
        density = sorted(float(r[-1]) for r in rows)
        got = self.answer("hist", SMALL, "-s", "standard", "-s", "topk", "--of", "density")
        middle = (density[23] + density[24]) / 2
        self.assertAlmostEqual(got["histograms"][1]["quantiles"]["p50"], middle, delta=1e-9)
        head, rows = self.ok("hist", SMALL, "-s", "standard", "-s", "topk", "--of", "b_enc",
                             "--bins", "5", "--tsv", "--table", "histogram").tsv
        self.assertEqual((head, len(rows)), (["name", "low", "high", "count"], 10))
        rows = self.ok("hist", SMALL, "-s", "standard", "-s", "topk", "--of", "b_enc",
                       "--tsv").tsv[1]
        self.assertEqual([r[0] for r in rows], ["standard", "topk"])
        self.fails(1, "hist", SMALL, "-s", "standard", "-s", "gated", "--of", "b_enc")
        self.fails(2, "hist", "--of", "b_enc")

    def test_cosine_of_encoders(self):
        """The encoder of a standard SAE against itself, from its rows as stored."""
        got = self.answer("cosine", SMALL, "--weights", "encoder", "--matrix")
        self.assertEqual(got["weights"], "encoder")
        self.assertEqual(self.answer("cosine", SMALL)["weights"], "decoder")
        best = {n["id"]: n["cosine"] for n in
                self.answer("feature", SMALL, 3)["encoder_neighbours"]}
        for i, cosine in best.items():
            self.assertAlmostEqual(got["matrix"][3][i], cosine, delta=1e-6)
        self.assertNotEqual(got["mean"], self.answer("cosine", SMALL)["mean"])
        self.fails(2, "cosine", SMALL, "--weights", "both")

    def test_composites(self):
        """Rows that are mixtures by construction, and columns that nothing points along."""
        truth = [0.0] * (12 * 12)
        for i in range(12):
            truth[12 * i + i] = 1.0 + i
        npy(self.path("truth.npy"), truth, [12, 12])
        got = self.answer("cosine", self.bundle, "--truth", self.path("truth.npy"), "--matrix")
        matrix = got["matrix"]
        want = {i: {j for j, c in enumerate(row) if abs(c) > 0.4}
                for i, row in enumerate(matrix)}
        want = {i: columns for i, columns in want.items() if len(columns) > 1}
        self.assertTrue(want)
        self.assertEqual(got["composite_count"], len(want))
        self.assertEqual({m["row"]: set(m["columns"]) for m in got["composites"]}, want)
        for m in got["composites"]:
            self.assertEqual(m["parts"], len(m["columns"]))
            self.assertEqual(m["cosines"], [matrix[m["row"]][j] for j in m["columns"]])
            self.assertEqual(m["cosines"], sorted(m["cosines"], key=lambda c: -abs(c)))
        strongest = [max(abs(row[j]) for row in matrix) for j in range(12)]
        alone = [j for j in range(12) if strongest[j] > 0.9]
        mixed = set().union(*want.values())
        self.assertEqual([m["column"] for m in got["alone"]], alone)
        self.assertEqual(got["alone_count"], len(alone))
        self.assertEqual(got["missed"], [j for j in range(12) if j not in mixed | set(alone)])
        self.assertEqual(got["missed_count"], len(got["missed"]))
        for table in ("composites", "alone"):
            rows = self.ok("cosine", self.bundle, "--truth", self.path("truth.npy"), "--tsv",
                           "--table", table).tsv[1]
            self.assertEqual(len(rows), len(got[table]))


class Missing(Bundle):
    def test_no_tokens(self):
        self.drop("tokens")
        page = self.answer("feature", self.bundle, 3)
        for e in page["top"]:
            self.assertEqual((e["token_id"], e["token"], e["context"]["tokens"]),
                             (None, None, None))
            self.assertTrue(e["context"]["activations"])

    def test_no_tokenizer(self):
        self.drop("tokenizer")
        for e in self.answer("feature", self.bundle, 3)["top"]:
            self.assertEqual(e["token"], "<%d>" % e["token_id"])

    def test_no_samples(self):
        self.drop("acts", "tokens")
        self.fails(1, "scan", self.bundle)
        row = self.answer("features", self.bundle)["features"][3]
        for key in ("density", "count", "mean", "max", "delta_fvu"):
            self.assertIsNone(row[key], key)
        for key in ("bias", "decoder_norm", "encoder_decoder_cosine"):
            self.assertIsNotNone(row[key], key)
        page = self.answer("feature", self.bundle, 3)
        for key in ("density", "wilson", "count", "mean", "max", "delta_fvu", "histogram",
                    "top", "intervals", "coactive", "logits"):
            self.assertIsNone(page[key], key)
        self.assertEqual(len(page["neighbours"]), 10)
        self.assertEqual(self.answer("hist", self.bundle, "--of", "b_enc")["count"], 48)
        hist = self.answer("hist", self.bundle, "--of", "density")
        self.assertEqual((hist["count"], hist["mean"], hist["histogram"]), (0, None, None))

    def checks(self, *words):
        lines = self.answer("info", self.bundle, *words)["checks"]
        return {x["name"]: (x["verdict"], x["text"]) for x in lines}

    def test_checks_of_info(self):
        before = self.checks()
        self.assertEqual(self.files(), []) # nothing is scanned for them
        self.assertEqual(before["sparsity"], ("unknown", "not scanned yet (saescope scan)"))
        self.assertEqual(before["weights"], ("good", "no NaN and no Inf"))
        self.assertIn("sqrt(d_in) 3.464", before["samples"][1])
        fvu = self.answer("scan", self.bundle)["fvu"]
        self.assertIn("FVU %.4g" % fvu, self.checks()["samples"][1])
        draw = random.Random(2)
        noise = [100 * draw.gauss(0, 1) for _ in range(12 * 16 * 12)]
        npy(self.path("acts.npy"), noise, [12, 16, 12], "<f2")
        self.answer("scan", self.bundle, "--norm-factor", "100")
        verdict, text = self.checks("--norm-factor", "100")["samples"]
        self.assertEqual(verdict, "bad")
        self.assertIn("wrong layer, or missing normalisation? Try other --acts, --hook, "
                      "--norm-factor", text)
        self.drop("acts", "tokens")
        self.assertEqual(self.checks()["samples"], ("unknown", "none (--acts FILE)"))
        self.assertEqual(self.ok("info", self.bundle, "--tsv", "--table", "checks").tsv[0],
                         ["name", "verdict", "text"])

    def test_ids_without_a_token_are_one_warning(self):
        r = self.ok("feature", self.bundle, "0-19", "--json")
        lines = [x for x in r.err.decode().splitlines() if "tokenizer" in x]
        self.assertEqual(len(lines), 1, r.err)

    def test_negative_ids_are_an_error(self):
        tokens = npy_values(self.path("tokens.npy"), "i")
        tokens[17] = -2
        npy(self.path("tokens.npy"), tokens, [12, 16], "<i4")
        self.assertIn("-2", self.fails(1, "scan", self.bundle))

    def test_samples_that_are_not_finite(self):
        acts = npy_values(self.path("acts.npy"), "e")
        acts[5 * 12 + 3] = float("nan")
        acts[9 * 12] = float("inf")
        npy(self.path("acts.npy"), acts, [12, 16, 12], "<f2")
        self.drop("tokenizer")
        r = self.ok("scan", self.bundle, "--json")
        self.assertEqual((r.json["skipped_tokens"], r.json["tokens"]), (2, 190))
        self.assertEqual(len(r.err.decode().splitlines()), 1, r.err)
        npy(self.path("acts.npy"), [float("nan")] * len(acts), [12, 16, 12], "<f2")
        self.fails(1, "scan", self.bundle)

    def test_shapes_that_disagree_name_both(self):
        npy(self.path("acts.npy"), [0.5] * (12 * 16 * 13), [12, 16, 13], "<f2")
        line = self.fails(1, "scan", self.bundle)
        for word in ("acts.npy", "13", "12"):
            self.assertIn(word, line)
        shutil.copy(os.path.join(SMALL, "acts.npy"), self.path("acts.npy"))
        npy(self.path("tokens.npy"), [1] * (11 * 16), [11, 16], "<i4")
        line = self.fails(1, "scan", self.bundle)
        for word in ("acts.npy", "tokens.npy", "12", "11"):
            self.assertIn(word, line)

    def test_unknown_keys_are_ignored_and_told(self):
        self.edit("bundle.json", lambda b: b.update(surprise={"x": 1}))
        self.edit("saes/standard/cfg.json", lambda c: c.update(surprise=[1]))
        info = self.answer("info", self.bundle)
        self.assertIn("surprise", info["ignored"])

    def test_names_from_files_do_no_harm(self):
        evil = os.path.join(self.tmp, "a\x1b[31m\nb\u202e")
        line = self.fails(1, "info", evil)
        self.assertNotIn("\x1b", line)
        self.assertNotIn("\u202e", line)


class Index(Bundle):
    def big(self, times=2500):
        """The samples over and over: long enough to be interrupted."""
        self.drop("tokenizer")
        acts = npy_values(self.path("acts.npy"), "e") * times
        npy(self.path("acts.npy"), acts, [12 * times, 16, 12], "<f2")
        tokens = npy_values(self.path("tokens.npy"), "i") * times
        npy(self.path("tokens.npy"), tokens, [12 * times, 16], "<i4")

    def test_threads_change_nothing(self):
        one = self.answer("scan", self.bundle, "-j1", "--no-index")
        two = self.answer("scan", self.bundle, "-j2", "--no-index")
        self.assertEqual(without(one, "seconds", "tokens_per_second"),
                         without(two, "seconds", "tokens_per_second"))
        self.assertEqual(self.files(), [])
        for words in (["features"], ["feature", "0-47"]):
            got = []
            for j in "12":
                r = self.run_program(words[0], self.bundle, *words[1:], "-j", j, "--rebuild",
                                     "--json", "--index", os.path.join(self.tmp, "i" + j))
                self.assertEqual(r.status, 0, r.err)
                got.append(r.out)
            self.assertEqual(*got)

    def test_the_index_is_used_again(self):
        first = self.answer("scan", self.bundle)
        self.assertEqual(self.files(), [first["index"]["path"]])
        stamp = os.stat(first["index"]["path"]).st_mtime_ns
        self.assertEqual(self.answer("scan", self.bundle), first)
        self.answer("features", self.bundle)
        self.assertEqual(os.stat(first["index"]["path"]).st_mtime_ns, stamp)
        self.answer("scan", self.bundle, "--rebuild")
        self.assertNotEqual(os.stat(first["index"]["path"]).st_mtime_ns, stamp)

    def test_a_stale_or_damaged_index_is_made_again(self):
        name = os.path.join(self.tmp, "index")
        first = self.answer("scan", self.bundle, "--index", name)
        with open(name, "r+b") as f:
            f.seek(os.path.getsize(name) // 2)
            f.write(b"\xff" * 64)
        again = self.answer("scan", self.bundle, "--index", name)
        self.assertEqual(again["l0"], first["l0"])
        acts = npy_values(self.path("acts.npy"), "e")
        npy(self.path("acts.npy"), [2 * a for a in acts], [12, 16, 12], "<f2")
        self.assertNotEqual(self.answer("scan", self.bundle, "--index", name)["l0"],
                            first["l0"])

    def test_a_stale_index_says_what_has_changed(self):
        name = os.path.join(self.tmp, "index")
        self.answer("scan", self.bundle, "--index", name)
        r = self.ok("scan", self.bundle, "--index", name, "--skip-first", "2")
        self.assertIn(b"made again (changed: skip)", r.err)

    def test_verbose_says_what_was_done(self):
        name = os.path.join(self.tmp, "index")
        for became in (b"made", b"read"):
            r = self.ok("scan", self.bundle, "--index", name, "--verbose", "--json")
            for words in (b"note: a bundle of", b"by cfg.json", b"note: samples float16",
                          b"note: the index was " + became):
                self.assertIn(words, r.err)
            self.assertEqual(b"saescope: tokens: note: " in r.err, became == b"made")
        self.assertIsInstance(r.json["l0"], float)

    def test_a_cache_that_cannot_be_written_is_said_once(self):
        want = self.answer("scan", self.bundle, "--no-index")
        for place in ("/dev/null", "/proc"):
            self.env["XDG_CACHE_HOME"] = place
            r = self.ok("scan", self.bundle, "--json")
            self.assertEqual(r.err.count(b"warning: the index is not kept"), 1)
            self.assertEqual(r.json["l0"], want["l0"])

    def test_a_foreign_file_is_not_overwritten(self):
        name = self.path("acts.npy")
        with open(name, "rb") as f:
            before = f.read()
        self.fails(1, "scan", self.bundle, "--index", name)
        with open(name, "rb") as f:
            self.assertEqual(f.read(), before)

    def test_two_at_once(self):
        self.big(200)
        name = os.path.join(self.tmp, "index")
        both = [self.start("scan", self.bundle, "--index", name, "--json", "-j1")
                for _ in range(2)]
        answers = []
        for p in both:
            out, err = p.communicate(timeout=300)
            self.assertEqual((p.returncode, err), (0, b""))
            answers.append(without(json.loads(out), "seconds", "tokens_per_second"))
        self.assertEqual(*answers)

    def test_interrupted_scans_leave_nothing_half_written(self):
        self.big()
        want = self.answer("scan", self.bundle, "--no-index")
        name = os.path.join(self.tmp, "dir", "index")
        os.mkdir(os.path.dirname(name))
        rng = random.Random(1)
        interrupted = 0
        for number in [signal.SIGINT, signal.SIGKILL] * 5:
            before = os.listdir(os.path.dirname(name))
            p = self.start("scan", self.bundle, "--index", name, "--json")
            time.sleep(rng.uniform(0.01, want["seconds"]))
            p.send_signal(number)
            out, err = p.communicate(timeout=300)
            if p.returncode == 0:
                os.remove(name)
                continue
            interrupted += 1
            self.assertEqual(out, b"")
            if os.path.exists(name):  # it came between the last step and the answer
                self.assertEqual(self.ok("scan", self.bundle, "--index", name).err, b"")
                os.remove(name)
            if number == signal.SIGINT:
                self.assertEqual((p.returncode, err), (130, b""))
                self.assertEqual(os.listdir(os.path.dirname(name)), before)
        self.assertGreater(interrupted, 0)
        got = self.answer("scan", self.bundle, "--index", name)
        self.assertEqual(without(got, "seconds", "tokens_per_second", "index"),
                         without(want, "seconds", "tokens_per_second", "index"))


class Terminal(Bundle):
    """What is different when stdout or stderr is a terminal."""

    def on_terminal(self, *words, stream="stderr", keys=b"", **env):
        """Status, and all that came out of the pseudo-terminal that stands for `stream`."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 30, 100, 0, 0))
        self.env.update(env, TERM="xterm-256color")
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        streams.update({"stdout": theirs, "stderr": theirs} if stream == "both"
                       else {stream: theirs})
        p = subprocess.Popen([os.environ["SAESCOPE"], *map(str, words)], stdin=theirs,
                             env=self.env, **streams)
        os.close(theirs)
        text, deadline = b"", time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    chunk = os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
                text += chunk
            elif keys and text:  # it has drawn and waits
                os.write(ours, keys)
                keys = b""
        os.close(ours)
        return p.wait(timeout=60), text

    def test_progress_is_drawn_and_taken_away(self):
        Index.big(self)
        status, text = self.on_terminal("scan", self.bundle, "--no-index")
        self.assertEqual(status, 0)
        self.assertIn(b"%", text)
        self.assertTrue(text.endswith(b"\r\x1b[K"), text[-80:])
        self.assertEqual(self.on_terminal("scan", self.bundle, "--no-index", "-q"), (0, b""))

    def test_colour_is_asked_for_and_refused(self):
        def colours(*words, **env):
            status, text = self.on_terminal("info", self.bundle, *words, stream="stdout",
                                            **env)
            self.assertEqual(status, 0)
            return b"\x1b[" in text
        self.assertTrue(colours())
        self.assertFalse(colours("--color", "never"))
        self.assertFalse(colours("--json"))
        self.assertFalse(colours("--tsv"))
        self.assertFalse(colours(NO_COLOR="1"))
        self.assertTrue(colours("--color", "always", NO_COLOR="1"))

    def test_the_explorer_comes_and_goes(self):
        status, text = self.on_terminal(self.bundle, stream="both", keys=b"Q")
        self.assertEqual(status, 0)
        self.assertIn(b"\x1b[?1049h", text)
        self.assertIn(b"\x1b[?1049l", text)
        self.assertIn(b"small", text)
        self.fails(1, self.bundle)  # no terminal


if __name__ == "__main__":
    unittest.main()
