# SPDX-License-Identifier: Apache-2.0
"""The live page by keyboard: where each key leads, and the way back."""
from page import next_round, page
from rig import Namespace, Pairs, Server


def page_by_keyboard(t):
    """the keyboard alone reaches search, rows, ladder and the way back; focus is always seen"""
    here = "document.activeElement.dataset.id || document.activeElement.id || " \
           "document.activeElement.tagName"
    with Namespace() as ns, Server(t, 29555, "--netns", str(ns.inode)), Pairs(20, ns) as p, \
            page(29555) as c:
        c.until("rows.rows.length === 40")
        ids = c.js("[...rows.rows].map((r) => r.dataset.id)")
        at = lambda: c.js(here)     # noqa: E731

        def press(key, want, shift=False):
            c.key(key, shift)
            c.until(f"({here}) === '{want}'")
            assert c.js("focusShown()"), f"{want} does not look focused"
        for want in ("pause", "theme", "filter", None, ids[0], "BODY"):
            c.key("Tab")
            if want == "BODY":
                break           # past the one stop of 40 rows the page ends
            assert want in (None, at()), (want, at())
            assert c.js("focusShown()"), at()
        c.js("document.activeElement.blur()")
        press("/", "filter")
        c.type(str(p.port))
        assert c.js("filter.value") == str(p.port)
        c.key("Enter")
        next_round(c)
        press("ArrowDown", ids[0])
        press("ArrowDown", ids[1])
        press("ArrowUp", ids[0])
        press("ArrowUp", ids[0])
        press("PageDown", ids[10])
        press("End", ids[39])
        press("ArrowDown", ids[39])
        press("Home", ids[0])
        press("ArrowDown", ids[1])
        next_round(c)
        assert at() == ids[1], "a round took the focus away"
        for opener in ("Enter", " "):
            c.key(opener)
            c.until("document.getElementById('ladder-box').open && ladder.querySelector('[data-row]')")
            assert c.js("document.getElementById('ladder-box').dataset.id") == ids[1]
            c.key("Tab")
            c.key("Tab")
            assert c.js("document.activeElement === document.body || "
                        "!!document.activeElement.closest('dialog')"), at()
            press("Escape", ids[1])
            assert not c.js("document.getElementById('ladder-box').open")
        press("Tab", "BUTTON", shift=True)
        press("Tab", "filter", shift=True)
        press("/", "filter")
        press("ArrowDown", ids[1])      # the row that was left
        p.ends[0][0].close()
        p.close()
        c.until("rows.rows.length === 0")
        assert at() == "filter", f"the focused row ended; now at {at()}"


def page_goes_back(t):
    """Esc in the search undoes what was typed, then the search, and leaves the field; its own
    button shows all again"""
    with Namespace() as ns, Server(t, 29559, "--netns", str(ns.inode)), Pairs(5, ns) as p, \
            Pairs(2, ns), page(29559) as c:
        def search(text, found):
            c.js("document.activeElement.blur()")
            c.key("/")
            c.until("document.activeElement === filter")
            c.type(text)
            c.key("Enter")
            c.until(f"rows.rows.length === {found} && location.hash !== '' && "
                    f"filter.value === {text!r}")
            next_round(c)

        def escape():
            c.js("document.activeElement.blur()")   # "/" is a key of the page, in the field a letter
            c.key("/")
            c.key("Escape")
            c.until("document.activeElement.tagName === 'TR' || document.activeElement === document.body")

        def shows_all():
            c.until("rows.rows.length === 14 && filter.value === '' && location.hash === ''")
            next_round(c)
            assert c.js("rows.rows.length === 14 && error.textContent === '' && !grid.hidden")
        c.until("rows.rows.length === 14")
        search(str(p.port), 10)
        c.type("never sent")
        c.key("Escape")
        c.until("document.activeElement.tagName === 'TR'")
        assert c.js("filter.value") == str(p.port) and c.js("location.hash") == f"#{p.port}"
        assert c.js("rows.rows.length") == 10
        escape()
        shows_all()
        assert c.js("document.activeElement.tagName") == "TR"
        escape()                    # nothing to undo: it only leaves the field
        shows_all()
        search("state bogus", 0)
        assert c.js("error.textContent")
        escape()
        shows_all()
        search("dport = :1", 0)
        escape()
        shows_all()
        search(str(p.port), 10)
        c.click("(() => { const r = filter.getBoundingClientRect(), s = getComputedStyle(filter); "
                "return [r.right - parseFloat(s.paddingRight) - 8, r.top + r.height / 2]; })()")
        shows_all()


TESTS = [page_by_keyboard, page_goes_back]
