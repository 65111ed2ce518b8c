#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# --stack on real kernels, in full and in base mode: the functions that connected and accepted.
#   tests/vm/stack.sh [run.sh's OPTIONS: --kernel, --tcptrail ...]    (default --kernel 6.12)
# Last line "N passed, N failed, N skipped".
set -u
here=$(dirname "$(readlink -f "$0")")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

${CC:-gcc} -std=gnu11 -O2 -Wall -Wextra -D_GNU_SOURCE -fno-omit-frame-pointer -pthread -static \
	-o "$dir/calls" "$here/../kernel/calls.c" || exit 2
case " $* " in *' --kernel '*) ;; *) set -- --kernel 6.12 "$@" ;; esac
"$here/run.sh" "$@" --out "$dir/vm" --script "$here/stack.script" --program "$dir/calls"
