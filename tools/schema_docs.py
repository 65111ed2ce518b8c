#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is made from schemas/event-v1.schema.json, and whether it is up to date.

    schema_docs.py             writes docs/json.md, the files in packaging/fleet/ that are columns
                               and mappings, and the lines of flatten.jq and vector.yaml that
                               name lists (`make docs`)
    schema_docs.py --check     exits 1 when one of them is stale, or when a field of the schema
                               says too little: no meaning, no unit, or not where it comes from
"""
import json
import os
import re
import sys

import schema_walk as walk

MADE = "made from schemas/event-v1.schema.json by tools/schema_docs.py: `make docs`"
SHARED = ("network", "process", "container", "k8s")
HOST = "host.name"  # the one field that a collector adds


# ---- docs/json.md ----------------------------------------------------------------------------

HEAD = f"""# The JSON records

<!-- {MADE} -->

`-o json` prints one record a line (NDJSON); `/events` and `/api/v1` of `tcptrail serve` give the
same objects. Every record validates against [the schema](../schemas/event-v1.schema.json) (JSON
Schema draft 2020-12), from which this page is made.

- A fact that is not known is **absent**: there is no null, and 0 means that 0 was seen.
- 64-bit identifiers are strings, for jq 1.6 and JavaScript round numbers that large. Durations
  are integers of nanoseconds, named `_ns`; times are RFC 3339 in UTC.
- Names are OpenTelemetry's where it has one, ECS's otherwise, and `tcp.*` for what neither has.
- `schema_version` is 1.x: a minor version only adds. Ignore what you do not know.
- `event.sequence` counts the records of one run: a gap is a record that a slow reader lost, and
  the last record, `tracer.stats`, has the ledger of all that was not seen.

In the tables, **always** marks a field that its parent is never without. **From** names the
kernel's hook, structure or file that tells it; full mode's hooks are `fentry/` and `fexit/`, and
what only they tell is absent without them. What is asked of these records first, with the answer
as jq and SQL, is in [recipes.md](recipes.md); how to ship them, in [fleet.md](fleet.md).

