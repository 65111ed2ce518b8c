#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Judges what a VM handed back of tests/kernel/hunting/hunt.script: hunt.py RUN_STATUS DIRECTORY"""
import importlib.util
import sys
from pathlib import Path

import verdicts

ROOT = Path(__file__).resolve().parent.parent.parent
SPEC = importlib.util.spec_from_file_location("kernel_hunt", ROOT / "tests/kernel/hunt.py")
HUNT = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(HUNT)


def judge(where):
    yield from HUNT.cases(HUNT.Results(str(where / "results" / "all"), str(ROOT / "build/tcptrail")))


if __name__ == "__main__":
    sys.exit(verdicts.main("hunt", judge))
