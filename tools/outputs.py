"""What counts in a cell's output when it is stored, and when it is compared.

The output of a cell tagged `approx-2%` is compared word for word, and each of its
numbers may be off by 2 %, as numbers differ a little from machine to machine.
"""

import re

TAG = re.compile(r"approx-(\d+(?:\.\d+)?)%")
WIDGET = "application/vnd.jupyter.widget-view+json"
PROGRESS_BAR = re.compile(r"\?it/s\]$")
NUMBER = re.compile(r"[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")


def without_progress_bars(outputs: list[dict]) -> list[dict]:
    """Leave out what is gone when the cell has run."""
    texts = [output.get("data", {}).get("text/plain", "") for output in outputs]
    pairs = zip(outputs, texts, strict=True)
    return [output for output, text in pairs if not PROGRESS_BAR.search(text)]


def tolerance_of(tags: list[str]) -> float | None:
    """Return the tolerance that a cell's tags state, as a share, or None."""
    found = [match for tag in tags if (match := TAG.fullmatch(tag))]
    return float(found[0][1]) / 100 if found else None


class Approximate(str):
    """Text that equals another with the same words and about the same numbers."""

    def __new__(cls, text, tolerance):
        """Return the text, with its tolerance."""
        self = super().__new__(cls, text)
        self.tolerance = tolerance
        return self

    def __eq__(self, other):
        words = [" ".join(NUMBER.sub("#", text).split()) for text in (self, other)]
        if words[0] != words[1]:
            return False
        pairs = zip(_numbers(self), _numbers(other), strict=True)
        return all(abs(a - b) <= self.tolerance * max(abs(a), abs(b)) for a, b in pairs)

    def __ne__(self, other):
        return not self == other

    __hash__ = str.__hash__


def _numbers(text):
    found = NUMBER.findall(text)
    return [float(number.replace(",", "").replace("−", "-")) for number in found]
