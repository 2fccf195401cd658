"""Running saescope and judging what it says: shared by the end-to-end tests.

Only Python's standard library is used. Every test has a cache, state and configuration
directory of its own, so that nothing of the user's is read or written.
"""
import json
import os
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SMALL = os.path.join(ROOT, "tests", "data", "small")
FIXTURES = os.path.join(ROOT, "..", "shared", "fixtures")
PROGRAM = os.environ.get("SAESCOPE", os.path.join(ROOT, "build", "saescope"))

SAMPLE_COLUMNS = ("density", "count", "mean", "max", "delta_fvu")


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def json(self):
        return json.loads(self.out, parse_constant=self.refuse)

    @staticmethod
    def refuse(word):
        raise ValueError("%s is no JSON" % word)

    @property
    def tsv(self):
        lines = self.out.decode().split("\n")
        assert lines.pop() == ""
        rows = [line.split("\t") for line in lines]
        assert all(len(r) == len(rows[0]) for r in rows), rows
        return rows[0], rows[1:]


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.tmp = self.directory.name
        self.env = dict(os.environ, LC_ALL="C.UTF-8")
        for name in ("CACHE", "STATE", "CONFIG"):
            self.env["XDG_%s_HOME" % name] = os.path.join(self.tmp, name.lower())
        self.addCleanup(self.directory.cleanup)

    def start(self, *words, **options):
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([PROGRAM, *map(str, words)], stdin=subprocess.DEVNULL,
                                env=self.env, **options)

    def run_program(self, *words, **options):
        process = self.start(*words, **options)
        out, err = process.communicate(timeout=300)
        return Result(process.returncode, out, err)

    def ok(self, *words):
        """It worked, and said nothing but warnings on stderr, and what --verbose asks for."""
        r = self.run_program(*words)
        self.assertEqual(r.status, 0, (words, r.err))
        for line in r.err.decode().splitlines():
            kinds = "warning|note" if "--verbose" in words else "warning"
            self.assertRegex(line, "^saescope: .*: (%s): " % kinds)
        return r

    def answer(self, *words):
        return self.ok("--json", *words).json

    def fails(self, status, *words, **options):
        """It said why in one line, and nothing on stdout."""
        r = self.run_program(*words, **options)
        self.assertEqual(r.status, status, (words, r.out, r.err))
        self.assertFalse(r.out, words)
        self.assertRegex(r.err, rb"\Asaescope: [^\n]+\n\Z", words)
        return r.err.decode()

    def write(self, name, data):
        """A file in the test's own directory."""
        path = os.path.join(self.tmp, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def files(self):
        """All files in the cache."""
        return sorted(os.path.join(d, f) for d, _, names in
                      os.walk(self.env["XDG_CACHE_HOME"]) for f in names)

    def near(self, got, want, what, scale=None):
        """2e-3 relative, or 1e-6 of the largest of its kind."""
        if want is None or got is None:
            self.assertEqual(got, want, what)
            return
        room = max(2e-3 * abs(want), 1e-6 * (abs(want) if scale is None else scale))
        self.assertLessEqual(abs(got - want), room, "%s: %r, expected %r" % (what, got, want))

    def near_counts(self, got, want, what):
        """Each within 1 % or 2; what leaves a bin is in another."""
        self.assertEqual(len(got), len(want), what)
        for i, (g, w) in enumerate(zip(got, want)):
            self.assertLessEqual(abs(g - w), max(2, 0.01 * w), "%s, bin %d" % (what, i))
