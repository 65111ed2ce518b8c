#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around the tracer: each fault has its expected one line, and what was lost is
counted by somebody else as well.

    faults.py [--tcptrail PATH] [--scenario PATH] [--only NAME]

docs/faults.md has all of them in a table; fault/ a room for each kind: outputs, recordings,
resources, coming and going, places that do not let it. The ring and the table are
tests/kernel/ledger.py's; the clock, lockdown and full mode tests/vm/faults.sh's.

A line a check ("ok", "not ok", "skip"), and a last line: N passed, N failed, N skipped.
"""
import argparse
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from fault import coming, outputs, places, recordings, resources  # noqa: E402
from fault.suite import Suite  # noqa: E402

FAULTS = [fault for room in (outputs, recordings, resources, coming, places) for fault in room.FAULTS]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--tcptrail", default=os.path.join(ROOT, "build", "tcptrail"))
    p.add_argument("--scenario", default=os.path.join(ROOT, "build", "tests", "scenario"))
    p.add_argument("--only", action="append", default=[], metavar="NAME")
    options = p.parse_args()
    options.tcptrail = os.path.abspath(options.tcptrail)
    options.scenario = os.path.abspath(options.scenario)
    if os.geteuid():
        print("skip - faults: needs root\n0 passed, 0 failed, 1 skipped")
        return 0
    with tempfile.TemporaryDirectory(prefix="tcptrail-faults-") as directory:
        s = Suite(options, directory)
        for fault in FAULTS:
            if not options.only or fault.__name__ in options.only:
                fault(s)
        return s.end()


if __name__ == "__main__":
    sys.exit(main())
