# SPDX-License-Identifier: Apache-2.0
"""What the live page shows, read from its elements at the end of each of its rounds beside what
the API answered in that round; and what it should show for that answer, worked out anew."""
from decimal import ROUND_HALF_UP, Decimal

# Runs before the page's own scripts. A round ends with a change of <body data-rounds>; an
# observer is called before anything else can run, so both sides are of the same moment.
OBSERVE = r"""
(() => {
	const real = window.fetch, text = (e) => e ? e.textContent.trim() : null;
	const all = (q, f) => [...document.querySelectorAll(q)].map(f);
	window.api = {};
	window.asked = [];
	window.begun = [];      // when each round began: with what only rounds ask for
	window.rounds = [];
	window.fetch = async (path, options) => {
		if (String(path) === "api/v1/states") window.begun.push(performance.now());
		const r = await real(path, options);
		window.asked.push(String(path));
		window.api[String(path).split("?")[0]] = await r.clone().json();
		return r;
	};
	window.shownNow = () => ({
		states: Object.fromEntries(all("g[data-state]",
			(g) => [g.dataset.state, text(g.querySelector(".count"))])),
		legend: Object.fromEntries(all("#legend li", (l) => [l.dataset.state, text(l.querySelector("b"))])),
		rates: Object.fromEntries(all("[data-arc]", (t) => [t.dataset.arc, text(t)])),
		moving: document.querySelectorAll("#diagram .moving").length,
		beside: text(document.getElementById("beside")),
		worst: text(document.getElementById("worst")),
		findings: all("#findings li", (l) => [l.className, ...[...l.querySelectorAll("b, code, p:not(:first-child)")]
			.map(text)]),
		rows: all("#rows tr", (tr) => [tr.dataset.id, ...[...tr.cells].map(text)]),
		total: text(document.getElementById("total")), status: text(document.getElementById("status")),
		history: all("#history polyline", (l) => [l.getAttribute("class"),
			l.getAttribute("points").split(" ").length]),
		ladder: all("#ladder [data-row]", (g) => ({ direction: g.dataset.direction,
			spoken: g.getAttribute("aria-label"), text: [...g.querySelectorAll("text")].map(text),
			arrows: [...g.querySelectorAll("line")].map((l) => ({
				right: l.x2.baseVal.value > l.x1.baseVal.value, down: l.y2.baseVal.value > l.y1.baseVal.value,
				dashed: getComputedStyle(l).strokeDasharray !== "none", lost: l.classList.contains("lost"),
				head: l.getAttribute("marker-end") })) })),
		ends: all("#ladder .end", text), title: text(document.getElementById("ladder-title")),
	});
	document.addEventListener("DOMContentLoaded", () => new MutationObserver(() =>
		window.rounds.push({ api: structuredClone(window.api), shown: window.shownNow(),
			begun: window.begun[window.begun.length - 1] })
	).observe(document.body, { attributeFilter: ["data-rounds"] }));
})();
"""


