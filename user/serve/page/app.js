// SPDX-License-Identifier: Apache-2.0
// The live page: everything it shows comes from /api/v1. Text is set as text, never as HTML:
// a process may call itself anything.
"use strict";

const EVERY_MS = 2000, PATIENCE_MS = 10000;

// What the server refuses is a Refusal, whatever else goes wrong means that nobody answers.
class Refusal extends Error {}

async function get(path) {
	const r = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
	const body = await r.json();
	if (!r.ok) throw new Refusal(body.error ? body.error.message : r.statusText);
	return body;
}

// What did not change keeps the reader's selection, and says nothing to a screen reader.
function setText(e, text) {
	if (e.textContent !== String(text)) e.textContent = text;
}

// ---- states and their rates ----------------------------------------------------------------

let before = null;

// How often each move was made, {"from>to": count}. The end of TIME_WAIT has no event: it is
// what went in and is there no more.
function moves(s) {
	const count = {};
	let waited = 0;
	for (const t of s.transitions) {
		if (t.to === "time_wait") waited += t.count;
		if (t.from !== "time_wait") count[t.from + ">" + t.to] = t.count;
	}
	count["time_wait>closed"] = waited - s.states.time_wait;
	return count;
}

function showStates(now) {
	const rates = {}, made = moves(now), had = before ? moves(before) : {};
	const seconds = before ? (now.monotonic_ns - before.monotonic_ns) / 1e9 : 0;
	for (const key in made)
		rates[key] = seconds > 0 ? (made[key] - (had[key] || 0)) / seconds : 0;
	before = now;
	fillDiagram(now.states, rates);
	drawHistory([...(now.history || []), now]);
}

// ---- findings ---------------------------------------------------------------------------------

const FINDINGS = 30;

// The FILTER for the sockets of a finding, or "" where they are not in the list.
function filterOf(f) {
	const state = f.network.connection && f.network.connection.state;
	if (!state || state === "listen" || state === "time_wait") return "";
	const words = ["state " + state.replaceAll("_", "-")];
	if (f.network.local && f.network.local.port) words.push("sport = :" + f.network.local.port);
	if (f.network.peer && f.network.peer.port) words.push("dport = :" + f.network.peer.port);
	if (f.process) words.push("pid = " + f.process.pid);
	return words.join(" and ");
}

function showFinding(list, f) {
	const x = f.tcp.finding, li = el(list, "li", { class: x.severity }), head = el(li, "p", {});
	const who = f.process ? `${f.process.name}[${f.process.pid}] ` : "";
	const filter = filterOf(f);
	el(head, "b", {}, x.severity);
	el(head, "code", {}, x.kind + (x.count > 1 ? " ×" + x.count : ""));
	if (filter)
		el(head, "button", { type: "button", "data-filter": filter,
			"aria-label": "show the connections of " + x.kind }, "show them");
	el(li, "p", {}, who && !x.explanation.includes(f.process.name) ? who + x.explanation : x.explanation);
	el(li, "p", { class: "advice" }, x.advice);
}

let told = "";

function showFindings(answer) {
	const list = $("findings"), n = answer.sockets;
	const words = ["critical", "warning", "info"].filter((s) => n[s]).map((s) => `${n[s]} ${s}`);
	const more = answer.total - Math.min(FINDINGS, answer.findings.length);
	const text = JSON.stringify(answer.findings.map((f) => [f.tcp.finding, f.network, f.process]));
	setText($("worst"), words.length ? "Sockets: " + words.join(", ") +
		(more > 0 ? `; the worst ${FINDINGS} of ${answer.total} findings` : "")
		: "Nothing hangs.");
	if (text === told) return;
	told = text;
	const focused = list.contains(document.activeElement) && document.activeElement.dataset.filter;
	list.replaceChildren();
	for (const f of answer.findings.slice(0, FINDINGS)) showFinding(list, f);
	if (focused) {
		const again = [...list.querySelectorAll("button")].find((b) => b.dataset.filter === focused);
		(again || $("filter")).focus();
	}
}

// ---- connections --------------------------------------------------------------------------------

