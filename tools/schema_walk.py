# SPDX-License-Identifier: Apache-2.0
"""The event schema, walked: every field of every record with what it is.

Shared by what is generated from the schema and by the tests that hold other files
against it. Nothing here knows a field by name.
"""
import json
import os
import re

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
SCHEMA = os.path.join(ROOT, "schemas/event-v1.schema.json")
RECORD = re.compile(r"^(tcp|tracer)\.[a-z_]+$")

# Where a fact comes from, as descriptions name it: a hook, a member of a kernel
# structure, a file, a system call, or that it was worked out from other facts.
HOOK = re.compile(r"""
    (?:tp_btf|fentry|fexit|iter)/[a-z0-9_]+
  | \bbpf_[a-z_]+\(\) | \bbpf_prog_info\b
  | \b(?:tcp|inet|inet_twsk|inet_csk|inet_sk)_[a-z_]{4,}\b | \bkfree_skb\b
  | \b(?:sk|sk_err|icsk|rcv|snd|write|copied|rx_opt|ecn|syn)_[a-z_]+(?:\.[a-z_]+)?\b
  | \b(?:tcp_sock|sys_exit_accept|sock_diag|capget|uname|getrusage)\b
  | /(?:proc|sys)/[a-z/_]+ | \bcgroup2?\s(?:mount|path)\b | \bnet\.core\.[a-z_]+
  | \bSOCK_DESTROY\b | \bPF_KTHREAD\b | \brecursion_misses\b
  | \b(?:Reckoned|Computed|Counted|Measured|Metered|metered|Configured|Constant|Decided)\b
  | \bpacket's\sheaders\b | \bof\sa\scapture\b | \bsnapshot's\b
""", re.X)

UNITS = (  # the last part of a name -> its unit
    (re.compile(r"(^|_)ns(_|$)"), "ns"),
    (re.compile(r"_us$"), "µs"),
    (re.compile(r"_per_s$"), "1/s"),
    (re.compile(r"(^|_)bytes(_|$)|^(mss|window|length|payload_length)$"), "bytes"),
)
REF_UNITS = {"ns": "ns", "seq": "sequence number", "pid": "process id", "port": "port",
             "srtt_us": "µs", "min_rtt_us": "µs", "netns": "inode", "sequence": "count"}
WORDS = (  # what a description says an integer is
    (re.compile(r"\b[Uu]id\b"), "user id"),
    (re.compile(r"\bdescriptor\."), "descriptor"),
    (re.compile(r"\bscaled by 2 to this\b|\brcv_wscale\b"), "power of 2"),
    (re.compile(r"\b(Nanoseconds|Wall time|CPU time|Time in|Time of)\b"), "ns"),
    (re.compile(r"\b[Bb]ytes\b|resident set"), "bytes"),
    (re.compile(r"\bWhat the kind counts\b|\bThe limit of value\b"), "what the kind counts"),
)


def load(path=SCHEMA):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


class Field:
    """One place of one record. `path` is its names; `items` is set for an array."""

    def __init__(self, path, node, chain, required):
        self.path, self.node, self.chain, self.required = path, node, chain, required

    @property
    def name(self):
        return ".".join(self.path)

    @property
    def description(self):
        return self.node.get("description", "")

    @property
    def kind(self):
        """string, integer, number, boolean, array, object, map (an object with any keys)."""
        n = self.node
        if "const" in n or "enum" in n:
            values = n.get("enum", [n.get("const")])
            return {bool: "boolean", str: "string", int: "integer"}[type(values[0])]
        if n.get("type") == "object":
            return "object" if n.get("properties") else "map"
        return n.get("type")

    @property
    def words(self):
        return self.node.get("enum", [self.node["const"]] if "const" in self.node else [])

    @property
    def unit(self):
        """None where an integer has none that can be told."""
        if self.kind not in ("integer", "number"):
            return ""
        if self.node.get("x-ref") in REF_UNITS:
            return REF_UNITS[self.node["x-ref"]]
        for rule, unit in UNITS:
            if rule.search(self.path[-1]):
                return unit
        for rule, unit in WORDS:
            if rule.search(self.description):
                return unit
        return "count" if self.kind == "integer" else None

    @property
    def sources(self):
        """Of the nearest description that names any: its own, or what it is a part of."""
        for text in [self.description] + [c for c in reversed(self.chain) if c]:
            found = [" ".join(x.split()) for x in HOOK.findall(text)]
            if found:
                return list(dict.fromkeys(found))
        return []


def resolve(schema, node):
    """The node with its $ref and allOf laid under its own words."""
    out = {}
    for part in node.get("allOf", []):
        sub = resolve(schema, part)
        merged = {**sub.get("properties", {})}
        required = out.get("required", []) + sub.get("required", [])
        out.update(sub)
        out["required"] = required
        if merged:
            out["properties"] = merged
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        out.update(resolve(schema, schema["$defs"][name]))
        out["x-ref"] = name
    own = {k: v for k, v in node.items() if k not in ("$ref", "allOf")}
    if "required" in own and "required" in out:
        own["required"] = sorted(set(own["required"]) | set(out["required"]))
    out.update(own)
    return out


def walk(schema, node, path=(), chain=(), required=True):
    """Every Field below, parents first; what is inside an array has "[]" on its name."""
    here = resolve(schema, node)
    if path:
        yield Field(path, here, chain, required)
    chain = chain + (here.get("description", ""),)
    for name, child in here.get("properties", {}).items():
        yield from walk(schema, child, path + (name,), chain, name in here.get("required", ()))
    if here.get("type") == "array" and "items" in here:
        inner = resolve(schema, here["items"])
        for name, child in inner.get("properties", {}).items():
            yield from walk(schema, child, path[:-1] + (path[-1] + "[]", name),
                            chain + (inner.get("description", ""),), name in inner.get("required", ()))


def records(schema):
    """{event.name: its node}, in the schema's order."""
    names = schema["properties"]["event"]["properties"]["name"]["enum"]
    return {n: schema["$defs"][n] for n in names}


def fields(schema):
    """{dotted name: [(record, Field)]} over all records."""
    out = {}
    for record, node in records(schema).items():
        for field in walk(schema, node):
            out.setdefault(field.name, []).append((record, field))
    return out


def leaves(schema):
    """{dotted name: (kind, [records], Field)} of what holds a value: no object, nothing inside an
    array."""
    out = {}
    for name, places in fields(schema).items():
        places = [(r, f) for r, f in places if f.kind != "object"]
        if not places or "[]" in name:
            continue
        kinds = {f.kind for _, f in places}
        if len(kinds) != 1:
            raise ValueError(f"{name}: {kinds} in different records")
        out[name] = (kinds.pop(), [r for r, _ in places], places[0][1])
    return out


def column(name):
    """A dotted name as a table's column: tcp.role -> tcp_role."""
    return name.lstrip("@").replace(".", "_")


def array_of(field):
    """Of an array: string, or object."""
    items = field.node["items"]
    return "object" if "properties" in items or "$ref" in items else "string"
