// SPDX-License-Identifier: Apache-2.0
// What is drawn: RFC 9293's figure 5, the history, a ladder. Each is drawn in the pixels it is
// shown in, so that text has one size everywhere. Nothing here asks the server.
"use strict";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function el(parent, name, attrs, text) {
	const svg = parent instanceof SVGElement;
	const e = svg ? document.createElementNS(SVG, name) : document.createElement(name);
	for (const k in attrs) e.setAttribute(k, attrs[k]);
	if (text !== undefined) e.textContent = text;
	parent.appendChild(e);
	return e;
}

function duration(ns) {
	const s = ns / 1e9;
	if (s < 1e-3) return (ns / 1e3).toFixed(0) + " µs";
	if (s < 1) return (s * 1e3).toFixed(1) + " ms";
	if (s < 120) return s.toFixed(1) + " s";
	if (s < 7200) return (s / 60).toFixed(0) + " min";
	return (s / 3600).toFixed(1) + " h";
}

function per_second(n) {
	return n > 0 ? n.toFixed(n < 10 ? 1 : 0) + "/s" : "";
}

// Whole pixels, never more than there are: drawn at 1 to 1 no text gets smaller.
function room(svg, least) {
	return Math.max(least, Math.floor(svg.getBoundingClientRect().width));
}

function paper(svg, width, height) {
	svg.replaceChildren();
	svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
	svg.style.height = height + "px";
}

