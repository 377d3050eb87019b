// What all panels draw with: numbers from Python, elements, axes, marks and handles.

const SVG = "http://www.w3.org/2000/svg";
const DASHES = ["", "7 4", "8 3 2 3", "2 3", "12 3", "6 2 1 2 1 2", "1 4"];
const SIGNS = ["m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "m-3.5-3.5h7v7h-7z", "m0-5l4.5 8h-9z", "m0-5l5 5l-5 5l-5-5z"];
const STAR = "m0-8l1.8 5.5h5.8l-4.7 3.4l1.8 5.5l-4.7-3.4l-4.7 3.4l1.8-5.5l-4.7-3.4h5.8z";

export const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
export const floats = (view) => new Float32Array(bytes(view).slice().buffer);
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
export const colour = (i) => `var(--panel-${i % 7})`;
export const dash = (i) => DASHES[(i + Math.floor(i / 7)) % 7];
export const sign = (i, x, y) => `M${x.toFixed(1)} ${y.toFixed(1)}${i === "star" ? STAR : SIGNS[i % SIGNS.length]}`;

/** Write a number for people: three digits, a true minus, no endless zeros. */
export function written(value) {
  if (Number.isNaN(value)) return "no number";
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
  const size = Math.abs(value);
  const extreme = size && (size >= 1e5 || size < 1e-4);
  const text = extreme ? value.toExponential(1).replace("e+", "e") : String(+value.toPrecision(size < 1000 ? 3 : 5));
  return text.replaceAll("-", "−");
}

export function percent(share) {
  if (share > 0.9995 && share < 1) return "over 99.9 %";
  return `${(100 * share).toFixed(share < 0.1 || share > 0.99 ? 1 : 0)} %`;
}

/** Set attributes of an element, and its text. */
function set(node, attributes, text) {
  for (const [name, value] of Object.entries(attributes))
    if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  if (text !== undefined && node.textContent !== text) node.textContent = text;
  return node;
}

/** Make an element inside another. */
export function add(parent, tag, attributes = {}, text = undefined) {
  const node = set(document.createElement(tag), attributes, text);
  parent.append(node);
  return node;
}

/** Return round numbers between two ends. */
function ticks([low, high], count, log) {
  const found = [];
  if (log)
    for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10) found.push(power, 2 * power, 5 * power);
  else {
    const size = 10 ** Math.floor(Math.log10((high - low) / count));
    const step = [1, 2, 5, 10].map((f) => f * size).find((s) => s * count >= high - low);
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(+(i * step).toPrecision(12));
  }
  return found.filter((value) => value >= low - 1e-9 && value <= high + 1e-9);
}

/** Return what maps numbers between two limits to pixels between two ends. */
function scale([low, high], from, to, log) {
  const [there, back] = log ? [Math.log, Math.exp] : [(value) => value, (value) => value];
  const [a, b] = [there(low), there(high)];
  const pixel = (value) => from + ((there(value) - a) / (b - a)) * (to - from);
  return Object.assign(pixel, { invert: (place) => back(a + ((place - from) / (to - from)) * (b - a)) });
}

/** Axes with marks. A mark keeps its element, and so its focus, between drawings. */
export class Plot {
  constructor(parent, label, kind = "") {
    this.box = add(parent, "div", { class: `panel-plot ${kind}` });
    this.image = add(this.box, "canvas", { "aria-hidden": "true" });
    this.svg = set(document.createElementNS(SVG, "svg"), { role: "group", "aria-label": label });
    this.box.append(this.svg);
    this.elements = new Map();
    this.clip = `panel-clip-${Math.random()}`; // each widget has a module of its own
  }

  /** Begin a drawing: draw the axes. */
  begin({ xlim, ylim, height = 250, xlabel, ylabel, top = 10, right = 12, log = false, grid = true }) {
    const [width, left] = [this.box.clientWidth, 50];
    const [across, down] = [Math.max(40, width - left - right), height - top - 42];
    this.drawn = new Set();
    this.inner = { x: left, y: top, width: across, height: down };
    this.x = scale(xlim, left, left + across, log);
    this.y = scale(ylim, top + down, top);
    set(this.svg, { width, height });
    this.image.style.cssText = `left:${left}px;top:${top}px;width:${across}px;height:${down}px`;
    const clip = this.mark("clip", "clipPath", { id: this.clip });
    this.mark("clip area", "rect", this.inner, undefined, clip);
    this.mark("frame", "rect", { ...this.inner, class: "panel-frame" });
    for (const at of ticks(ylim, down / 45, false)) {
      const y = this.y(at);
      if (grid) this.mark(`gy${at}`, "path", { d: `M${left} ${y}h${across}`, class: "panel-grid" });
      this.text(`ty${at}`, left - 6, y + 4, written(at), "end");
    }
    if (xlabel && grid !== "bars")
      for (const at of ticks(xlim, Math.max(2, across / 60), log)) {
        const x = this.x(at);
        if (grid) this.mark(`gx${at}`, "path", { d: `M${x} ${top}v${down}`, class: "panel-grid" });
        this.text(`tx${at}`, x, top + down + 16, written(at));
      }
    this.text("xlabel", left + across / 2, height - 6, xlabel);
    this.text("ylabel", 0, 0, ylabel, "middle", { transform: `translate(13 ${top + down / 2}) rotate(-90)` });
  }

