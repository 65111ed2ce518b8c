# SPDX-License-Identifier: Apache-2.0
# The part of the bash completion that no option changes.
_tcptrail_filter()
{
	local states='all connected synchronized bucket big established syn-sent syn-recv
		fin-wait-1 fin-wait-2 time-wait closed close-wait last-ack listen closing'

	case $1 in
	state | exclude) echo "$states" ;;
	role) echo 'client server listener' ;;
	verdict) echo 'normal reset refused timeout half_closed' ;;
	comm) echo @comm ;;
	pid) echo @pid ;;
	uid) echo @user ;;
	cgroup) echo @file ;;
	*) echo 'state exclude dport sport dst src dev pid uid comm cgroup netns role age verdict
		and or not' ;;
	esac
}

# $1 the words or what to look for, $2 what is typed
_tcptrail_reply()
{
	local words=$1 names

	case $words in
	@file)
		mapfile -t COMPREPLY < <(compgen -f -- "$2")
		compopt -o filenames 2>/dev/null
		return
		;;
	@user)
		mapfile -t COMPREPLY < <(compgen -u -- "$2")
		return
		;;
	@pid) names=(/proc/[0-9]*) words=${names[*]#/proc/} ;;
	@comm) words=$(cat /proc/[0-9]*/comm 2>/dev/null | grep -xE '[A-Za-z0-9_.-]+' | sort -u) ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$2")
}

_tcptrail()
{
	local commands='@COMMANDS@'
	local command='' cur=${COMP_WORDS[COMP_CWORD]} prev='' behind='' i word words

	COMPREPLY=()
	((COMP_CWORD)) && prev=${COMP_WORDS[COMP_CWORD - 1]}
	# bash splits at '=': --mode = base, verdict = reset
	if [[ $prev == = ]] && ((COMP_CWORD > 1)); then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	elif [[ $cur == = ]]; then
		cur=
	fi
	# The command is the first word that is no option and no option's value.
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		[[ $word == = ]] && continue
		if [[ $word == -* ]]; then
			behind=
			_tcptrail_value '' "$word" >/dev/null && behind=1
		elif [[ $behind ]]; then
			behind=
		else
			[[ " $commands " == *" $word "* ]] && command=$word
			break
		fi
	done

	if [[ $prev == -* ]] && words=$(_tcptrail_value "$command" "$prev"); then
		_tcptrail_reply "$words" "$cur"
	elif [[ $cur == -* ]]; then
		_tcptrail_reply "$(_tcptrail_options "$command")" "$cur"
	elif ((i >= COMP_CWORD)); then
		_tcptrail_reply "$commands $(_tcptrail_filter '')" "$cur"
	elif [[ $command == record && $prev == record ]]; then
		_tcptrail_reply @file "$cur"
	else
		_tcptrail_reply "$(_tcptrail_filter "$prev")" "$cur"
	fi
}
complete -F _tcptrail tcptrail