const STATE_WORDS = /^(syn-(sent|recv)|established|fin-wait-[12]|close-wait|last-ack|closing)$/;
const FIRST = 50, PAGE = 1000;
let want = FIRST, searched = "", search_no = 0, at_row = null;

// What people type before they know the FILTER language: a state, a port, an address, a name.
function filterFor(text) {
	const state = text.toLowerCase().replaceAll("_", "-").replace("syn-received", "syn-recv");
	if (STATE_WORDS.test(state)) return "state " + state;
	if (/^:?\d{1,5}$/.test(text)) {
		const port = text.replace(":", "");
		return `( sport = :${port} or dport = :${port} )`;
	}
	if (/^\[?[0-9a-f]*[.:][0-9a-f.:]*\]?(\/\d+)?$/i.test(text)) return `( src ${text} or dst ${text} )`;
	if (/^[\w.@-]+$/.test(text)) return "comm = " + text;
	return text;
}

function endpoint(e) {
	if (!e) return "";
	return (e.address.includes(":") ? `[${e.address}]` : e.address) + ":" + (e.port || "*");
}

function cellsOf(c) {
	const bound = c.tcp.state_age_bound === "at_least" ? "> " : "";
	return {
		state: c.network.connection.state.toUpperCase(),
		"age number": c.tcp.state_age_ns === undefined ? "" : bound + duration(c.tcp.state_age_ns),
		local: endpoint(c.network.local), peer: endpoint(c.network.peer),
		process: c.process ? `${c.process.name}[${c.process.pid}]` : "", role: c.tcp.role,
	};
}

// A request sock has no number that lasts, and so no ladder: its two ends name it.
function keyOf(c) {
	return c.tcp.socket_id || `${c.tcp.netns} ${endpoint(c.network.local)} ${endpoint(c.network.peer)}`;
}

// Only one row is a stop of the Tab key; the arrows go on from there.
function stopAt(tr) {
	if (at_row && at_row !== tr) at_row.tabIndex = -1;
	at_row = tr;
	if (tr) tr.tabIndex = 0;
}

// Rows stay the elements that they are as long as their connection is listed: what is focused,
// selected or under the pointer is not pulled away every other second.
function showRows(list) {
	const body = $("rows"), had = new Map([...body.rows].map((tr) => [tr.dataset.key, tr]));
	const focused = body.contains(document.activeElement) ? document.activeElement.rowIndex - 1 : -1;
	const keys = new Set(list.map(keyOf));
	for (const [key, tr] of had) if (!keys.has(key)) tr.remove();
	list.forEach((c, i) => {
		const key = keyOf(c), cells = cellsOf(c);
		const tr = had.get(key) || el(body, "tr", { role: "row", "data-key": key, tabindex: -1,
			"data-id": c.tcp.socket_id || "" });
		if (body.rows[i] !== tr) body.insertBefore(tr, body.rows[i]);
		tr.setAttribute("aria-rowindex", i + 2);
		Object.keys(cells).forEach((name, k) =>
			setText(tr.cells[k] || el(tr, "td", { role: "gridcell" }), cells[name]));
		Object.keys(cells).forEach((name, k) => { tr.cells[k].className = name; });
		tr.cells[0].className = "state " + c.network.connection.state;
	});
	if (!at_row || !at_row.isConnected) stopAt(body.rows[Math.max(0, focused)] || body.rows[0] || null);
	if (focused >= 0 && !body.contains(document.activeElement) && !$("ladder-box").open)
		(at_row || $("filter")).focus();
}

async function listOf(filter) {
	let list = [], cursor = 0, page;
	do {
		page = await get(`api/v1/connections?limit=${Math.min(PAGE, want - list.length)}&cursor=${cursor}` +
			"&filter=" + encodeURIComponent(filter));
		list = list.concat(page.connections);
		cursor = page.next_cursor || 0;
	} while (cursor && list.length < want);
	return [list, page.total, cursor];
}

