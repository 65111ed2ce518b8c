#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The suite `fleet`: what leaves the host, and what takes it, on real records.

    run.py [--tcptrail PATH] [--only PART]

Needs no root: every record is made from a recording. A tool that is not installed is
skipped by name.
"""
import argparse
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools")]

import clickhouse  # noqa: E402  pylint: disable=wrong-import-position
import harness  # noqa: E402  pylint: disable=wrong-import-position
import otlp  # noqa: E402  pylint: disable=wrong-import-position
import recipes  # noqa: E402  pylint: disable=wrong-import-position
import sampling  # noqa: E402  pylint: disable=wrong-import-position
import stores  # noqa: E402  pylint: disable=wrong-import-position


class Ground:
    """What the parts share: the program, a folder, the records of all recordings."""

    def __init__(self, tcptrail, folder):
        self.tcptrail, self.folder = tcptrail, folder
        self.path = os.path.join(folder, "all.ndjson")
        self.records = harness.all_records(tcptrail, self.path)


def part_stores(t, ground):
    """The table, the mapping, and the recipes in every engine that is here."""
    rows = recipes.flatten(ground.path)
    stores.check(t, ground.records, rows)
    server = None
    if clickhouse.program():
        server = clickhouse.Server(ground.folder)
    else:
        t.skip("clickhouse.sql and the recipes in ClickHouse", "clickhouse-server is not installed")
    try:
        if server:
            stores.fill(t, server, rows)
        recipes.check(t, ground.folder, ground.records, ground.path, server)
    finally:
        if server:
            server.close()


PARTS = {"stores": part_stores, "otlp": otlp.check, "sampling": sampling.check}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--tcptrail", default=harness.path("build/tcptrail"))
    args.add_argument("--only", choices=sorted(PARTS))
    args = args.parse_args()
    t = harness.Tally()
    with tempfile.TemporaryDirectory() as folder:
        ground = Ground(os.path.abspath(args.tcptrail), folder)
        for name, part in PARTS.items():
            if args.only in (None, name):
                print(f"# {name}")
                part(t, ground)
    return t.close()


if __name__ == "__main__":
    sys.exit(main())
