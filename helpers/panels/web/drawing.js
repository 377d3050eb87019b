import { add, arrows, bytes, clamp, draggable, floats, mixer, percent, pixels, tell } from "./draw.js";

const SIDE = 280;

/** A square to draw in, and what a network makes of the drawing. */
export function DrawingPad(model, el) {
  const fixed = model.get("fixed");
  const top = add(el, "div", { class: "panel-row panel-pad" });
  const help = "a square to draw a digit in: the arrow keys move the pen, Space lowers and lifts it, Delete clears";
  const holder = add(top, "div", { class: "panel-holder" });
  const square = add(holder, "canvas", { width: SIDE, height: SIDE, class: "panel-ink", tabindex: 0, role: "application", "aria-label": help });
  const tip = add(holder, "div", { class: "panel-tip" });
  const answer = add(top, "div", { class: "panel-answer" });
  const [said, chart] = [add(answer, "div", { role: "status", class: "panel-said" }), add(answer, "div")];
  const [digit, words, seen] = [add(said, "strong"), add(said, "span"), add(said, "figure")];
  const small = add(seen, "canvas", { role: "img", "aria-label": "the image as the network sees it" });
  add(seen, "figcaption", {}, "as the network sees it");
  const bars = Array.from("0123456789", (name) => {
    const bar = add(chart, "div", { class: "panel-bar-row" });
    add(bar, "span", {}, name);
    return { bar, fill: add(add(bar, "div"), "div"), text: add(bar, "span") };
  });
  const maps = add(el, "div", { class: "panel-row panel-maps", role: "img" });
  const row = add(el, "div", { class: "panel-row" });
  if (fixed.labels.length) add(row, "span", {}, "The network got these wrong:");
  const image = (i) => bytes(fixed.images).subarray(784 * i, 784 * (i + 1));
  const side = Math.sqrt(bytes(model.get("hand").ink).length);
  const pen = square.getContext("2d", { willReadFrequently: true });
  const copy = document.createElement("canvas"); // the ink as Python has it
  let [shown, sent, drawing, typing, down, place] = ["", [], false, false, false, [SIDE / 2, SIDE / 2]];

  fixed.labels.forEach((label, i) => {
    const choice = add(row, "button", { type: "button", class: "panel-example", "aria-label": `test image ${i + 1}, a ${label}` });
    add(choice, "canvas", { "aria-hidden": "true" });
    choice.addEventListener("click", () => tell(model, { ink: new Uint8Array(side ** 2), example: i }));
  });

  /** Draw an image in the theme's own colours, ink on paper. */
  const grey = (canvas, values, columns, mix = mixer(el, "--panel-ink")) =>
    pixels(canvas, columns, values.length / columns, (i) => mix(values[i] / 255));

  /** Fill the square anew, with what Python has. */
  function restore({ ink, example }) {
    const [values, colour] = [example === null ? bytes(ink) : image(example), mixer(el, "--panel-ink")(1)];
    const across = Math.sqrt(values.length);
    pixels(copy, across, across, (i) => [...colour.slice(0, 3), values[i]]);
    pen.clearRect(0, 0, SIDE, SIDE);
    pen.drawImage(copy, 0, 0, SIDE, SIDE);
  }

  /** Draw on, and send the ink. */
  function stroke(from, to) {
    if (model.get("hand").example !== null) pen.clearRect(0, 0, SIDE, SIDE);
    Object.assign(pen, { lineWidth: 22, lineCap: "round", strokeStyle: getComputedStyle(el).getPropertyValue("--panel-ink") });
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(to[0] + 0.01, to[1]);
    pen.stroke();
    place = to;
    Object.assign(copy, { width: side, height: side });
    copy.getContext("2d").drawImage(square, 0, 0, side, side);
    const { data } = copy.getContext("2d").getImageData(0, 0, side, side);
    sent = Uint8Array.from({ length: side * side }, (_, i) => data[4 * i + 3]);
    tell(model, { ink: sent, example: null });
  }

  draggable(square, (_x, _y, event) => {
    const box = square.getBoundingClientRect();
    [drawing, typing] = [true, false];
    for (const { clientX, clientY } of event.getCoalescedEvents?.().concat(event) ?? [event]) {
      const to = [clientX - box.left, clientY - box.top].map((at) => (at * SIDE) / box.width);
      stroke(event.type === "pointerdown" ? to : place, to);
    }
  });
  square.addEventListener("lostpointercapture", () => (drawing = false));
  arrows(square, (across, up) => {
    const to = [place[0] + 8 * across, place[1] - 8 * up].map((at) => clamp(at, 0, SIDE));
    typing = true;
    if (down) stroke(place, to);
    place = to;
    draw();
  });
  square.addEventListener("keydown", ({ key }) => {
    if (key === " ") down = !down;
    if (key === " " && down) stroke(place, place);
    if (key === "Delete" || key === "Backspace") down = false;
    if (key === "Delete" || key === "Backspace") tell(model, { ink: new Uint8Array(side ** 2), example: null });
    if (key === " ") event.preventDefault();
  });
  square.addEventListener("blur", () => {
    [down, typing] = [false, false];
    draw();
  });

  function draw() {
    const [data, hand, theme] = [model.get("data"), model.get("hand"), mixer(el, "--panel-ink").key];
    if (theme !== shown) for (const [i, canvas] of row.querySelectorAll("canvas").entries()) grey(canvas, image(i), 28);
    const same = theme === shown && hand.example === null && bytes(hand.ink).every((value, i) => value === sent[i]);
    if (!drawing && !same) restore(hand);
    shown = theme;
    tip.hidden = !typing;
    tip.style.cssText = `left: ${(100 * place[0]) / SIDE}%; top: ${(100 * place[1]) / SIDE}%`;
    const shares = floats(data.probabilities);
    const best = shares.indexOf(Math.max(...shares));
    digit.textContent = shares.length ? best : "?";
    words.textContent = shares.length ? `${percent(shares[best])}. ${data.note}` : "Draw a digit in the square.";
    bars.forEach(({ bar, fill, text }, i) => {
      fill.style.width = `${100 * (shares[i] ?? 0)}%`;
      bar.classList.toggle("panel-best", shares.length > 0 && i === best);
      text.textContent = shares.length ? percent(shares[i]) : "";
    });
    grey(small, bytes(data.image), 28);
    const [count, height, width] = data.shape;
    maps.setAttribute("aria-label", `${count} feature maps of the first convolution`);
    while (maps.children.length > count) maps.lastChild.remove();
    while (maps.children.length < count) add(maps, "canvas", { "aria-hidden": "true" });
    for (let i = 0; i < count; i++) grey(maps.children[i], bytes(data.maps).subarray(height * width * i, height * width * (i + 1)), width);
  }
  return draw;
}
