"""Say in words whether this machine is ready for the course.

Nothing but the standard library is imported before it is checked, so that a
broken set-up is reported and not raised.
"""

import importlib
import platform
import sys
from importlib import metadata
from pathlib import Path

# What the notebooks import, with the name under which it is installed.
PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "ipywidgets": "ipywidgets",
    "tqdm": "tqdm",
}


def check_setup() -> list[str]:
    """Print what was found and how to mend what is wrong; return the problems."""
    print(f"Python {platform.python_version()} on {platform.system()}.")
    found = (_problem_with(module, name) for module, name in PACKAGES.items())
    problems = [problem for problem in found if problem]
    if problems:
        print("\n".join(problems))
        return problems
    versions = {name: metadata.version(name) for name in PACKAGES.values()}
    torch, torchvision = versions["torch"], versions["torchvision"]
    print(f"PyTorch {torch} and torchvision {torchvision} go together.")
    print(_describe_device())
    print(_describe_data())
    print(f"Live panels: ipywidgets {versions['ipywidgets']} is installed.")
    print("Everything is ready.")
    return []


def _problem_with(module, name):
    """Return what is wrong with a package and the line that mends it, or None."""
    mend = f"Run in a cell: {_install(name)}"
    if name in ("torch", "torchvision"):
        mend = f"Run in a cell: {_install('torch', 'torchvision')}"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing. {mend}"
    if name == "torchvision":
        try:
            torch = metadata.version("torch")
        except metadata.PackageNotFoundError:
            return None  # reported by itself, with a line that mends both
        if wanted := _torch_that_torchvision_lacks(torch):
            return (
                f"torchvision {version} needs torch {wanted}, and torch {torch} is "
                f"installed. {mend}"
            )
    try:
        importlib.import_module(module)
    except Exception as error:
        return f"{name} {version} cannot be imported ({error}). {mend}"
    return None


def _torch_that_torchvision_lacks(version):
    """Return which torch the installed torchvision asks for, if not this version."""
    from packaging.requirements import Requirement

    for line in metadata.requires("torchvision") or ():
        requirement = Requirement(line)
        public = version.split("+")[0]
        fits = requirement.specifier.contains(public, prereleases=True)
        if requirement.name == "torch" and not fits:
            return requirement.specifier
    return None


def _install(*names):
    """Return the notebook line that installs packages here, by pip or by conda."""
    if (Path(sys.prefix) / "conda-meta").is_dir():
        names = ["pytorch" if name == "torch" else name for name in names]
        return "%conda install -c conda-forge " + " ".join(names)
    return "%pip install --force-reinstall " + " ".join(names)


def _describe_device():
    import torch

    if torch.accelerator.is_available():
        device = torch.accelerator.current_accelerator()
        return f"Training can use the accelerator: {device.type}."
    threads = torch.get_num_threads()
    return (
        f"Training runs on the processor, with {threads} "
        f"{'thread' if threads == 1 else 'threads'}: all that the course needs."
    )


def _describe_data():
    from helpers.data import mnist_is_here

    if mnist_is_here():
        return "Data: the real MNIST is here."
    return (
        "Data: MNIST is not here, so scikit-learn's small digits stand in (the "
        "offline default)."
    )