async function showConnections() {
	const mine = ++search_no;
	let list = [], total = 0, cursor = 0, refused = "";
	try {
		[list, total, cursor] = await listOf(filterFor(searched));
	} catch (e) {
		if (!(e instanceof Refusal)) throw e;
		refused = e.message;
	}
	if (mine !== search_no) return;     // meanwhile something else was asked for
	showRows(list);
	setText($("error"), refused);
	setText($("total"), refused ? "" : `${list.length} of ${total}`);
	$("grid").setAttribute("aria-rowcount", total + 1);
	$("grid").hidden = !total;
	$("none").hidden = refused || total;
	setText($("none"), searched ? "No connection is like this: " + filterFor(searched)
		: "No connections are open.");
	$("more").hidden = !cursor;
}

async function ask(text) {
	searched = $("filter").value = text.trim();
	want = FIRST;
	remember();
	try {
		await showConnections();
		$("say").textContent = $("error").textContent ? "" : $("total").textContent + " connections";
	} catch (e) {
		lost(e);
	}
}

// Esc goes back one step: from what was typed to what is shown, from that to all. The browser's own
// Esc would empty the field and leave the rest as it is.
function leaveSearch() {
	const typed = $("filter").value.trim() !== searched;
	$("filter").value = searched;
	if (at_row) at_row.focus();
	else $("filter").blur();
	if (!typed && searched) ask("");
}

// ---- a ladder --------------------------------------------------------------------------------------

let shown = "", drawn = "", shown_ladder = null;

function remember() {
	const words = encodeURIComponent(searched) + (shown ? "&id=" + shown : "");
	history.replaceState(null, "", words ? "#" + words : location.pathname);
}

async function showLadder() {
	const id = shown;
	let answer;
	try {
		answer = await get("api/v1/connections/" + id);
	} catch (e) {
		if (!(e instanceof Refusal)) throw e;
		if (id === shown) setText($("ladder-title"), (shown_ladder ? "It was kept no longer: " : "") + e.message);
		return;
	}
	if (id !== shown) return;
	const c = answer.connection, t = c.tcp, l = answer.ladder;
	setText($("ladder-title"), `${endpoint(c.network.local)} to ${endpoint(c.network.peer)}: ` +
		(c.event.name === "tcp.connection" ? `ended, ${t.conn_state}, ${t.end_reason}`
			: c.network.connection.state.toUpperCase()) +
		(l.handshake_unseen ? "; older than the tracer, its handshake was not seen" : ""));
	if (JSON.stringify(l) !== drawn) drawLadder(l);
	drawn = JSON.stringify(l);
	shown_ladder = l;
}

function openLadder(id) {
	if (!id) return;
	shown = id;
	drawn = "";
	shown_ladder = null;
	$("ladder").replaceChildren();
	$("ladder-title").textContent = $("left-out").textContent = "";
	$("ladder-box").dataset.id = id;
	if (!$("ladder-box").open) $("ladder-box").showModal();
	remember();
	return showLadder().catch(lost);
}

// However it was closed. The browser gives the focus back to its row; where that has gone
// meanwhile, the row that is there now.
function ladderClosed() {
	if ($("ladder-box").open) return;      // told late: another one is open by now
	const back = document.querySelector(`tr[data-id="${CSS.escape(shown)}"]`) || at_row;
	shown = "";
	remember();
	if (document.activeElement === document.body) (back || $("filter")).focus();
}

// ---- round and round ---------------------------------------------------------------------------------

let answered = null, paused = false;

function lost(e) {
	const since = answered ? " since " + answered.toLocaleTimeString() + "; what is shown is from then" : "";
	setText($("gone"), e instanceof Refusal ? "tcptrail refuses: " + e.message
		: `No answer from tcptrail${since}. Trying again every ${EVERY_MS / 1000} seconds.`);
	$("gone").hidden = false;
	document.body.classList.add("stale");
	before = null;      // a rate over a gap is no rate of now
}

function showHealth(h) {
	setText($("status"), `${h.version}, ${h.mode} mode, ${h.events} records, ` +
		(h.events_lost ? `${h.events_lost} lost` : "nothing lost"));
}

