// SPDX-License-Identifier: Apache-2.0
// The live page: everything it shows comes from /api/v1. Text is set as text, never as HTML:
// a process may call itself anything.
"use strict";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const EVERY_MS = 2000;

function el(parent, name, attrs, text) {
	const svg = parent instanceof SVGElement;
	const e = svg ? document.createElementNS(SVG, name) : document.createElement(name);
	for (const k in attrs) e.setAttribute(k, attrs[k]);
	if (text !== undefined) e.textContent = text;
	parent.appendChild(e);
	return e;
}

async function get(path) {
	const r = await fetch(path, { cache: "no-store" });
	const body = await r.json();
	if (!r.ok) throw new Error(body.error ? body.error.message : r.statusText);
	return body;
}

function duration(ns) {
	const s = ns / 1e9;
	if (s < 1e-3) return (ns / 1e3).toFixed(0) + " µs";
	if (s < 1) return (s * 1e3).toFixed(1) + " ms";
	if (s < 120) return s.toFixed(1) + " s";
	if (s < 7200) return (s / 60).toFixed(0) + " min";
	return (s / 3600).toFixed(1) + " h";
}

// ---- RFC 9293, figure 5 -------------------------------------------------------------------

const W = 132, H = 44;
const BOXES = {
	closed: [314, 10], listen: [120, 90], syn_received: [60, 190], syn_sent: [560, 120],
	established: [314, 230], fin_wait_1: [90, 320], close_wait: [560, 320],
	fin_wait_2: [20, 430], closing: [250, 430], last_ack: [560, 430], time_wait: [140, 508],
	closed_again: [400, 508],
};
const ARCS = [
	["closed", "listen"], ["closed", "syn_sent"], ["listen", "syn_received"],
	["syn_sent", "syn_received"], ["syn_sent", "established"], ["syn_received", "established"],
	["established", "fin_wait_1"], ["established", "close_wait"], ["fin_wait_1", "fin_wait_2"],
	["fin_wait_1", "closing"], ["fin_wait_2", "time_wait"], ["closing", "time_wait"],
	["close_wait", "last_ack"], ["last_ack", "closed_again"], ["time_wait", "closed_again"],
];
const boxes = {}, arcs = {};

// Where the line between two boxes' middles leaves the first.
function edge(from, to) {
	const [x, y] = [from[0] + W / 2, from[1] + H / 2];
	const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
	const k = 1 / Math.max(Math.abs(dx) / (W / 2 + 3), Math.abs(dy) / (H / 2 + 3));
	return [x + dx * k, y + dy * k];
}

function arrowhead(svg, id) {
	const defs = el(svg, "defs", {});
	const m = el(defs, "marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7,
		markerHeight: 7, orient: "auto-start-reverse" });
	el(m, "path", { d: "M0 0L8 4L0 8z", fill: "context-stroke" });
}

function drawDiagram() {
	const svg = $("diagram");
	arrowhead(svg, "head");
	for (const [from, to] of ARCS) {
		const a = edge(BOXES[from], BOXES[to]), b = edge(BOXES[to], BOXES[from]);
		const line = el(svg, "path", { class: "arc", "marker-end": "url(#head)",
			d: `M${a[0]} ${a[1]}L${b[0]} ${b[1]}` });
		const rate = el(svg, "text", { class: "rate", "text-anchor": "middle",
			x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2 - 4 });
		arcs[from + ">" + to] = { line, rate };
	}
	for (const name in BOXES) {
		const [x, y] = BOXES[name];
		const g = el(svg, "g", { "data-state": name });
		el(g, "rect", { x, y, width: W, height: H, rx: 7 });
		el(g, "text", { x: x + W / 2, y: y + 17, "text-anchor": "middle" },
			name.replace("_again", "").toUpperCase());
		boxes[name] = { g, count: el(g, "text", { class: "count", x: x + W / 2, y: y + 36,
			"text-anchor": "middle" }, name.startsWith("closed") ? "" : "0") };
	}
}

let before = null;

function showStates(now) {
	const seconds = before ? (now.monotonic_ns - before.monotonic_ns) / 1e9 : 0;
	const sum = (s, want) => s.transitions.filter(want).reduce((n, t) => n + t.count, 0);
	// The end of TIME_WAIT has no event: what went in and is there no more.
	const count = (s, from, to) => from === "time_wait"
		? sum(s, (t) => t.to === "time_wait") - s.states.time_wait
		: sum(s, (t) => t.from === from && t.to === to.replace("_again", ""));
	for (const name in now.states) {
		if (!boxes[name]) continue;
		boxes[name].count.textContent = now.states[name];
		boxes[name].g.classList.toggle("busy", now.states[name] > 0);
	}
	for (const key in arcs) {
		const [from, to] = key.split(">");
		const n = seconds > 0 ? (count(now, from, to) - count(before, from, to)) / seconds : 0;
		arcs[key].rate.textContent = n > 0 ? n.toFixed(n < 10 ? 1 : 0) + "/s" : "";
		arcs[key].line.classList.toggle("moving", n > 0);
	}
	before = now;
	showHistory(now.history || []);
}

