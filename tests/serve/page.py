# SPDX-License-Identifier: Apache-2.0
"""The live page in headless Chromium: what it shows equals what the API says, and everybody can
use it: by keyboard, on a phone, in the dark."""
import contextlib
import ctypes
import html.parser
import os
import re
import socket
import struct
import subprocess
import threading
import time
import urllib.parse

import shown
from chromium import Chromium
from rig import Namespace, Pairs, Server, holds, wait_for

PR_SET_NAME = 15
LONG = "2001:db8:1234:5678:9abc:def0:1234:"
HOSTILE = b"<img src=x>\x1b[2J"
LEAST_TEXT_PX, LEAST_INPUT_PX = 12, 16      # below 16 px a phone zooms into the field


@contextlib.contextmanager
def page(port, fragment="", media="light", width=1440, height=900):
    """A browser with the page that is served on that port, after its first round."""
    with Chromium() as c:
        c.media(media)
        c.screen(width, height)
        with open(os.path.join(os.path.dirname(__file__), "access.js"), encoding="utf-8") as f:
            c.call("Page.addScriptToEvaluateOnNewDocument", source=shown.OBSERVE + f.read())
        c.open(f"http://127.0.0.1:{port}/{fragment}")
        rounds(c, 1)
        yield c


def rounds(c, n):
    """The rounds so far, of which there are at least n."""
    c.until(f"window.rounds && window.rounds.length >= {n}")
    return c.js("window.rounds")


def next_round(c):
    """One that begins from now on: what is under way may have been asked for before."""
    fresh = f"window.rounds.find((r) => r.begun > {c.js('performance.now()')})"
    c.until(fresh)
    return c.js(fresh)


@contextlib.contextmanager
def churn(ns, port, listener):
    """A connection after the other, opened and closed, until the block ends."""
    stop = threading.Event()

    def run():
        ns.enter()
        while not stop.is_set():
            a = socket.create_connection(("127.0.0.1", port))
            b, _ = listener.accept()
            a.close()
            b.close()
            time.sleep(0.02)
    t = threading.Thread(target=run)
    t.start()
    try:
        yield
    finally:
        stop.set()
        t.join()


@contextlib.contextmanager
def crowd(ns, n):
    """Connections with the longest addresses and a process that calls itself what it likes."""
    libc, ends = ctypes.CDLL(None), []
    with open("/proc/thread-self/comm", "rb") as f:
        name = f.read().strip()
    ns.enter()
    try:
        for last in ("5678", "9999"):
            subprocess.run(["ip", "-6", "addr", "add", f"{LONG}{last}/128", "dev", "lo", "nodad"],
                           check=True)
        libc.prctl(PR_SET_NAME, HOSTILE)
        listener = socket.create_server((LONG + "5678", 8443), family=socket.AF_INET6, backlog=1024)
        for _ in range(n):
            ends.append(socket.create_connection((LONG + "5678", 8443),
                                                 source_address=(LONG + "9999", 0)))
            ends.append(listener.accept()[0])
        ends.append(listener)
    finally:
        libc.prctl(PR_SET_NAME, name)
        ns.leave()
    try:
        yield ends
    finally:
        for s in ends:
            s.close()


def waiting(listener):
    """How many connections nobody accepted yet: tcpi_unacked of a listener."""
    return struct.unpack_from("I", listener.getsockopt(socket.SOL_TCP, socket.TCP_INFO, 28), 24)[0]


@contextlib.contextmanager
def unanswered(ns, n):
    """A listener that accepts nothing, and n SYNs that its full queue leaves without answer."""
    ns.enter()
    try:
        ends = [socket.socket()]
        ends[0].bind(("127.0.0.1", 0))
        ends[0].listen(0)
        ends.append(socket.create_connection(ends[0].getsockname()))
        wait_for("a full queue", lambda: waiting(ends[0]) == 1)
        for _ in range(n):
            a = socket.socket()
            a.setblocking(False)
            a.connect_ex(ends[0].getsockname())
            ends.append(a)
    finally:
        ns.leave()
    try:
        yield
    finally:
        for s in ends:
            s.close()


