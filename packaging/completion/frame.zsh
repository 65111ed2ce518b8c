# SPDX-License-Identifier: Apache-2.0
# The part of the zsh completion that no option changes.
_tcptrail_comm()
{
	compadd -- ${(fu)"$(cat /proc/[0-9]*/comm 2>/dev/null)"}
}

_tcptrail_filter()
{
	local before=$words[CURRENT-1]

	[[ $before == (=|==|eq|!=|ne) ]] && before=$words[CURRENT-2]
	case $before in
	(state | exclude)
		compadd all connected synchronized bucket big established syn-sent syn-recv \
			fin-wait-1 fin-wait-2 time-wait closed close-wait last-ack listen closing ;;
	(role) compadd client server listener ;;
	(verdict) compadd normal reset refused timeout half_closed ;;
	(comm) _tcptrail_comm ;;
	(pid) _pids ;;
	(uid) _users ;;
	(cgroup) _files ;;
	(*)
		compadd state exclude dport sport dst src dev pid uid comm cgroup netns role age verdict \
			and or not ;;
	esac
}

_tcptrail_word()
{
	if [[ -z $command ]]; then
		_tcptrail_command
		_tcptrail_filter
	elif [[ $command == record && $words[CURRENT-1] == record ]]; then
		_files
	else
		_tcptrail_filter
	fi
}

_tcptrail()
{
	local -a commands=(@COMMANDS@) specs
	local command= i

	for ((i = 2; i < CURRENT; i++)); do
		if (( ${commands[(Ie)$words[i]]} )); then
			command=$words[i]
			break
		fi
	done
	_tcptrail_options "$command"
	_arguments -s -S $specs '*: :_tcptrail_word'
}

_tcptrail "$@"
