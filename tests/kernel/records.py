# SPDX-License-Identifier: Apache-2.0
"""The tracer's NDJSON and the scenarios' truth: reading, finding, asking.

Nothing here judges. A line that is no JSON object is kept as a fault, not dropped.
"""
import json


def field(record, path):
    """record["a"]["b"] for "a.b"; None where it is absent."""
    for key in path.split("."):
        if not isinstance(record, dict) or key not in record:
            return None
        record = record[key]
    return record


def read_lines(path):
    """(objects, faults) of an NDJSON file."""
    objects, faults = [], []
    with open(path, encoding="utf-8", errors="surrogateescape") as f:
        for number, line in enumerate(f, 1):
            try:
                value = json.loads(line)
                if not isinstance(value, dict):
                    raise ValueError("not an object")
                objects.append(value)
            except ValueError as e:
                faults.append(f"{path}:{number}: {e}")
    return objects, faults


def split_address(text):
    """"[::1]:80" -> ("::1", 80); an address that the end did not know -> None."""
    if not text:
        return None
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if host in ("0.0.0.0", "::"):
        return None
    return host, int(port)


def tuple_of(record):
    def side(which):
        return (field(record, f"network.{which}.address"), field(record, f"network.{which}.port"))
    return side("local"), side("peer")


def name_unbound(records):
    """The tuple of each record of one socket, in order. One that begins to connect has no port,
    and perhaps no address, yet: it is of the life that follows."""
    tuples, following = [], None
    for r in reversed(records):
        here = tuple_of(r)
        if not here[0][1] and following:
            here = following
        following = here
        tuples.append(here)
    return list(reversed(tuples))


def is_own(socket_id):
    """A number of the tracer's own, where the kernel tells no cookie (5.10): bit 62. A request
    sock's has bit 63 and is nobody's."""
    return socket_id is not None and int(socket_id, 16) >> 62 == 1


class Records:
    """Records of one output, found by the socket they tell of."""

    def __init__(self, objects):
        self.all = objects
        self.own = {}  # truth's cookie -> the tracer's own number for that socket
        self.by_cookie, self.by_tuple = {}, {}
        for r in objects:
            netns = field(r, "tcp.netns")
            self.by_cookie.setdefault((field(r, "tcp.socket_id"), netns), []).append(r)
            self.by_tuple.setdefault((tuple_of(r), netns), []).append(r)

    def meet(self, truths):
        """Where the kernel told no cookies: the tracer's own numbers for the truth's, by ports and
        namespace, and by order where one tuple was used more than once."""
        def key_of_text(truth):
            return (*(int(truth[side].rpartition(":")[2]) for side in ("local", "peer")),
                    truth["netns"])
        ids, cookies = {}, {}
        for r in self.all:
            socket_id = field(r, "tcp.socket_id")
            if is_own(socket_id):
                (_, lport), (_, pport) = tuple_of(r)
                ids.setdefault((lport, pport, field(r, "tcp.netns")), {})[socket_id] = True
        if not ids:
            return
        for t in truths:
            if t.get("cookie"):
                cookies.setdefault(key_of_text(t), {})[t["cookie"]] = True
        for key, theirs in cookies.items():
            for cookie, mine in zip(theirs, ids.get(key, ())):
                self.own.setdefault(cookie, mine)

    def cookie_of(self, truth):
        """The identity under which this output has that end; None where the truth has none."""
        cookie = truth.get("cookie")
        return self.own.get(cookie, cookie)

    def of_end(self, truth, name):
        """Those named `name` of this end. One socket may have had several lives (reconnect), one
        tuple too: both must agree where both are known."""
        local, peer = split_address(truth["local"]), split_address(truth["peer"])
        if "cookie" in truth:
            found = self.by_cookie.get((self.cookie_of(truth), truth["netns"]), [])
            if local:
                found = [r for r, (a, b) in zip(found, name_unbound(found))
                         if (a, b) == (local, peer) or not a[1]]
        elif local:
            named = {field(r, "tcp.socket_id"): None
                     for r in self.by_tuple.get(((local, peer), truth["netns"]), [])}
            found = []
            for same in (self.by_cookie[(i, truth["netns"])] for i in named):
                found += [r for r, who in zip(same, name_unbound(same)) if who == (local, peer)]
        else:
            found = [r for r in self.all if tuple_of(r)[1] == peer
                     and field(r, "tcp.netns") == truth["netns"]]
        found = [r for r in found if field(r, "event.name") == name]
        if truth.get("lives", 1) == len(found):
            return found[truth["life"] - 1:truth["life"]] if "life" in truth else found
        return found


def forget_cookies(truths, release):
    """Before 5.12 no tracing program may ask for a socket's cookie: its ends are then found by
    their addresses, and of several lives of one tuple by their order."""
    version = tuple(int(n) for n in release.split("-")[0].split(".")[:2])
    if version >= (5, 12):
        return
    lives = {}
    for t in truths:
        t.pop("cookie", None)
        lives.setdefault((t["local"], t["peer"], t["netns"]), []).append(t)
    for same in lives.values():
        for number, t in enumerate(same, 1):
            if len(same) > 1:
                t["life"], t["lives"] = number, len(same)