def page_equals_api(t):
    """the page, each round while connections come and go: every figure is the API's; rates rise
    with traffic and end with it"""
    with Namespace() as ns, Server(t, 29550, "--netns", str(ns.inode)) as s, Pairs(6, ns) as p, \
            unanswered(ns, 3):
        for a, _ in p.ends[:2]:
            a.shutdown(socket.SHUT_WR)
        for _, b in p.ends[:2]:
            assert b.recv(1) == b""
        with page(29550) as c:
            with churn(ns, p.port, p.listener):
                first = c.js("window.rounds.length")
                busy = len(rounds(c, first + 4))
            quiet = c.js("window.rounds.length") + 1    # the one before may be under way
            c.until("document.querySelector('#findings li')")
            next_round(c)
            every = rounds(c, quiet + 2)
            assert every[-1]["shown"]["findings"]
            for r in every:
                shown.check_round(r)
            states = [r["api"]["api/v1/states"] for r in every]
            for i in range(1, len(every)):
                words = shown.check_rates(states[i - 1], states[i], every[i]["shown"])
                if first < i < busy:
                    for arc in (("closed", "syn_sent"), ("established", "fin_wait_1"),
                                ("last_ack", "closed")):
                        assert arc in words, (arc, words)
                if i > quiet:
                    assert not set(words) - {("time_wait", "closed")}, words
            # Nor is it only what the page was told: asked again, the API says the same.
            api, now = s.json("/api/v1/states")["states"], c.js("shownNow()")
            for state in ("listen", "syn_sent", "established", "close_wait", "fin_wait_2"):
                assert now["states"][state] == str(api[state]), (state, now["states"], api)
            assert int(now["states"]["close_wait"]) == 2


def page_finds(t):
    """the search: a port, a state, a name or a FILTER; what is wrong, and what finds nothing, say
    so; a finding shows its connections"""
    with Namespace() as ns, Server(t, 29552, "--netns", str(ns.inode)) as s, Pairs(30, ns) as p:
        for a, _ in p.ends[:3]:
            a.shutdown(socket.SHUT_WR)
        for _, b in p.ends[:3]:
            assert b.recv(1) == b""
        wait_for("three", lambda: len(s.json("/api/v1/connections?filter=state+close-wait")
                                      ["connections"]) == 3)

        def ask(c, text):
            c.js("filter.focus(), filter.select()")
            c.type(text)
            c.key("Enter")
            wait_for(text, lambda: c.js("decodeURIComponent(location.hash)") == (text and "#" + text))
            return next_round(c)["shown"]
        fragment = "#" + urllib.parse.quote(f"state close-wait and sport = :{p.port}", safe="")
        with page(29552, fragment) as c:
            assert len(c.js("window.rounds")[0]["shown"]["rows"]) == 3
            for text, what in (("CLOSE_WAIT", "state close-wait"), (str(p.port), f"sport = :{p.port} or "
                                                                    f"dport = :{p.port}"),
                               ("127.0.0.0/8", "src 127.0.0.0/8"), ("python3", "comm = python3"),
                               ("not state established", "not state established")):
                got = ask(c, text)
                want = s.json("/api/v1/connections?limit=50&filter=" + urllib.parse.quote(what))
                assert got["total"] == f"{want['count']} of {want['total']}" and want["total"], text
                assert [r[0] for r in got["rows"]] == \
                    [x["tcp"]["socket_id"] for x in want["connections"]], text
            assert c.js("more.hidden") and not ask(c, "")["total"].startswith("60")
            c.js("more.click()")
            c.until("total.textContent === '60 of 60' && more.hidden && rows.rows.length === 60")
            assert ask(c, "dport = :1")["rows"] == []
            assert "No connection is like this: dport = :1" in c.js("none.textContent")
            assert c.js("grid.hidden && !none.hidden")
            assert ask(c, "state bogus")["rows"] == []
            assert "expected a state" in c.js("error.textContent")
            with unanswered(ns, 3):
                button = "document.querySelector('#findings button[data-filter*=syn-sent]')"
                c.until(button)
                c.js(button + ".click()")
                c.until("rows.rows.length === 3 && error.textContent === ''")
                assert set(c.js("[...rows.rows].map((r) => r.cells[0].textContent)")) == {"SYN_SENT"}