// ---- the last minutes ----------------------------------------------------------------------

const COLORS = ["#4285f4", "#ea4335", "#e0a100", "#34a853", "#a142f4", "#24c1e0", "#f538a0",
	"#8d6e63", "#7cb342", "#78909c"];

function showHistory(history) {
	const svg = $("history"), legend = $("legend");
	svg.replaceChildren();
	legend.replaceChildren();
	const names = Object.keys(BOXES).filter((n) => history.some((h) => h.states[n] > 0));
	const top = Math.max(1, ...history.flatMap((h) => names.map((n) => h.states[n])));
	const x = (i) => 50 + 700 * (history.length > 1 ? i / (history.length - 1) : 1);
	const y = (v) => 150 - 135 * Math.log1p(v) / Math.log1p(top);
	for (const v of [0, Math.round(Math.sqrt(top)), top]) {
		el(svg, "line", { class: "arc", x1: 50, x2: 750, y1: y(v), y2: y(v) });
		el(svg, "text", { class: "rate", x: 44, y: y(v) + 4, "text-anchor": "end" }, v);
	}
	names.forEach((n, k) => {
		const color = COLORS[Object.keys(BOXES).indexOf(n) % COLORS.length];
		el(svg, "polyline", { fill: "none", stroke: color, "stroke-width": 2,
			points: history.map((h, i) => `${x(i)},${y(h.states[n])}`).join(" ") });
		const li = el(legend, "li", {});
		el(li, "span", {}).style.background = color;
		li.append(n.toUpperCase() + " " + history[history.length - 1].states[n]);
	});
}

// ---- findings ---------------------------------------------------------------------------------

function showFindings(answer) {
	const list = $("findings");
	list.replaceChildren();
	for (const f of answer.findings.slice(0, 30)) {
		const x = f.tcp.finding;
		const li = el(list, "li", { class: x.severity });
		const who = f.process ? `${f.process.name}[${f.process.pid}] ` : "";
		el(li, "p", {}, `${x.severity}: ${x.kind}${x.count > 1 ? " ×" + x.count : ""}`);
		el(li, "p", {}, who && !x.explanation.includes(f.process.name) ? who + x.explanation
			: x.explanation);
		el(li, "p", { class: "advice" }, x.advice);
	}
	if (!answer.findings.length) el(list, "li", {}, "nothing hangs");
}

// ---- connections --------------------------------------------------------------------------------

let cursor = 0, pages = 1, filter = "";

function endpoint(e) {
	if (!e) return "";
	return (e.address.includes(":") ? `[${e.address}]` : e.address) + ":" + (e.port || "*");
}

function row(c) {
	const tr = el($("rows"), "tr", { "data-id": c.tcp.socket_id || "" });
	const state = el(tr, "td", {});
	const button = el(state, "button", { type: "button", title: "show its ladder" },
		c.network.connection.state.toUpperCase());
	const age = c.tcp.state_age_ns === undefined ? "" :
		(c.tcp.state_age_bound === "at_least" ? "> " : "") + duration(c.tcp.state_age_ns);
	for (const text of [age, endpoint(c.network.local), endpoint(c.network.peer),
		c.process ? `${c.process.name}[${c.process.pid}]` : "", c.tcp.role])
		el(tr, "td", {}, text);
	if (!c.tcp.socket_id) { // a request sock has no number that lasts
		button.disabled = true;
		return;
	}
	const open = () => showLadder(c.tcp.socket_id, true);
	button.addEventListener("click", (e) => { e.stopPropagation(); open(); });
	tr.addEventListener("click", open);
}

async function showConnections() {
	const focused = document.activeElement && document.activeElement.closest("tr");
	const id = focused && focused.dataset.id;
	let next = 0, list = [], total = 0;
	for (let i = 0; i < pages; i++) {
		const page = await get(`api/v1/connections?limit=50&cursor=${next}&filter=` +
			encodeURIComponent(filter));
		list = list.concat(page.connections);
		total = page.total;
		next = page.next_cursor || 0;
		if (!next) break;
	}
	$("rows").replaceChildren();
	list.forEach(row);
	cursor = next;
	$("more").hidden = !cursor;
	$("total").textContent = `${list.length} of ${total}`;
	if (id) {
		const again = document.querySelector(`tr[data-id="${id}"] button`);
		if (again) again.focus();
	}
}

// ---- a ladder --------------------------------------------------------------------------------------

const LEFT = 210, RIGHT = 590, ROW = 34;
let shown = "";

