import { add } from "./draw.js";
import { DrawingPad } from "./drawing.js";
import { LogitsPanel, NoisePanel, RacePanel, TangentPanel } from "./explorers.js";
import { TrainingPanel } from "./training.js";

const KINDS = { DrawingPad, LogitsPanel, NoisePanel, RacePanel, TangentPanel, TrainingPanel };
const GONE = "The kernel that answered this panel has ended. Run the cell again to go on.";
const SILENT = "No answer from the kernel: it is busy with another cell, or has ended. If this message stays, run the cell again.";

/** Give ipywidgets' controls the names that they lack. */
function nameControls(root) {
  for (const icon of root.querySelectorAll("button i")) icon.setAttribute("aria-hidden", "true");
  for (const box of root.querySelectorAll(".widget-inline-hbox, .widget-toggle-buttons")) {
    const name = box.querySelector(".widget-label")?.textContent;
    const value = box.querySelector(".widget-readout");
    value?.setAttribute("aria-label", `${name}, typed`);
    for (const control of box.querySelectorAll(".noUi-handle, select")) {
      control.setAttribute("aria-label", name);
      if (value) control.setAttribute("aria-valuetext", value.textContent);
    }
    for (const choice of box.querySelectorAll(".widget-toggle-button")) choice.setAttribute("aria-pressed", choice.classList.contains("mod-active"));
  }
}

/** Keep a panel's keys from JupyterLab, which would cut cells. */
function adopt(root) {
  for (const type of ["keydown", "keypress", "keyup"]) root.addEventListener(type, (event) => event.stopPropagation());
  const naming = new MutationObserver((changes) => {
    if (changes.some(({ target }) => !target.parentElement?.closest(".panel-picture"))) nameControls(root);
  });
  naming.observe(root, { childList: true, characterData: true, attributeFilter: ["class"], subtree: true });
  nameControls(root);
  return naming;
}

function render({ model, el }) {
  el.classList.add("panel-picture");
  const draw = KINDS[model.get("kind")](model, el);
  const trouble = add(el, "div", { class: "panel-trouble", role: "alert" });
  let [due, naming, heard, asked] = [0, null, performance.now(), 0];

  const redraw = () => {
    due = due || requestAnimationFrame(() => {
      due = 0;
      if (el.clientWidth && !model.get("data").error) draw();
    });
  };
  for (const trait of ["data", "live", "hand"])
    model.on(`change:${trait}`, () => {
      const now = performance.now();
      [heard, asked] = trait === "hand" ? [heard, asked || now] : [now, 0];
      redraw();
    });
  const size = new ResizeObserver(() => {
    const root = el.closest(".live-panel");
    if (root) naming ??= adopt(root);
    redraw();
  });
  size.observe(el);
  const theme = new MutationObserver(redraw);
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name"] });
  const watch = setInterval(() => {
    const now = performance.now();
    const waited = Math.max(asked && now - asked, model.get("live").paused === false ? now - heard : 0);
    const gone = el.closest(".jupyter-widgets-disconnected");
    const text = model.get("data").error ?? (gone ? GONE : waited > 3000 ? SILENT : "");
    if (trouble.textContent !== text) trouble.textContent = text;
  }, 500);
  return () => {
    clearInterval(watch);
    for (const observer of [size, theme, naming]) observer?.disconnect();
  };
}

export default { render };