def page_draws_ladders(t):
    """a click on a row draws its ladder: arrow for arrow the API's, and on to the end while it
    is open"""
    with Namespace() as ns, Server(t, 29553, "--netns", str(ns.inode)) as s, Pairs(2, ns) as p:
        (one, _) = wait_for("clients", lambda: (x := s.json(
            f"/api/v1/connections?filter=dport+=+:{p.port}")["connections"]) and len(x) == 2 and x)
        socket_id = one["tcp"]["socket_id"]

        def same(c):
            def check():
                now = c.js("shownNow()")
                ladder = s.json(f"/api/v1/connections/{socket_id}")["ladder"]
                shown.check_ladder(ladder, now)
                return now
            return holds(check)
        with page(29553) as c:
            c.js(f"document.querySelector('tr[data-id=\"{socket_id}\"]').click()")
            c.until("document.getElementById('ladder-box').open && ladder.querySelector('[data-row]')")
            now = same(c)
            assert now["title"].endswith("ESTABLISHED"), now["title"]
            assert sum(a["right"] for r in now["ladder"] for a in r["arrows"]) == 2, now["ladder"]
            assert c.js("location.hash").endswith("&id=" + socket_id)
            for width in (390, 1440):       # the same rows, drawn anew for another width
                c.screen(width, 844)
                c.until(f"innerWidth === {width} && "
                        "Math.abs(ladder.viewBox.baseVal.width - ladder.clientWidth) < 2")
                same(c)
            p.close()
            c.until("document.getElementById('ladder-title').textContent.includes('ended, SF')")
            now = same(c)
            assert sum("FIN" in r["spoken"] for r in now["ladder"]) >= 2
            assert any(a["dashed"] for r in now["ladder"] for a in r["arrows"]) == any(
                r.get("inferred") for r in s.json(f"/api/v1/connections/{socket_id}")["ladder"]["rows"])
        with page(29553, "#&id=" + socket_id) as c:     # and a link to it leads there
            c.until("document.getElementById('ladder-box').open && ladder.querySelector('[data-row]')")
            same(c)


def page_follows_the_theme(t):
    """dark and light follow prefers-color-scheme; the choice of one is remembered"""
    def ground(c):
        return c.js("getComputedStyle(document.body).backgroundColor")
    light, dark = "rgb(255, 255, 255)", "rgb(20, 22, 26)"
    with Server(t, 29554) as s, page(29554) as c:
        assert ground(c) == light
        c.media("dark")
        assert ground(c) == dark
        def choose(letter):     # a native select: letters typed at once would be one word
            time.sleep(1.2)
            c.js("theme.focus()")
            c.key(letter)
        choose("l")
        c.until("theme.value === 'light'")
        assert ground(c) == light and c.js("localStorage.getItem('tcptrail-theme')") == "light"
        c.open("http://127.0.0.1:29554/?again")
        rounds(c, 1)
        assert ground(c) == light and c.js("theme.value") == "light"
        c.media("light")
        choose("d")
        c.until("theme.value === 'dark'")
        assert ground(c) == dark
        choose("s")
        c.until("theme.value === ''")
        assert ground(c) == light
        c.media("dark")
        assert ground(c) == dark
        c.js("localStorage.setItem('tcptrail-theme', '\"><b>')")
        c.open("http://127.0.0.1:29554/?rubbish")
        rounds(c, 1)
        assert ground(c) == dark and s.json("/healthz")["status"] == "ok"


