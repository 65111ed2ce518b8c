#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bad paths, in a VM: connections over a quarter of loss, delay, reordering, duplication and nft's
# drops, under one tracer. Every segment that was sent again is held against a capture taken
# before the path, and the kinds against the kernel's own counters (nstat).
#   tests/vm/loss.sh [run.sh's OPTIONS: --kernel, --mode ...]    (default --kernel 6.12 --mode both)
# Last line "N passed, N failed, N skipped".
# shellcheck source=tests/vm/rig.sh
. "$(dirname "$(readlink -f "$0")")/rig.sh"

program loss_flows loss_flows.c || exit 2
capture=$(PATH=$PATH:/usr/sbin:/sbin command -v tcpdump) || {
	echo "skip - loss: tcpdump is not installed"
	echo "0 passed, 0 failed, 1 skipped"
	exit 77
}
default --mode both
judged loss.py --script "$here/loss.script" --program "$dir/loss_flows" --program "$capture"
