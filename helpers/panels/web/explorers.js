import { Plot, add, clamp, colour, dash, draggable, floats, mixer, sign, tell, written } from "./draw.js";

/** A ball on a curve, its tangent, and where one step leads. */
export function TangentPanel(model, el) {
  const [xs, ys] = [floats(model.get("fixed").x), floats(model.get("fixed").y)];
  const [low, high] = [xs[0], xs[xs.length - 1]];
  const [bottom, top] = [Math.min(...ys), Math.max(...ys)];
  const ylim = [bottom - 0.12 * (top - bottom), top + 0.12 * (top - bottom)];
  const plot = new Plot(el, "a curve, with a ball to drag or to move with the arrow keys");
  const words = add(el, "div", { class: "panel-words", role: "status" });
  let [rolls, rolling] = [model.get("data").rolls, 0];

  const height = (x) => {
    const place = clamp(((x - low) / (high - low)) * (xs.length - 1), 0, xs.length - 1);
    const i = Math.min(Math.floor(place), xs.length - 2);
    return ys[i] + (place - i) * (ys[i + 1] - ys[i]);
  };
  const put = (weight) => tell(model, { weight: clamp(weight, low, high) });
  const move = (across, up) => put(model.get("hand").weight + ((across + up) * (high - low)) / 200);
  draggable(plot.svg, (x) => {
    cancelAnimationFrame(rolling);
    rolling = 0;
    put(plot.x.invert(x));
  }, () => plot.elements.get("ball"));

  /** Let the ball go along the points that Python has computed. */
  function roll(path) {
    const began = performance.now();
    cancelAnimationFrame(rolling);
    const frame = (now) => {
      const done = (now - began) / clamp(1500 / path.length, 60, 350);
      const i = Math.floor(done);
      rolling = i < path.length - 1 ? requestAnimationFrame(frame) : 0;
      draw(rolling ? path[i] + clamp(2 * (done - i), 0, 1) * (path[i + 1] - path[i]) : undefined);
    };
    rolling = requestAnimationFrame(frame);
  }

  function draw(between = undefined) {
    const data = model.get("data");
    const [weight, loss, slope, rate, after, landed] = floats(data.values);
    if (data.rolls !== rolls) roll(data.path);
    rolls = data.rolls;
    if (rolling && between === undefined) return;
    const at = between ?? model.get("hand").weight;
    plot.begin({ xlim: [low, high], ylim, height: 300, xlabel: "weight", ylabel: "loss" });
    plot.line("curve", xs, ys, { class: "panel-line", stroke: colour(0) });
    plot.signs("trail", 0, data.trail, data.trail.map(height), { class: "panel-trail" });
    if (!rolling) {
      const tangent = [low, high].map((x) => loss + slope * (x - weight));
      plot.line("tangent", [low, high], tangent, { class: "panel-line", stroke: colour(1), "stroke-dasharray": dash(1) });
      plot.line("step", [weight, after, after], [loss, loss, landed], { class: "panel-step" });
      plot.signs("landing", "star", [after], [landed], { class: "panel-goal" });
      const result = after < low || after > high ? `That is out of sight: the loss there is ${written(landed)}.` : `The loss goes from ${written(loss)} to ${written(landed)}.`;
      words.textContent = `new weight = weight − learning rate × slope = ${written(weight)} − ${written(rate)} × ${slope < 0 ? `(${written(slope)})` : written(slope)} = ${written(after)}. ${result}`;
    }
    const place = `translate(${plot.x(at).toFixed(1)} ${plot.y(height(at)).toFixed(1)}) scale(2.2)`;
    const told = { "aria-valuemin": low, "aria-valuemax": high, "aria-valuenow": at.toFixed(3), "aria-valuetext": `weight ${written(at)}, loss ${written(height(at))}` };
    plot.handle("ball", { d: sign(0, 0, 0), class: "panel-ball", transform: place, "aria-label": "weight", ...told }, move);
    plot.end();
  }
  return () => draw();
}

