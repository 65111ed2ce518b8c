#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# --stack on real kernels, in full and in base mode: the functions that connected and accepted.
#   tests/vm/stack.sh [run.sh's OPTIONS: --kernel, --tcptrail ...]    (default --kernel 6.12)
# Last line "N passed, N failed, N skipped".
# shellcheck source=tests/vm/rig.sh
. "$(dirname "$(readlink -f "$0")")/rig.sh"

program calls ../kernel/calls.c -fno-omit-frame-pointer -pthread || exit 2
machine --script "$here/stack.script" --program "$dir/calls"