async function refresh() {
	try {
		const [states, stuck, health] = await Promise.all(
			["api/v1/states", "api/v1/stuck", "healthz"].map(get));
		await showConnections();
		if (shown) await showLadder();
		showStates(states);
		showFindings(stuck);
		showHealth(health);
		answered = new Date();
		$("gone").hidden = true;
		document.body.classList.remove("stale");
	} catch (e) {
		lost(e);
	}
	document.body.dataset.rounds = Number(document.body.dataset.rounds || 0) + 1;
}

async function loop() {
	for (;;) {
		if (!document.hidden && !paused) await refresh();
		await new Promise((done) => setTimeout(done, EVERY_MS));
	}
}

// ---- keys, clicks, the theme --------------------------------------------------------------------------

const THEME = "tcptrail-theme";

function setTheme(name) {
	if (name) document.documentElement.dataset.theme = name;
	else delete document.documentElement.dataset.theme;
	$("theme").value = name;
}

function storedTheme() {
	try {
		const name = localStorage.getItem(THEME);
		return name === "light" || name === "dark" ? name : "";
	} catch {
		return "";      // a browser may refuse to store anything
	}
}

function rowKey(e) {
	const rows = $("rows").rows, i = [...rows].indexOf(e.target);
	const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: rows.length - 1,
		PageDown: i + 10, PageUp: i - 10 }[e.key];
	if (i < 0 || e.ctrlKey || e.altKey || e.metaKey) return;
	if (e.key === "Enter" || e.key === " ") openLadder(e.target.dataset.id);
	else if (to === undefined) return;
	else rows[Math.min(rows.length - 1, Math.max(0, to))].focus();
	e.preventDefault();
}

function listen() {
	$("search").addEventListener("submit", (e) => { e.preventDefault(); ask($("filter").value); });
	$("filter").addEventListener("keydown", (e) => {
		if (e.isComposing) return;
		if (e.key === "Escape") leaveSearch();
		else if (e.key === "ArrowDown" && at_row) at_row.focus();
		else return;
		e.preventDefault();
	});
	$("filter").addEventListener("search", () => {     // the field's own button empties it
		if (!$("filter").value && searched) ask("");
	});
	$("rows").addEventListener("keydown", rowKey);
	$("rows").addEventListener("focusin", (e) => stopAt(e.target.closest("tr")));
	$("rows").addEventListener("click", (e) => {
		const tr = e.target.closest("tr");
		if (tr && getSelection().isCollapsed) openLadder(tr.dataset.id);
	});
	$("findings").addEventListener("click", (e) => {
		if (!e.target.dataset.filter) return;
		ask(e.target.dataset.filter);
		$("filter").focus();
		$("box-connections").scrollIntoView({ block: "start" });
	});
	$("more").addEventListener("click", () => { want *= 4; showConnections().catch(lost); });
	$("close").addEventListener("click", () => $("ladder-box").close());
	$("ladder-box").addEventListener("close", ladderClosed);
	$("pause").addEventListener("click", () => {
		paused = !paused;
		$("pause").setAttribute("aria-pressed", paused);
		before = null;
	});
	$("theme").addEventListener("change", () => {
		setTheme($("theme").value);
		try {
			localStorage.setItem(THEME, $("theme").value);
		} catch { /* then it holds for this page alone */ }
	});
	document.addEventListener("keydown", (e) => {
		if (e.key !== "/" || e.ctrlKey || e.altKey || e.metaKey || shown ||
			document.activeElement === $("filter")) return;
		e.preventDefault();
		$("filter").focus();
		$("filter").select();
	});
	let width = 0;
	addEventListener("resize", () => {
		if (width === innerWidth) return;       // a phone's address bar comes and goes
		width = innerWidth;
		drawDiagram();
		drawHistory(shown_history);
		if (shown && shown_ladder) drawLadder(shown_ladder);
	});
}

function fromAddress() {
	try {
		const [words, id] = location.hash.slice(1).split("&id=");
		searched = $("filter").value = decodeURIComponent(words);
		if (id) openLadder(id);
	} catch { /* no address of ours */ }
}

setTheme(storedTheme());
listen();
fromAddress();
drawDiagram();
loop();
