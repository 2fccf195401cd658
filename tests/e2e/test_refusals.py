"""What is said about each file of refusals.py, word for word, soon and in little memory.

    test_refusals.py --write    writes refusals.txt anew; every line wants reading then
"""
import os
import resource
import sys
import time
import unittest

from program import Case, HERE
from refusals import CASES

EXPECTED = os.path.join(HERE, "refusals.txt")
FORM = r"\A[^:]+: .+ \(found .+, expected .+\)\Z"
SECONDS = 20    # far above what a refusal takes, on a busy machine and with sanitizers
MEMORY = 512    # MiB, which the address sanitizer's own is a part of


def expected():
    with open(EXPECTED) as f:
        return dict(line.rstrip("\n").split("\t") for line in f)


class Refusals(Case):
    def said(self, name):
        directory = os.path.join(self.tmp, "work", name.replace("/", "_"))
        os.makedirs(directory)
        os.chdir(directory)
        self.addCleanup(os.chdir, HERE)
        words = CASES[name]()
        before = sorted(os.listdir("."))
        begin = time.monotonic()
        line = self.fails(1, *words)
        self.assertLess(time.monotonic() - begin, SECONDS)
        self.assertEqual(sorted(os.listdir(".")), before)
        return line[len("saescope: "):-1].replace(os.path.realpath("."), "HERE")

    def test_every_line(self):
        lines = expected()
        self.assertEqual(set(lines), set(CASES))
        for name in CASES:
            with self.subTest(name):
                self.assertEqual(self.said(name), lines[name])
                self.assertRegex(lines[name], FORM)

    def test_there_are_many(self):
        self.assertGreaterEqual(len(CASES), 200)

    def test_memory(self):
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, MEMORY << 10)


class Writer(Refusals):
    def runTest(self):
        with open(EXPECTED, "w") as f:
            for name in CASES:
                try:
                    line = self.said(name)
                except AssertionError as e:
                    line = "NOT REFUSED %s" % str(e).replace("\n", " ")[:300]
                f.write("%s\t%s\n" % (name, line))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        unittest.TextTestRunner().run(Writer())
    else:
        del Writer
        unittest.main()