function arrowhead(svg, id) {
	const m = el(el(svg, "defs", {}), "marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4,
		markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" });
	el(m, "path", { d: "M0 0L8 4L0 8z", class: "head" });
}

// ---- RFC 9293, figure 5 -------------------------------------------------------------------

// How far to the right (0 to 1) and in which row.
const PLACES = {
	closed: [0.5, 0], listen: [0, 1], syn_sent: [1, 1], syn_received: [0, 2],
	established: [0.5, 3], fin_wait_1: [0, 4], close_wait: [1, 4], fin_wait_2: [0, 5],
	closing: [0.5, 5], last_ack: [1, 5], time_wait: [0.25, 6], closed_again: [1, 6],
};
// From, to, and what the figure writes beside the arc.
const ARCS = [
	["closed", "listen", "passive OPEN"], ["listen", "closed", "CLOSE"],
	["closed", "syn_sent", "active OPEN, snd SYN"], ["syn_sent", "closed", "CLOSE, or no answer"],
	["listen", "syn_received", "rcv SYN, snd SYN,ACK"], ["syn_received", "listen", "rcv RST"],
	["listen", "syn_sent", "SEND, snd SYN"],
	["syn_sent", "syn_received", "rcv SYN, snd SYN,ACK: both opened"],
	["syn_sent", "established", "rcv SYN,ACK, snd ACK"],
	["syn_received", "established", "rcv ACK of SYN"],
	["syn_received", "fin_wait_1", "CLOSE, snd FIN"],
	["established", "fin_wait_1", "CLOSE, snd FIN"], ["established", "close_wait", "rcv FIN, snd ACK"],
	["fin_wait_1", "fin_wait_2", "rcv ACK of FIN"], ["fin_wait_1", "closing", "rcv FIN, snd ACK"],
	["fin_wait_2", "time_wait", "rcv FIN, snd ACK"], ["closing", "time_wait", "rcv ACK of FIN"],
	["close_wait", "last_ack", "CLOSE, snd FIN"], ["last_ack", "closed_again", "rcv ACK of FIN"],
	["time_wait", "closed_again", "2MSL later"],
];
const BOX_H = 42, PITCH = 78;
let boxes = {}, arcs = {}, shown_states = null;

// From the edge of one box towards the other; a pair of arcs lies side by side.
function between(from, to, w, aside) {
	const dx = to[0] - from[0], dy = to[1] - from[1], long = Math.hypot(dx, dy);
	const k = 1 / Math.max(Math.abs(dx) / (w / 2 + 2), Math.abs(dy) / (BOX_H / 2 + 2));
	const side = [-dy / long * aside, dx / long * aside];
	return [from[0] + dx * k + side[0], from[1] + dy * k + side[1],
		to[0] - dx * k + side[0], to[1] - dy * k + side[1]];
}

function drawDiagram() {
	const svg = $("diagram"), width = room(svg, 282);
	const w = Math.min(132, Math.max(92, width * 0.29)), middle = {};
	paper(svg, width, 6 * PITCH + BOX_H + 4);
	arrowhead(svg, "head");
	boxes = {};
	arcs = {};
	for (const name in PLACES)
		middle[name] = [w / 2 + 2 + PLACES[name][0] * (width - w - 4),
			BOX_H / 2 + 2 + PLACES[name][1] * PITCH];
	for (const [from, to, why] of ARCS) {
		const pair = ARCS.some((a) => a[0] === to && a[1] === from);
		const [x1, y1, x2, y2] = between(middle[from], middle[to], w, pair ? 6 : 0);
		const line = el(svg, "path", { class: "arc", "marker-end": "url(#head)",
			d: `M${x1} ${y1}L${x2} ${y2}` });
		el(line, "title", {}, `${label(from)} to ${label(to)}: ${why}`);
		// The rate of one of a pair stands on its own side of the two.
		const off = pair ? [(y1 - y2) / Math.hypot(x2 - x1, y2 - y1) * 19, 5] : [0, 0];
		arcs[from + ">" + to] = { line, x: (x1 + x2) / 2 + off[0], y: (y1 + y2) / 2 + 4 + off[1] };
	}
	for (const key in arcs)     // above all lines
		arcs[key].rate = el(svg, "text", { class: "rate", "text-anchor": "middle", "data-arc": key,
			x: arcs[key].x, y: arcs[key].y });
	for (const name in PLACES) {
		const [x, y] = middle[name], counted = !name.startsWith("closed");
		const g = el(svg, "g", { "data-state": name });
		el(g, "rect", { x: x - w / 2, y: y - BOX_H / 2, width: w, height: BOX_H, rx: 7 });
		el(g, "text", { x, y: y + (counted ? -5 : 4), "text-anchor": "middle" }, label(name));
		boxes[name] = { g };
		if (counted)
			boxes[name].count = el(g, "text", { class: "count", x, y: y + 14,
				"text-anchor": "middle" }, "–");
	}
	if (shown_states) fillDiagram(...shown_states);
}

function label(state) {
	return state.replace("_again", "").toUpperCase();
}

// rates: {"from>to": a second}
function fillDiagram(states, rates) {
	const rest = { ...rates };
	shown_states = [states, rates];
	for (const name in states) {
		if (!boxes[name] || !boxes[name].count) continue;
		boxes[name].count.textContent = states[name];
		boxes[name].g.classList.toggle("busy", states[name] > 0);
	}
	for (const key in arcs) {
		const as_told = key.replace("_again", ""), n = rates[as_told] || 0;
		delete rest[as_told];
		arcs[key].rate.textContent = per_second(n);
		arcs[key].line.classList.toggle("moving", n > 0);
	}
	const words = Object.keys(rest).filter((k) => rest[k] > 0).map((k) =>
		k.split(">").map(label).join(" → ") + " " + per_second(rest[k]));
	$("beside").textContent = words.length ? "Not in the figure: " + words.join(", ") : "";
}

// ---- the last minutes ----------------------------------------------------------------------

let shown_history = [];

function drawHistory(points) {
	const svg = $("history"), legend = $("legend"), left = 52, base = 150, height = 176;
	const width = room(svg, 240), right = width - 6;
	shown_history = points;
	paper(svg, width, height);
	legend.replaceChildren();
	if (!points.length) return;
	const last = points[points.length - 1].states;
	const names = Object.keys(PLACES).filter((n) => points.some((p) => p.states[n] > 0));
	const top = Math.max(1, ...points.flatMap((p) => names.map((n) => p.states[n])));
	const at = points.map((p) => Date.parse(p["@timestamp"])), span = at[at.length - 1] - at[0];
	const x = (i) => span > 0 ? left + (right - left) * (at[i] - at[0]) / span : right;
	const y = (v) => base - (base - 12) * Math.log1p(v) / Math.log1p(top);
	for (const v of new Set([0, Math.round(Math.sqrt(top)), top])) {
		el(svg, "line", { class: "grid", x1: left, x2: right, y1: y(v), y2: y(v) });
		el(svg, "text", { class: "dim", x: left - 6, y: y(v) + 4, "text-anchor": "end" }, v);
	}
	el(svg, "text", { class: "dim", x: left, y: height - 8 },
		span > 0 ? duration(span * 1e6) + " ago" : "");
	el(svg, "text", { class: "dim", x: right, y: height - 8, "text-anchor": "end" }, "now");
	if (!names.length)
		el(svg, "text", { class: "dim", x: (left + right) / 2, y: 80, "text-anchor": "middle" },
			"no sockets in this time");
	for (const n of names) {
		el(svg, "polyline", { class: "series " + n,
			points: points.map((p, i) => `${x(i).toFixed(1)},${y(p.states[n]).toFixed(1)}`).join(" ") });
		const li = el(legend, "li", { class: n, "data-state": n });
		el(li, "i", {});
		el(li, "span", {}, label(n));
		el(li, "b", {}, last[n]);
	}
}

// ---- a ladder --------------------------------------------------------------------------------

const pen = document.createElement("canvas").getContext("2d");
const LINE_H = 16;

// The text in lines of at most so many pixels; a word that is too long is cut in pieces.
function wrap(text, width) {
	const lines = [""];
	pen.font = "12px system-ui, sans-serif";
	for (const word of text.split(/(?<= )|(?<=[\]:,])/)) {
		const now = lines[lines.length - 1];
		if (pen.measureText(now + word.trimEnd()).width <= width || !now) lines[lines.length - 1] += word;
		else lines.push(word);
	}
	return lines.map((l) => l.trim());
}

// Where things stand, for so wide a paper: on a narrow one labels run over the states' columns.
function ladderColumns(width) {
	const narrow = width < 620;
	return { width, narrow, left: narrow ? 100 : 190, right: width - (narrow ? 100 : 118) };
}

