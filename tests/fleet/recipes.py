# SPDX-License-Identifier: Apache-2.0
"""The recipes of docs/recipes.md, run: jq on the records, SQL on the rows made of them.

Engines that know nothing of each other (jq, SQLite, DuckDB, ClickHouse where it is there)
must give the rows that the few lines of Python here work out.
"""
import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections import defaultdict

import engines
import harness

RECIPE = re.compile(r"^```(jq|sql) (\w+)\n(.*?)^```", re.M | re.S)
ENOUGH = 10


def recipes():
    """{name: {"jq": text, "sql": text}}"""
    out = defaultdict(dict)
    with open(harness.path("docs/recipes.md"), encoding="utf-8") as f:
        for language, name, text in RECIPE.findall(f.read()):
            out[name][language] = text
    return out


def named(records, name):
    return [r for r in records if r["event"]["name"] == name]


def get(record, dotted, default=None):
    for part in dotted.split("."):
        record = record.get(part) if isinstance(record, dict) else None
    return default if record is None else record


def groups(records, keys, values):
    """Rows of the keys and, of each group, what values() makes of its records."""
    by = defaultdict(list)
    for r in records:
        by[tuple(get(r, k) for k in keys)].append(r)
    return [list(k) + values(v) for k, v in by.items()]


def order(rows, most):
    return sorted(rows, key=lambda r: (-r[most],) + tuple(x for i, x in enumerate(r) if i != most))


def ordered_by(records, field, limit):
    return sorted(records, key=lambda r: (-get(r, field), r["tcp"]["role"],
                                          r["network"]["peer"]["port"]))[:limit]


