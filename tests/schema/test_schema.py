#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The schema itself: that it says something of everything, and that it refuses.

    test_schema.py RECORDS

RECORDS is NDJSON that the schema accepts (build/tests/test_json print). Each of its
records is damaged in every place, one at a time, and must then be refused.
"""
import copy
import json
import sys

import jsonschema

import validate

NAMES = {"tcp.state_change", "tcp.retransmit", "tcp.reset", "tcp.drop", "tcp.connection",
         "tcp.snapshot", "tcp.listener", "tcp.finding", "tcp.states", "tracer.stats"}
WRITTEN = NAMES - {"tcp.finding"}


def described(schema, node):
    return "description" in node or ("$ref" in node and "description" in schema["$defs"][
        node["$ref"].rsplit("/", 1)[1]]) or any(described(schema, n) for n in node.get("allOf", []))


def silent(schema, node, path=""):
    """Properties and definitions without a description; objects that are not closed."""
    if isinstance(node, list):
        for n in node:
            yield from silent(schema, n, path)
    if not isinstance(node, dict):
        return
    for key in ("properties", "$defs"):
        for name, child in node.get(key, {}).items():
            if not described(schema, child):
                yield f"{path}/{name}: no description"
            yield from silent(schema, child, f"{path}/{name}")
    if "properties" in node and path and path != "/event" and node.get("additionalProperties") is not False:
        yield f"{path}: open to any member"
    for key in ("items", "allOf"):
        yield from silent(schema, node.get(key), path)


def places(node, path=()):
    """Paths of all values below."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in items:
        yield path + (key,)
        yield from places(child, path + (key,))


def at(record, path):
    for key in path:
        record = record[key]
    return record


def damages(record):
    """(what, damaged record): a wrong type, a null, a foreign member, in every place."""
    for path in places(record):
        value = at(record, path)
        for wrong in (None, [17.5], {"foreign": 1}):
            broken = copy.deepcopy(record)
            at(broken, path[:-1])[path[-1]] = wrong
            yield f"{path} = {wrong}", broken
        if isinstance(value, dict):
            broken = copy.deepcopy(record)
            at(broken, path)["foreign"] = 1
            yield f"{path} + foreign", broken
        elif isinstance(value, str):
            broken = copy.deepcopy(record)
            at(broken, path[:-1])[path[-1]] = 7
            yield f"{path} = 7", broken
        elif isinstance(value, int):
            broken = copy.deepcopy(record)
            at(broken, path[:-1])[path[-1]] = -1
            yield f"{path} = -1", broken
    broken = copy.deepcopy(record)
    broken["foreign"] = 1
    yield "foreign", broken
    for key in ("schema_version", "@timestamp", "event"):
        broken = copy.deepcopy(record)
        del broken[key]
        yield f"without {key}", broken
    broken = copy.deepcopy(record)
    broken["event"]["name"] = "tcp.unheard_of"
    yield "another name", broken


def shape(record):
    """Records that have the same members are damaged once."""
    return (record["event"]["name"], tuple(p for p in places(record) if not any(isinstance(k, int) for k in p)))


def main():
    with open(validate.SCHEMA, encoding="utf-8") as f:
        schema = json.load(f)
    validator = jsonschema.Draft202012Validator(schema)
    failures = list(silent(schema, schema))
    with open(sys.argv[1], "rb") as f:
        records = [json.loads(line) for line in f if line.startswith(b"{")]
    missing = WRITTEN - {r["event"]["name"] for r in records}
    if missing:
        failures.append("no record of: " + ", ".join(sorted(missing)))
    shapes, tried = {shape(r): r for r in records}, 0
    for record in shapes.values():
        if not validator.is_valid(record):
            failures.append(f"refused: {json.dumps(record)[:200]}")
        for what, broken in damages(record):
            tried += 1
            if validator.is_valid(broken):
                failures.append(f"accepted: {record['event']['name']} {what}")
    for text in failures[:20]:
        print(text)
    print(f"schema: {len(shapes)} shapes, {tried} damages, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
