"""Tables, and sentences, from the measurements of benchmarks/peers.py."""

import math
import statistics

OURS = "ours"
WHY = {
    "by hand, in memory": "the same steps, without the checks and the record of fit",
    "published loop": "it keeps the images as bytes, and converts them one by one",
    "scikit-learn": "it knows this network's derivatives, and records no graph",
}
LEVEL_MB = 5  # memory that differs by less is taken as equal


def table(results):
    """Return one row per setting and implementation, for the most images."""
    settings = {(run["batch_size"], run["threads"]): None for run in results["runs"]}
    names = sorted_names(results)
    return [
        {"batch_size": batch_size, "threads": threads, "name": name}
        | compare(results, batch_size, threads, name)
        | memory(results, batch_size, threads, name)
        for batch_size, threads in sorted(settings)
        for name in names
    ]


def sorted_names(results):
    """Return the implementations, ours first, the others in a fixed order."""
    return [OURS, *sorted({run["name"] for run in results["runs"]} - {OURS})]


def select(results, batch_size, threads, name):
    """Return an implementation's runs at one setting, by their repeat."""
    place = (batch_size, threads, name)
    return {
        run["repeat"]: run
        for run in results["runs"]
        if (run["batch_size"], run["threads"], run["name"]) == place
    }


def compare(results, batch_size, threads, name, size=-1):
    """Return seconds and times ours, each as median, lowest and highest."""
    theirs = select(results, batch_size, threads, name)
    ours = select(results, batch_size, threads, OURS)
    seconds = {repeat: run["seconds"][size] for repeat, run in theirs.items()}
    ratios = [s / ours[repeat]["seconds"][size] for repeat, s in seconds.items()]
    return {"seconds": spread(seconds.values()), "times_ours": spread(ratios)}


def memory(results, batch_size, threads, name):
    """Return the medians of the peak memory, or None where it is unknown."""
    runs = select(results, batch_size, threads, name).values()
    figures = ("peak_mb", "training_mb")
    known = all(run[figure] is not None for run in runs for figure in figures)
    return {
        figure: statistics.median(run[figure] for run in runs) if known else None
        for figure in figures
    }


def spread(values):
    """Return median, lowest and highest."""
    values = list(values)
    return [statistics.median(values), min(values), max(values)]


def growth(results):
    """Return each implementation's seconds for every number of images."""
    setting, rows = results["growth_at"], []
    sizes = next(iter(select(results, *setting, OURS).values()))["sizes"]
    for name in sorted_names(results):
        cells = [compare(results, *setting, name, i) for i in range(len(sizes))]
        medians = [cell["seconds"][0] for cell in cells]
        logs = [[math.log(value) for value in values] for values in (sizes, medians)]
        rows.append(
            {
                "name": name,
                "sizes": sizes,
                "cells": cells,
                "exponent": statistics.linear_regression(*logs).slope,
            }
        )
    return rows


def report(results):
    """Return everything that is to be read, as text."""
    machine, versions = results["machine"], results["versions"]
    run = max(results["runs"], key=lambda run: run["sizes"][-1])
    head = [
        f"One epoch of {run['sizes'][-1]:,} images, from the new network to the end of "
        f"its training: median (lowest–highest) of {results['repeats']}.",
        f"{machine['processor']}, {plural(machine['cores'], 'core')}, "
        f"{machine['system']}; "
        + ", ".join(f"{name} {version}" for name, version in versions.items()),
        "Peak MB is of the whole process, with torch and the images; of training, what "
        "is held above them while it trains.",
    ]
    settings = {(row["batch_size"], row["threads"]): None for row in results["table"]}
    parts = [head]
    parts += [setting_lines(results["table"], *setting) for setting in settings]
    parts += [growth_lines(results), peak_lines(results), behind_lines(results)]
    return "\n\n".join("\n".join(part) for part in parts)


def setting_lines(rows, batch_size, threads):
    """Return the table of one setting, the fastest first."""
    rows = [r for r in rows if (r["batch_size"], r["threads"]) == (batch_size, threads)]
    lines = [
        f"Batch {batch_size}, {plural(threads, 'thread')}",
        f"{'':24}{'seconds':>22}{'times ours':>22}{'peak MB':>9}{'of training':>13}",
    ]
    for row in sorted(rows, key=lambda row: row["seconds"][0]):
        lines.append(
            f"{row['name']:24}{shown(row['seconds'], 3):>22}"
            f"{shown(row['times_ours'], 2):>22}"
            f"{megabytes(row['peak_mb']):>9}{megabytes(row['training_mb']):>13}"
        )
    return lines


