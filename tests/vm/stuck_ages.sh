#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Long ages, in a VM with virtual time: what `stuck` says of a CLOSE_WAIT and a held FIN_WAIT_2
# of two hours, an orphan FIN_WAIT_2 near its time-out and a SYN_SENT of a minute, both of
# sockets older than the tracer and of those made while it watches. The script that makes them
# notes when; a kind, a holder or an age that does not fit is "not ok".
#   tests/vm/stuck_ages.sh [run.sh's OPTIONS: --kernel, --tcptrail ...]    (default --kernel 6.12)
# Last line "N passed, N failed, N skipped".
# shellcheck source=tests/vm/rig.sh
. "$(dirname "$(readlink -f "$0")")/rig.sh"

program stuck_ages stuck_ages.c || exit 2
judged stuck_ages.py --script "$here/stuck_ages.script" --program "$dir/stuck_ages"
