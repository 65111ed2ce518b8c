# SPDX-License-Identifier: Apache-2.0
"""What every suite counts and says: a line a check ("ok", "not ok", "skip"), and the closing line
that tests/suites.sh and tests/tally.sh read."""
import traceback

FAULTS_SHOWN = 12


class Skip(Exception):
    """A test cannot run here; its message says why."""


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, name, holds, why=""):
        """why: what to look at if it does not hold."""
        self.clean(name, () if holds else str(why).strip().splitlines() or ("",))
        return bool(holds)

    def clean(self, name, faults):
        """It holds if there is no fault, a text each."""
        self.passed += not faults
        self.failed += bool(faults)
        print(f"{'not ok' if faults else 'ok'} {self.passed + self.failed} - {name}", flush=True)
        for fault in list(faults)[:FAULTS_SHOWN]:
            print(f"    {str(fault)[:1500]}", flush=True)

    def skip(self, name, why):
        self.skipped += 1
        print(f"skip - {name}: {why}", flush=True)

    def end(self):
        """The closing line, and the status to exit with."""
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 1 if self.failed else 0


def run_tests(tests, names, *args):
    """Functions that raise what is wrong; the first sentence of each one's text is its name. names:
    only these, if any. The status to exit with."""
    tally = Tally()
    for fn in tests:
        if names and fn.__name__ not in names:
            continue
        what = " ".join(fn.__doc__.split())
        try:
            fn(*args)
            tally.clean(what, ())
        except Skip as why:
            tally.skip(what, why)
        except Exception:   # pylint: disable=broad-except  # a test may fail in any way
            tally.clean(what, traceback.format_exc().rstrip().splitlines()[-FAULTS_SHOWN:])
    return tally.end()
