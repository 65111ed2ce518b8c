# SPDX-License-Identifier: Apache-2.0
# The options of a --help to a line each: COMMAND|LETTER|NAME|METAVAR|HELP. A metavar's own
# bar (PATH|INODE) becomes a slash.
function flush()
{
	if (name != "")
		print command "|" letter "|" name "|" arg "|" help
	name = ""
}

/^  (-[A-Za-z0-9], |    )--[a-z]/ {
	flush()
	letter = substr($0, 3, 1) == "-" ? substr($0, 4, 1) : ""
	line = substr($0, 9)
	match(line, /^[a-z0-9-]+/)
	name = substr(line, 1, RLENGTH)
	line = substr(line, RLENGTH + 1)
	# one blank, then a metavar; more blanks, then the help
	arg = ""
	if (line ~ /^ [^ ]/) {
		line = substr(line, 2)
		match(line, /^[^ ]+/)
		arg = substr(line, 1, RLENGTH)
		line = substr(line, RLENGTH + 1)
		gsub(/\|/, "/", arg)
	}
	sub(/^ +/, "", line)
	help = line
	next
}
name != "" && /^                             [^ ]/ {
	line = $0
	sub(/^ +/, "", line)
	help = help (help == "" ? "" : " ") line
	next
}
{ flush() }
END { flush() }
