# SPDX-License-Identifier: Apache-2.0
"""The live page in headless Chromium: what it shows equals what the API says."""
import html.parser
import re
import shutil
import socket
import subprocess
import tempfile
import urllib.parse

from rig import Namespace, Pairs, Server, Skip, wait_for

FLAGS = ("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
         "--disable-background-networking --disable-component-update --disable-sync").split()


class Dom(html.parser.HTMLParser):
    """Every element that a test asks for: (tag, attributes, its text)."""
    VOID = {"meta", "link", "input", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.all = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        item = [tag, dict(attrs), ""]
        self.all.append(item)
        if tag not in self.VOID:
            self.open.append(item)

    def handle_startendtag(self, tag, attrs):
        self.all.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for item in self.open:
            item[2] += data

    def find(self, tag, **attrs):
        return [i for i in self.all if i[0] == tag and
                all(i[1].get(k.replace("_", "-")) == v for k, v in attrs.items())]


def load(port, fragment=""):
    chromium = shutil.which("chromium")
    if not chromium:
        raise Skip("Debian's package chromium is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        r = subprocess.run([chromium, *FLAGS, f"--user-data-dir={profile}",
                            "--virtual-time-budget=6000", "--dump-dom",
                            f"http://127.0.0.1:{port}/{fragment}"],
                           capture_output=True, text=True, timeout=120)
    assert r.returncode == 0 and "<main>" in r.stdout, r.stderr[-2000:]
    return Dom(r.stdout)


def shown_states(dom):
    return {g[1]["data-state"]: int(g[2][len(g[1]["data-state"]):])
            for g in (i for i in dom.all if i[0] == "g" and "data-state" in i[1])
            if not g[1]["data-state"].startswith("closed")}


def page_equals_api(t):
    """the page: states, connections, findings and a ladder as the API has them"""
    with Namespace() as ns, Server(t, 29550, "--netns", str(ns.inode)) as s, Pairs(6, ns) as p:
        for a, _ in p.ends[:2]:
            a.shutdown(socket.SHUT_WR)
        f = f"state close-wait and sport = :{p.port}"
        query = "/api/v1/connections?filter=" + urllib.parse.quote(f)
        listed = wait_for("two in CLOSE-WAIT", lambda: (
            x := s.json(query)["connections"]) and len(x) == 2 and x)
        ids = sorted(c["tcp"]["socket_id"] for c in listed)
        s.metrics()
        fragment = "#" + urllib.parse.quote(f, safe="") + "&id=" + ids[0]

        def agree():
            dom = load(29550, fragment)
            rounds = dom.find("body")[0][1].get("data-rounds")
            api = s.json("/api/v1/states")["states"]
            states = shown_states(dom)
            return rounds and states == {k: api[k] for k in states} and dom
        dom = wait_for("the same counts", agree)
        assert shown_states(dom)["close_wait"] == 2
        rows = [i for i in dom.find("tr") if "data-id" in i[1]]
        assert sorted(i[1]["data-id"] for i in rows) == ids
        assert all("CLOSE_WAIT" in i[2] and f":{p.port}" in i[2] for i in rows)
        assert dom.find("span", id="total")[0][2] == "2 of 2"
        ladder = s.json(f"/api/v1/connections/{ids[0]}")["ladder"]
        (svg,) = dom.find("svg", id="ladder")
        labels = [r["label"] for r in ladder["rows"] if r.get("label")]
        assert labels and all(x in svg[2] for x in labels), (labels, svg[2])
        box = dom.find("section", id="ladder-box")[0][1]
        assert "hidden" not in box and box["data-id"] == ids[0]
        bad = load(29550, "#" + urllib.parse.quote("state bogus", safe=""))
        assert "expected a state" in bad.find("p", id="error")[0][2]


def page_is_whole(t):
    """the page asks nobody but its own server"""
    with Server(t, 29551) as s:
        for path, kind in (("/", "text/html"), ("/app.js", "text/javascript"),
                           ("/style.css", "text/css")):
            status, headers, body = s.request(path)
            assert status == 200 and headers["Content-Type"].startswith(kind)
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            urls = set(re.findall(rb"https?://[^\"' )]+", body)) - {b"http://www.w3.org/2000/svg"}
            assert not urls, urls


TESTS = [page_is_whole, page_equals_api]