  /** Make a mark, or change the one of that name. */
  mark(name, tag, attributes, text = undefined, parent = this.svg) {
    let node = this.elements.get(name);
    if (!node) {
      node = parent.appendChild(document.createElementNS(SVG, tag));
      this.elements.set(name, node);
    }
    this.drawn.add(name);
    return set(node, attributes, text);
  }

  text(name, x, y, text = "", anchor = "middle", more = {}) {
    const place = { x: x.toFixed(1), y: y.toFixed(1), "text-anchor": anchor, class: "panel-text" };
    return this.mark(name, "text", { ...place, ...more }, text);
  }

  /** Draw something at each of many points, but not where a number is none. */
  points(name, xs, ys, look, piece) {
    const places = Array.from(xs, (x, i) => [this.x(x), clamp(this.y(ys[i]), -9999, 9999)]);
    const d = places.map(([x, y]) => (Number.isFinite(x + y) ? piece(x, y) : "")).join("").replace(/^L/, "M");
    this.mark(name, "path", { d, "clip-path": `url(#${this.clip})`, ...look });
  }

  line(name, xs, ys, look) {
    this.points(name, xs, ys, { fill: "none", ...look }, (x, y) => `L${x.toFixed(1)} ${y.toFixed(1)}`);
  }

  signs(name, i, xs, ys, look) {
    this.points(name, xs, ys, look, (x, y) => sign(i, x, y));
  }

  /** Make a mark that has focus and arrow keys. */
  handle(name, attributes, step) {
    const isNew = !this.elements.has(name);
    const node = this.mark(name, "path", { tabindex: 0, role: "slider", ...attributes });
    if (isNew) arrows(node, step);
  }

  /** Write the names of lines at their ends, one below the other. */
  names(ends) {
    const { x: left, y: top, width, height } = this.inner;
    const gap = Math.min(14, height / ends.length);
    let free = -Infinity;
    ends.sort((a, b) => a.y - b.y).forEach(({ key, name, x, y, look }, i) => {
      const at = clamp(Math.max(y + 4, free), top + 8, top + height + 4 - gap * (ends.length - 1 - i));
      free = at + gap;
      this.text(`name ${key}`, Math.min(x, left + width) + 7, at, name, "start", { class: "panel-text panel-name", style: `fill: ${colour(look)}` });
    });
  }

  /** End a drawing: take away the marks that it has not drawn. */
  end() {
    for (const [name, node] of this.elements) if (!this.drawn.has(name)) this.elements.delete(name) && node.remove();
  }

  /** Put an image behind the marks, unless it is there: `paint(i)` returns a colour. */
  paint(columns, rows, paint, key = undefined) {
    if (key === undefined || key !== this.painted) pixels(this.image, columns, rows, paint);
    this.painted = key;
  }
}

/** Fill a canvas, one pixel for each place. */
export function pixels(canvas, columns, rows, paint) {
  if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(columns, rows);
  for (let i = 0; i < columns * rows; i++) image.data.set(paint(i), 4 * i);
  pen.putImageData(image, 0, 0);
}

const known = new Map();

/** Return a colour of the page's theme as red, green and blue. */
function rgb(node, name) {
  const text = getComputedStyle(node).getPropertyValue(name).trim();
  if (!known.has(text)) {
    const pen = document.createElement("canvas").getContext("2d");
    pen.fillStyle = text;
    pen.fillRect(0, 0, 1, 1);
    known.set(text, [...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)]);
  }
  return known.get(text);
}

/** Return a function from shares to colours between the theme's paper and another. */
export function mixer(node, name) {
  const [paper, ink] = [rgb(node, "--panel-paper"), rgb(node, name)];
  const mix = (share) => [...paper.map((part, k) => part + share * (ink[k] - part)), 255];
  return Object.assign(mix, { key: `${paper} ${ink}` });
}

/** Call `move(x, y, event)` while a pointer is held down, also beyond the element. */
export function draggable(node, move, focused = () => node) {
  const go = (event) => {
    const box = node.getBoundingClientRect();
    move(event.clientX - box.left, event.clientY - box.top, event);
  };
  node.addEventListener("mousedown", (event) => event.preventDefault());
  node.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    node.setPointerCapture(event.pointerId);
    go(event);
    focused().focus({ preventScroll: true });
  });
  node.addEventListener("pointermove", (event) => node.hasPointerCapture(event.pointerId) && go(event));
}

/** Call `step(across, up)` for arrow keys, ten times as far with Shift. */
export function arrows(node, step) {
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  node.addEventListener("keydown", (event) => {
    if (!ways[event.key]) return;
    event.preventDefault();
    step(...ways[event.key].map((part) => part * (event.shiftKey ? 10 : 1)));
  });
}

/** Note what the hand has set, here and in Python. */
export function tell(model, change) {
  model.set("hand", { ...model.get("hand"), ...change });
  model.save_changes();
}
