#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the bash completion FILE offers for a line: the words, the last one is the one that is
# being typed. Splits at '=' as readline does.
#   complete.bash FILE WORD... -> one offer a line
# shellcheck disable=SC1090 # the file is the one under test
source "$1"
shift
COMP_WORDS=(tcptrail)
for word; do
	if [[ $word == --*=* ]]; then
		COMP_WORDS+=("${word%%=*}" "=")
		word=${word#*=}
		[[ -z $word ]] || COMP_WORDS+=("$word")
	else
		COMP_WORDS+=("$word")
	fi
done
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { :; } # only inside of a real completion
complete -p tcptrail >/dev/null || exit 1
_tcptrail tcptrail "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