function stateText(svg, s, x, y, anchor) {
	if (s) el(svg, "text", { x, y, "text-anchor": anchor, class: s.observed ? "" : "dim" },
		s.observed ? s.state : `(${s.state})`);
}

function drawArrows(g, r, k, y, drop) {
	const cls = "arrow" + (r.inferred ? " inferred" : "") + (r.lost ? " lost" : "");
	const arrow = (x1, x2) => el(g, "line", { class: cls, x1, x2, y1: y, y2: y + drop,
		"marker-end": "url(#tip)" });
	if (r.direction === "right" || r.direction === "cross") arrow(k.left, k.right);
	if (r.direction === "left" || r.direction === "cross") arrow(k.right, k.left);
}

// Lines of text with their anchor: label over the arrow, the note of an end at that end.
function rowTexts(r, k) {
	const room = k.narrow ? k.width - 16 : k.right - k.left - 16, middle = (k.left + k.right) / 2;
	const from = k.narrow ? 4 : k.left + 8, to = k.narrow ? k.width - 4 : k.right - 8;
	const at = { left: [from, "start"], right: [to, "end"], middle: [middle, "middle"] };
	const lines = (text, place, dim) => (text ? wrap(text, room) : []).map((t) => ({ t, place, dim }));
	if (r.direction === "cross")
		return { over: [...lines(r.label, at.left), ...lines(r.note, at.right)], under: [] };
	if (r.direction === "right" || r.direction === "left")
		return { over: lines(r.label, at.middle), under: lines(r.note, at[r.side], true) };
	return { over: [...lines(r.label, at.middle, true), ...lines(r.note, at[r.side], true)], under: [] };
}

function drawRow(svg, r, i, y, k) {
	const texts = rowTexts(r, k), arrows = ["right", "left", "cross"].includes(r.direction);
	const time = r.at_ns === undefined ? "" : duration(r.at_ns);
	const spoken = [time, { right: "left to right", left: "right to left", cross: "both ways" }[r.direction],
		r.inferred && "inferred", r.lost && "lost", r.label, r.note,
		r.left && "left end " + r.left.state, r.right && "right end " + r.right.state];
	const g = el(svg, "g", { role: "listitem", "data-row": i, "data-direction": r.direction,
		"aria-label": spoken.filter(Boolean).join(", ") });
	const put = (line) => {
		el(g, "text", { x: line.place[0], y: y + 12, "text-anchor": line.place[1],
			class: line.dim ? "dim note" : "label" }, line.t);
		y += LINE_H;
	};
	if (time) el(g, "text", { x: 4, y: y + 12, class: "dim time" }, time);
	if (k.narrow && time) y += LINE_H;
	texts.over.forEach(put);
	const on = arrows || k.narrow || !texts.over.length ? y : y - LINE_H;
	stateText(g, r.left, k.left - 8, on + 12, "end");
	stateText(g, r.right, k.right + 8, on + 12, "start");
	if (arrows) drawArrows(g, r, k, on + 4, r.direction === "cross" ? 22 : 8);
	if (arrows || r.left || r.right || !texts.over.length) y = on + (r.direction === "cross" ? 28 : LINE_H);
	texts.under.forEach(put);
	return y + 8;
}

// The names of the two ends, over their bars; under each other where both have no room in a line.
function drawEnds(svg, names, k) {
	pen.font = "12px system-ui, sans-serif";
	const wide = names.map((n) => pen.measureText(n).width + 8), stacked = wide[0] + wide[1] > k.width;
	let y = 14;
	[k.left, k.right].forEach((bar, i) => {
		const middle = Math.min(k.width - wide[i] / 2, Math.max(wide[i] / 2, bar));
		const x = stacked ? (i ? k.width - 4 : 4) : middle;
		const name = el(svg, "text", { class: "end",
			"text-anchor": stacked ? (i ? "end" : "start") : "middle" });
		for (const line of stacked ? wrap(names[i], k.width - 8) : [names[i]]) {
			el(name, "tspan", { x, y }, line);
			if (stacked) y += LINE_H;
		}
	});
	return stacked ? y : 28;
}

function drawLadder(ladder) {
	const svg = $("ladder"), k = ladderColumns(room(svg, 240));
	const far = ladder.far_endpoint || "";
	paper(svg, k.width, 0);
	arrowhead(svg, "tip");
	const bars = [k.left, k.right].map((x) => el(svg, "line", { class: "bar", x1: x, x2: x }));
	let y = drawEnds(svg, [ladder.left, ladder.right].map((e) => e ? e.endpoint : far), k);
	bars.forEach((b) => b.setAttribute("y1", y));
	y += 6;
	ladder.rows.forEach((r, i) => { y = drawRow(svg, r, i, y, k); });
	bars.forEach((b) => b.setAttribute("y2", y + 4));
	svg.setAttribute("viewBox", `0 0 ${k.width} ${y + 6}`);
	svg.style.height = y + 6 + "px";
	$("left-out").textContent = ladder.rows_dropped ? `${ladder.rows_dropped} rows left out` : "";
}
