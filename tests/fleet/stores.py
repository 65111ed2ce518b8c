# SPDX-License-Identifier: Apache-2.0
"""clickhouse.sql and elasticsearch-template.json against the schema: every field has a place,
of a type that takes every value the schema allows. They are generated; this reads them again
with rules of its own, and then puts real records in."""
import ipaddress
import json
import re

import harness
import recipes
import schema_walk as walk

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")


def bare(kind):
    """Nullable(...) and LowCardinality(...) say how it is kept, not what."""
    while True:
        inner = re.fullmatch(r"(?:Nullable|LowCardinality)\((.*)\)", kind)
        if not inner:
            return kind
        kind = inner[1]


def column_takes(kind, field):
    """Does a ClickHouse type take all that the schema allows of this field?"""
    kind = bare(kind)
    if kind.startswith("UInt"):
        if field.kind == "boolean":
            return kind == "UInt8"
        top = field.node.get("maximum", 2 ** 64 - 1)
        return field.kind == "integer" and field.node.get("minimum", 0) >= 0 and \
            top < 2 ** int(kind[4:])
    if kind.startswith("DateTime64(6"):
        return "pattern" in field.node and field.node["pattern"].startswith("^[0-9]{4}-")
    if kind == "Array(String)":
        return field.kind == "array"
    return {"String": field.kind in ("string", "map", "array"),
            "Float64": field.kind == "number"}.get(kind, False)


ELASTIC = {"keyword": ("string", "array"), "text": ("string",), "ip": ("string",),
           "date_nanos": ("string",), "long": ("integer",), "double": ("number",),
           "boolean": ("boolean",), "flattened": ("map",)}


def mapped(node, path):
    for part in path:
        node = node.get("properties", {}).get(part.replace("[]", ""))
        if node is None:
            return None
    return node


def elastic_takes(kind, field):
    if kind == "date_nanos" and "pattern" not in field.node:
        return False
    return field.kind in ELASTIC.get(kind, ())


def complaints_columns(schema):
    have = recipes.columns()
    for name, (_, records, field) in walk.leaves(schema).items():
        kind = have.get(walk.column(name))
        absent = len(records) < len(walk.records(schema)) or not field.required
        if kind is None:
            yield f"{name}: no column"
        elif not column_takes(kind, field):
            yield f"{name}: {kind} is too little for {field.kind}"
        elif absent and "Nullable" not in kind and not kind.startswith("Array"):
            yield f"{name}: can be absent, but its column cannot be NULL"
    for name in set(have) - {walk.column(n) for n in walk.leaves(schema)} - {"host_name"}:
        yield f"{name}: a column that no record has"


def complaints_mapping(schema, template):
    top = template["template"]["mappings"]
    if top["dynamic"] is not False:
        yield "dynamic: a field of tomorrow's minor version would be guessed"
    for name, places in walk.fields(schema).items():
        for _, field in places:
            node = mapped(top, field.path)
            if node is None:
                yield f"{name}: not mapped"
            elif field.kind == "object" or (field.kind == "array" and walk.array_of(field) == "object"):
                if "properties" not in node:
                    yield f"{name}: no object"
            elif not elastic_takes(node.get("type"), field):
                yield f"{name}: {node.get('type')} for {field.kind}"


def value_fits(kind, value):
    """What Elasticsearch itself would refuse."""
    if isinstance(value, list):
        return all(value_fits(kind, v) for v in value)
    if kind == "ip":
        return bool(ipaddress.ip_address(value))
    if kind == "date_nanos":
        return bool(TIME.match(value))
    if kind == "long":
        return isinstance(value, int) and -2 ** 63 <= value < 2 ** 63
    return True


def refused(record, node, at=""):
    for key, value in record.items():
        inner = node.get("properties", {}).get(key)
        where = f"{at}.{key}"
        if inner is None:
            yield f"{where}: not mapped"
        elif isinstance(value, dict) and "properties" in inner:
            yield from refused(value, inner, where)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for v in value:
                yield from refused(v, inner, where)
        elif "type" in inner and not value_fits(inner["type"], value):
            yield f"{where}: {value!r} is no {inner['type']}"


def flatten_lists(schema):
    """The names that flatten.jq keeps as text, as the schema has them and as the file has."""
    with open(harness.path("packaging/fleet/flatten.jq"), encoding="utf-8") as f:
        text = f.read()
    have = [sorted(json.loads(x)) for x in re.findall(r"^def \w+: (\[.*\]);$", text, re.M)]
    leaves = walk.leaves(schema).items()
    want = [sorted(walk.column(n) for n, (k, _, _) in leaves if k == "map"),
            sorted(walk.column(n) for n, (k, _, f) in leaves
                   if k == "array" and walk.array_of(f) == "object")]
    return have, want


def check(t, records, rows):
    schema = walk.load()
    with open(harness.path("packaging/fleet/elasticsearch-template.json"), encoding="utf-8") as f:
        template = json.load(f)
    mappings = template["template"]["mappings"]
    t.check("clickhouse.sql has a column that fits for every field of the schema",
            lambda: t.equal(list(complaints_columns(schema)), []))
    t.check("the Elasticsearch template maps every field of the schema with a type that fits",
            lambda: t.equal(list(complaints_mapping(schema, template)), []))
    t.check("... and every value of every record", lambda: t.equal(
        sorted({c for r in records for c in refused(r, mappings)}), []))
    t.check("flatten.jq keeps as text what the schema has as lists of objects and free names",
            lambda: t.equal(*flatten_lists(schema)))
    t.check("a row for every record", lambda: t.equal(len(rows), len(records)))


def fill(t, server, rows):
    """Creates the table as it is shipped, and puts every row in."""
    lines = "\n".join(json.dumps(dict(r, host_name="host-1")) for r in rows).encode()
    with open(harness.path("packaging/fleet/clickhouse.sql"), encoding="utf-8") as f:
        sql = f.read()
    version = ".".join(map(str, server.version))
    t.check(f"ClickHouse {version} takes clickhouse.sql", lambda: server.create(sql))
    t.check("... and every row", lambda: server.insert(lines))
    t.check("... and has them all", lambda: t.equal(
        server.ask("SELECT count(*), sum(event_sequence) FROM tcptrail"),
        [[str(len(rows)), str(sum(r["event_sequence"] for r in rows))]]))
    t.check("... with what is not known as NULL", lambda: t.equal(
        server.ask("SELECT count(*) FROM tcptrail WHERE tcp_handshake_kind IS NOT NULL"),
        [[str(sum("tcp_handshake_kind" in r for r in rows))]]))


def check_times(t, server, rows):
    """Of a server that has DateTime64: to the microsecond, and old rows leave."""
    t.check("... with its times to the microsecond", lambda: t.equal(
        server.ask("SELECT toString(min(timestamp)), toString(max(timestamp)) FROM tcptrail"),
        [[edge(r["timestamp"] for r in rows).replace("T", " ").rstrip("Z")
          for edge in (min, max)]]))
    t.check("... and a TTL", lambda: t.true(
        "TTL toDate(timestamp) + toIntervalDay(30)" in
        server.ask("SHOW CREATE TABLE tcptrail")[0][0], "none"))