def labelled(c):
    """Each thing that can be used or is told apart has a name in the accessibility tree."""
    roles, nameless = set(), []
    for n in c.call("Accessibility.getFullAXTree")["nodes"]:
        role = n.get("role", {}).get("value")
        if n.get("ignored") or role not in (
                "button", "textbox", "searchbox", "combobox", "grid", "row", "columnheader", "image",
                "dialog", "group", "region", "search", "heading", "listitem", "option", "alert"):
            continue
        roles.add(role)
        name = n.get("name", {}).get("value", "").strip()
        if not name and role not in ("listitem", "alert", "search", "row", "group"):
            nameless.append(n)
    assert not nameless, nameless
    return roles


def page_is_accessible(t):
    """contrast of 4.5 for text and 3 for lines, in light and dark; names and roles for all that
    is used"""
    with Namespace() as ns, Server(t, 29556, "--netns", str(ns.inode)), crowd(ns, 5), \
            unanswered(ns, 2), page(29556) as c:
        c.until("document.querySelector('#findings li')")
        next_round(c)
        for scheme in ("light", "dark"):
            c.media(scheme)
            got = c.js("lowContrast()")
            assert got["texts"] > 60 and not got["bad"], (scheme, got)
            c.js("rows.rows[0].click()")
            c.until("ladder.querySelector('[data-row]')")
            got = c.js("lowContrast()")
            assert not got["bad"], (scheme, got)
            roles = labelled(c)
            assert {"dialog", "button"} <= roles, roles
            c.js("document.getElementById('ladder-box').close()")
            c.js("filter.value = 'state bogus'; document.querySelector('form button').click()")
            c.until("error.textContent !== ''")
            assert not c.js("lowContrast()")["bad"]
            c.js("filter.value = ''; document.querySelector('form button').click()")
            c.until("rows.rows.length && error.textContent === ''")
        roles = labelled(c)
        assert {"grid", "row", "columnheader", "searchbox", "combobox", "image", "region"} <= roles, roles
        assert c.js("[...rows.rows].every((r) => r.getAttribute('role') === 'row' && "
                    "[...r.cells].every((d) => d.getAttribute('role') === 'gridcell'))")
        assert c.js("rows.querySelectorAll('[tabindex=\"0\"]').length") == 1
        # The measure itself: what is too pale is found.
        c.js("document.documentElement.style.setProperty('--dim', '#9a9a9a')")
        c.media("light")
        assert c.js("lowContrast()")["bad"]


def page_on_a_phone(t):
    """390 and 320 pixels: nothing is cut off or scrolls sideways, no text is below 12 pixels"""
    with Namespace() as ns, Server(t, 29557, "--netns", str(ns.inode)), crowd(ns, 40), \
            page(29557, width=390, height=844) as c:
        next_round(c)
        for width in (390, 320):
            c.screen(width, 844)
            c.until(f"innerWidth === {width} && "
                    "Math.abs(diagram.viewBox.baseVal.width - diagram.clientWidth) < 25")
            assert not c.js("tooWide()") and not c.js(f"smallText({LEAST_TEXT_PX})"), (
                width, c.js("tooWide()"), c.js(f"smallText({LEAST_TEXT_PX})"))
            assert c.js("parseFloat(getComputedStyle(filter).fontSize)") >= LEAST_INPUT_PX
            c.js("rows.rows[0].click()")
            c.until("ladder.querySelector('[data-row]')")
            assert not c.js("tooWide()") and not c.js(f"smallText({LEAST_TEXT_PX})"), (
                width, c.js("tooWide()"), c.js(f"smallText({LEAST_TEXT_PX})"))
            c.js("document.getElementById('ladder-box').close()")
        c.screen(1440, 900)
        c.until("innerWidth === 1440")
        assert not c.js(f"smallText({LEAST_TEXT_PX})")
        c.js("document.body.style.minWidth = '2000px'")
        assert c.js("tooWide()"), "the measure finds nothing"