function drawRow(svg, r, i) {
	const y = 50 + i * ROW;
	const cls = "arrow" + (r.inferred ? " inferred" : "") + (r.lost ? " lost" : "");
	const arrow = (x1, x2, y1, y2) => el(svg, "line", { class: cls, x1, x2, y1, y2,
		"marker-end": "url(#tip)" });
	const text = (x, dy, anchor, t, dim) => t && el(svg, "text", { x, y: y + dy,
		"text-anchor": anchor, class: dim ? "dim" : "" }, t);
	if (r.at_ns !== undefined) text(4, 4, "start", duration(r.at_ns), true);
	if (r.left) text(LEFT - 8, 4, "end", r.left.observed ? r.left.state : `(${r.left.state})`, !r.left.observed);
	if (r.right) text(RIGHT + 8, 4, "start", r.right.observed ? r.right.state : `(${r.right.state})`, !r.right.observed);
	const middle = (LEFT + RIGHT) / 2;
	if (r.direction === "right") arrow(LEFT, RIGHT, y, y + 8);
	if (r.direction === "left") arrow(RIGHT, LEFT, y, y + 8);
	if (r.direction === "cross" || r.direction === "crossed") {
		arrow(LEFT, RIGHT, y, y + 12);
		arrow(RIGHT, LEFT, y, y + 12);
	}
	if (r.direction === "text" || r.direction === "span") {
		text(middle, 4, "middle", [r.label, r.note].filter(Boolean).join(" · "), true);
		return;
	}
	if (r.direction === "cross") {
		text(LEFT + 12, -4, "start", r.label);
		text(RIGHT - 12, -4, "end", r.note);
		return;
	}
	text(middle, -3, "middle", r.label);
	if (r.note) text(middle, 21, "middle", r.note, true);
}

async function showLadder(id, focus) {
	const box = $("ladder-box"), svg = $("ladder");
	shown = id;
	try {
		const answer = await get("api/v1/connections/" + id);
		const l = answer.ladder, height = 80 + l.rows.length * ROW;
		const far = l.far_endpoint || "";
		svg.replaceChildren();
		svg.setAttribute("viewBox", `0 0 800 ${height}`);
		arrowhead(svg, "tip");
		for (const x of [LEFT, RIGHT])
			el(svg, "line", { class: "bar", x1: x, x2: x, y1: 26, y2: height - 20 });
		el(svg, "text", { x: LEFT, y: 18, "text-anchor": "middle" }, l.left ? l.left.endpoint : far);
		el(svg, "text", { x: RIGHT, y: 18, "text-anchor": "middle" }, l.right ? l.right.endpoint : far);
		l.rows.forEach((r, i) => drawRow(svg, r, i));
		const c = answer.connection, t = c.tcp;
		$("ladder-title").textContent = `${endpoint(c.network.local)} to ${endpoint(c.network.peer)}: ` +
			(c.event.name === "tcp.connection" ? `ended, ${t.conn_state}, ${t.end_reason}`
				: c.network.connection.state.toUpperCase()) +
			(l.handshake_unseen ? "; older than the tracer, its handshake was not seen" : "");
	} catch (e) {
		svg.replaceChildren();
		$("ladder-title").textContent = e.message;
	}
	box.hidden = false;
	box.dataset.id = id;
	if (focus) {
		box.scrollIntoView({ block: "nearest" });
		$("h-ladder").focus();
	}
}

function closeLadder() {
	const back = document.querySelector(`tr[data-id="${shown}"] button`);
	shown = "";
	$("ladder-box").hidden = true;
	(back || $("filter")).focus();
}

// ---- round and round ---------------------------------------------------------------------------------

async function refresh() {
	try {
		showStates(await get("api/v1/states"));
		showFindings(await get("api/v1/stuck"));
		const h = await get("healthz");
		$("status").textContent = `${h.version}, ${h.mode} mode, ${h.events} records, ` +
			(h.events_lost ? `${h.events_lost} lost` : "nothing lost");
	} catch (e) {
		$("status").textContent = "no answer: " + e.message;
	}
	try {
		await showConnections();
		$("error").textContent = "";
	} catch (e) {
		$("error").textContent = e.message;
	}
	document.body.dataset.rounds = Number(document.body.dataset.rounds || 0) + 1;
}

async function loop() {
	for (;;) {
		if (!document.hidden) await refresh();
		await new Promise((done) => setTimeout(done, EVERY_MS));
	}
}

$("search").addEventListener("submit", (e) => {
	e.preventDefault();
	filter = $("filter").value.trim();
	pages = 1;
	history.replaceState(null, "", filter ? "#" + encodeURIComponent(filter) : "#");
	refresh();
});
$("more").addEventListener("click", () => { pages++; refresh(); });
$("close").addEventListener("click", closeLadder);
document.addEventListener("keydown", (e) => {
	if (e.key === "Escape" && shown) closeLadder();
	if (e.key === "/" && document.activeElement !== $("filter")) {
		e.preventDefault();
		$("filter").focus();
	}
});
if (location.hash.length > 1) {
	const [words, id] = location.hash.slice(1).split("&id=");
	filter = $("filter").value = decodeURIComponent(words);
	if (id) showLadder(id, false);
}
drawDiagram();
loop();
