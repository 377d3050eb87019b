"""Draw the results of benchmarks/peers.py from its JSON file."""

import json
import os

import matplotlib.pyplot as plt

from helpers.plotting import BLUE, GREY, set_style

OURS = "ours"


def draw(results, picture):
    """Draw seconds per epoch on one thread, one panel for each batch size."""
    found = json.loads(results.read_text(encoding="utf-8"))
    rows = [row for row in found["table"] if row["threads"] == 1]
    batch_sizes = sorted({row["batch_size"] for row in rows})
    order = by_time([row for row in rows if row["batch_size"] == batch_sizes[0]])
    set_style()
    figure, axes = plt.subplots(
        1, len(batch_sizes), sharey=True, figsize=(9, 0.5 + 0.3 * len(order))
    )
    for ax, batch_size in zip(axes, batch_sizes, strict=True):
        of_panel = [row for row in rows if row["batch_size"] == batch_size]
        medians = {row["name"]: row["seconds"][0] for row in of_panel}
        draw_bars(ax, {name: medians[name] for name in order})
        ax.set_title(f"batches of {batch_size}")
    axes[0].invert_yaxis()  # for both: they share it
    part = picture.with_suffix(".part")
    figure.savefig(part, format="png", dpi=160)
    os.replace(part, picture)
    plt.close(figure)


def by_time(rows):
    """Return the names, the fastest first."""
    return [row["name"] for row in sorted(rows, key=lambda row: row["seconds"][0])]


def draw_bars(ax, seconds):
    """Draw one bar for each name, from the top, and its time at its end."""
    colours = [BLUE if name == OURS else GREY for name in seconds]
    bars = ax.barh(list(seconds), list(seconds.values()), color=colours)
    ax.bar_label(bars, fmt="%.2f s", padding=4)
    ax.set(xlabel="seconds per epoch", xlim=(0, 1.2 * max(seconds.values())))
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    for label in ax.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() == OURS else "normal")
