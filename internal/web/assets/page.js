// Keeps the page up to date, draws the charts, and switches colours. All text comes from the server: when a verdict changes,
// the script loads the page again and replaces the parts that differ.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);

  // ---- Colours ----

  const root = document.documentElement;
  const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => root.dataset.colours ? root.dataset.colours === "dark" : systemIsDark.matches;

  function showColours() {
    const button = byId("theme");
    button.hidden = false;
    button.setAttribute("aria-label", "Dark colors");
    button.setAttribute("aria-pressed", String(isDark()));
    charts.redraw();
  }

  function toggleColours() {
    const wanted = isDark() ? "light" : "dark";
    const asSystem = (wanted === "dark") === systemIsDark.matches;
    if (asSystem) delete root.dataset.colours; else root.dataset.colours = wanted;
    try {
      if (asSystem) localStorage.removeItem("netwatchd-colours"); else localStorage.setItem("netwatchd-colours", wanted);
    } catch { /* storage is forbidden: the choice lasts until the page is closed */ }
    showColours();
  }

  // ---- Live ----

  // Two and a half heartbeats: one may be late.
  const silence = 25_000;
  let lastEvent = 0; // by performance.now
  let lastEventAt = new Date();
  let lost = false;

  function eventReceived() {
    lastEvent = performance.now();
    lastEventAt = new Date();
    setLink(false);
  }

  function setLink(isLost) {
    lost = isLost;
    const link = byId("link");
    const words = isLost ? `as of ${clock(lastEventAt)}, connection lost` : "live";
    link.hidden = false;
    link.classList.toggle("lost", isLost);
    if (byId("link-words").textContent !== words) byId("link-words").textContent = words;
  }

  const clock = (t) => t.toLocaleTimeString("en-GB");

  function listen() {
    const events = new EventSource("/api/v1/events"); // reconnects by itself
    let first = true;
    events.addEventListener("snapshot", () => {
      eventReceived();
      if (!first) refresh();
      first = false;
    });
    events.addEventListener("heartbeat", () => {
      eventReceived();
      refresh();
    });
    events.addEventListener("verdict", (event) => {
      eventReceived();
      const v = JSON.parse(event.data);
      byId("said").textContent = `${v.service}: ${v.cause.replaceAll("_", " ")}. ${v.title}`;
      charts.stale = true;
      refresh();
    });
    events.addEventListener("error", () => {
      setLink(true);
      // A rejection (too many clients) closes it for good; after any other error it reconnects.
      if (events.readyState === EventSource.CLOSED) setTimeout(listen, 10_000);
    });
  }

  // A thousand services that fail at once are a thousand events: the page updates at most twice a second.
  const minInterval = 500;
  let refreshing = null;
  let pending = false;

  // refresh loads the page again. A call during a refresh causes one more.
  async function refresh() {
    if (refreshing) {
      pending = true;
      return;
    }
    refreshing = (async () => {
      const response = await fetch(location.href, { cache: "no-store" });
      if (response.ok) adopt(new DOMParser().parseFromString(await response.text(), "text/html"));
      await charts.load();
    })();
    try {
      await refreshing;
    } catch { // no connection: the event stream reports it
    }
    if (pending) await new Promise((then) => setTimeout(then, minInterval));
    refreshing = null;
    if (pending) {
      pending = false;
      refresh();
    }
  }

  const livesOf = (doc) => [...doc.querySelectorAll("[data-live]")];
  const asServed = new Map(); // by id

  // adopt replaces the parts that differ. If the page has other parts than this one, it replaces everything.
  function adopt(fresh) {
    document.title = fresh.title;
    const icon = fresh.getElementById("icon").getAttribute("href");
    if (byId("icon").getAttribute("href") !== icon) byId("icon").setAttribute("href", icon);
    const lives = livesOf(fresh);
    if (lives.map((e) => e.id).join() !== livesOf(document).map((e) => e.id).join()) {
      byId("main").replaceChildren(...fresh.getElementById("main").childNodes);
      lives.forEach((e) => asServed.set(e.id, e.outerHTML));
      charts.forget();
      return;
    }
    for (const e of lives) {
      const html = e.outerHTML;
      if (asServed.get(e.id) === html || isSelected(byId(e.id))) continue;
      asServed.set(e.id, html);
      replace(byId(e.id), e);
    }
  }

  // isSelected reports whether text in element is selected, to be copied.
  function isSelected(element) {
    const selection = getSelection();
    return !selection.isCollapsed && selection.containsNode(element, true);
  }

  const toggled = new Set(); // ids of the details the user opened or closed

  function replace(old, fresh) {
    const focusable = (e) => [...e.querySelectorAll("a, button, input, summary")];
    const focus = focusable(old).indexOf(document.activeElement);
    for (const d of fresh.querySelectorAll("details[id]")) {
      if (toggled.has(d.id) && byId(d.id)) d.open = byId(d.id).open;
    }
    old.replaceWith(fresh);
    if (focus >= 0) focusable(fresh)[focus]?.focus({ preventScroll: true });
  }

  // ---- Charts ----

  const spans = {
    "1h": { every: 20_000, tick: { hour: "2-digit", minute: "2-digit" } },
    "1d": { every: 120_000, tick: { hour: "2-digit", minute: "2-digit" } },
    "7d": { every: 600_000, tick: { weekday: "short", day: "numeric" } },
    "90d": { every: 3600_000, tick: { day: "numeric", month: "short" } },
  };
  const gapWords = { suspended: "host suspended", not_running: "netwatchd not running", unknown: "no data" };

  const charts = {
    stale: true, // load again, whatever its age
    loaded: 0, // by performance.now
    drawn: [], // { plot, track }
    data: null,

    forget() {
      this.drawn.forEach((d) => d.plot.destroy());
      this.drawn = [];
      this.stale = true;
    },

    // load fetches the measurements if those shown are old enough to differ.
    async load() {
      const box = byId("tracks");
      if (!box || !box.children.length) return;
      const span = spans[box.dataset.range];
      if (!this.stale && performance.now() - this.loaded < span.every) return;
      const query = new URLSearchParams({ service: box.dataset.service, range: box.dataset.range, limit: 100 });
      new Set([...box.children].map((t) => t.dataset.probe)).forEach((probe) => query.append("probe", probe));
      const response = await fetch("/api/v1/history?" + query, { cache: "no-store" });
      if (!response.ok) return;
      this.data = await response.json();
      this.loaded = performance.now();
      this.stale = false;
      this.draw();
    },

    redraw() {
      if (this.data) this.draw();
    },

    draw() {
      this.drawn.forEach((d) => d.plot.destroy());
      this.drawn = [];
      for (const track of byId("tracks")?.children ?? []) {
        const { probe, kind, vantage } = track.dataset;
        const s = this.data.series.find((s) => s.probe === probe && s.kind === kind && s.vantage === vantage);
        if (!s) continue;
        s.closed = track.querySelector(".latest.closed code")?.textContent; // the class that shows it
        this.drawn.push(drawTrack(track, s, this.data));
      }
      drawLegend(this.data);
    },

    resize() {
      for (const d of this.drawn) {
        const width = d.track.querySelector(".plot").clientWidth;
        if (width && width !== d.plot.width) d.plot.setSize({ width, height: d.plot.height });
      }
    },
  };

  const colourProbe = document.createElement("span"); // resolves colours of the style sheet for the canvas
  colourProbe.hidden = true;

  function colourOf(name) {
    colourProbe.style.color = `var(--${name})`;
    return getComputedStyle(colourProbe).color;
  }

  const faded = (colour, share) => colour.replace(/^rgba?\(([^)]+)\)$/, (_, c) => `rgba(${c.split(",").slice(0, 3)}, ${share})`);

  const layers = ["local", "dns", "tcp", "tls", "proxy", "http", "stream", "exec"];
  const layerOf = (cls) => {
    const layer = cls.split(".")[0];
    return "layer-" + (layers.includes(layer) ? layer : "other");
  };

  const count = (n, noun) => n.toLocaleString("en") + " " + noun + (n === 1 ? "" : "s");
  const epoch = (text) => Date.parse(text) / 1000;
  const nbsp = "\u00a0";
  const percent = (share) => share === 1 || share === 0 ? share * 100 + nbsp + "%" : (Math.floor(share * 1e4) / 100).toFixed(share < 0.9995 && share > 0.1 ? 1 : 2) + nbsp + "%";

  // latency prints seconds as humanize.Latency does on the server: "<1 ms", "84 ms", "4.2 s", "12 s", "3 min 20 s", with
  // spaces at which no line breaks.
  function latency(s) {
    if (s < 0.001) return `<1${nbsp}ms`;
    if (Math.round(s * 1000) < 1000) return Math.round(s * 1000) + nbsp + "ms";
    if (s < 10) return s.toFixed(1) + nbsp + "s";
    if (s < 120) return Math.round(s) + nbsp + "s";
    const two = (many, large, few, small) => few ? [many, large, few, small].join(nbsp) : many + nbsp + large;
    if (s < 3600) return two(Math.floor(s / 60), "min", Math.floor(s) % 60, "s");
    if (s < 86_400) return two(Math.floor(s / 3600), "h", Math.floor(s / 60) % 60, "min");
    return two(Math.floor(s / 86_400), "d", Math.floor(s / 3600) % 24, "h");
  }

  // tickLabel labels the axis. Below 10 ms it has decimals, because neighbouring ticks must differ; from two minutes on
  // it has one unit, because two do not fit into the axis.
  const tickLabel = (s) => s === 0 ? "0" : s < 0.0095 ? (s * 1000).toFixed(1) + " ms" : s < 120 ? latency(s) : +(s / 60).toFixed(1) + " min";

  const axisWidth = 52; // the same as that of the strip above
  // increments are the distances between ticks in seconds: none below a minute, where two would have the same label, and
  // two minutes, which uPlot's own list lacks: a chart of six minutes on a phone would have no label.
  const increments = [[60, 1, 2, 5, 10, 15, 30], [3600, 1, 2, 3, 4, 6, 8, 12], [86_400, 1, 2, 3, 5, 7, 10, 15, 30]]
    .flatMap(([unit, ...many]) => many.map((n) => n * unit));
  const tickRoom = 24; // half a label: nearer to an edge it would be cut, or overlap the other axis

  function drawTrack(track, s, chart) {
    const box = track.querySelector(".plot");
    const from = epoch(chart.begin), to = epoch(chart.to), step = chart.step_seconds;
    const [x, least, most, middle, points] = columns(s, step, to);
    const gaps = s.gaps.map((g) => ({ from: epoch(g.from), to: epoch(g.to), why: g.why })).filter((g) => g.to > from);

    const sum = track.querySelector(".sum");
    sum.replaceChildren();
    if (s.attempts) {
      const b = document.createElement("b");
      const closed = closedCount(s);
      b.textContent = closed ? "closed" : percent((s.attempts - s.failed) / s.attempts);
      sum.append(b, closed ? ` ${closed.toLocaleString("en")} of ${count(s.attempts, "time")}` : ` of ${count(s.attempts, "attempt")} ok`);
      if (s.p50_seconds !== null) sum.append(document.createElement("br"), `median ${latency(s.p50_seconds)}, p95 ${latency(s.p95_seconds)}`);
    }
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", `${s.probe}, ${s.vantage}: ` + (s.attempts ? `${sum.innerText.replace("\n", ", ")}; ` : "no attempts; ") +
      (gaps.length ? count(gaps.length, "gap") : "no gaps"));

    const soft = colourOf("soft"), line = colourOf("line"), accent = colourOf("accent");
    const read = document.createElement("div");
    read.className = "read";
    read.setAttribute("aria-hidden", "true");
    const tick = new Intl.DateTimeFormat("en-GB", spans[chart.range].tick);
    const tickAt = (u, t) => {
      const width = u.width - axisWidth, at = (t - from) / (to - from) * width;
      return at < tickRoom || at > width - tickRoom ? "" : tick.format(t * 1000);
    };
    const axis = { stroke: soft, font: "11px system-ui, sans-serif", ticks: { show: false }, gap: 4 };
    const plot = new uPlot({
      width: box.clientWidth || 300,
      height: s.p50_seconds === null ? 56 : 104, // without latencies only the failures are drawn
      padding: [8, 0, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false }, sync: { key: "netwatchd" } },
      scales: { x: { time: true, range: [from, to] }, y: { range: (_, low, high) => [0, Math.max((high || 0) * 1.12, 0.001)] } },
      axes: [
        { ...axis, size: 20, space: 70, incrs: increments, grid: { show: false }, values: (u, at) => at.map((t) => tickAt(u, t)) },
        { ...axis, size: axisWidth, space: 34, grid: { stroke: line, width: 1 }, values: (_, at) => at.map((v) => s.p50_seconds === null ? "" : tickLabel(v)) },
      ],
      series: [
        {},
        { stroke: "transparent", points: { show: false } },
        { stroke: "transparent", points: { show: false } },
        { stroke: accent, width: 1.6, points: { show: points.length < 30, size: 4, fill: accent, width: 0 } },
      ],
      bands: [{ series: [2, 1], fill: faded(accent, 0.16) }],
      hooks: {
        drawClear: [(u) => drawGaps(u, gaps)],
        draw: [(u) => drawFailures(u, s, points, step)],
        setCursor: [(u) => { read.textContent = u.cursor.left >= 0 ? readAt(u.posToVal(u.cursor.left, "x"), points, gaps, step, chart.range) : ""; }],
      },
    }, [x, least, most, middle], box);
    box.querySelectorAll(".read").forEach((e) => e.remove());
    box.append(read);
    return { plot, track };
  }

  // columns turns points into the columns of the chart, with an empty one between two points that have a gap between them.
  // The latest step is not over: its point is in the middle of what has passed of it.
  function columns(s, step, to) {
    const x = [], least = [], most = [], middle = [], points = [];
    const put = (at, p) => {
      x.push(at);
      least.push(p?.min_seconds ?? null);
      most.push(p?.p95_seconds ?? null);
      middle.push(p?.p50_seconds ?? null);
    };
    const gaps = s.gaps.map((g) => epoch(g.from));
    let before = -Infinity;
    for (const p of s.points) {
      const at = epoch(p.at);
      const gap = gaps.find((g) => g >= before && g <= at + step);
      if (gap !== undefined && x.length) put((x.at(-1) + at + step / 2) / 2, null);
      before = (at + Math.min(at + step, to)) / 2;
      put(before, p);
      points.push({ ...p, from: at });
    }
    return [x, least, most, middle, points];
  }

  function drawGaps(u, gaps) {
    const { ctx, bbox } = u;
    ctx.save();
    for (const g of gaps) {
      const left = Math.max(u.valToPos(g.from, "x", true), bbox.left);
      const right = Math.min(u.valToPos(g.to, "x", true), bbox.left + bbox.width);
      if (right <= left) continue;
      ctx.save();
      ctx.beginPath();
      ctx.rect(left, bbox.top, right - left, bbox.height);
      ctx.clip();
      ctx.strokeStyle = colourOf("gap");
      ctx.lineWidth = devicePixelRatio;
      ctx.beginPath();
      for (let at = left - bbox.height; at < right; at += 6 * devicePixelRatio) {
        ctx.moveTo(at, bbox.top + bbox.height);
        ctx.lineTo(at + bbox.height, bbox.top);
      }
      ctx.stroke();
      ctx.restore();
    }
    ctx.restore();
  }

  const isClosed = (s, cls) => s.closed && (cls.startsWith("local.") || cls === s.closed);
  const closedCount = (s) => s.points.flatMap((p) => Object.entries(p.failed ?? {})).reduce((sum, [cls, n]) => sum + (isClosed(s, cls) ? n : 0), 0);

  // drawFailures draws the failures of each step as a bar from the bottom, as high as their share of the attempts. A sandbox
  // that is closed as configured is only a line along the bottom.
  function drawFailures(u, s, points, step) {
    const { ctx, bbox } = u;
    const bottom = bbox.top + bbox.height;
    ctx.save();
    for (const p of points) {
      if (!p.failed) continue;
      const left = u.valToPos(p.from, "x", true), right = u.valToPos(p.from + step, "x", true);
      const width = Math.max(right - left - devicePixelRatio, 2 * devicePixelRatio);
      let at = bottom;
      for (const [cls, n] of Object.entries(p.failed)) {
        const height = Math.max(isClosed(s, cls) ? 0 : bbox.height * n / p.attempts, 4 * devicePixelRatio);
        ctx.fillStyle = faded(colourOf(layerOf(cls)), 0.82);
        ctx.fillRect(Math.max(left, bbox.left), at - height, width, height);
        at -= height;
      }
    }
    ctx.restore();
  }

  function readAt(x, points, gaps, step, range) {
    const gap = gaps.find((g) => x >= g.from && x <= g.to);
    if (gap) return gapWords[gap.why];
    const p = points.find((p) => x >= p.from && x < p.from + step);
    if (!p) return "";
    const at = new Date(p.from * 1000);
    const words = [at.toLocaleString("en-GB", range === "1h" || range === "1d" ? { hour: "2-digit", minute: "2-digit" } :
      { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" })];
    if (p.p50_seconds !== undefined) words.push(latency(p.p50_seconds));
    for (const [cls, n] of Object.entries(p.failed ?? {})) words.push(`${n} of ${p.attempts} ${cls}`);
    return words.join(" · ");
  }

  function drawLegend(chart) {
    const classes = new Map(), gaps = new Set();
    for (const s of chart.series) {
      for (const p of s.points) {
        for (const [cls, n] of Object.entries(p.failed ?? {})) {
          if (!isClosed(s, cls)) classes.set(cls, (classes.get(cls) ?? 0) + n);
        }
      }
      s.gaps.filter((g) => epoch(g.to) > epoch(chart.begin)).forEach((g) => gaps.add(g.why));
    }
    const entry = (className, words) => {
      const e = document.createElement("span"), b = document.createElement("b");
      e.className = className;
      b.textContent = words;
      e.append(document.createElement("i"), b);
      return e;
    };
    const begins = (chart) => {
      const e = document.createElement("span");
      e.textContent = "netwatchd first ran: " + new Date(chart.first_run).toLocaleString("en-GB",
        { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
      return e;
    };
    const legend = byId("legend");
    legend.replaceChildren(
      ...[...classes].sort((a, b) => b[1] - a[1]).map(([cls, n]) => entry(layerOf(cls), `${cls} ${n.toLocaleString("en")}`)),
      ...chart.series.some((s) => s.closed) ? [entry(layerOf("local"), "sandbox closed")] : [],
      ...[...gaps].sort().map((why) => entry("none", gapWords[why])),
      ...chart.begin !== chart.from ? [begins(chart)] : []);
    legend.hidden = !legend.children.length;
  }

  // ---- Start ----

  document.body.append(colourProbe);
  livesOf(document).forEach((e) => asServed.set(e.id, e.outerHTML));
  document.addEventListener("click", (event) => {
    const details = event.target.closest?.("summary")?.parentElement;
    if (details?.id) toggled.add(details.id);
  });
  byId("theme").addEventListener("click", toggleColours);
  systemIsDark.addEventListener("change", showColours);
  showColours();
  listen();
  charts.load().catch(() => {});
  setInterval(() => { if (!lost && lastEvent && performance.now() - lastEvent > silence) setLink(true); }, 1000);
  addEventListener("resize", () => charts.resize());
})();