/** Three rows of bars: logits to drag, probabilities, the gradient; and the loss. */
export function LogitsPanel(model, el) {
  const { names } = model.get("fixed");
  const charts = add(el, "div", { class: "panel-row" });
  const titles = ["logits: drag them", "probabilities", "gradient"];
  const plots = titles.map((title) => new Plot(charts, title));
  const gauge = add(el, "div", { class: "panel-gauge", role: "status" });
  const words = add(gauge, "strong");
  const scale = add(gauge, "div", { class: "panel-gauge-scale", "aria-hidden": "true" });
  const needle = add(scale, "div", { class: "panel-gauge-needle" });
  const guessing = Math.log(names.length);
  const level = (loss) => `${(100 * clamp(Math.sqrt(loss / 16), 0, 1)).toFixed(1)}%`;
  const guess = add(scale, "div", { class: "panel-gauge-guess", style: `left: ${level(guessing)}` });
  add(guess, "span", {}, `guessing: ${written(guessing)}`);
  let held = 0;

  const put = (i, value) => {
    const moved = [...model.get("hand").logits];
    moved[i] = +clamp(value, -8, 8).toFixed(2);
    tell(model, { logits: moved });
  };
  draggable(plots[0].svg, (x, y, { type }) => {
    if (type === "pointerdown") held = clamp(Math.round(plots[0].x.invert(x)), 0, names.length - 1);
    put(held, plots[0].y.invert(y));
  }, () => plots[0].elements.get(`bar${held}`));

  return () => {
    const data = model.get("data");
    const shares = floats(data.probabilities);
    const values = [model.get("hand").logits, shares, floats(data.gradient)];
    const limits = [[-9.6, 9.6], [0, 1.12], [-1.35, 1.35]];
    plots.forEach((plot, p) => {
      plot.begin({ xlim: [-0.6, names.length - 0.4], ylim: limits[p], height: 230, xlabel: titles[p], grid: "bars" });
      const [zero, half] = [plot.y(0), 0.36 * (plot.x(1) - plot.x(0))];
      plot.mark("zero", "path", { d: `M${plot.inner.x} ${zero}h${plot.inner.width}`, class: "panel-zero" });
      names.forEach((name, i) => {
        const [x, value, isTrue] = [plot.x(i), values[p][i], i === data.true];
        const y = plot.y(value);
        const bar = { d: `M${x - half} ${zero}h${2 * half}V${y.toFixed(1)}h${-2 * half}z`, fill: colour(i), class: isTrue ? "panel-bar panel-true" : "panel-bar" };
        const told = { "aria-label": `logit of ${name}`, "aria-valuemin": -8, "aria-valuemax": 8, "aria-valuenow": value };
        if (p) plot.mark(`bar${i}`, "path", bar);
        else plot.handle(`bar${i}`, { ...bar, ...told }, (across, up) => put(i, model.get("hand").logits[i] + 0.1 * (across + up)));
        plot.text(`value${i}`, x, y + (value < 0 ? 15 : -5), value.toFixed(2).replace("-", "−"), "middle", { class: "panel-text panel-name" });
        plot.text(`class${i}`, x, plot.inner.y + plot.inner.height + 16, isTrue ? `${name} (true)` : name);
      });
      plot.end();
    });
    words.textContent = `loss = −ln ${written(shares[data.true])} = ${written(data.loss)}`;
    needle.style.width = level(data.loss);
  };
}

