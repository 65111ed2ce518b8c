#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes docs/page.png and docs/page-dark.png: the live page over real connections.

    sudo tests/serve/pictures.py --tcptrail build/tcptrail docs
"""
import argparse
import ctypes
import os
import socket

from page import PR_SET_NAME, churn, next_round, page, unanswered
from rig import Namespace, Pairs, Server

PORT, MOST_BYTES = 29559, 200_000


def named(name, make):
    """What make() opens, opened by a process of that name."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_NAME, name)
    try:
        return make()
    finally:
        libc.prctl(PR_SET_NAME, b"python3")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--tcptrail", required=True)
    ap.add_argument("into")
    args = ap.parse_args()
    with Namespace() as ns, Server(args.tcptrail, PORT, "--netns", str(ns.inode)), \
            named(b"orders-db", lambda: Pairs(3, ns)) as db, unanswered(ns, 2), \
            named(b"shop", lambda: Pairs(40, ns)) as shop, \
            churn(ns, shop.port, shop.listener), page(PORT, width=1280, height=900) as c:
        for a, b in db.ends[:2]:
            a.shutdown(socket.SHUT_WR)
            b.recv(1)
        for _ in range(9):
            next_round(c)
        c.picture(os.path.join(args.into, "page.png"))
        c.media("dark")
        c.js("[...rows.rows].find((r) => r.textContent.includes('CLOSE_WAIT')).click()"
             " || document.activeElement.blur()")
        next_round(c)
        c.picture(os.path.join(args.into, "page-dark.png"))
    for name in ("page.png", "page-dark.png"):
        size = os.path.getsize(os.path.join(args.into, name))
        assert size < MOST_BYTES, f"{name}: {size} bytes"


if __name__ == "__main__":
    main()
