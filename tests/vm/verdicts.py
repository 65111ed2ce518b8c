# SPDX-License-Identifier: Apache-2.0
"""What the scripts that judge a VM's files have in common: each kernel that came back, its cases."""
import os
import struct
import sys
from pathlib import Path

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tally import Tally  # noqa: E402

NO_KERNEL = 77   # run.sh: none could be had, or its script judged nothing itself
BROKEN = (OSError, ValueError, KeyError, IndexError, struct.error)


def main(name, judge):
    """argv: run.sh's status and the folder that it left, a folder a kernel in there. judge(folder)
    gives (what, complaints); complaints None: it could not be judged here. The status to exit with."""
    status, tally = int(sys.argv[1]), Tally()
    places = sorted(p for p in Path(sys.argv[2]).glob("*") if p.is_dir())
    if status not in (0, 1, NO_KERNEL) or (status == 1 and not places):
        tally.clean("the VMs", [f"status {status}"])
    if not places:
        tally.skip(name, "no kernel to be had")
    for where in places:
        try:
            cases = list(judge(where))
        except BROKEN as e:
            cases = [("what the VM handed back", [repr(e)])]
        for what, complaints in cases:
            if complaints is None:
                tally.skip(f"{where.name} {what}", "not here")
            else:
                tally.clean(f"{where.name} {what}", complaints)
    return max(tally.end(), status == 1)
