import { Plot, add, arrows, bytes, clamp, colour, dash, draggable, floats, mixer, percent, sign, tell, written } from "./draw.js";
import { sample } from "./explorers.js";

/** Runs of training: their losses and accuracies, one of them growing. */
export function TrainingPanel(model, el) {
  const fixed = model.get("fixed");
  const head = add(el, "div", { class: "panel-row panel-progress" });
  const progress = add(head, "progress", { max: 1, value: 0, "aria-label": "progress" });
  const note = add(head, "span");
  const charts = add(el, "div", { class: "panel-row" });
  const plane = fixed.points && new Plot(charts, "regions of the classes", "panel-square");
  const [loss, accuracy] = ["loss", "accuracy"].map((name) => new Plot(charts, `${name}: read it with the arrow keys`));
  const readout = add(el, "div", { class: "panel-words", role: "status" });
  const list = add(el, "ul", { class: "panel-list" });
  const line = add(el, "div", { class: "panel-words", role: "status" });
  const rows = new Map();
  let cursor = null;

  for (const plot of [loss, accuracy]) {
    const point = (x) => {
      cursor = x === null ? null : plot.x.invert(clamp(x, plot.inner.x, plot.inner.x + plot.inner.width));
      draw();
    };
    plot.svg.setAttribute("tabindex", 0);
    plot.svg.addEventListener("pointermove", ({ clientX }) => point(clientX - plot.svg.getBoundingClientRect().left));
    for (const type of ["pointerleave", "blur"]) plot.svg.addEventListener(type, () => point(null));
    draggable(plot.svg, point);
    arrows(plot.svg, (across) => point((cursor === null ? plot.inner.x : plot.x(cursor)) + 4 * across));
  }

  /** Return a run with its numbers unpacked: batches at `tx`, epochs at `ex`. */
  function unpacked(run) {
    const [train, both] = [floats(run.train), floats(run.val)];
    const [val, right] = [0, 1].map((part) => both.filter((_, i) => i % 2 === part));
    const tx = Array.from(train, (_, i) => (i + 0.5) * run.width);
    const ex = Array.from(val, (_, i) => i + 1);
    const length = run.growing ? run.epochs : Math.max(1, tx.at(-1) ?? 0, ex.length);
    return { ...run, train, val, right, tx, ex, length, short: run.name.split(",")[0] };
  }

  /** Choose axes on which a very long or a diverged run doesn't squash the others. */
  function limits(runs) {
    const whole = runs.filter((run) => run.growing || run.val.length);
    const [longest, next] = whole.map((run) => run.length).sort((a, b) => b - a);
    const log = longest > 4 * next;
    const losses = runs.flatMap((run) => [...run.train, ...run.val]).filter(Number.isFinite);
    const most = 2 * Math.log(Math.max(2, fixed.classes.length)); // twice that of guessing
    const shares = runs.flatMap((run) => [...run.right]).filter(Number.isFinite);
    const lowest = shares.length ? Math.min(0.98, ...shares) : 0;
    const highest = losses.length ? Math.min(most, 1.05 * Math.max(...losses)) : most;
    const rights = [Math.max(0, 1.1 * lowest - 0.1), 1.02 - 0.02 * lowest];
    return { xlim: [log ? next / 20 : 0, longest ?? 10], log, losses: [0, highest], rights };
  }

  function drawCurves(runs) {
    const { xlim, log, losses, rights } = limits(runs);
    const room = Math.min(Math.max(0, ...runs.map((run) => run.short.length)), Math.floor(loss.box.clientWidth / 18));
    const axes = { xlim, log, xlabel: log ? "epoch (log scale)" : "epoch", right: 16 + 6.8 * room };
    loss.begin({ ...axes, ylim: losses, ylabel: "loss (thin: training)" });
    accuracy.begin({ ...axes, ylim: rights, ylabel: "validation accuracy" });
    for (const run of runs) loss.line(`train ${run.id}`, run.tx, run.train, { class: "panel-thin", stroke: colour(run.id) });
    for (const [plot, figure] of [[loss, "val"], [accuracy, "right"]]) {
      const ends = runs.map((run) => {
        const ys = run[figure];
        const few = ys.length < 13 ? 0 : ys.length - 1;
        plot.line(`line ${run.id}`, run.ex, ys, { class: "panel-line", stroke: colour(run.id), "stroke-dasharray": dash(run.id) });
        plot.signs(`dots ${run.id}`, run.id, run.ex.slice(few), ys.slice(few), { class: "panel-dot", fill: colour(run.id) });
        const name = run.short.length > room ? `${run.short.slice(0, room - 1)}…` : run.short;
        const [x, y] = ys.length || plot === accuracy ? [run.ex.at(-1), ys.at(-1)] : [run.tx.at(-1), run.train.at(-1)];
        return { key: run.id, look: run.id, name, x: plot.x(x), y: clamp(plot.y(y), -99, 999) };
      });
      plot.names(ends.filter(({ x, y }) => x + y));
      const at = cursor !== null && plot.x(clamp(cursor, ...xlim));
      if (at) plot.mark("cursor", "path", { d: `M${at} ${plot.inner.y}v${plot.inner.height}`, class: "panel-cursor" });
      plot.end();
    }
  }

  /** Write what each run has under the pointer. */
  function read(runs) {
    const near = (xs, ys) => ys[xs.reduce((best, x, i) => (Math.abs(x - cursor) < Math.abs(xs[best] - cursor) ? i : best), 0)];
    const said = runs.filter((run) => run.length > cursor - 0.5).map((run) => {
      const there = run.val.length ? `, validation ${written(near(run.ex, run.val))}, accuracy ${percent(near(run.ex, run.right))}` : "";
      return `${run.short}: training ${written(near(run.tx, run.train))}${there}`;
    });
    readout.textContent = cursor === null ? "" : [`Epoch ${written(cursor)}`, ...said].join(" · ");
  }

  function drawPlane(regions) {
    const [points, labels] = [floats(fixed.points), bytes(fixed.labels)];
    plane.begin({ ...fixed, xlabel: fixed.features[0], ylabel: fixed.features[1], top: 24, grid: false });
    const mixers = fixed.classes.map((_, i) => mixer(el, `--panel-${i}`));
    const map = regions ? bytes(regions) : [];
    const [size, guess] = [map.length / 2, 1 / mixers.length];
    const sure = (i) => Math.max(0, map[size + i] / 255 - guess) / (1 - guess);
    if (size) plane.paint(Math.sqrt(size), Math.sqrt(size), (i) => mixers[map[i] % mixers.length](0.08 + 0.5 * sure(i)));
    let at = 8;
    fixed.classes.forEach((name, i) => {
      const [xs, ys] = [0, 1].map((j) => points.filter((_, k) => k % 2 === j && labels[k >> 1] === i));
      plane.signs(`points ${i}`, i, xs, ys, { class: "panel-point", fill: colour(i) });
      plane.mark(`key ${i}`, "path", { d: sign(i, at, 10), fill: colour(i) });
      plane.text(`class ${i}`, at + 7, 14, name, "start");
      at += 24 + 6.9 * name.length;
    });
    plane.end();
  }

  /** Keep a row for each run: a tick to hide it, its ends, and a cross to remove it. */
  function drawList(runs, hidden, best) {
    for (const run of runs) {
      if (!rows.has(run.id)) rows.set(run.id, makeRow(run));
      const { box, words, cross } = rows.get(run.id);
      cross.hidden = run.growing || run.id < fixed.given;
      box.checked = !hidden.includes(run.id);
      const last = run.val.length ? `: validation loss ${written(run.val.at(-1))}, accuracy ${percent(run.right.at(-1))}` : "";
      words.textContent = `${run.name}${run.end && " (ended early)"}${last}${run === best ? " ★ lowest in the end" : ""}`;
    }
    for (const [id, { item }] of rows) if (!runs.some((run) => run.id === id)) rows.delete(id) && item.remove();
  }

  function makeRow(run) {
    const item = add(list, "li");
    const label = add(item, "label");
    const box = add(label, "input", { type: "checkbox" });
    const words = add(sample(label, run.id), "span");
    const cross = add(item, "button", { type: "button", class: "panel-cross", "aria-label": `remove ${run.name}` }, "✕");
    box.addEventListener("change", () => {
      const others = model.get("hand").hidden.filter((id) => id !== run.id);
      tell(model, { hidden: box.checked ? others : [...others, run.id] });
    });
    cross.addEventListener("click", () => {
      (item.nextSibling ?? item.previousSibling)?.querySelector("input").focus();
      model.send({ remove: run.id });
    });
    return { item, box, words, cross };
  }

  /** Say how far the growing run is, or how the latest ended and which is the best. */
  function say({ run, seconds, paused }, data, best) {
    progress.value = run ? (run.train.byteLength * run.width) / (4 * run.epochs) : 0;
    const epoch = run && `epoch ${Math.min(run.epochs, 1 + run.val.byteLength / 8)} of ${run.epochs}`;
    note.textContent = run ? `${epoch}, ${paused || !progress.value ? "waiting" : `${Math.round(seconds / progress.value - seconds)} s left`}` : "";
    const lowest = best ? ` The lowest validation loss in the end is that of “${best.name}”.` : "";
    line.textContent = run ? `Training ${run.name}.` : (data.line || "Choose the settings, then press Train.") + lowest;
  }

  function draw() {
    const [data, live, { hidden }] = [model.get("data"), model.get("live"), model.get("hand")];
    const runs = [...data.runs, ...(live.run ? [{ ...live.run, growing: true }] : [])].map(unpacked);
    const shown = runs.filter((run) => !hidden.includes(run.id));
    const ended = runs.filter((run) => Number.isFinite(run.val.at(-1)) && !run.growing);
    const best = ended.length > 1 && ended.reduce((a, b) => (b.val.at(-1) < a.val.at(-1) ? b : a));
    drawList(runs, hidden, best);
    drawCurves(shown);
    read(shown);
    if (plane) drawPlane(live.regions || data.regions);
    say(live, data, best);
  }
  return draw;
}
