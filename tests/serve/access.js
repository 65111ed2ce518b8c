// SPDX-License-Identifier: Apache-2.0
// Asked of the page by tests/serve/page.py: what a reader with weak eyes, or a small screen,
// cannot use. Each answer is a list of complaints.
(() => {
	const number = (c) => c.match(/[\d.]+/g).map(Number);
	const luminance = (c) => number(c).slice(0, 3).map((v) => v / 255)
		.map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const ratio = (a, b) => {       // WCAG 2.2, contrast ratio
		const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
		return (x + 0.05) / (y + 0.05);
	};
	const style = (e, part) => getComputedStyle(e, part);
	const solid = (c) => !(number(c).length === 4 && number(c)[3] === 0);
	const ground = (e) => {
		const box = e.closest("g[data-state]");
		if (box) return style(box.querySelector("rect")).fill;
		for (; e; e = e.parentElement)
			if (solid(style(e).backgroundColor)) return style(e).backgroundColor;
		return "rgb(255, 255, 255)";
	};
	const visible = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length &&
		!e.closest(".unseen") && e.tagName !== "title" &&
		!(e.closest("thead") && style(e.closest("thead")).position === "absolute");
	const texts = () => [...document.body.querySelectorAll("*")].filter((e) => visible(e) &&
		[...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
	const name = (e) => `${e.tagName}#${e.id}.${e.getAttribute("class") || ""} "${e.textContent.slice(0, 30)}"`;

	window.lowContrast = () => {
		const bad = [], want = (e, color, least, what) => {
			const r = ratio(color, ground(e));
			if (!(r >= least)) bad.push(`${name(e)} ${what}: ${r.toFixed(2)} (${color} on ${ground(e)})`);
		};
		for (const e of texts()) want(e, e instanceof SVGElement ? style(e).fill : style(e).color, 4.5, "text");
		for (const e of document.querySelectorAll("input"))
			want(e, style(e, "::placeholder").color, 4.5, "placeholder");
		for (const e of document.querySelectorAll(".arc, .series, .bar, .arrow"))
			want(e, style(e).stroke, 3, "line");
		for (const e of document.querySelectorAll("input, button, select"))
			if (visible(e)) want(e.parentElement, style(e).borderTopColor, 3, "edge");
		return { bad, texts: texts().length };
	};
	// The scale of an SVG counts: its text is as high as it is shown.
	window.smallText = (least) => texts().map((e) => {
		const svg = e.closest("svg"), scale = svg ? svg.getScreenCTM().a : 1;
		return [parseFloat(style(e).fontSize) * scale, name(e)];
	}).filter(([px]) => px < least - 0.01);
	window.tooWide = () => {
		const width = document.documentElement.clientWidth, bad = [];
		if (document.documentElement.scrollWidth > width)
			bad.push(`the page: ${document.documentElement.scrollWidth} > ${width}`);
		for (const e of document.body.querySelectorAll("*")) {
			if (!visible(e)) continue;
			const r = e.getBoundingClientRect();
			if (r.right > width + 0.5 || r.left < -0.5) bad.push(`${name(e)}: ${r.left} to ${r.right}`);
		}
		return bad;
	};
	window.focusShown = () => {
		const e = document.activeElement, s = style(e);
		return e.matches(":focus-visible") && s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 &&
			ratio(s.outlineColor, ground(e.parentElement)) >= 3;
	};
})();
