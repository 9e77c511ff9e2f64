// Line charts of the last minutes, drawn as SVG.

const width = 480, height = 120, left = 46, bottom = 16, top = 6;

// points is how many values a chart shows, one a second.
export const points = 300;

// Chart draws one or two series. format makes a text of a value; ceiling is the least that the axis reaches to.
export class Chart {
  constructor(parent, title, names, format, ceiling = 1) {
    this.format = format;
    this.ceiling = ceiling;
    this.series = names.map(() => []);
    const figure = add(parent, "figure");
    const caption = add(figure, "figcaption");
    add(caption, "b").textContent = title;
    this.labels = names.map((name, i) => {
      const label = add(caption, "span");
      label.className = "ab"[i];
      label.name = name;
      return label;
    });
    this.svg = addSVG(figure, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
    this.title = addSVG(this.svg, "title");
    this.heading = title;
    this.names = names;
    this.grid = [0, 0.5, 1].map((part) => {
      const y = this.y(part, 1);
      addSVG(this.svg, "line", { class: "grid", x1: left, x2: width, y1: y, y2: y });
      return addSVG(this.svg, "text", { x: left - 5, y: y + 4, "text-anchor": "end" });
    });
    for (const [x, text, anchor] of [[left, "5 min ago", "start"], [width, "now", "end"]]) {
      addSVG(this.svg, "text", { x, y: height - 2, "text-anchor": anchor }).textContent = text;
    }
    this.lines = names.map((_, i) => addSVG(this.svg, "path", { class: "ab"[i] }));
  }

  // push adds a value to each series; null where it is not known.
  push(...values) {
    this.series.forEach((s, i) => {
      s.push(values[i]);
      if (s.length > points) s.shift();
    });
    const max = nice(Math.max(this.ceiling, ...this.series.flat().filter((v) => v !== null)));
    this.grid.forEach((text, i) => { text.textContent = short(this.format(max * i / 2)); });
    this.series.forEach((s, i) => {
      this.lines[i].setAttribute("d", this.path(s, max));
      const last = s[s.length - 1];
      this.labels[i].textContent = `${this.labels[i].name} ${last === null ? "–" : this.format(last)}`;
    });
    this.title.textContent = `${this.heading}: ${this.labels.map((l) => l.textContent).join(", ")}`;
  }

  y(value, max) { return top + (height - bottom - top) * (1 - value / max); }

  // path leaves gaps where values are not known.
  path(series, max) {
    let d = "", pen = "M";
    series.forEach((v, i) => {
      if (v === null) { pen = "M"; return; }
      const x = width - (series.length - 1 - i) * (width - left) / (points - 1);
      d += `${pen}${x.toFixed(1)} ${this.y(v, max).toFixed(1)}`;
      pen = "L";
    });
    return d;
  }
}

// nice rounds up to 1, 2 or 5 times a power of ten.
function nice(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  return [1, 2, 5, 10].find((n) => n * power >= v * 0.999) * power;
}

// short leaves out what an axis need not say: 5.00k is 5k, and nothing is 0.
function short(text) { return text === "–" ? "0" : text.replace(/\.0+(?=\D|$)/, ""); }

export function add(parent, name) { return parent.appendChild(document.createElement(name)); }

function addSVG(parent, name, attributes = {}) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  return parent.appendChild(e);
}
