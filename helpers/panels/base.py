"""What all panels share: a picture that the browser draws, and its controls."""

import re
import traceback
from pathlib import Path

import anywidget
import torch
from IPython.display import display
from ipywidgets import Button, FloatSlider, HBox, VBox
from traitlets import Dict, Unicode

WEB = Path(__file__).parent / "web"
SENTENCE = "A live panel belongs here: run this cell in JupyterLab to play with it."
# A live panel hides this sentence, and the picture before it that stands in for it.
# Where a widget can't be shown, no error of JupyterLab's stands beside the sentence.
STAND_IN = f"""<style>
.jp-OutputArea-child:has(.live-panel) + .jp-OutputArea-child,
.jp-OutputArea-child:has(+ .jp-OutputArea-child .live-panel),
.jp-OutputArea:has(.panel-stand-in) .jp-OutputArea-output.lm-Panel:not(:has(*))
  {{display: none}}
</style><p class="panel-stand-in"><em>{SENTENCE}</em></p>"""


def javascript() -> str:
    """Return all that draws as one module: a widget can't import a part of it."""
    text = "\n".join(part.read_text(encoding="utf-8") for part in WEB.glob("*.js"))
    return re.sub(r"^import [^;]*;$|^export (?!default)", "", text, flags=re.MULTILINE)


class Picture(anywidget.AnyWidget):
    """A part of the page: Python gives it numbers, and the browser draws them."""

    _esm = javascript()
    _css = (WEB / "panels.css").read_text(encoding="utf-8")
    kind = Unicode().tag(sync=True)
    # What never changes, what may, what changes many times a second, and what the
    # learner's hand has set.
    fixed, data, live, hand = (Dict().tag(sync=True) for _ in range(4))


class Panel:
    """Controls above a picture, which shows the `numbers()` of a subclass.

    Where no widgets live, a sentence stands in for it.
    """

    def __init__(self, *rows, hand, **fixed):
        kind = type(self).__name__
        self.picture = Picture(kind=kind, fixed=packed(fixed), hand=hand)
        self.box = VBox([*rows, self.picture])
        self.box.add_class("live-panel")
        self.picture.observe(self.update, "hand")
        self.update()

    def update(self, _=None) -> None:
        """Send new numbers to the page, or say what went wrong."""
        try:
            found = packed(self.numbers())
        except Exception as error:  # of the learner's own functions
            found = {"error": told(error)}
        self.picture.data = found | {"turn": self.picture.data.get("turn", 0) + 1}

    def __repr__(self):
        return SENTENCE

    def _ipython_display_(self):
        display(self.box._repr_mimebundle_() | {"text/plain": ""}, raw=True)
        display({"text/html": STAND_IN, "text/plain": SENTENCE}, raw=True)


def told(error: BaseException) -> str:
    """Return an error, and the hints that were added to it, in one line."""
    return " ".join("".join(traceback.format_exception_only(error)).split())


def packed(found: dict) -> dict:
    """Turn each tensor into bytes, as JSON has neither inf nor nan."""
    return {n: _bytes(v) if torch.is_tensor(v) else v for n, v in found.items()}


def _bytes(tensor):
    numbers = tensor if tensor.dtype == torch.uint8 else tensor.float()
    return numbers.detach().cpu().numpy().tobytes()


def labelled(control, name: str, value, changed=None, **options):
    """Make a control with its name beside it; a change of its value calls `changed`."""
    made = control(description=name, value=value, **options)
    made.observe(changed or (lambda _: None), "value")
    return made


def slider(name: str, value: float, most: float, changed) -> FloatSlider:
    """Make a slider from 0 on."""
    return labelled(FloatSlider, name, value, changed, max=most, step=0.01)


def buttons(actions: dict) -> HBox:
    """Make a row of buttons, each of which calls its action without arguments."""
    row = HBox([Button(description=name) for name in actions])
    for button, action in zip(row.children, actions.values(), strict=True):
        button.on_click(lambda _, action=action: action())
    return row
