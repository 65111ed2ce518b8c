#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An hour's soak in a VM with virtual time: bursts of connections each few seconds, so that
# TIME_WAIT, its reuse, orphans' FIN_WAIT_2 and keepalive pass again and again, in minutes of wall
# time. Who makes the connections counts their ends, and the kernel its sockets.
#   tests/vm/soak.sh [run.sh's OPTIONS: --kernel, --mode ...]    (default --kernel 6.12 --mode full)
# Last line "N passed, N failed, N skipped".
# shellcheck source=tests/vm/rig.sh
. "$(dirname "$(readlink -f "$0")")/rig.sh"

program soak_flows soak_flows.c || exit 2
judged soak.py --script "$here/soak.script" --program "$dir/soak_flows"
