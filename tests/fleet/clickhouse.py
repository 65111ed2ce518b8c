# SPDX-License-Identifier: Apache-2.0
"""A ClickHouse server on the loopback for as long as a test takes.

Debian 12 has 18.16: its statements work in every later one, but it has no DateTime64 and
wants a word for LowCardinality. There the time columns are String, so that what is tested
is every other column, the keys and the queries.
"""
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

CONFIG = """<?xml version="1.0"?>
<yandex>
<logger><level>warning</level><console>1</console></logger>
<listen_host>127.0.0.1</listen_host><http_port>{port}</http_port>
<path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path>
<users_config>{folder}/users.xml</users_config>
<default_profile>default</default_profile><default_database>default</default_database>
<timezone>UTC</timezone><mark_cache_size>10000000</mark_cache_size>
</yandex>
"""
USERS = """<?xml version="1.0"?>
<yandex>
<profiles><default><max_memory_usage>1000000000</max_memory_usage>
<max_compress_block_size>65536</max_compress_block_size></default></profiles>
<users><default><password></password><networks><ip>127.0.0.1</ip></networks>
<profile>default</profile><quota>default</quota></default></users>
<quotas><default></default></quotas>
</yandex>
"""
WAIT_S = 120    # nothing asserts how soon
TRIES = 5       # until the port is free that it is given: it was, a moment before


def program():
    """The server's path, or None."""
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        "../../build/unpacked/usr/sbin/clickhouse-server")
    return shutil.which("clickhouse-server") or (here if os.access(here, os.X_OK) else None)


class Server:
    def __init__(self, folder):
        self.folder = os.path.join(folder, "clickhouse")
        os.makedirs(self.folder)
        version = next(filter(None, (self.start() for _ in range(TRIES))), None)
        if not version:
            with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as f:
                raise AssertionError(f"it does not start: {f.read()[-600:]}")
        self.version = tuple(map(int, version.split(".")[:2]))

    def start(self):
        """Its version; None if it has ended."""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        for name, text in (("config.xml", CONFIG), ("users.xml", USERS)):
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
                f.write(text.format(port=self.port, folder=self.folder))
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen(
            [program(), f"--config-file={self.folder}/config.xml"], stdout=self.log,
            stderr=self.log, cwd=self.folder)
        version = self.when_up()
        if not version:
            self.close()
        return version

    def when_up(self):
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                return None
            try:
                return self.send("SELECT version()").strip()
            except (OSError, AssertionError):
                time.sleep(0.2)
        return None

    def send(self, query, rows=None):
        url = f"http://127.0.0.1:{self.port}/?"
        if self.old():
            url += "allow_experimental_low_cardinality_type=1&"
        if rows is not None:
            url += "query=" + urllib.request.quote(query)
        body = query.encode() if rows is None else rows
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as r:
                return r.read().decode()
        except urllib.error.HTTPError as e:
            raise AssertionError(e.read().decode()[:600]) from e

    def old(self):
        return getattr(self, "version", (0, 0)) < (20, 1)

    def ask(self, sql):
        return [line.split("\t") for line in self.send(sql).splitlines()]

    def create(self, sql):
        if self.old():
            sql = (sql.replace("Nullable(DateTime64(6, 'UTC'))", "Nullable(String)")
                   .replace("DateTime64(6, 'UTC')", "String")
                   .replace("PARTITION BY toDate(timestamp)\n", "")
                   .replace("TTL toDate(timestamp) + INTERVAL 30 DAY", ""))
        self.send(sql.rstrip().rstrip(";"))

    def insert(self, lines):
        self.send("INSERT INTO tcptrail FORMAT JSONEachRow", lines)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
