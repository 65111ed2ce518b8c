#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Long ages, in a VM with virtual time: what `stuck` says of a CLOSE_WAIT and a held FIN_WAIT_2
# of two hours, an orphan FIN_WAIT_2 near its time-out and a SYN_SENT of a minute, both of
# sockets older than the tracer and of those made while it watches. The script that makes them
# notes when; a kind, a holder or an age that does not fit is "not ok".
#   tests/vm/stuck_ages.sh [run.sh's OPTIONS: --kernel, --tcptrail ...]    (default --kernel 6.12)
# Last line "N passed, N failed, N skipped".
set -u
here=$(dirname "$(readlink -f "$0")")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

${CC:-gcc} -std=gnu11 -O2 -Wall -Wextra -D_GNU_SOURCE -static -o "$dir/stuck_ages" \
	"$here/stuck_ages.c" || exit 2
case " $* " in *' --kernel '*) ;; *) set -- --kernel 6.12 "$@" ;; esac
"$here/run.sh" "$@" --out "$dir/vm" --script "$here/stuck_ages.script" \
	--program "$dir/stuck_ages" >"$dir/said" 2>&1
status=$?
grep -v '^kernel ' "$dir/said"
"$here/stuck_ages.py" "$status" "$dir/vm"
