# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the scripts that bring their own test into a VM begin with; sourced, with their arguments,
# which are run.sh's. A scratch folder "$dir", and "$out", where the VMs' files are left.
set -u
here=$(dirname "$(readlink -f "$0")")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
given=("$@") out=$dir/vm

# default OPTION VALUE: unless it was given
default() {
	case " ${given[*]} " in *" $1 "*) ;; *) given+=("$@") ;; esac
}

# program NAME SOURCE CC'S-OPTIONS...: a static "$dir/NAME"
program() {
	local name=$1 source=$2
	shift 2
	"${CC:-gcc}" -std=gnu11 -O2 -Wall -Wextra -D_GNU_SOURCE "$@" -static -o "$dir/$name" "$here/$source"
}

# machine RUN.SH'S OPTIONS...: beside those that were given
machine() {
	local word last=
	default --kernel 6.12
	default --out "$out"
	for word in "${given[@]}"; do
		[ "$last" != --out ] || out=$word
		last=$word
	done
	"$here/run.sh" "${given[@]}" "$@"
}

# judged SCRIPT RUN.SH'S OPTIONS...: what the VMs say is left to SCRIPT, which gets run.sh's status
# and the folder; the exit status is its own
judged() {
	local judge=$1 status
	shift
	machine "$@" >"$dir/said" 2>&1
	status=$?
	grep -v '^kernel ' "$dir/said"
	"$here/$judge" "$status" "$out"
}
