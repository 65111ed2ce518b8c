#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`conns -o csv` against `conns -o json`: each cell is the record's member of that name, and
what is absent there is empty here.

    columns.py TCPTRAIL RECORDING...

Silent and 0 when all is well; else a line for each cell that differs, and 1.
"""
import csv
import json
import subprocess
import sys


def shown(tool, recording, form):
    return subprocess.run([tool, "conns", "--open", "--from", recording, "-o", form], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True).stdout.splitlines()


def as_cell(record, column):
    for name in column.split("."):
        record = record.get(name) if isinstance(record, dict) else None
    if record is None:
        return ""
    if isinstance(record, bool):
        return str(record).lower()
    return " ".join(record) if isinstance(record, list) else str(record)


def differences(tool, recording):
    records = [r for r in map(json.loads, shown(tool, recording, "json"))
               if r["event"]["name"] == "tcp.connection"]
    rows = list(csv.DictReader(shown(tool, recording, "csv")))
    if len(rows) != len(records):
        yield f"{recording}: {len(rows)} rows, {len(records)} records"
    for row, record in zip(rows, records):
        for column, cell in row.items():
            if cell != as_cell(record, column):
                yield f"{recording}: {column}: '{cell}', not '{as_cell(record, column)}'"


def main():
    wrong = [d for r in sys.argv[2:] for d in differences(sys.argv[1], r)]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
