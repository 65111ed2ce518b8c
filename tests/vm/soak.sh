#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An hour's soak in a VM with virtual time: bursts of connections each few seconds, so that
# TIME_WAIT, its reuse, orphans' FIN_WAIT_2 and keepalive pass again and again, in minutes of wall
# time. Who makes the connections counts their ends, and the kernel its sockets.
#   tests/vm/soak.sh [run.sh's OPTIONS: --kernel, --mode ...]    (default --kernel 6.12 --mode full)
# Last line "N passed, N failed, N skipped".
set -u
here=$(dirname "$(readlink -f "$0")")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

${CC:-gcc} -std=gnu11 -O2 -Wall -Wextra -D_GNU_SOURCE -static -o "$dir/soak_flows" \
	"$here/soak_flows.c" || exit 2
case " $* " in *' --kernel '*) ;; *) set -- --kernel 6.12 "$@" ;; esac
case " $* " in *' --out '*) ;; *) set -- --out "$dir/vm" "$@" ;; esac
out=$dir/vm last=
for word; do
	[ "$last" != --out ] || out=$word
	last=$word
done
"$here/run.sh" "$@" --script "$here/soak.script" --program "$dir/soak_flows" >"$dir/said" 2>&1
status=$?
grep -v '^kernel ' "$dir/said"
"$here/soak.py" "$status" "$out"
