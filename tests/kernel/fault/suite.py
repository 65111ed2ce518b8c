# SPDX-License-Identifier: Apache-2.0
"""What every fault needs: checks that are counted, a tracer, connections, the one line."""
import json
import os
import re
import subprocess

from tracers import Tracer

PORT = 29100


class Suite:
    def __init__(self, options, directory):
        self.tcptrail, self.scenario = options.tcptrail, options.scenario
        self.churn_program = os.path.join(os.path.dirname(options.scenario), "churn")
        self.directory = directory
        self.passed = self.failed = self.skipped = 0
        self.port = PORT

    def check(self, name, holds, why=""):
        self.passed += bool(holds)
        self.failed += not holds
        print(f"{'ok' if holds else 'not ok'} {self.passed + self.failed} - {name}", flush=True)
        if not holds:
            print("    " + str(why).strip().replace("\n", "\n    ")[:1500])

    def skip(self, name, why):
        self.skipped += 1
        print(f"skip - {name}: {why}", flush=True)

    def next_port(self):
        self.port += 1
        return self.port

    def tracer(self, tag, *args):
        return Tracer(self.tcptrail, list(args), self.directory, tag)

    def make(self, name, port, *more):
        done = subprocess.run([self.scenario, name, "--port", str(port), *map(str, more)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=300)
        if done.returncode:
            raise RuntimeError(f"scenario {name}: {done.stderr.decode()}")

    def load(self, port, *more):
        return subprocess.Popen([self.churn_program, "churn", "-l", str(port), *map(str, more)],
                                stdout=subprocess.PIPE)

    def churn(self, port, *more):
        """Many connections, quickly."""
        made = json.loads(self.load(port, *more).communicate(timeout=300)[0])
        if made["failed"]:
            raise RuntimeError(f"churn: {made}")

    def one_line(self, name, want, argv, **more):
        """Exit 2, nothing on stdout, and on stderr the one line."""
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
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