"""


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def type_of(field):
    kind = field.kind
    if kind == "array":
        return f"array of {walk.array_of(field)}s"
    if kind == "map":
        return "object, any names"
    if field.words and len(field.words) > 1:
        return "word"
    if field.words and kind == "string":
        return f"`{field.words[0]}`"
    if field.words:
        return f"`{json.dumps(field.words[0])}`"
    return kind


def meaning(field):
    text = field.description
    words = [f"`{w}`" for w in field.words if isinstance(w, str)]
    if len(words) > 1:
        text += " One of " + ", ".join(words) + "."
    if field.kind == "array" and "enum" in field.node["items"]:
        text += " Any of " + ", ".join(f"`{w}`" for w in field.node["items"]["enum"]) + "."
    return text


def table(fields):
    rows = ["| field | type | unit | always | meaning | from |",
            "| --- | --- | --- | --- | --- | --- |"]
    for f in fields:
        source = "" if f.kind == "object" else ", ".join(f"`{s}`" for s in f.sources)
        rows.append(f"| `{f.name}` | {type_of(f)} | {f.unit} | {'yes' if f.required else ''} | "
                    f"{cell(meaning(f))} | {source} |")
    return "\n".join(rows) + "\n"


def json_md(schema):
    out = [HEAD, "## Records\n\n| `event.name` | what it is |\n| --- | --- |\n"]
    every = {name: list(walk.walk(schema, node)) for name, node in walk.records(schema).items()}
    for name in every:
        text = walk.resolve(schema, walk.records(schema)[name])["description"]
        out.append(f"| [`{name}`](#{name.replace('.', '')}) | {cell(text)} |\n")
    out.append("\n## What records share\n\nWhich end of which connection, and whose: the same in "
               "every record that has them.\n\n")
    shared = {}
    for fields in every.values():
        for f in fields:
            if f.path[0] in SHARED or f.name in ("schema_version", "@timestamp"):
                shared.setdefault(f.name, f)
    out.append(table(sorted(shared.values(), key=lambda f: list(SHARED).index(f.path[0])
                            if f.path[0] in SHARED else -1)))
    for name, fields in every.items():
        out.append(f"\n## {name}\n\n")
        has = [f"`{s}`" for s in SHARED if any(f.path == (s,) for f in fields)]
        out.append(walk.resolve(schema, walk.records(schema)[name])["description"] + "\n\n")
        out.append("Besides `schema_version` and `@timestamp`" +
                   (f", and the shared {', '.join(has)}" if has else "") + ":\n\n")
        out.append(table(f for f in fields if f.name not in shared and f.path != ("event",)))
    return "".join(out)


# ---- ClickHouse ------------------------------------------------------------------------------

def integer_type(node):
    top = node.get("maximum", 2 ** 64 - 1)
    return next(f"UInt{bits}" for bits in (8, 16, 32, 64) if top < 2 ** bits)


def clickhouse_type(kind, field, in_all):
    if kind == "array":
        return "Array(String)" if walk.array_of(field) == "string" else "Nullable(String)"
    if field.node.get("x-ref") == "time":
        plain = "DateTime64(6, 'UTC')"
    elif kind == "string" and field.words:
        return "LowCardinality(String)" if in_all else "LowCardinality(Nullable(String))"
    else:
        plain = {"string": "String", "integer": integer_type(field.node), "number": "Float64",
                 "boolean": "UInt8", "map": "String"}[kind]
    return plain if in_all else f"Nullable({plain})"


CLICKHOUSE = f"""-- SPDX-License-Identifier: Apache-2.0
-- tcptrail's records as a ClickHouse table; {MADE}.
-- A record's dotted name is the column with underscores: tcp.role is tcp_role, @timestamp is
-- timestamp. flatten.jq and vector.yaml make such rows. Arrays of objects and the two objects
-- with free names are kept as JSON text. What is not known is NULL.
CREATE TABLE IF NOT EXISTS tcptrail (
    host_name LowCardinality(String), -- the collector adds it
"""

CLICKHOUSE_TAIL = """)
ENGINE = MergeTree
PARTITION BY toDate(timestamp)
ORDER BY (event_name, timestamp, host_name)
TTL toDate(timestamp) + INTERVAL 30 DAY;
"""


def clickhouse(schema):
    rows, every = [], set(walk.records(schema))
    for name, (kind, records, field) in walk.leaves(schema).items():
        in_all = set(records) == every and field.required
        rows.append(f"    {walk.column(name)} {clickhouse_type(kind, field, in_all)}")
    return CLICKHOUSE + ",\n".join(rows) + "\n" + CLICKHOUSE_TAIL


# ---- DuckDB ----------------------------------------------------------------------------------

DUCKDB = f"""-- SPDX-License-Identifier: Apache-2.0
-- tcptrail's records as a DuckDB table, clickhouse.sql's columns; {MADE}.
--   duckdb t.db <duckdb.sql
--   jq -c -f flatten.jq records.ndjson >rows.ndjson
--   duckdb t.db "INSERT INTO tcptrail BY NAME FROM read_json('rows.ndjson', sample_size=-1)"
CREATE TABLE IF NOT EXISTS tcptrail (
    host_name VARCHAR, -- a collector adds it
"""


def duckdb_type(kind, field):
    if kind == "array" and walk.array_of(field) == "string":
        return "VARCHAR[]"
    if field.node.get("x-ref") == "time":
        return "TIMESTAMP"
    return {"integer": "UBIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}.get(kind, "VARCHAR")


def duckdb(schema):
    rows = [f"    {walk.column(name)} {duckdb_type(kind, field)}"
            for name, (kind, _, field) in walk.leaves(schema).items()]
    return DUCKDB + ",\n".join(rows) + "\n);\n"


# ---- Elasticsearch ---------------------------------------------------------------------------

def elastic_type(field):
    kind = field.kind
    if field.node.get("x-ref") == "time":
        return {"type": "date_nanos"}
    if kind == "map":
        return {"type": "flattened"}
    if kind == "string" and field.path[-1] == "address":
        return {"type": "ip"}
    if kind == "string" and field.path[-1] in ("explanation", "advice"):
        return {"type": "text"}
    if kind == "string" or (kind == "array" and walk.array_of(field) == "string"):
        return {"type": "keyword", "ignore_above": 1024}
    return {"type": {"integer": "long", "number": "double", "boolean": "boolean"}[kind]}


def elasticsearch(schema):
    properties = {}

    def place(path, mapping):
        at = properties
        for part in path[:-1]:
            at = at.setdefault(part.rstrip("[]"), {}).setdefault("properties", {})
        at.setdefault(path[-1], mapping)

    place(tuple(HOST.split(".")), {"type": "keyword", "ignore_above": 1024})
    for places in walk.fields(schema).values():
        for _, field in places:
            inner = field.kind == "array" and walk.array_of(field) == "object"
            if field.kind != "object" and not inner:
                place(field.path, elastic_type(field))
    return json.dumps({
        "index_patterns": ["tcptrail-*"],
        "priority": 200,
        "_meta": {"description": f"tcptrail's records; {MADE}"},
        "template": {
            "settings": {"index": {"number_of_shards": 1, "codec": "best_compression"}},
            "mappings": {"dynamic": False, "properties": properties},
        },
    }, indent=2, ensure_ascii=False) + "\n"


# ---- what stays one value in a row: kept by hand but for these lines -------------------------

def kept_whole(schema):
    """(objects with free names, lists of objects), dotted."""
    leaves = walk.leaves(schema).items()
    return (sorted(n for n, (k, _, _) in leaves if k == "map"),
            sorted(n for n, (k, _, f) in leaves if k == "array" and walk.array_of(f) == "object"))


def with_lines(path, begins, new):
    """The file's text with the run of lines that match `begins` put anew."""
    with open(os.path.join(walk.ROOT, path), encoding="utf-8") as f:
        lines = f.read().splitlines(keepends=True)
    old = [i for i, line in enumerate(lines) if re.match(begins, line)]
    lines[old[0]:old[-1] + 1] = new
    return "".join(lines)


def flatten_jq(schema):
    return with_lines("packaging/fleet/flatten.jq", r"def (maps|lists): ", [
        f"def {name}: {json.dumps([walk.column(n) for n in names])};\n"
        for name, names in zip(("maps", "lists"), kept_whole(schema))])


def vector_yaml(schema):
    return with_lines("packaging/fleet/vector.yaml", r" +if is_(array|object)\(", [
        f"      if is_{kind}(.{n}) {{ .{n} = encode_json(.{n}) }}\n"
        for kind, names in zip(("object", "array"), kept_whole(schema)) for n in names])


# ---- all of it -------------------------------------------------------------------------------

FILES = {
    "docs/json.md": json_md,
    "packaging/fleet/clickhouse.sql": clickhouse,
    "packaging/fleet/duckdb.sql": duckdb,
    "packaging/fleet/elasticsearch-template.json": elasticsearch,
    "packaging/fleet/flatten.jq": flatten_jq,
    "packaging/fleet/vector.yaml": vector_yaml,
}


def complaints(schema):
    """What a field of the schema does not say."""
    for name, places in walk.fields(schema).items():
        for record, f in places:
            if len(f.description.split()) < 2 and f.name != "tcp":
                yield f"{record}: {name}: no description that says what it means"
            elif f.unit is None:
                yield f"{record}: {name}: a number without a unit"
            elif f.kind != "object" and not f.sources:
                yield f"{record}: {name}: says not where it comes from (a hook, or Computed)"
    columns = [walk.column(n) for n in walk.leaves(schema)]
    for twice in sorted({c for c in columns if columns.count(c) > 1}):
        yield f"{twice}: two fields, one column"


def main():
    schema, failures = walk.load(), []
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    failures += sorted(set(complaints(schema)))
    for path, make in FILES.items():
        text, full = make(schema), os.path.join(walk.ROOT, path)
        if not sys.argv[1:]:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as f:
                f.write(text)
            continue
        try:
            with open(full, encoding="utf-8") as f:
                stale = f.read() != text
        except FileNotFoundError:
            stale = True
        if stale:
            failures.append(f"{path}: stale: run `make docs`")
    for line in failures:
        print(line)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
