#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bad paths, in a VM: connections over a quarter of loss, delay, reordering, duplication and nft's
# drops, under one tracer. Every segment that was sent again is held against a capture taken
# before the path, and the kinds against the kernel's own counters (nstat).
#   tests/vm/loss.sh [run.sh's OPTIONS: --kernel, --mode ...]    (default --kernel 6.12 --mode both)
# Last line "N passed, N failed, N skipped".
set -u
here=$(dirname "$(readlink -f "$0")")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

${CC:-gcc} -std=gnu11 -O2 -Wall -Wextra -D_GNU_SOURCE -static -o "$dir/loss_flows" \
	"$here/loss_flows.c" || exit 2
capture=$(PATH=$PATH:/usr/sbin:/sbin command -v tcpdump) || {
	echo "skip - loss: tcpdump is not installed"
	echo "0 passed, 0 failed, 1 skipped"
	exit 77
}
case " $* " in *' --kernel '*) ;; *) set -- --kernel 6.12 "$@" ;; esac
case " $* " in *' --mode '*) ;; *) set -- --mode both "$@" ;; esac
case " $* " in *' --out '*) ;; *) set -- --out "$dir/vm" "$@" ;; esac
out=$dir/vm last=
for word; do
	[ "$last" != --out ] || out=$word
	last=$word
done
"$here/run.sh" "$@" --script "$here/loss.script" --program "$dir/loss_flows" \
	--program "$capture" >"$dir/said" 2>&1
status=$?
grep -v '^kernel ' "$dir/said"
"$here/loss.py" "$status" "$out"
