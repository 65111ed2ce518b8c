#!/bin/zsh
# SPDX-License-Identifier: Apache-2.0
# What the zsh completion in DIRECTORY offers for lines, asked of a real interactive zsh in a
# terminal of its own: whatever reaches compadd.
#   complete.zsh DIRECTORY LINE... -> "LINE<tab>OFFER" a line
zmodload zsh/zpty || exit 1
directory=$1
shift
out=$(mktemp) || exit 1
export TCPTRAIL_OFFERS=$out
zpty -b shell zsh -f -i
trap 'zpty -d shell; rm -f $out' EXIT
zpty -w shell "PS1= PS2= RPS1=; fpath=($directory \$fpath); autoload -Uz compinit && compinit -D -u"
# compadd with -O or -D only sorts; what it would add is what it is called for at last.
zpty -w shell 'compadd() {
	if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
	typeset -a hits
	builtin compadd -O hits "$@"
	(( $#hits )) && print -rl -- $hits >>$TCPTRAIL_OFFERS
	builtin compadd "$@"
}'
# A key that completes the line in $TCPTRAIL_LINE and says when it is done.
zpty -w shell 'offer() { BUFFER=$(<$TCPTRAIL_OFFERS.line) CURSOR=$#BUFFER; : >$TCPTRAIL_OFFERS
	zle complete-word; BUFFER=; : >$TCPTRAIL_OFFERS.done; zle -R }
zle -C complete-word complete-word _main_complete; zle -N offer; bindkey "^X" offer; setopt no_beep no_auto_list no_auto_menu; LISTMAX=100000
: >$TCPTRAIL_OFFERS.done'

settled() {
	local i
	for ((i = 0; i < 400; i++)); do
		while zpty -rt shell _ 2>/dev/null; do :; done
		[[ -e $out.done ]] && return 0
		sleep 0.05
	done
	print -u2 "zsh: no answer"
	return 1
}

settled || exit 1
for line; do
	rm -f $out.done
	print -rn -- $line >$out.line
	zpty -w -n shell $'\C-x'
	settled || exit 1
	while read -r offer; do print -r -- "$line	$offer"; done <$out
done
rm -f $out.line $out.done
