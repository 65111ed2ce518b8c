# SPDX-License-Identifier: Apache-2.0
# One record to one row of the table in clickhouse.sql: dotted names become columns with
# underscores; arrays of objects, and the two objects with free names, become JSON text.
#   tcptrail conns -o json | jq -c -f flatten.jq
def maps: ["tracer_capabilities", "tracer_sysctl"];
def lists: ["tcp_holders", "tcp_stack", "tcp_timeline", "tcp_transitions", "tracer_hooks"];
def row($name):
  if type == "object" and (maps | index($name) | not) then
    to_entries | map(.key as $key | .value |
      row(if $name == "" then $key | ltrimstr("@") else $name + "_" + $key end)) | add // {}
  elif type == "object" or (type == "array" and (lists | index($name))) then {($name): tojson}
  else {($name): .} end;
row("")