/** Optimizers on their way down, seen from above. */
export function RacePanel(model, el) {
  const fixed = model.get("fixed");
  const shade = floats(fixed.shade);
  const plot = new Plot(el, "the surface from above: click to set the start");
  const player = add(el, "div", { class: "panel-row panel-player" });
  const play = add(player, "button", { type: "button", class: "jupyter-button" });
  const points = floats(model.get("data").heights).length / fixed.names.length;
  const scrubber = add(player, "input", { type: "range", min: 0, max: points - 1, value: 0, "aria-label": "step" });
  const count = add(player, "span");
  const list = add(el, "ul", { class: "panel-list" });
  const rows = fixed.names.map((_, i) => add(sample(add(list, "li"), i), "span"));
  let [step, playing, last, waiting] = [0, true, 0, 0];

  const put = (x, y) => tell(model, { start: [clamp(x, ...fixed.xlim), clamp(y, ...fixed.ylim)] });
  const move = (across, up) => {
    const [x, y] = model.get("hand").start;
    put(x + (across * (fixed.xlim[1] - fixed.xlim[0])) / 100, y + (up * (fixed.ylim[1] - fixed.ylim[0])) / 100);
  };
  draggable(plot.svg, (x, y) => put(plot.x.invert(x), plot.y.invert(y)), () => plot.elements.get("start"));
  play.addEventListener("click", () => {
    if (!playing && step >= points - 1) step = 0;
    playing = !playing;
    draw();
  });
  scrubber.addEventListener("input", () => {
    [playing, step] = [false, +scrubber.value];
    draw();
  });

  function frame(now) {
    step = Math.min(points - 1, step + clamp((now - last) / 80, 0, 1));
    [last, waiting, playing] = [now, 0, playing && step < points - 1];
    draw();
  }

  function draw() {
    const { paths, heights } = model.get("data");
    const [places, losses, whole] = [floats(paths), floats(heights), Math.floor(step)];
    const at = (i, k, j) => places[2 * (i * points + k) + j];
    const outside = (value, [low, high]) => !(value >= low && value <= high);
    plot.begin({ xlim: fixed.xlim, ylim: fixed.ylim, height: 320, xlabel: "first weight", ylabel: "second weight", grid: false });
    const mix = mixer(el, "--panel-0");
    plot.paint(240, 120, (i) => mix(0.45 * (1 - Math.floor(14 * shade[i]) / 14)), mix.key);
    plot.signs("minimum", "star", [fixed.minimum[0]], [fixed.minimum[1]], { class: "panel-goal" });
    fixed.names.forEach((name, i) => {
      const ks = Array.from({ length: whole + 1 }, (_, k) => k);
      const [xs, ys] = [0, 1].map((j) => {
        const path = ks.map((k) => at(i, k, j));
        return whole < points - 1 ? [...path, path[whole] + (step - whole) * (at(i, whole + 1, j) - path[whole])] : path;
      });
      plot.line(`trail${i}`, xs, ys, { class: "panel-line", stroke: colour(i), "stroke-dasharray": dash(i) });
      plot.signs(`dot${i}`, i, xs.slice(-1), ys.slice(-1), { class: "panel-dot", fill: colour(i) });
      const gone = ks.find((k) => outside(xs[k], fixed.xlim) || outside(ys[k], fixed.ylim));
      rows[i].textContent = `${name}: loss ${written(losses[i * points + whole])}${gone === undefined ? "" : `, out of sight at step ${gone}`}`;
    });
    const [x, y] = model.get("hand").start;
    const told = { "aria-valuenow": x, "aria-valuetext": `${written(x)}, ${written(y)}`, "aria-label": "start" };
    plot.handle("start", { d: sign(0, plot.x(x), plot.y(y)), class: "panel-goal", ...told }, move);
    plot.end();
    scrubber.value = whole;
    count.textContent = `step ${whole} of ${points - 1}`;
    play.textContent = playing ? "Pause" : "Play";
    if (playing) waiting = waiting || requestAnimationFrame(frame);
  }
  return draw;
}

/** Draw a short piece of a line into an item of a list; return the item. */
export function sample(parent, i) {
  const look = `class="panel-line" stroke="${colour(i)}" stroke-dasharray="${dash(i)}"`;
  add(parent, "span").innerHTML = `<svg width="30" height="10" aria-hidden="true"><path d="M1 5h28" ${look}/></svg>`;
  return parent;
}

/** The steps of many batches, and how their spread depends on the batch size. */
export function NoisePanel(model, el) {
  const fixed = model.get("fixed");
  const [sizes, spreads, reach, full] = [fixed.sizes, fixed.spreads, fixed.reach, fixed.full].map(floats);
  const charts = add(el, "div", { class: "panel-row" });
  const cloud = new Plot(charts, "the step of each batch");
  const curve = new Plot(charts, "spread of the steps for each batch size");
  const words = add(el, "div", { class: "panel-words", role: "status" });
  return () => {
    const data = model.get("data");
    const steps = floats(data.steps);
    const [xlim, ylim] = [...reach].map((most) => [-most, most]);
    cloud.begin({ xlim, ylim, height: 280, xlabel: "step in the first weight", ylabel: "step in the second weight" });
    const [xs, ys] = [0, 1].map((j) => steps.filter((_, i) => i % 2 === j));
    cloud.signs("steps", 0, xs, ys, { class: "panel-cloud", fill: colour(0) });
    cloud.line("full", [0, full[0]], [0, full[1]], { class: "panel-step" });
    cloud.signs("end", "star", [full[0]], [full[1]], { class: "panel-goal" });
    cloud.end();
    const axes = { xlim: [0.8, 330], ylim: [0, 1.1 * spreads[0]], height: 280, log: true };
    curve.begin({ ...axes, xlabel: "batch size (log scale)", ylabel: "spread of the steps" });
    const law = sizes.map((size) => spreads[0] / Math.sqrt(size));
    curve.line("law", sizes, law, { class: "panel-line", stroke: colour(1), "stroke-dasharray": dash(1) });
    curve.signs("spreads", 0, sizes, spreads, { class: "panel-dot", fill: colour(0) });
    curve.signs("now", "star", [data.size], [data.spread], { class: "panel-goal" });
    curve.names([{ key: "law", name: "∝ 1 / √size", x: curve.x(6), y: curve.y(law[1]), look: 1 }]);
    curve.end();
    words.textContent = `Batches of ${data.size}: their steps spread by ${written(data.spread)} around that of all examples (the star).`;
  };
}
