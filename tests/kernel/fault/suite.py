# SPDX-License-Identifier: Apache-2.0
"""What every fault needs: checks that are counted, a tracer, connections, the one line.

NOTICES, SUMMARY: what a run says before it traces and at its end; all that it may say besides is
the fault's own line, and TABLES. `slow` in SUMMARY is the ledger's figure.
"""
import json
import os
import re
import subprocess

from tally import Tally
from tracers import Tracer

PORT = 29100
NOTICES = r"(?:tcptrail: (?:base mode: |not on this kernel, )[^\n]*\n)*tcptrail: tracing\n"
SUMMARY = r"tcptrail: (?P<events>\d+) events? \([^()\n]+\), (?P<ended>\d+) connections? ended, in " \
          r"[^;\n]+; (?:nothing lost|lost: (?P<slow>\d+) output slow)(?:; \d+ hooks? missing)?\n"
TABLES = r"(?:STATE         SOCKETS\n(?:[A-Z0-9-]+ +\d+\n)*)*"   # SIGUSR1's


class Suite(Tally):
    def __init__(self, options, directory):
        super().__init__()
        self.tcptrail, self.scenario = options.tcptrail, options.scenario
        self.churn_program = os.path.join(os.path.dirname(options.scenario), "churn")
        self.directory = directory
        self.port = PORT

    def next_port(self):
        self.port += 1
        return self.port

    def tracer(self, tag, *args, **more):
        return Tracer(self.tcptrail, list(args), self.directory, tag, **more)

    def says(self, name, status, want, t, expected=0):
        """All that it said on stderr is this; the match, or None."""
        said = t.said().decode()
        found = re.fullmatch(want, said)
        self.check(name, found and status == expected,
                   f"status {status}, expected {expected} and:\n{want}\n{said}")
        return found

    def balance(self, name, got, lost, want, withheld=0):
        """What arrived and what is said to be lost is what there was. What the kernel showed no BPF
        program of anybody (witness.py) is no fault of ours: it may be missing by so much."""
        off = want - got - lost
        if off and abs(off) <= withheld:
            self.skip(name, f"up to {withheld} events withheld from every BPF program, on top of "
                            f"pid 1: {got} + {lost} for {want}")
        else:
            self.check(name, not off, f"{got} arrived + {lost} lost != {want} made")

    def make(self, name, port, *more):
        done = subprocess.run([self.scenario, name, "--port", str(port), *map(str, more)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=300)
        if done.returncode:
            raise RuntimeError(f"scenario {name}: {done.stderr.decode()}")

    def load(self, port, *more):
        return subprocess.Popen([self.churn_program, "churn", "-l", str(port), *map(str, more)],
                                stdout=subprocess.PIPE)

    def hold(self, port, connections):
        """Open connections, until its stdin is closed."""
        held = subprocess.Popen([self.churn_program, "hold", "-n", str(connections), "-l", str(port)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        held.stdout.readline()
        return held

    def churn(self, port, *more):
        """Many connections, quickly."""
        made = json.loads(self.load(port, *more).communicate(timeout=300)[0])
        if made["failed"]:
            raise RuntimeError(f"churn: {made}")

    def one_line(self, name, want, argv, **more):
        """Exit 2, nothing on stdout, and on stderr the one line."""
        more = {"stdout": subprocess.PIPE, **more}
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              timeout=60, **more)
        self.check(name, done.returncode == 2 and not done.stdout and
                   re.fullmatch(f"tcptrail: {want}\n", done.stderr),
                   f"status {done.returncode}, expected 2 and: {want}\n{done.stderr}{done.stdout}")


def lost_of(said, what):
    found = re.search(rf"(?:lost: |, )(\d+) {what}", said)
    return int(found.group(1)) if found else 0


def valid(line):
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
