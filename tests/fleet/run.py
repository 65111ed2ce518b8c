#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The suite `fleet`: what leaves the host, and what takes it, on real records.

    run.py [--tcptrail PATH] [--only PART] [--fetch]

Needs no root: every record is made from a recording. A tool that is not installed is
skipped by name. --fetch gets what is large or takes long to build, once (engines.py, pdata.py).
"""
import argparse
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools")]

import clickhouse  # noqa: E402  pylint: disable=wrong-import-position
import configs  # noqa: E402  pylint: disable=wrong-import-position
import engines  # noqa: E402  pylint: disable=wrong-import-position
import harness  # noqa: E402  pylint: disable=wrong-import-position
import otlp  # noqa: E402  pylint: disable=wrong-import-position
import recipes  # noqa: E402  pylint: disable=wrong-import-position
import sampling  # noqa: E402  pylint: disable=wrong-import-position
import stores  # noqa: E402  pylint: disable=wrong-import-position


class Ground:
    """What the parts share: the program, a folder, the records of all recordings."""

    def __init__(self, tcptrail, folder, fetch):
        self.tcptrail, self.folder, self.fetch = tcptrail, folder, fetch
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

    def as_shipped(engine):
        embedded = engines.ClickHouse(engine)
        stores.fill(t, embedded, rows)
        stores.check_times(t, embedded, rows)
        recipes.check_sql(t, "ClickHouse of today", embedded.ask, recipes.recipes(),
                          recipes.expected(ground.records))
    engines.use(t, "clickhouse.sql as it is shipped, and the recipes, in a ClickHouse of today",
                "clickhouse", as_shipped, ground.fetch)


def part_sizes(t, ground):
    """docs/fleet.md says what is measured; a figure that is far off is noticed."""
    tool = harness.path("tools/fleet_size.py")

    def weigh():
        done = subprocess.run([sys.executable, tool, "--tcptrail", ground.tcptrail, "--check"],
                              capture_output=True, text=True, timeout=300)
        t.equal((done.returncode, done.stdout), (0, ""))
    t.check("the sizes in docs/fleet.md are today's", weigh)
    sys.path.insert(0, harness.path("tools"))
    import fleet_size
    with open(fleet_size.PAGE, encoding="utf-8") as f:
        page = f.read()
    have = page.split(fleet_size.BEGIN)[1].split(fleet_size.END)[0]
    t.check("... and one that is a fifth too small is not", lambda: t.true(
        list(fleet_size.off(have.replace("83,333", "66,666"), have)), "taken"))


PARTS = {"stores": part_stores, "otlp": otlp.check, "sampling": sampling.check,
         "configs": configs.check, "sizes": part_sizes}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--tcptrail", default=harness.path("build/tcptrail"))
    args.add_argument("--only", choices=sorted(PARTS))
    args.add_argument("--fetch", action="store_true")
    args = args.parse_args()
    t = harness.Tally()
    with tempfile.TemporaryDirectory() as folder:
        ground = Ground(os.path.abspath(args.tcptrail), folder, args.fetch)
        for name, part in PARTS.items():
            if args.only in (None, name):
                print(f"# {name}")
                part(t, ground)
    return t.close()


if __name__ == "__main__":
    sys.exit(main())
