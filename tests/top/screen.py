# SPDX-License-Identifier: Apache-2.0
"""A terminal for the tests of `tcptrail top`: a tmux of its own, with a shell in it, whose
screen can be read; and what stands on top's screen."""
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "serve"))
from rig import DEADLINE_S, Skip, wait_for  # noqa: E402

STATES = {"LISTEN": "listen", "SYN-SENT": "syn_sent", "SYN-RECV": "syn_recv",
          "ESTAB": "established", "FIN-WAIT-1": "fin_wait_1", "FIN-WAIT-2": "fin_wait_2",
          "CLOSE-WAIT": "close_wait", "LAST-ACK": "last_ack", "CLOSING": "closing",
          "TIME-WAIT": "time_wait"}
PROMPT = "ready> "


class Screen:
    """Starts in the caller's network namespace. close() ends what runs in it."""

    counter = itertools.count()

    def __init__(self, cols=120, rows=40, **env):
        if not shutil.which("tmux"):
            raise Skip("tmux is not installed")
        self.socket = f"tcptrail-test-{os.getpid()}-{next(self.counter)}"
        self.dir = tempfile.mkdtemp()
        conf = os.path.join(self.dir, "tmux.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write("set -g status off\nset -s escape-time 0\nset -g default-terminal "
                    "screen-256color\nset -g remain-on-exit off\n")
        given = {"PATH": os.environ["PATH"], "PS1": PROMPT, "LC_ALL": "C.UTF-8", **env}
        shell = ["env", "-u", "NO_COLOR", "-u", "COLORTERM",
                 *(f"{k}={v}" for k, v in given.items()), "sh"]
        self.base = ["tmux", "-L", self.socket, "-f", conf]
        self.tmux("new-session", "-d", "-x", str(cols), "-y", str(rows), shlex.join(shell))
        self.wait("the shell", lambda: PROMPT.strip() in self.text())

    def tmux(self, *args):
        r = subprocess.run([*self.base, *args], capture_output=True, text=True,
                           timeout=DEADLINE_S, check=False)
        assert r.returncode == 0, (args, r.stderr)
        return r.stdout

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def keys(self, *names):
        self.tmux("send-keys", *names)

    def run(self, *command, prefix=""):
        """A command line in the shell; what it says and its status stand on the screen after."""
        self.type(f"clear; {prefix} {shlex.join(command)}; echo status=$?")
        self.keys("Enter")

    def text(self):
        return self.tmux("capture-pane", "-p")

    def colored(self):
        return self.tmux("capture-pane", "-p", "-e")

    def lines(self):
        return self.text().splitlines()

    def wait(self, what, check):
        try:
            return wait_for(what, check)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.text().rstrip()}") from None

    def see(self, *patterns):
        """Until each is on the screen; the screen's text."""
        def check():
            text = self.text()
            return text if all(re.search(p, text, re.M) for p in patterns) else None
        return self.wait(" and ".join(patterns), check)

    def still(self):
        """The screen's text, once no part of a picture is on its way any more: tmux takes what comes
        in pieces, and shows the screen between two of them too."""
        def check():
            text = self.text()
            time.sleep(0.5)
            return text if self.text() == text else None
        return self.wait("a picture that stands still", check)

    def not_see(self, pattern):
        return self.wait(f"no {pattern}", lambda: not re.search(pattern, self.text(), re.M))

    def status(self):
        """The command's, once it has ended."""
        return int(re.search(r"^status=(\d+)", self.see(r"^status=\d+"), re.M)[1])

    def alternate(self):
        return self.tmux("display", "-p", "#{alternate_on} #{cursor_flag}").strip()

    def resize(self, cols, rows):
        self.tmux("resize-window", "-x", str(cols), "-y", str(rows))

    def modes(self):
        """stty of the pane, from outside."""
        tty = self.tmux("display", "-p", "#{pane_tty}").strip()
        return subprocess.run(["stty", "-F", tty, "-a"], capture_output=True, text=True,
                              check=True).stdout

    def close(self):
        subprocess.run([*self.base, "kill-server"], capture_output=True, check=False, timeout=20)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def counts(text):
    """{"established": 3, ...} as the states' pane has them."""
    found = {}
    for m in re.finditer(r"(?:^|\s)([A-Z]+(?:-[A-Z0-9]+)*)\s+(\d+)\s+[\d.]+k?(?=\s)", text):
        if m[1] in STATES:
            found[STATES[m[1]]] = int(m[2])
    return found


def listed(text):
    """How many connections the list has; None: no list there."""
    m = re.search(r"CONNECTIONS  \d+-\d+ of (\d+)", text)
    return int(m[1]) if m else None


def rows(text):
    """The rows of the list of connections, as they stand there."""
    lines = text.splitlines()
    at = [i for i, line in enumerate(lines) if "CONNECTIONS  " in line]
    if not at:
        return []
    return [x for x in lines[at[0] + 2:-1] if x.strip()]


class Top:
    """top on a screen, inside the namespace, over that namespace alone."""

    def __init__(self, tcptrail, ns, *args, cols=120, rows=40, command=None, prefix="", **env):
        ns.enter()
        try:
            self.screen = Screen(cols, rows, **env)
        finally:
            ns.leave()
        self.before = self.screen.modes()
        self.command = command or [tcptrail, "top", "--netns", str(ns.inode), *args]
        self.screen.run(*self.command, prefix=prefix)

    def __enter__(self):
        try:
            self.screen.see(r"^ tcptrail top  |^status=\d")
        except AssertionError:
            self.screen.close()
            raise
        return self.screen

    def __exit__(self, *_):
        self.screen.close()


def pid_of(screen):
    """The tracer on the screen: the shell's child that is no guard."""
    shell = screen.tmux("display", "-p", "#{pane_pid}").strip()
    with open(f"/proc/{shell}/task/{shell}/children", encoding="ascii") as f:
        return int(f.read().split()[0])


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def said_by(ns, *command):
    ns.enter()
    try:
        r = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    finally:
        ns.leave()
    assert r.returncode in (0, 1), (command, r.returncode, r.stderr)
    return [json.loads(line) for line in r.stdout.splitlines()]


def states_of(tcptrail, ns):
    records = said_by(ns, tcptrail, "states", "-o", "json", "-d", "0.3", "--netns", str(ns.inode))
    last = [r for r in records if r["event"]["name"] == "tcp.states"][-1]
    return {k: v for k, v in last["tcp"]["states"].items() if v}


def shown(text):
    return {k: v for k, v in counts(text).items() if v}