def expected(records):
    """What each recipe must say, worked out once more."""
    conns, peer = named(records, "tcp.connection"), ("network.peer.address", "network.peer.port")
    ended = [c for c in conns if c["tcp"]["teardown"]["kind"] != "open"]
    clients = [c for c in conns if c["tcp"]["role"] == "client"]
    resets, listeners = named(records, "tcp.reset"), named(records, "tcp.listener")
    waits = [f for f in named(records, "tcp.finding")
             if f["tcp"]["finding"]["kind"].startswith("close_wait")]

    def count(rows):
        return [len(rows)]

    def total(field):
        return lambda rows: [len(rows), sum(get(r, field) for r in rows)]

    def top(rows):
        return [max(get(r, "tcp.listener." + k) for r in rows)
                for k in ("drops_since_start", "accept_queue", "accept_limit")]

    reset = [[d, r or "not told", n] for d, r, n in
             groups(resets, ("tcp.reset.direction", "tcp.reset.reason"), count)]
    process = [[p or "unknown"] + rest for p, *rest in groups(
        conns, ("process.name", "tcp.role"), lambda rows: [
            len(rows), sum(get(r, "tcp.bytes_sent", 0) for r in rows),
            sum(get(r, "tcp.bytes_received", 0) for r in rows)])]
    slow = ordered_by([c for c in conns if get(c, "tcp.handshake.duration_ns")],
                      "tcp.handshake.duration_ns", 10)
    half = ordered_by([c for c in conns if get(c, "tcp.teardown.half_close_ns")],
                      "tcp.teardown.half_close_ns", 10)
    return {
        "close_wait": order(groups(waits, ("process.name", "tcp.finding.kind"), lambda rows: [
            sum(get(r, "tcp.finding.count", 1) for r in rows),
            max(get(r, "tcp.finding.oldest_age_ns") for r in rows) // 10 ** 9]), 2),
        "slow_handshakes": [[c["tcp"]["handshake"]["duration_ns"] // 10 ** 6, c["tcp"]["role"],
                             get(c, peer[0]), get(c, peer[1]),
                             get(c, "tcp.handshake.syn_retransmits", 0)] for c in slow],
        "retransmits": order(groups(
            [c for c in conns if c["tcp"]["retransmits"]["total"]], peer[:1],
            total("tcp.retransmits.total")), 2)[:20],
        "closed_first": order(groups(ended, ("tcp.role", "tcp.teardown.initiator",
                                             "tcp.teardown.kind"), count), 3),
        "resets": order(reset, 2),
        "connect_failures": order(groups(
            [c for c in clients if c["tcp"]["teardown"]["kind"] == "aborted"],
            ("tcp.end_reason",) + peer, count), 3),
        "half_closes": [[c["tcp"]["teardown"]["half_close_ns"] // 10 ** 6,
                         c["tcp"]["teardown"]["initiator"], get(c, "process.name", "unknown"),
                         get(c, peer[1])] for c in half],
        "per_process": order(process, 2)[:20],
        "time_wait": order(groups(
            [c for c in clients if c["tcp"]["teardown"]["time_wait"] != "none"], peer, count),
            2)[:20],
        "accept_queues": order(groups(
            [x for x in listeners if get(x, "tcp.listener.drops_since_start", 0) > 0],
            ("process.name", "network.local.port"), top), 2),
    }


# ---- the engines -----------------------------------------------------------------------------

def jq(text, path):
    done = subprocess.run(["jq", "-rs", text, path], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise AssertionError(done.stderr.strip())
    return [line.split("\t") for line in done.stdout.splitlines()]


def flatten(path):
    done = subprocess.run(["jq", "-c", "-f", harness.path("packaging/fleet/flatten.jq"), path],
                          capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def columns():
    """{column: type} of clickhouse.sql."""
    with open(harness.path("packaging/fleet/clickhouse.sql"), encoding="utf-8") as f:
        return dict(re.findall(r"^    (\w+) ([^,\n]+(?:, [^,\n]+\)+)?)", f.read(), re.M))


def sqlite(rows):
    """A table with every column of clickhouse.sql."""
    db, names = sqlite3.connect(":memory:"), list(columns())
    db.execute(f"CREATE TABLE tcptrail ({', '.join(names)})")
    marks = ", ".join("?" * len(names))
    db.executemany(f"INSERT INTO tcptrail VALUES ({marks})", (
        [json.dumps(v) if isinstance(v, list) else v for v in (row.get(n) for n in names)]
        for row in rows))
    return lambda sql: [list(r) for r in db.execute(sql)]


def duckdb(rows, folder, ask):
    """The table of duckdb.sql, filled as docs/recipes.md does it; `ask` is a DuckDB."""
    flat = os.path.join(folder, "rows.ndjson")
    with open(flat, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(r) + "\n" for r in rows)
    with open(harness.path("docs/recipes.md"), encoding="utf-8") as f:
        fill, = re.findall(r'^duckdb t\.db "(INSERT .*)"$', f.read(), re.M)
    with open(harness.path("packaging/fleet/duckdb.sql"), encoding="utf-8") as f:
        ask(f.read())
    ask(fill.replace("'rows.ndjson'", f"'{flat}'"))


def duckdb_program(folder):
    base = os.path.join(folder, "rows.db")

    def ask(sql):
        done = subprocess.run(["duckdb", "-csv", "-noheader", "-separator", "\t", base, "-c", sql],
                              capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise AssertionError(done.stderr.strip())
        return [line.split("\t") for line in done.stdout.splitlines()]
    return ask


def plain(rows):
    """As text, whole numbers without a point: what engines print differs in that alone."""
    def word(x):
        x = str(x)
        return x[:-2] if re.fullmatch(r"-?\d+\.0", x) else x
    return [[word(x) for x in row] for row in rows]


def check_sql(t, engine, ask, found, want):
    for name in want:
        t.check(f"{name}: {engine}", lambda n=name: t.equal(
            plain(ask(found[n]["sql"])), plain(want[n])))


def check_duckdb(t, ask, rows, folder, found, want):
    t.check("DuckDB takes duckdb.sql, and the rows as docs/recipes.md puts them in", lambda: (
        duckdb(rows, folder, ask),
        t.equal(plain(ask("SELECT count(*), sum(event_sequence), count(tcp_handshake_kind) "
                          "FROM tcptrail")),
                [[str(len(rows)), str(sum(r["event_sequence"] for r in rows)),
                  str(sum("tcp_handshake_kind" in r for r in rows))]])))
    check_sql(t, "DuckDB", ask, found, want)


def check(t, folder, records, path, clickhouse):
    found, want = recipes(), expected(records)
    t.check(f"{ENOUGH} questions, each in jq and SQL", lambda: t.equal(
        {k: sorted(v) for k, v in found.items()}, {k: ["jq", "sql"] for k in want}))
    rows = flatten(path)
    unknown = {c for r in rows for c in r} - set(columns())
    t.check("flatten.jq makes no column that clickhouse.sql has not",
            lambda: t.equal(sorted(unknown), []))
    for name in want:
        t.check(f"{name}: something to say", lambda n=name: t.true(want[n], "no rows"))
        t.check(f"{name}: jq", lambda n=name: t.equal(
            plain(jq(found[n]["jq"], path)), plain(want[n])))
    check_sql(t, "SQLite", sqlite(rows), found, want)
    if clickhouse:
        check_sql(t, "ClickHouse", clickhouse.ask, found, want)
    if shutil.which("duckdb"):
        check_duckdb(t, duckdb_program(folder), rows, folder, found, want)
    else:
        engines.use(t, "duckdb.sql and the SQL recipes in DuckDB", "duckdb", lambda engine:
                    check_duckdb(t, engine.ask, rows, folder, found, want))
