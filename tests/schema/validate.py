#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Validate tcptrail's NDJSON against schemas/event-v1.schema.json.

    validate.py [--schema FILE] [--errors N] [--last-is NAME] [FILE...]

Reads standard input without FILE. Every line must be one record that the schema
accepts, with event.sequence rising. Prints the first errors with file, line and
place; exit 1 when there was one or when there was no record at all.
"""
import argparse
import json
import os
import sys

import jsonschema

SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "../../schemas/event-v1.schema.json")


def no_duplicates(pairs):
    """json.loads keeps the last of two members with one name: refuse them."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member appears twice: " + ", ".join(k for k, _ in pairs))
    return members


def no_constant(name):
    raise ValueError(name + " is no JSON")


def parse(line):
    if not line.endswith(b"\n"):
        raise ValueError("the line is not complete")
    return json.loads(line.decode("utf-8"), object_pairs_hook=no_duplicates,
                      parse_constant=no_constant)


def deepest(error):
    """The innermost reasons of an error: those that say something."""
    if not error.context:
        yield error
    for inner in error.context:
        yield from deepest(inner)


def problems(validator, record):
    for error in validator.iter_errors(record):
        for inner in deepest(error):
            place = "/".join(str(p) for p in inner.absolute_path) or "(record)"
            yield f"{place}: {inner.message[:300]}"


class Report:
    def __init__(self, limit):
        self.limit, self.errors, self.records, self.names = limit, 0, 0, {}
        self.last = None

    def error(self, name, number, text):
        self.errors += 1
        if self.errors <= self.limit:
            print(f"{name}:{number}: {text}")


def check_sequence(record, before, number, name, report):
    sequence = record["event"]["sequence"]
    if before is not None and sequence <= before:
        report.error(name, number, f"event/sequence: {sequence} after {before}")
    return sequence


def check_stream(stream, name, validator, report, ordered):
    sequence = None
    for number, line in enumerate(stream, 1):
        report.records += 1
        try:
            record = parse(line)
        except ValueError as e:
            report.error(name, number, f"not a JSON record: {e}")
            continue
        found = list(problems(validator, record))
        for text in found:
            report.error(name, number, text)
        if found:
            continue
        kind = report.last = record["event"]["name"]
        report.names[kind] = report.names.get(kind, 0) + 1
        if ordered:
            sequence = check_sequence(record, sequence, number, name, report)


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("files", nargs="*", metavar="FILE")
    args.add_argument("--schema", default=SCHEMA)
    args.add_argument("--errors", type=int, default=10, help="print at most so many")
    args.add_argument("--last-is", metavar="NAME", help="the last record must be of this kind")
    args.add_argument("--unordered", action="store_true", help="several runs: do not check event.sequence")
    args = args.parse_args()
    with open(args.schema, encoding="utf-8") as f:
        schema = json.load(f)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    report = Report(args.errors)
    for name in args.files or ["-"]:
        if name == "-":
            check_stream(sys.stdin.buffer, "stdin", validator, report, not args.unordered)
            continue
        with open(name, "rb") as f:
            check_stream(f, name, validator, report, not args.unordered)
    if args.last_is and report.last != args.last_is:
        report.error("(end)", report.records, f"the last record is {report.last}, not {args.last_is}")
    kinds = ", ".join(f"{n} {k}" for k, n in sorted(report.names.items()))
    print(f"{report.records} records, {report.errors} errors ({kinds or 'none'})")
    return 1 if report.errors or not report.records else 0


if __name__ == "__main__":
    sys.exit(main())