def rounded(x, digits=0):
    """As toFixed does: the exact value, halves up."""
    return str(Decimal(x).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def duration(ns):
    s = ns / 1e9
    for limit, factor, digits, unit in ((1e-3, 1e6, 0, "µs"), (1, 1e3, 1, "ms"), (120, 1, 1, "s")):
        if s < limit:
            return rounded(ns / 1e3 if unit == "µs" else s * factor, digits) + " " + unit
    return rounded(s / 60) + " min" if s < 7200 else rounded(s / 3600, 1) + " h"


def endpoint(e):
    address = f"[{e['address']}]" if ":" in e["address"] else e["address"]
    return f"{address}:{e.get('port') or '*'}"


def check_states(now, shown):
    for name, n in now["states"].items():
        assert shown["states"][name] == str(n), (name, shown["states"][name], n)
        assert shown["legend"].get(name, "0") == str(n), (name, shown["legend"], n)
    some = [n for n in now["states"] if any(h["states"][n] for h in [*now["history"], now])]
    points = len(now["history"]) + 1
    assert sorted(shown["history"]) == sorted(["series " + n, points] for n in some), shown["history"]


def moves(states):
    count = {(t["from"], t["to"]): t["count"] for t in states["transitions"]
             if t["from"] != "time_wait"}
    waited = sum(t["count"] for t in states["transitions"] if t["to"] == "time_wait")
    count["time_wait", "closed"] = waited - states["states"]["time_wait"]
    return count


def check_rates(before, now, shown):
    """Each arc's rate is the API's difference; what has no arc is told beside. How many move."""
    seconds = (now["monotonic_ns"] - before["monotonic_ns"]) / 1e9
    had, made = moves(before), moves(now)
    want = {k: (n - had.get(k, 0)) / seconds for k, n in made.items() if n > had.get(k, 0)}
    words = {k: rounded(n, 1 if n < 10 else 0) + "/s" for k, n in want.items()}
    drawn = {tuple(k.replace("_again", "").split(">")): v for k, v in shown["rates"].items()}
    for arc, text in drawn.items():
        assert text == words.get(arc, ""), (arc, text, words.get(arc))
    for arc in set(words) - set(drawn):
        told = f"{arc[0].upper()} → {arc[1].upper()} {words[arc]}"
        assert told in shown["beside"], (told, shown["beside"])
    assert shown["moving"] == len(set(words) & set(drawn)), (shown["moving"], words)
    return words


def check_findings(stuck, shown):
    counts = stuck["sockets"]
    words = ", ".join(f"{counts[s]} {s}" for s in ("critical", "warning", "info") if counts[s])
    assert (words in shown["worst"]) if words else shown["worst"] == "Nothing hangs."
    assert len(shown["findings"]) == min(30, len(stuck["findings"]))
    for f, (cls, severity, kind, explanation, advice) in zip(stuck["findings"], shown["findings"]):
        x = f["tcp"]["finding"]
        times = f" ×{x['count']}" if x.get("count", 1) > 1 else ""
        assert cls == severity == x["severity"] and kind == x["kind"] + times, (cls, kind, x)
        assert explanation.endswith(x["explanation"]) and advice == x["advice"], (explanation, x)


def check_connections(answer, shown):
    assert shown["total"] == f"{answer['count']} of {answer['total']}", shown["total"]
    want = []
    for c in answer["connections"]:
        t, n, p = c["tcp"], c["network"], c.get("process")
        bound = "> " if t.get("state_age_bound") == "at_least" else ""
        want.append([t.get("socket_id", ""), n["connection"]["state"].upper(),
                     bound + duration(t["state_age_ns"]) if "state_age_ns" in t else "",
                     endpoint(n["local"]), endpoint(n["peer"]),
                     f"{p['name']}[{p['pid']}]" if p else "", t["role"]])
    assert shown["rows"] == want, [x for x in zip(shown["rows"], want) if x[0] != x[1]][:3]


def check_health(h, shown):
    lost = f"{h['events_lost']} lost" if h["events_lost"] else "nothing lost"
    want = f"{h['version']}, {h['mode']} mode, {h['events']} records, {lost}"
    assert shown["status"] == want, (shown["status"], want)


def check_ladder(ladder, shown):
    """A row for a row, an arrow for an arrow: its way, whether inferred or lost, its words."""
    assert len(shown["ladder"]) == len(ladder["rows"]) > 0
    far = ladder.get("far_endpoint")
    assert shown["ends"] == [ladder[s]["endpoint"] if ladder.get(s) else far
                             for s in ("left", "right")], shown["ends"]
    for r, s in zip(ladder["rows"], shown["ladder"]):
        ways = {"right": [True], "left": [False], "cross": [True, False]}.get(r["direction"], [])
        arrows = s["arrows"]
        assert s["direction"] == r["direction"] and [a["right"] for a in arrows] == ways, (r, s)
        for a in arrows:
            assert a["down"] and a["head"] == "url(#tip)", a
            assert a["dashed"] == r.get("inferred", False) and a["lost"] == r.get("lost", False)
        words = "".join(s["text"]).replace(" ", "")
        if "at_ns" in r:
            assert s["text"][0] == duration(r["at_ns"]), (r, s)
        for text in (r.get("label"), r.get("note")):
            assert not text or text.replace(" ", "") in words, (text, words)
        for side in ("left", "right"):
            state = r.get(side)
            assert not state or (state["state"] if state["observed"] else f"({state['state']})") \
                in s["text"], (state, s)


def check_round(r):
    api, shown = r["api"], r["shown"]
    check_states(api["api/v1/states"], shown)
    check_findings(api["api/v1/stuck"], shown)
    check_connections(api["api/v1/connections"], shown)
    check_health(api["healthz"], shown)
