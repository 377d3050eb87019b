"""Build .venv with everything the course needs; a second call finds it ready.

    python3 tools/install.py

TORCH_INDEX names a package index to look for torch and torchvision in first,
and CONSTRAINTS the file of exact versions (empty: the newest allowed). Written
so that an old Python can read it and be told that it is too old.
"""

import hashlib
import io
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
BIN = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin")
VENV_PYTHON = os.path.join(BIN, "python.exe" if os.name == "nt" else "python")
STAMP = os.path.join(VENV, "installed.txt")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
NO_NEWS_POPUP = {
    "@jupyterlab/apputils-extension:notification": {
        "checkForUpdates": False,
        "fetchNews": "false",
    }
}


def main():
    """Install what is missing, or say in one line why that is not possible."""
    if sys.version_info < (3, 11):
        sys.exit(
            "The course needs Python 3.11 or newer, and %s is %d.%d. Name a newer one, "
            "for example: make lab PYTHON=python3.13"
            % (sys.executable, sys.version_info[0], sys.version_info[1])
        )
    constraints = os.environ.get("CONSTRAINTS", "constraints.txt")
    if constraints and not os.path.isfile(os.path.join(ROOT, constraints)):
        sys.exit("CONSTRAINTS names %s, and there is no such file." % constraints)
    wanted = fingerprint(constraints)
    if read(STAMP) == wanted:
        return
    if os.path.exists(STAMP):
        os.remove(STAMP)
    sys.stdout.write("Setting up .venv (some minutes the first time)\n")
    sys.stdout.flush()
    if not venv_fits():
        make_venv()
    newest = ["--upgrade", "--upgrade-strategy", "eager"]
    versions = ["-c", constraints] if constraints else newest
    install_torch(versions)
    if pip(["-e", ".[dev,browser]"] + versions) != 0:
        sys.exit("The packages could not be installed: pip's last lines say why.")
    silence_news_popup()
    with io.open(STAMP, "w", encoding="utf-8") as file:
        file.write(wanted)


def fingerprint(constraints):
    """Return a text that changes when something else should be installed."""
    parts = [ROOT, sys.version, constraints, os.environ.get("TORCH_INDEX", "")]
    for name in ("pyproject.toml", constraints):
        parts.append(read(os.path.join(ROOT, name)) if name else "")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def read(path):
    """Return a file's text, or nothing where there is none."""
    try:
        with io.open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def venv_fits():
    """Tell whether .venv has this Python's version and a working pip."""
    probe = "import pip, sys; print(sys.version)"
    try:
        found = subprocess.run(
            [VENV_PYTHON, "-c", probe],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return False
    return found.stdout.decode().strip() == sys.version.strip()


def make_venv():
    """Create .venv afresh."""
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", VENV],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if made.returncode != 0:
        last = made.stdout.decode().strip().splitlines()[-1:]
        sys.exit(
            "Python's venv module could not create .venv (%s). On Debian and Ubuntu it "
            "is in a package of its own: apt install python3-venv" % "".join(last)
        )


def install_torch(versions):
    """Install torch and torchvision from an index of their own where that is better.

    Linux without an NVIDIA driver needs the processor-only build alone: 0.2 GB
    instead of 5. Where that index is out of reach, the default one serves.
    """
    index = os.environ.get("TORCH_INDEX")
    named = bool(index)
    if not named and sys.platform == "linux" and not nvidia_driver_is_here():
        index = CPU_INDEX
    if not index:
        return
    import tomllib

    project = tomllib.loads(read(os.path.join(ROOT, "pyproject.toml")))["project"]
    torch = [d for d in project["dependencies"] if d.startswith("torch")]
    once = ["--no-deps", "--index-url", index, "--retries", "0", "--timeout", "8"]
    if named:
        once.append("--force-reinstall")
    if pip(torch + once + versions, quiet_errors=not named) != 0 and named:
        sys.exit("torch could not be installed from TORCH_INDEX=%s" % index)


def nvidia_driver_is_here():
    """Tell whether Linux has loaded an NVIDIA driver."""
    return os.path.exists("/proc/driver/nvidia/version")


def pip(arguments, quiet_errors=False):
    """Run pip install in .venv, with its progress where a person is watching."""
    command = [VENV_PYTHON, "-m", "pip", "--disable-pip-version-check", "install"]
    if not sys.stdout.isatty():
        command.append("-q")
    errors = subprocess.DEVNULL if quiet_errors else None
    return subprocess.run(command + arguments, cwd=ROOT, stderr=errors).returncode


def silence_news_popup():
    """Keep JupyterLab from asking about its news before the learner has begun."""
    folder = os.path.join(VENV, "share", "jupyter", "lab", "settings")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "overrides.json"), "w") as file:
        json.dump(NO_NEWS_POPUP, file, indent=2)


if __name__ == "__main__":
    main()