def growth_lines(results):
    """Return how the time grows with the number of images."""
    rows = results["growth"]
    sizes = rows[0]["sizes"]
    batch_size, threads = results["growth_at"]
    heads = "".join(f"{size:>9,}" for size in sizes)
    lines = [
        f"Milliseconds per 1,000 images, by the number of images (batch {batch_size}, "
        f"{plural(threads, 'thread')}), and the exponent of the growth (1: linear)",
        f"{'':24}{heads}{'exponent':>10}",
    ]
    for row in rows:
        seconds = [cell["seconds"][0] for cell in row["cells"]]
        each = [s / n * 1e6 for s, n in zip(seconds, sizes, strict=True)]
        figures = "".join(f"{value:9.1f}" for value in each)
        lines.append(f"{row['name']:24}{figures}{row['exponent']:10.2f}")
    return lines


def peak_lines(results):
    """Return the share of the machine's matrix speed that ours reaches."""
    lines = []
    for row in results["table"]:
        if row["name"] != OURS:
            continue
        size = select(results, row["batch_size"], row["threads"], OURS)[0]["sizes"][-1]
        speed = size * operations_per_image() / row["seconds"][0]
        peak = max(results["matmul"][str(row["threads"])])
        lines.append(
            f"Batch {row['batch_size']}, {plural(row['threads'], 'thread')}: the "
            f"network's matrix products at {speed / 1e9:.1f} GFLOP/s, "
            f"{speed / peak:.0%} of the {peak / 1e9:.0f} that square ones reach."
        )
    return lines


def operations_per_image():
    """Return the additions and multiplications of one training step, per image."""
    first, second = 784 * 128, 128 * 10
    forward = 2 * (first + second)
    weight_gradients = forward
    input_gradient = 2 * second  # of the second layer alone: images need none
    return forward + weight_gradients + input_gradient


def behind_lines(results):
    """Return one sentence for each place where ours is not ahead."""
    found = [slower_than(row, time_place(row)) for row in results["table"]]
    for row in results["growth"]:
        for size, cell in zip(row["sizes"][:-1], row["cells"][:-1], strict=True):
            batch_size, threads = results["growth_at"]
            place = {"batch_size": batch_size, "threads": threads, "name": row["name"]}
            where = f"{time_place(place)}, {size:,} images"
            found.append(slower_than(place | cell, where))
    lines = [line for line in found if line] + list(smaller_than(results["table"]))
    return ["Where ours is not ahead:", *(lines or ["nowhere."])]


def time_place(row):
    """Return a setting in words."""
    return f"batch {row['batch_size']}, {plural(row['threads'], 'thread')}"


def slower_than(row, where):
    """Say that an implementation takes no more time than ours, if so."""
    middle, low, high = row["times_ours"]
    if row["name"] == OURS or round(middle, 2) > 1:
        return None
    why = reason(row["name"]) if high < 1 else ""
    return (
        f"{where}: {row['name']} takes {middle:.2f} ({low:.2f}–{high:.2f}) times ours"
        f"{why}."
    )


def smaller_than(rows):
    """Say which implementations need less memory than ours, over all settings."""
    names = {row["name"]: None for row in rows}
    if any(row["peak_mb"] is None for row in rows):
        return
    ours = memory_of(rows, OURS)
    for name in names:
        theirs = memory_of(rows, name)
        if any(t < o - LEVEL_MB for t, o in zip(theirs, ours, strict=True)):
            yield (
                f"memory: {name} needs {theirs[0]:.0f} MB for training and "
                f"{theirs[1]:.0f} in all, ours {ours[0]:.0f} and {ours[1]:.0f}"
                f"{reason(name)}."
            )


def memory_of(rows, name):
    """Return the medians over all settings: for training, and in all."""
    return [
        statistics.median(row[figure] for row in rows if row["name"] == name)
        for figure in ("training_mb", "peak_mb")
    ]


def reason(name):
    """Return why an implementation may be ahead, where that is known."""
    return f" ({WHY[name]})" if name in WHY else ""


def shown(figures, digits):
    """Write a median with its spread."""
    middle, low, high = (f"{figure:.{digits}f}" for figure in figures)
    return f"{middle} ({low}–{high})"


def megabytes(figure):
    """Write an amount of memory."""
    return "unknown" if figure is None else f"{figure:.0f}"


def plural(number, noun):
    """Write a number with its noun."""
    return f"{number} {noun}" + "s" * (number != 1)
