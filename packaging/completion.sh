#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes the completion of a shell from what the program itself says: its commands, the
# options of each, their values. Nothing is listed here that --help lists, so a new option
# is completed without a word added.
#
# Each option is tried with the value '?' and --help behind it: the program then either
# says which words it expected, or prints help. It never traces.
#
#   packaging/completion.sh PROGRAM bash|zsh >FILE
set -eu
program=$1
shell=$2
lib=$(dirname "$0")/completion
export COMPLETION_LIB="$lib"

# command|letter|name|METAVAR|help, for each option of each command; the first rows, with
# no command, are all options.
rows() {
	for command in '' $commands; do
		# shellcheck disable=SC2086 # no command is no word
		"$program" $command --help | awk -v command="$command" -f "$lib/options.awk"
	done
}

# The words that a value must be one of, if it must be.
enumerated() {
	if [ "$2" = explain ]; then
		# each opens a paragraph: "close_wait_leak: the application ..."
		"$program" "$1" --explain all | awk -F: '(NR == 1 || blank) && /^[a-z0-9_]+: / { print $1 }
			{ blank = $0 == "" }'
		echo all
		return
	fi
	# shellcheck disable=SC2086
	{ "$program" $1 "--$2=?" --help 2>&1 >/dev/null || :; } |
		sed -n "s/^tcptrail: --$2: '?'.*: expected //p" |
		grep -xE '[a-z0-9-]+((, [a-z0-9-]+)* or [a-z0-9-]+)?' | sed 's/, / /g; s/ or / /'
}

formats() {
	# shellcheck disable=SC2086
	"$program" $1 --help | sed -n 's/^Formats (-o): \(.*\)\.$/\1/p' | sed 's/, / /g; s/ or / /'
}

# value|command|name|words
values() {
	rows | awk -F'|' '$4 != "" && $1 != "" && !seen[$3]++ { print $1, $3 }' |
		while read -r command name; do
			echo "value||$name|$(enumerated "$command" "$name" | tr '\n' ' ')"
		done
	for command in $commands; do
		echo "value|$command|output|$(formats "$command")"
	done
	echo "value||output|$(for c in $commands; do formats "$c"; done | tr ' ' '\n' |
		awk '!seen[$0]++' | tr '\n' ' ')"
}

listed=$("$program" --help | awk -f "$lib/commands.awk")
commands=$(echo "$listed" | cut -d'|' -f2)
[ -n "$commands" ] || { echo "completion: '$program --help' lists no command" >&2; exit 1; }
{
	echo "$listed"
	values
	rows | sed 's/^/option|/'
} | awk -F'|' -f "$lib/$shell.awk"
