# SPDX-License-Identifier: Apache-2.0
# The rows of completion.sh to zsh: a specification for _arguments an option.
function quote(text)
{
	gsub(/'/, "'\\''", text)
	return "'" text "'"
}

# Inside of [...] and between colons.
function safe(text)
{
	gsub(/\\/, "\\\\", text)
	gsub(/[\[\]:]/, "\\\\&", text)
	return text
}

function action(cmd, opt, arg,    w)
{
	w = (cmd, opt) in words ? words[cmd, opt] : words["", opt]
	gsub(/ +$/, "", w)
	if (w != "") return "(" w ")"
	if (arg == "PID") return "_pids"
	if (arg == "UID") return "_users"
	if (arg == "NAME") return "_tcptrail_comm"
	if (arg ~ /FILE|PATH/) return "_files"
	return " "
}

function spec(cmd, letter, opt, arg, help,    tail, flags)
{
	tail = "[" safe(help) "]"
	if (arg != "")
		tail = tail ":" safe(arg) ":" action(cmd, opt, arg)
	flags = "--" opt (arg != "" ? "=" : "")
	if (letter != "")
		return "'*'{-" letter (arg != "" ? "+" : "") "," flags "}" quote(tail)
	return quote("*" flags tail)
}

$1 == "command" { command[++commands] = $2; summary[commands] = $3 }
$1 == "value" { words[$2, $3] = $4 }
$1 == "option" { takes[$2] = takes[$2] "\n\t\t\t" spec($2, $3, $4, $5, $6) }

END {
	print "#compdef tcptrail"
	print "# tcptrail(8): completion for zsh, made from the program's own --help\n"
	print "_tcptrail_command()\n{\n\tlocal -a commands=("
	for (c = 1; c <= commands; c++)
		print "\t\t" quote(safe(command[c]) ":" summary[c])
	print "\t)\n\t_describe -t commands command commands\n}\n"
	print "_tcptrail_options()\n{\n\tcase $1 in"
	for (c = 1; c <= commands; c++)
		print "\t(" command[c] ")\n\t\tspecs=(" takes[command[c]] "\n\t\t) ;;"
	print "\t(*)\n\t\tspecs=(" takes[""] "\n\t\t) ;;\n\tesac\n}\n"
	list = ""
	for (c = 1; c <= commands; c++)
		list = list (c > 1 ? " " : "") command[c]
	while ((getline line < (ENVIRON["COMPLETION_LIB"] "/frame.zsh")) > 0) {
		sub(/@COMMANDS@/, list, line)
		if (line !~ /^#.*SPDX/)
			print line
	}
}
