# SPDX-License-Identifier: Apache-2.0
# The rows of completion.sh to bash. What stands behind an option is a list of words, or
# one word that says what to look for: @file @pid @user @comm.
function lookup(arg)
{
	if (arg == "PID") return "@pid"
	if (arg == "UID") return "@user"
	if (arg == "NAME") return "@comm"
	if (arg ~ /FILE|PATH/) return "@file"
	return ""
}

function names(i) { return (letter[i] != "" ? "-" letter[i] " " : "") "--" name[i] }
function pattern(i) { return (letter[i] != "" ? "-" letter[i] " | " : "") "--" name[i] }

$1 == "command" { command[++commands] = $2 }
$1 == "value" { words[$2, $3] = $4 }
$1 == "option" && $2 == "" {
	letter[++options] = $3; name[options] = $4; arg[options] = $5
}
$1 == "option" {
	takes[$2] = takes[$2] (takes[$2] == "" ? "" : " ") ($3 != "" ? "-" $3 " " : "") "--" $4
}

END {
	print "# tcptrail(8): completion for bash, made from the program's own --help\n"
	print "_tcptrail_options()\n{\n\tcase $1 in"
	for (c = 1; c <= commands; c++)
		print "\t" command[c] ") echo '" takes[command[c]] "' ;;"
	print "\t*) echo '" takes[""] "' ;;\n\tesac\n}\n"
	print "# $1 the command, $2 the option; 1 if it takes no value\n_tcptrail_value()\n{"
	print "\tcase $1$2 in"
	for (c = 1; c <= commands; c++)
		print "\t" command[c] "-o | " command[c] "--output) echo '" words[command[c], "output"] \
			"' && return ;;"
	print "\tesac\n\tcase $2 in"
	for (i = 1; i <= options; i++) {
		if (arg[i] == "")
			continue
		w = words["", name[i]]
		gsub(/ +$/, "", w)
		print "\t" pattern(i) ") echo '" (w != "" ? w : lookup(arg[i])) "' ;;"
	}
	print "\t*) return 1 ;;\n\tesac\n}\n"
	list = ""
	for (c = 1; c <= commands; c++)
		list = list (c > 1 ? " " : "") command[c]
	while ((getline line < (ENVIRON["COMPLETION_LIB"] "/frame.bash")) > 0) {
		sub(/@COMMANDS@/, list, line)
		if (line !~ /^#.*(SPDX|^#!)/)
			print line
	}
}
