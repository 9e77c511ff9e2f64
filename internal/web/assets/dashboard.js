// The dashboard: asks /live once a second and shows what has changed since the answer before.

import { Chart, add } from "./chart.js";

const byId = (id) => document.getElementById(id);

// Numbers.

// number gives three digits and a prefix: 1.23k.
function number(v) {
  if (v === null || v === undefined) return "–";
  for (const [unit, name] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (v >= unit * 0.9995) return digits(v / unit) + name;
  }
  return Number.isInteger(v) ? String(v) : digits(v);
}

function digits(v) { return v >= 99.95 ? v.toFixed(0) : v >= 9.995 ? v.toFixed(1) : v >= 0.005 ? v.toFixed(2) : "0"; }

function bits(v) { return v === null ? "–" : number(v) + "b"; }

// time takes nanoseconds.
function time(v) {
  if (v === null || v === undefined || v === 0) return "–";
  for (const [unit, name] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]]) {
    if (v >= unit * 0.9995) return digits(v / unit) + " " + name;
  }
  return v.toFixed(0) + " ns";
}

function percent(v) { return v === null ? "–" : digits(v * 100) + " %"; }

function duration(seconds) {
  const days = Math.floor(seconds / 86400), hours = Math.floor(seconds / 3600) % 24, minutes = Math.floor(seconds / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

// Look is one answer beside the one before.
class Look {
  constructor(now, before) {
    const same = before && before.pid === now.pid && before.started === now.started;
    this.now = now;
    this.before = same ? before : null;
    this.seconds = same ? (Date.parse(now.time) - Date.parse(before.time)) / 1000 : 0;
  }

  // growth is what has been added in a second; null at the first look.
  growth(now, before) {
    if (!this.before || this.seconds <= 0 || now < (before ?? 0)) return null;
    return (now - (before ?? 0)) / this.seconds;
  }

  rate(...names) {
    const sum = (values) => names.reduce((n, name) => n + (values[name] ?? 0), 0);
    return this.before ? this.growth(sum(this.now.values), sum(this.before.values)) : null;
  }

  queue(i, name) {
    const before = this.before?.queues?.[i];
    return before ? this.growth(this.now.queues[i][name], before[name]) : null;
  }

  app(m) {
    return this.before && !m.gauge ? this.growth(m.value, this.before.app.find((b) => b.name === m.name)?.value) : null;
  }

  drop(d) { return this.before ? this.growth(d.value, this.before.drops.find((b) => b.name === d.name)?.value) : null; }

  ratio(a, b) { return a === null || !b ? null : a / b; }
}

// Handshakes of the last minute.
const handshakes = [];

// percentileOf returns the upper bound of the bucket that the percentile is in, in nanoseconds; null if there are none.
function percentileOf(buckets, part) {
  const all = buckets.reduce((a, b) => a + b, 0);
  let n = 0;
  for (let i = 0; i < buckets.length && all > 0; i++) {
    n += buckets[i];
    if (n >= all * part) return 1000 * 2 ** i;
  }
  return null;
}

// recent returns the handshakes of the last minute, or all if there were none in it, and which of the two.
function recent(look) {
  const all = look.now.handshake.buckets;
  if (!look.before) handshakes.length = 0;
  handshakes.push(all);
  if (handshakes.length > 61) handshakes.shift();
  const minute = all.map((n, i) => n - handshakes[0][i]);
  return minute.some((n) => n > 0) ? [minute, "of the last minute"] : [all, "of all"];
}

// Charts.

const charts = {
  packets: new Chart(byId("charts"), "Packets a second", ["in", "out"], number),
  bits: new Chart(byId("charts"), "Bits a second", ["in", "out"], bits),
  conns: new Chart(byId("charts"), "Connections a second", ["accepted", "opened"], number),
  rtt: new Chart(byId("charts"), "Round trip", ["median", "99 %"], time, 1000),
  batch: new Chart(byId("charts"), "Packets a batch", ["received"], number),
  defence: new Chart(byId("charts"), "Defence a second", ["answered", "refused"], number),
  trouble: new Chart(byId("charts"), "Trouble a second", ["sent again", "dropped"], number),
};

// What the XDP program answers and refuses for the stack's defence.
const answered = ["steer_answered_syn_cookie"];
const shielded = ["steer_dropped_bad_syn", "steer_dropped_bad_cookie", "steer_dropped_no_flow"];
const limited = ["steer_dropped_source_syn_rate", "steer_dropped_source_rate"];
const refused = [...shielded, "steer_dropped_denied", ...limited];
const relayed = ["relay_to_old", "relay_sent", "relay_from_new", "relay_to_new"];

function drawCharts(look) {
  const rtt = look.now.rtt;
  charts.packets.push(look.rate("rx_frames"), look.rate("tx_frames"));
  charts.bits.push(times8(look.rate("rx_bytes")), times8(look.rate("tx_bytes")));
  charts.conns.push(look.rate("tcp_listen_accepted"), look.rate("tcp_active_opens"));
  charts.rtt.push(rtt ? rtt.p50 : null, rtt ? rtt.p99 : null);
  charts.batch.push(look.ratio(look.rate("rx_frames"), look.rate("rx_batches")));
  charts.defence.push(look.rate(...answered), look.rate(...refused));
  charts.trouble.push(look.rate("tcp_retransmits"), look.before ? look.now.drops.reduce((n, d) => n + (look.drop(d) ?? 0), 0) : null);
}

function gapInCharts() { for (const c of Object.values(charts)) c.push(null, null); }

function times8(v) { return v === null ? null : v * 8; }

// Tiles: name, figure, and what is said beside it in small.
function tiles(look) {
  const l = look.now, [buckets, which] = recent(look);
  const link = l.values.link_down ? "down" : "up";
  const cpu = look.before ? look.growth(l.cpu, look.before.cpu) : null;
  const frames = { free: 0, all: 0 };
  for (const q of l.queues ?? []) {
    frames.free += q.frames.free;
    frames.all += q.frames.free + q.frames.fill + q.frames.tx + q.frames.held;
  }
  return [
    ["connections", number(l.open), `${number(l.half_open)} half open, ${number(l.time_wait)} in TIME-WAIT`],
    ["new a second", number(look.rate("tcp_listen_accepted", "tcp_active_opens")), `${number(l.values.tcp_established)} since it started`],
    ["packets a second", number(look.rate("rx_frames")), `in, ${number(look.rate("tx_frames"))} out`],
    ["bits a second", bits(times8(look.rate("rx_bytes"))), `in, ${bits(times8(look.rate("tx_bytes")))} out`],
    ["handshake", time(percentileOf(buckets, 0.5)), `median at most, 99 % ${time(percentileOf(buckets, 0.99))}, ${which}`],
    ["round trip", time(l.rtt?.p50), l.rtt ? `median of ${number(l.rtt.count)}, 99 % ${time(l.rtt.p99)}` : "of no connection"],
    ["sent again", percent(look.ratio(look.rate("tcp_retransmits"), look.rate("tcp_segments_out"))), "of the segments"],
    ["processor", percent(cpu), "of one CPU, the whole process"],
    ["packet memory", frames.all ? percent(1 - frames.free / frames.all) : "–", `of ${number(frames.all)} frames in use`],
    ["defence", number(look.rate(...refused)), `refused a second, ${number(look.rate(...answered))} answered`],
    ["link", link, `lost ${number(l.values.link_downs)} times`],
  ];
}

function drawTiles(look) {
  const list = byId("tiles");
  tiles(look).forEach(([name, figure, small], i) => {
    let tile = list.children[i];
    if (!tile) {
      tile = add(list, "div");
      add(tile, "dt").textContent = name;
      const dd = add(tile, "dd");
      add(dd, "span");
      dd.append(" ");
      add(dd, "small");
      tile.id = "tile-" + name.replace(/\W+/g, "-");
    }
    tile.querySelector("span").textContent = figure;
    tile.querySelector("small").textContent = small;
  });
}

// Tables. A cell is a text; a number's column has its class from the head.

function fill(id, rows, none) {
  const table = byId(id), heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  body.replaceChildren(...rows.map((cells) => {
    const tr = document.createElement("tr");
    cells.forEach((cell, i) => {
      const td = add(tr, "td");
      if (heads[i].className === "n") td.className = "n";
      if (cell instanceof Node) td.append(cell);
      else td.textContent = cell;
      if (cell.wide) td.className = "text";
    });
    return tr;
  }));
  if (rows.length) return;
  const td = add(add(body, "tr"), "td");
  td.colSpan = heads.length;
  td.className = "none";
  td.textContent = none;
}

function help(m) {
  const f = document.createDocumentFragment();
  f.append(m.help);
  f.wide = true;
  return f;
}

function meaning(d) {
  const f = help(d);
  if (d.cure) add(f, "em").textContent = d.cure;
  return f;
}

function memory(f) {
  const bar = document.createElement("div");
  bar.className = "memory";
  bar.setAttribute("role", "img");
  const parts = ["held", "tx", "fill", "free"];
  bar.setAttribute("aria-label", parts.map((p) => `${p} ${f[p]}`).join(", "));
  bar.title = bar.getAttribute("aria-label");
  for (const p of parts) {
    const part = add(bar, "div");
    part.className = p;
    part.style.flex = f[p];
  }
  return bar;
}

function drawTables(look) {
  const l = look.now;
  const drops = l.drops.map((d) => [d, look.drop(d)]).sort((a, b) => (b[1] ?? 0) - (a[1] ?? 0) || b[0].value - a[0].value);
  fill("drops", drops.map(([d, rate]) => [d.name, number(rate), number(d.value), meaning(d)]), "nothing was dropped");
  byId("served").hidden = !l.app.length;
  fill("app", l.app.map((m) => [m.name, number(look.app(m)), number(m.value), help(m)]), "");
  fill("queues", (l.queues ?? []).map((q, i) => {
    const r = (name) => look.queue(i, name);
    const cpu = q.cpu >= 0 ? percent(r("cpu_ns") === null ? null : r("cpu_ns") / 1e9) : "shared";
    return [
      String(q.queue), q.mode === "copy" ? "copied" : "not copied", number(q.connections), number(r("received")), number(r("sent")),
      bits(times8(r("received_bytes"))), bits(times8(r("sent_bytes"))), number(look.ratio(r("received"), r("batches"))),
      number(r("turns")), number(r("sleeps")), number(r("lost")), cpu, memory(q.frames),
    ];
  }), "the device has none");
  fill("conns", (l.top ?? []).map((c) => [
    c.remote, c.local, c.state, String(c.queue), bits(c.in_rate * 8), bits(c.out_rate * 8), time(c.rtt), number(c.cwnd), number(c.resent),
  ]), byId("filter").value ? "none is so" : "none");
  byId("seen").textContent = l.more ? `of ${number(l.seen)} that were looked at; there are more` : `of ${number(l.seen)}`;
  const steer = Object.keys(l.values).filter((name) => name.startsWith("steer_") && l.values[name] > 0);
  fill("steer", steer.map((name) => [name.slice(6).replace("_", ": ").replaceAll("_", " "), number(look.rate(name)), number(l.values[name])]),
    "none came");
}

// drawDefence shows what the shield and the filter are told to do, and what they did.
function drawDefence(look) {
  const l = look.now, f = l.filter, parts = [];
  byId("defended").hidden = !l.shield && !f;
  const did = (names) => `${number(look.rate(...names))} a second`;
  if (l.shield) {
    parts.push(`Shield ${l.shield}: ${did(answered)} answered, ${did(["steer_redirected_cookie"])} cookies came back, ${did(shielded)} refused.`);
  }
  if (f) {
    const limits = [["SYNs", f.syns], ["packets", f.packets]].filter(([, r]) => r.per_second)
      .map(([name, r]) => `${number(r.per_second)} ${name} a second of each source`);
    parts.push(`Filter ${f.rules ? "with" : "without"} rules, ${limits.join(" and ") || "without limits"}: ` +
      `${did(["steer_dropped_denied"])} denied, ${did(limited)} beyond their limit.`);
  }
  if (look.rate(...relayed) > 0) parts.push(`An upgrade goes on: ${did(relayed)} relayed between the two processes.`);
  byId("defence").textContent = parts.join(" ");
  byId("pressure").parentElement.hidden = !l.shield;
  const does = (q) => l.shield === "always" ? "answers all" : l.shield === "auto" && q.shield_pressed ? "answers" : "waits";
  fill("pressure", (l.queues ?? []).map((q) => [String(q.queue), number(q.shield_pressure), l.shield === "off" ? "is off" : does(q)]), "");
}

// The head of the page.

function show(kind, text) {
  const state = byId("state");
  if (state.textContent === text) return; // else it would be read out each second
  state.className = "state " + kind;
  state.textContent = text;
}

function drawHead(l) {
  byId("where").textContent = `${l.address} on ${l.interface || l.device}`;
  document.title = `${l.address} · xdpstack`;
  const up = (Date.parse(l.time) - Date.parse(l.started)) / 1000;
  byId("about").textContent = `process ${l.pid}, up ${duration(up)}, version ${l.build.version}, ${l.device}`;
  if (l.status.ready) show("good", l.status.state);
  else show("warn", `not ready: ${l.status.reason || l.status.state}`);
}

// The loop.

let before = null, timer = 0, asking = null;

async function ask() {
  clearTimeout(timer);
  asking?.abort();
  asking = new AbortController();
  const limit = setTimeout(() => asking.abort(), 8000);
  const { signal } = asking;
  try {
    const answer = await fetch("live?filter=" + encodeURIComponent(byId("filter").value), { signal, cache: "no-store" });
    if (!answer.ok) throw new Error(`the process answers ${answer.status}`);
    draw(await answer.json());
  } catch (e) {
    if (signal !== asking.signal) return; // another question has taken its place
    show("bad", `no answer, asking again: ${e.message}`);
    gapInCharts();
  } finally {
    clearTimeout(limit);
  }
  timer = setTimeout(ask, 1000);
}

function draw(l) {
  const look = new Look(l, before);
  drawHead(l);
  drawTiles(look);
  drawTables(look);
  drawDefence(look);
  if (!look.before) gapInCharts();
  else if (look.seconds >= 0.5) drawCharts(look);
  if (!look.before || look.seconds >= 0.5) before = l;
}

byId("filter").addEventListener("input", ask);

// The theme: the system's, unless it is chosen.

const dark = matchMedia("(prefers-color-scheme: dark)");

function setTheme() {
  const chosen = localStorage.getItem("theme") ?? "auto";
  document.documentElement.dataset.theme = chosen === "auto" ? (dark.matches ? "dark" : "light") : chosen;
  byId("theme").textContent = "theme: " + chosen;
}

byId("theme").addEventListener("click", () => {
  const order = ["auto", "light", "dark"];
  localStorage.setItem("theme", order[(order.indexOf(localStorage.getItem("theme") ?? "auto") + 1) % 3]);
  setTheme();
});
dark.addEventListener("change", setTheme);
setTheme();
ask();
