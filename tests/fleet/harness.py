# SPDX-License-Identifier: Apache-2.0
"""Counting and comparing, and the records that the checks are about."""
import glob
import json
import os
import subprocess

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
VIEWS = (["conns", "--open"], ["events"], ["stuck", "--min-age", "0", "-d", "8"], ["listeners"])


def path(name):
    return os.path.normpath(os.path.join(ROOT, name))


class Tally:
    """One "ok", "not ok" or SKIP line each, then the closing line."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, name, work):
        try:
            work()
        except Exception as e:  # pylint: disable=broad-except  # whatever it is, it is this check's
            self.failed += 1
            print(f"not ok - {name}\n  {type(e).__name__}: {str(e)[:1200]}")
            return False
        self.passed += 1
        print(f"ok - {name}")
        return True

    def skip(self, name, why):
        self.skipped += 1
        print(f"ok - {name} # SKIP {why}")

    @staticmethod
    def equal(got, want):
        if got != want:
            raise AssertionError(f"got {got!r}, expected {want!r}")

    @staticmethod
    def true(what, why):
        if not what:
            raise AssertionError(why)

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed else 0


def recordings():
    return sorted(glob.glob(path("tests/golden/*.ttr"))) + [path("tests/fleet/queues.ttr")]


def run(tcptrail, *args):
    done = subprocess.run([tcptrail, *args], capture_output=True, timeout=60)
    if done.returncode:
        raise AssertionError(f"{args}: status {done.returncode}: {done.stderr.decode()[:300]}")
    return done.stdout


def all_records(tcptrail, out):
    """Every view of every recording to the file `out`; returns the records."""
    with open(out, "wb") as f:
        for file in recordings():
            for view in VIEWS:
                f.write(run(tcptrail, *view, "-o", "json", "--from", file))
    with open(out, encoding="utf-8") as f:
        return [json.loads(line) for line in f]
