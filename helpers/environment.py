"""Say in words whether everything that the course imports is here, and works."""

import importlib
import sys
from pathlib import Path

# What the notebooks import, with the name under which it is installed.
PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "ipywidgets": "ipywidgets",
    "anywidget": "anywidget",
    "platformdirs": "platformdirs",
    "tqdm": "tqdm",
}


def check_setup() -> list[str]:
    """Print what can't be imported and the line that mends it; return the problems."""
    problems = [p for module in PACKAGES if (p := _problem_with(module)) is not None]
    print("\n".join(problems) or "Everything is ready.")
    return problems


def _problem_with(module):
    try:
        importlib.import_module(module)
    except Exception as error:
        name = PACKAGES[module]
        return f"{name} can't be imported ({error}). Run in a cell: {_mend(name)}"
    return None


def _mend(name):
    """Return the notebook line that installs a package, and torchvision with torch."""
    names = ["torch", "torchvision"] if "torch" in name else [name]
    if (Path(sys.prefix) / "conda-meta").is_dir():
        names = ["pytorch" if name == "torch" else name for name in names]
        return "%conda install -c conda-forge " + " ".join(names)
    return "%pip install --force-reinstall " + " ".join(names)
