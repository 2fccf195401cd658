"""The explorer in a real terminal: tmux, with a server of its own, types and looks.

What is under test is the program as a user meets it: first screen, keys, sizes, ^Z and
fg, quitting, and a terminal that is as it was. Screens' contents have tests of their own
(tests/screens); here a few words on them are enough.
"""
import os
import shutil
import subprocess
import time
import unittest

import program
from program import PROGRAM, SMALL

TMUX = shutil.which("tmux")
PROMPT = "ready%"


@unittest.skipUnless(TMUX, "tmux is not installed")
class Terminal(program.Case):
    def setUp(self):
        super().setUp()
        self.socket = os.path.join(self.tmp, "tmux")
        self.env.update(TERM="xterm-256color", HOME=self.tmp)
        self.env.pop("TMUX", None)
        conf = os.path.join(self.tmp, "tmux.conf")
        with open(conf, "w") as f:
            f.write("set -g default-terminal tmux-256color\nset -g status off\n"
                    "set -s escape-time 0\n")
        rc = os.path.join(self.tmp, "bashrc")
        with open(rc, "w") as f:
            f.write("PS1='%s '\n" % PROMPT)
        self.tmux("-f", conf, "-u", "new-session", "-d", "-x", "80", "-y", "24",
                  "bash --noprofile --rcfile " + rc)
        self.addCleanup(self.tmux, "kill-server", check=False)
        self.tmux("set", "-g", "window-size", "manual") # at the start tmux 3.3 dies of it
        self.wait(PROMPT)

    def tmux(self, *words, check=True):
        r = subprocess.run([TMUX, "-S", self.socket, *words], env=self.env,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if check and r.returncode:
            self.fail("tmux %s: %s" % (words, r.stderr))
        return r.stdout.decode()

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def wait(self, *words, seconds=30):
        """Until all words stand on the screen."""
        end = time.time() + seconds
        while True:
            screen = self.screen()
            if all(w in screen for w in words):
                return screen
            if time.time() > end:
                self.fail("waited for %r, the screen is\n%s" % (words, screen))
            time.sleep(0.05)

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def escape(self):
        """By itself: with a key right behind it, it would be Alt and that key."""
        self.keys("Escape")
        time.sleep(0.3)

    def type(self, text):
        self.tmux("send-keys", "-l", "--", text)

    def shell(self, line):
        self.type(line)
        self.keys("Enter")

    def resize(self, cols, rows):
        self.tmux("resize-window", "-x", str(cols), "-y", str(rows))

    def explore(self, *words):
        self.shell(" ".join(["clear;", PROGRAM, *words]))

    def end(self):
        """Q leaves the terminal as it was: settings, screen, cursor."""
        self.keys("Q")
        self.wait(PROMPT)
        self.check_restored()

    def check_restored(self):
        self.assertNotIn("Overview", self.screen())
        self.assertEqual(self.tmux("display", "-p", "#{alternate_on} #{cursor_flag} "
                                   "#{mouse_any_flag}").strip(), "0 1 0")
        self.shell("clear; stty -a | grep -q ' -icanon\\| -echo ' && echo is raw "
                   "|| echo is sane")
        self.wait("is sane\n" + PROMPT)

    def test_the_score(self):
        """View 7 says what the command says; effects come one after the other."""
        ref = os.path.join(program.ROOT, "tests", "ref", "lm")
        words = [os.path.join(ref, "score", "sae"), "--model", os.path.join(ref, "gpt2"),
                 "--tokens", os.path.join(ref, "score", "tokens.npy"),
                 "--hook", "blocks.1.hook_resid_pre"]
        want = self.ok("score", *words, "--json").json
        effects = self.ok("ablate", words[0], "0-39", *words[1:], "--no-index",
                          "--json").json["features"]
        best = max(effects, key=lambda f: abs(f["delta_ce"]))
        self.explore(*words)
        self.wait("Overview", "%.4g" % want["reconstruction_score"])
        self.keys("7")
        self.wait("Score", "reconstruction score %.4g" % want["reconstruction_score"],
                  "reconstructed %.4f" % want["ce_reconstructed"])
        self.wait("32 of 40 exact") # unasked, the strongest
        self.keys("A")
        self.wait("40 of 40 exact", "%.5f" % best["delta_ce"], "#%d " % best["id"],
                  "%+.3f" % best["worst"][0]["delta"])
        self.keys("]", "]", "]", "s") # some column
        self.keys("#")
        self.type("0")
        self.keys("Enter")
        self.wait("3 Feature", "#0")
        self.keys("7")
        self.wait("40 of 40 exact")
        self.keys("x")
        self.wait("error-kept")
        self.end()

    def test_a_session(self):
        self.explore(SMALL)
        self.wait("Overview", "standard 12", "0.8316") # scanned: rows stay where they are
        self.keys("2")
        self.wait("density", "1/")
        self.keys("j", "j")
        self.wait("3/")
        self.keys("Enter")
        self.wait("activation", "top ")
        self.keys("q")
        self.wait("3/")
        self.keys("&")
        self.type("density > 0.05 and max > 0.1")
        self.keys("Enter")
        self.wait("filter density > 0.05")
        self.keys("&")
        self.type("nonsense >")
        self.keys("Enter")
        self.wait("nonsense")
        self.escape()
        self.keys("4")
        self.wait("negative")
        self.keys("?")
        self.wait("zero")
        self.escape()
        for cols, rows in ((200, 60), (50, 10), (80, 24)):
            self.resize(cols, rows)
            if cols < 60:
                self.wait("needs 60x16")
            else:
                self.wait("Biases", "negative")
        self.end()

    def test_scanning_again(self):
        """:rescan begins anew with other tokens, at the place where one is; what cannot be
        leaves things as they are."""
        self.resize(200, 30)
        self.explore(SMALL)
        self.wait("Overview", "standard 12", "0.8316")
        self.keys("2")
        self.wait("density", "1/")
        command = lambda text: (self.keys(":"), self.type(text), self.keys("Enter"))
        command("rescan skip-first=1")
        self.wait("from position 1", "density")
        command("rescan seq-len=7")
        self.wait("expected --seq-len 7", "from position 1", "density")
        command("rescan strange=7")
        self.wait("not of a scan", "expected skip-first=N")
        self.escape()
        command("rescan skip-first=0 skip-tokens=1,2")
        end = time.time() + 30
        while "from position" in self.wait("density") and time.time() < end:
            time.sleep(0.1)
        self.keys("1")
        self.wait("Overview", "standard 12")
        self.assertNotIn("from position", self.screen())
        self.end()

    def test_comparing(self):
        self.explore(SMALL, "-s", "standard", "-s", "topk")
        self.wait("Overview", "standard 12")
        for cols, rows in ((200, 60), (80, 24)): # as it was, at the end
            self.resize(cols, rows)
            self.keys("C")
            self.wait("A standard", "B topk", "MMCS", "matched 48", "1/48")
            self.keys("j", "j", "Enter")
            self.wait("decoder cosine")
            self.keys("j", "q")
            self.wait("4/48", "MMCS")
            self.keys("x")
            self.wait("A topk", "B standard")
            self.keys("x", "g", "g")
            self.wait("A standard", "1/48")
            self.keys("h")
            self.wait("FVU against L0", "6 scanned")
            self.keys("l", "1")
            self.wait("Overview", "standard 12")
        self.keys("c")
        self.type("gated")
        self.keys("Enter", "5")
        self.wait("B gated", "MMCS")
        self.end()

    def test_maps_and_series(self):
        self.explore(SMALL, "-s", "standard", "-s", "topk")
        self.wait("Overview", "standard 12")
        for cols, rows in ((200, 60), (80, 24)):
            self.resize(cols, rows)
            self.keys("6")
            self.wait("decoder of standard (48)", "decoder of topk (48)", "mean", "b_dec")
            self.keys("s")
            self.wait("by best match")
            self.keys("+", "+", "+")
            self.wait("a cell a cosine", "#")
            self.keys("Enter")
            self.wait("3 Feature")
            self.keys("q", "-", "-", "-", "]")
            self.wait("itself", "off the diagonal")
            self.keys("[", "s", "s")
            self.wait("decoder of topk (48)", "by id")
            self.keys("4", "s")
            self.wait("of 2 checkpoints", "standard", "topk", "mean")
            self.keys("s", "1")
            self.wait("Overview")
        self.end()

    def test_a_text_of_ones_own(self):
        self.explore(os.path.join(program.ROOT, "data"))
        self.wait("Overview")
        self.keys("8")
        self.wait("128 tokens", "loss", "next token", "#433")
        self.keys("e", "C-u")
        self.type("And the king of Israel")
        self.wait("6 tokens", "text: And the king of Israel")
        self.keys("Enter")
        self.wait("typed", "token 6/6")
        self.keys("a")
        self.wait("without #", "KL", "before, after")
        self.keys("Enter")
        self.wait("3 Feature", "activation")
        self.keys("q")
        self.wait("without #")
        self.end()

    def test_suspending(self):
        self.explore(SMALL)
        self.wait("Overview", "standard 12")
        self.keys("C-z")
        self.wait("Stopped", PROMPT)
        self.shell("clear; echo still here")
        self.wait("still here")
        self.shell("fg")
        self.wait("Overview", "standard 12")
        self.keys("2")
        self.wait("density")
        self.end()

    def test_labels_stay(self):
        self.explore(SMALL)
        self.wait("Overview", "standard 12", "0.8316")
        self.keys("2")
        self.wait("density", "1/")
        self.keys("e")
        self.type("a name of mine")
        self.keys("Enter")
        self.wait("a name of mine")
        self.end()
        self.explore(SMALL)
        self.wait("Overview")
        self.keys("2")
        self.wait("a name of mine")
        self.end()

    def test_signals_give_the_terminal_back(self):
        for signal in ("TERM", "HUP", "INT"):
            self.explore(SMALL)
            self.wait("Overview", "standard 12")
            pid = self.tmux("display", "-p", "#{pane_pid}").strip()
            child = subprocess.run(["pgrep", "-P", pid, "-x", "saescope"],
                                   stdout=subprocess.PIPE).stdout.decode().split()
            self.assertEqual(len(child), 1)
            subprocess.run(["kill", "-" + signal, child[0]])
            if signal == "INT":
                self.wait("Overview") # ^C only cancels jobs
                self.end()
            else:
                self.wait(PROMPT)
                self.check_restored()

    def test_wrong_input(self):
        cases = (
            ("missing/dir", "saescope: missing/dir: "),
            (SMALL + " --sae no-such", "no-such"),
            ("/dev/null", "saescope: /dev/null: "),
        )
        for i, (words, message) in enumerate(cases):
            self.explore(words + "; echo case %d status $?" % i)
            screen = self.wait("case %d status 1" % i)
            self.assertIn(message, screen.replace("\n", ""))
        self.shell("clear; TERM=dumb %s %s; echo dumb status $?" % (PROGRAM, SMALL))
        self.wait("dumb status 1", "saescope: ")
        self.shell("clear; %s %s </dev/null | cat; echo pipe status ${PIPESTATUS[0]}"
                   % (PROGRAM, SMALL))
        self.wait("pipe status 1", "saescope: ")


if __name__ == "__main__":
    unittest.main()
