# SPDX-License-Identifier: Apache-2.0
# `tcptrail --help` to a line a command: command|NAME|SUMMARY
function flush()
{
	if (name != "")
		print "command|" name "|" summary
	name = ""
}

/^Commands/ { inside = 1; next }
!inside { next }
/^$/ { flush(); exit }
/^  [a-z]/ { flush(); name = $1; $1 = ""; summary = substr($0, 2); next }
{ sub(/^ +/, ""); summary = summary " " $0 }
