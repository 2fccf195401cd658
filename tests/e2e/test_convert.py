"""convert: the same numbers from what was written, nothing overwritten, nothing half-written."""
import json
import os
import re
import resource
import shutil
import struct
import time
import unittest

from program import ROOT, SMALL, Case

SAES = sorted(os.listdir(os.path.join(SMALL, "saes")))


def safetensors(path):
    """{name: (dtype, shape, bytes)}"""
    with open(path, "rb") as f:
        data = f.read()
    n, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + n])
    return {name: (e["dtype"], e["shape"], data[8 + n + e["data_offsets"][0]:
                                                8 + n + e["data_offsets"][1]])
            for name, e in header.items() if name != "__metadata__"}


class Convert(Case):
    def numbers(self, path):
        answer = self.answer("scan", path, "--acts", os.path.join(SMALL, "acts.npy"),
                             "--no-index", "--format", self.format(path))
        return {k: v for k, v in answer.items() if "second" not in k}

    def format(self, path):
        return self.answer("info", path)["format"]

    def test_every_sae_in_every_form(self):
        for name in SAES:
            source = os.path.join(SMALL, "saes", name)
            want = self.numbers(source)
            for words in (["saelens"], ["npy"], ["npy", "--zstd"]):
                out = os.path.join(self.tmp, "%s-%s" % (name, "".join(words)))
                answer = self.answer("convert", source, out, "--to", *words)
                self.assertEqual(sorted(f["name"] for f in answer["files"]),
                                 sorted(os.listdir(out)))
                for f in answer["files"]:
                    self.assertEqual(os.path.getsize(os.path.join(out, f["name"])), f["bytes"])
                self.assertEqual(self.numbers(out), want, (name, words))

    def test_values_are_those_of_the_source(self):
        name = next(n for n in SAES if os.path.exists(
            os.path.join(SMALL, "saes", n, "sae_weights.safetensors")))
        source, out = os.path.join(SMALL, "saes", name), os.path.join(self.tmp, "out")
        self.ok("convert", source, out)
        a, b = (safetensors(os.path.join(d, "sae_weights.safetensors")) for d in (source, out))
        for tensor, value in b.items():
            self.assertEqual(value, a[tensor])
        again = os.path.join(self.tmp, "again")
        self.ok("convert", out, again)
        for file in os.listdir(out):
            with open(os.path.join(out, file), "rb") as f, \
                    open(os.path.join(again, file), "rb") as g:
                self.assertEqual(f.read(), g.read(), file)

    def test_refusals(self):
        source = os.path.join(SMALL, "saes", SAES[0])
        there = os.path.join(self.tmp, "there")
        with open(there, "w"):
            pass
        line = self.fails(1, "convert", source, there)
        self.assertEqual(line, "saescope: %s: is there already (found a file, expected a name "
                               "that is free)\n" % there)
        line = self.fails(1, "convert", source, self.tmp + "/no/such")
        self.assertEqual(line, "saescope: %s/no/such: cannot make the directory (found "
                               "'No such file or directory', expected one that exists)\n" % self.tmp)
        self.assertEqual(os.listdir(self.tmp).count("there"), 1)
        self.assertIn("--zstd: only together with --to npy",
                      self.fails(2, "convert", source, self.tmp + "/x", "--zstd"))
        self.assertIn("found 0 words", self.fails(2, "convert"))
        self.assertIn("no PATH given", self.fails(2, "convert", "a"))
        self.assertIn("unexpected word", self.fails(2, "convert", "a", "b", "c"))
        self.assertFalse([n for n in os.listdir(self.tmp) if "saescope-" in n])

    def test_labels_go_with_it(self):
        """Also where what is written is another checkpoint; what is said of that one stays."""
        source, path = os.path.join(SMALL, "saes", "prolu"), self.tmp + "/said.jsonl"
        with open(path, "w") as f:
            for i in (3, 7):
                f.write(json.dumps({"index": i, "description": "feature %d" % i}) + "\n")
        self.ok("labels", source, "--import", path)
        for n, (to, carried) in enumerate((("saelens", 0), ("npy", 0), ("jumprelu", 2), ("jumprelu", 0))):
            out = "%s/%d" % (self.tmp, n)
            self.assertEqual(self.answer("convert", source, out, "--to", to)["labels"], carried, to)
            self.assertEqual([(l["id"], l["label"]) for l in self.answer("labels", out)["labels"]],
                             [(3, "feature 3"), (7, "feature 7")], to)

    def test_cut_short(self):
        """Killed, or without room: nothing by that name, and nothing left where it can be helped."""
        rows, columns = 3072, 1024
        source = os.path.join(self.tmp, "source")
        os.mkdir(source)
        for name, shape in (("W_enc", (columns, rows)), ("W_dec", (rows, columns)),
                            ("b_enc", (rows,)), ("b_dec", (columns,))):
            header = "{'descr': '<f4', 'fortran_order': False, 'shape': %r, }\n" % (shape,)
            with open("%s/%s.npy" % (source, name), "wb") as f:
                f.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode())
                f.write(struct.pack("<I", 0x3f800000) * (shape[0] * (shape[1:] or (1,))[0]))
        out = os.path.join(self.tmp, "out")
        line = self.fails(1, "convert", source, out, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
        self.assertEqual(line, "saescope: %s: cannot write (found 'File too large', expected room for "
                               "it)\n" % out)
        self.assertEqual([n for n in os.listdir(self.tmp) if "out" in n], [])
        for _ in range(20):
            process = self.start("convert", source, out)
            while process.poll() is None and not [n for n in os.listdir(self.tmp)
                                                  if n.startswith(".out.saescope-")]:
                time.sleep(0.0005)
            process.kill()
            process.communicate()
            if os.path.exists(out): # it was faster: then it is whole
                self.ok("info", out)
                break
            left = [n for n in os.listdir(self.tmp) if n.startswith(".out.saescope-")]
            for name in left:
                shutil.rmtree(os.path.join(self.tmp, name))
            if left:
                break
        self.assertTrue(left or os.path.exists(out))

    def test_keys_are_documented(self):
        answer = self.answer("convert", SMALL, "--sae", SAES[0], self.tmp + "/out")
        with open(os.path.join(ROOT, "docs", "commands.md"), encoding="utf-8") as f:
            text = f.read()
        for key in list(answer) + list(answer["files"][0]):
            self.assertTrue(re.search(r"\b%s\b" % key, text), key)


if __name__ == "__main__":
    unittest.main()