def page_survives(t):
    """no connections, a server that goes and comes back, a pause: the page says so"""
    with Namespace() as ns:
        with Server(t, 29558, "--netns", str(ns.inode)) as s, Chromium() as c:
            c.call("Page.addScriptToEvaluateOnNewDocument", source=shown.OBSERVE)
            c.open("http://127.0.0.1:29558/")
            rounds(c, 2)
            assert c.js("none.textContent") == "No connections are open." and c.js("grid.hidden")
            assert c.js("worst.textContent") == "Nothing hangs." and c.js("gone.hidden")
            assert "no sockets" in c.js("document.getElementById('history').textContent")
            s.close()
            c.until("!gone.hidden && document.body.classList.contains('stale')")
            assert "No answer from tcptrail since" in c.js("gone.textContent")
            with Server(t, 29558, "--netns", str(ns.inode)), Pairs(2, ns):
                c.until("gone.hidden && !document.body.classList.contains('stale') && "
                        "rows.rows.length === 4")
                shown.check_round(next_round(c))
                c.js("pause.click()")
                c.until("pause.getAttribute('aria-pressed') === 'true'")
                c.until("window.begun.length === window.rounds.length")     # none is under way
                n = c.js("window.asked.length")
                time.sleep(5)
                assert c.js("window.asked.length") == n, "asks while it is paused"
                c.js("pause.click()")
                c.until(f"window.asked.length > {n}")


class Tags(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def page_is_whole(t):
    """the page asks nobody but its own server, has nothing inline, and what a process calls
    itself stays text"""
    with Namespace() as ns, Server(t, 29551, "--netns", str(ns.inode)) as s, crowd(ns, 3):
        for path, kind in (("/", "text/html"), ("/app.js", "text/javascript"),
                           ("/draw.js", "text/javascript"), ("/style.css", "text/css")):
            status, headers, body = s.request(path)
            assert status == 200 and headers["Content-Type"].startswith(kind)
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy, policy
            urls = set(re.findall(rb"https?://[^\"' )]+", body)) - {b"http://www.w3.org/2000/svg"}
            assert not urls, urls
        for tag, attrs in Tags(s.request("/")[2].decode()).tags:
            assert tag != "style" and (tag != "script" or attrs.get("src")), (tag, attrs)
            assert not [a for a in attrs if a.startswith("on") or a == "style"], (tag, attrs)
        with page(29551) as c:
            c.js("rows.rows[0].click()")
            c.until("ladder.querySelector('[data-row]')")
            next_round(c)
            assert "<img src=x>" in c.js("document.body.innerText")
            assert c.js("document.querySelectorAll('img').length") == 0
            asked = {r["request"]["url"] for r in c.told("Network.requestWillBeSent")}
            own = {u for u in asked if u.startswith(("http://127.0.0.1:29551/", "data:"))}
            assert len(own) > 6 and asked == own, asked - own
            said = [e["entry"]["text"] for e in c.told("Log.entryAdded")]
            assert not said and not c.told("Runtime.exceptionThrown"), said
            # The policy itself: an inline script does not run, another host is not asked.
            c.js("document.body.append(Object.assign(document.createElement('script'), "
                 "{textContent: 'window.ran = 1'}))")
            assert c.js("window.ran") is None
            assert c.js("fetch('http://127.0.0.1:1/').then(() => 'asked', (e) => 'refused')") == "refused"
            wait_for("two complaints", lambda: c.js("1") and sum(
                "Content Security Policy" in e["entry"]["text"]
                for e in c.told("Log.entryAdded")) >= 2)


TESTS = [page_is_whole, page_equals_api, page_finds, page_draws_ladders, page_follows_the_theme,
         page_is_accessible, page_on_a_phone, page_survives]
