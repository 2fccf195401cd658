"""The manual page and the completions know what the program knows, and are installed."""
import os
import re
import subprocess
import tempfile
import unittest

from program import ROOT, SMALL, Case

DOCS = os.path.join(ROOT, "docs")
COMPLETIONS = ("saescope.bash", "_saescope", "saescope.fish")
INSTALLED = (
    "bin/saescope",
    "share/man/man1/saescope.1",
    "share/bash-completion/completions/saescope",
    "share/zsh/site-functions/_saescope",
    "share/fish/vendor_completions.d/saescope.fish",
)


def document(name):
    with open(os.path.join(DOCS, name), encoding="utf-8") as f:
        return f.read().replace("\\-", "-")


def options_of(text):
    """The long options in the help: {"sae": "NAME|PATH", "json": None, ...}"""
    return dict(re.findall(r"^  (?:-\w, |    )--([\w-]+)(?: (\S+))?(?:  |$)", text, re.M))


def options_in(name, text):
    """The long options that a document mentions."""
    if name.endswith(".fish"):
        return set(re.findall(r"(?m)^complete .* -l ([\w-]+)", text))
    return set(re.findall(r"(?<![\w-])--([a-z][\w-]+)", text))


def has_word(text, word):
    return re.search(r"\b%s\b" % word, text) is not None


def keys_of(value):
    """All keys below, but those of a checkpoint's own configuration."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield key
            if key != "config":
                yield from keys_of(below)
    elif isinstance(value, list):
        for below in value:
            yield from keys_of(below)


class Documents(Case):
    def setUp(self):
        super().setUp()
        general = self.ok("--help").out.decode()
        self.commands = re.findall(r"^  (\w+) +\[?[A-Z]+.*  \w", general, re.M)
        self.general = options_of(general)
        self.options = dict(self.general)
        self.own = {}
        for command in self.commands:
            options = options_of(self.ok(command, "--help").out.decode())
            self.own[command] = set(options) - set(self.general)
            self.options.update(options)

    def test_help_is_read_as_meant(self):
        self.assertLessEqual({"info", "scan", "features", "feature", "hist", "compare"},
                             set(self.commands))
        self.assertLessEqual({"sae", "skip-tokens", "fold-decoder-norms", "help"},
                             set(self.general))
        self.assertIn("filter", self.own["features"])
        self.assertIn("of", self.own["hist"])

    def test_every_option_is_there(self):
        for name in ("saescope.1",) + COMPLETIONS:
            with self.subTest(name):
                missing = set(self.options) - options_in(name, document(name))
                self.assertFalse(missing)

    def test_no_other_option_is_there(self):
        for name in ("saescope.1",) + COMPLETIONS:
            with self.subTest(name):
                self.assertFalse(options_in(name, document(name)) - set(self.options))

    def test_every_command_is_there(self):
        page = document("saescope.1")
        for command in self.commands:
            self.assertTrue(re.search(r'(?m)^\.BI %s "' % command, page), command)
            for name in COMPLETIONS:
                self.assertTrue(has_word(document(name), command), (name, command))

    def test_choices_are_there(self):
        """Where an option takes one of a few words, so do the completions."""
        for option, argument in self.options.items():
            if argument and argument.islower() and "|" in argument:
                for name in COMPLETIONS:
                    self.assertTrue(argument.replace("|", " ") in document(name),
                                    (name, option))

    def test_columns_are_there(self):
        rows = self.ok("features", "--tsv", SMALL).tsv
        for name in ("saescope.1",) + COMPLETIONS:
            text = document(name)
            for column in rows[0]:
                self.assertTrue(has_word(text, column), (name, column))

    def test_keys_are_there(self):
        """docs/commands.md names every key of the answers, and every command."""
        text = document("commands.md")
        for words in (["info"], ["scan"], ["features"], ["feature", 0], ["hist", "--of", "b_enc"],
                      ["compare", "standard", "topk"], ["cosine", "--matrix"]):
            answer = self.answer(words[0], SMALL, *words[1:])
            for key in keys_of(answer):
                self.assertTrue(has_word(text, key), (words[0], key))
        for command in self.commands:
            self.assertTrue("**%s " % command in text, command)

    def test_version_of_the_page(self):
        version = self.ok("--version").out.decode().strip()
        self.assertIn('"%s"' % version, document("saescope.1").splitlines()[1])


@unittest.skipUnless("MESON" in os.environ, "needs MESON and BUILD")
class Install(unittest.TestCase):
    def test_below_a_directory_of_its_own(self):
        with tempfile.TemporaryDirectory() as root:
            subprocess.run([os.environ["MESON"], "install", "-C", os.environ["BUILD"],
                            "--no-rebuild", "--quiet"], check=True,
                           env=dict(os.environ, DESTDIR=root))
            prefix = os.path.join(root, os.environ["PREFIX"].lstrip("/"))
            for path in INSTALLED:
                full = os.path.join(prefix, path)
                self.assertTrue(os.path.isfile(full) or os.path.isfile(full + ".gz"), path)
            done = subprocess.run([os.path.join(prefix, "bin/saescope"), "--version"],
                                  stdout=subprocess.PIPE, check=True)
            self.assertTrue(done.stdout.startswith(b"saescope "))


if __name__ == "__main__":
    unittest.main()
