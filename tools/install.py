"""Build .venv with everything the course needs; a second call finds it ready.

    python3 tools/install.py

VERSIONS is pinned (to requirements.txt), oldest or newest (that pyproject.toml allows).
Arguments name further extras. Any old Python can read this file, to be told that it is.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "The course needs Python 3.11 or newer, and %s is %d.%d. Name a newer one, "
        "for example: make lab PYTHON=python3.13"
        % ((sys.executable,) + sys.version_info[:2])
    )

import os
import re
import shutil
import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "installed.txt"
VERSIONS = {
    "pinned": ["-c", "requirements.txt"],
    "oldest": ["--upgrade", "--resolution", "lowest-direct"],
    "newest": ["--upgrade"],
}
NO_NEWS_POPUP = """{
  "@jupyterlab/apputils-extension:notification":
    {"checkForUpdates": false, "fetchNews": "false"}
}"""


def main():
    """Install what is missing, or say in one line why that is not possible."""
    versions = os.environ.get("VERSIONS") or "pinned"
    if versions not in VERSIONS:
        sys.exit("VERSIONS can be pinned, oldest or newest, but not %s." % versions)
    try:
        set_up(versions, sys.argv[1:])
    except subprocess.CalledProcessError as error:
        unseen = (error.output or b"").decode()
        sys.exit(unseen + "The set-up failed: the lines above say why.")
    except OSError as error:
        sys.exit("The set-up failed: %s" % error)
    except KeyboardInterrupt:
        sys.exit("The set-up was interrupted. The next call starts afresh.")


def set_up(versions, extras):
    """Bring .venv up to date; build it afresh if unfinished or of another kind."""
    files = [ROOT / "pyproject.toml", ROOT / "requirements.txt"]
    kind = [str(ROOT), sys.version, versions, os.environ.get("UV_TORCH_BACKEND")]
    wanted = [repr(kind), repr([file.read_text("utf-8") for file in files])]
    complete = STAMP.is_file() and venv_runs()
    found = STAMP.read_text("utf-8").splitlines() if complete else []
    if found == wanted and not extras:
        return
    mark_unfinished()
    sys.stderr.write("Setting up .venv (a minute or more the first time)\n")
    if found[:1] != wanted[:1]:
        make_venv()
    install(["dev", "browser"] + extras, VERSIONS[versions])
    silence_news_popup()
    STAMP.write_text("\n".join(wanted), "utf-8")


def venv_runs():
    """Tell whether .venv has a Python that starts."""
    try:
        return subprocess.call([PYTHON, "-S", "-c", ""]) == 0
    except OSError:
        return False


def mark_unfinished():
    """Claim .venv, but no folder that holds something other than an environment."""
    if VENV.resolve() != VENV:
        sys.exit("%s is a link. Remove the link, and call again." % VENV)
    VENV.mkdir(exist_ok=True)
    names = {path.name for path in VENV.iterdir()}
    if names and not names & {STAMP.name, "pyvenv.cfg"}:
        sys.exit("%s is no virtual environment. Move it away, and call again." % VENV)
    STAMP.write_text("unfinished")


def make_venv():
    """Build .venv afresh, and let nothing stay but the stamp that says unfinished."""
    for path in set(VENV.iterdir()) - {STAMP}:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    venv.create(VENV, symlinks=os.name != "nt")


def find_uv():
    """Return the machine's uv, or the one in .venv, if it is new enough."""
    found = [shutil.which("uv", path=folder) for folder in (None, PYTHON.parent)]
    for uv in filter(None, found):
        told = subprocess.run([uv, "--version"], capture_output=True, text=True).stdout
        if [int(number) for number in re.findall(r"\d+", told)[:2]] >= [0, 11]:
            return uv  # which knows UV_SYSTEM_CERTS
    return None


def install_uv():
    """Install uv into .venv: with the pip at hand, or else with a new one, slower."""
    what = ["--disable-pip-version-check", "install", "-q", "uv>=0.13,<0.14"]
    pip = [sys.executable, "-m", "pip", "--python", PYTHON]
    if subprocess.call(pip + what, stderr=subprocess.DEVNULL) != 0:
        venv.create(VENV, symlinks=os.name != "nt", with_pip=True)
        subprocess.check_call([PYTHON, "-m", "pip"] + what)
    return find_uv()


def install(extras, versions):
    """Install the course with uv, and PyTorch from its own index if that answers."""
    uv = find_uv() or install_uv()
    what = ["-e", ".[%s]" % ",".join(extras)] + versions
    command = [uv, "pip", "install", "--python", PYTHON] + what
    os.environ.setdefault("UV_SYSTEM_CERTS", "1")
    if on_another_disk(uv):
        os.environ.setdefault("UV_LINK_MODE", "copy")  # or else uv warns
    if "UV_TORCH_BACKEND" not in os.environ and pytorch_index_serves(command):
        os.environ["UV_TORCH_BACKEND"] = "auto"
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    subprocess.check_call(command + quiet, cwd=ROOT)


def on_another_disk(uv):
    """Tell whether uv's cache and .venv can't share files."""
    cache = Path(subprocess.check_output([uv, "cache", "dir"], text=True).strip())
    nearest = next(path for path in [cache] + list(cache.parents) if path.exists())
    return nearest.stat().st_dev != VENV.stat().st_dev


def pytorch_index_serves(command):
    """Tell whether PyTorch's own index has what is wanted for this machine's driver."""
    trial = command + ["--torch-backend=auto", "--dry-run", "--quiet"]
    once = dict(os.environ, UV_HTTP_RETRIES="1")
    return subprocess.call(trial, cwd=ROOT, env=once, stderr=subprocess.DEVNULL) == 0


def silence_news_popup():
    """Keep JupyterLab from asking about its news before the learner has begun."""
    settings = VENV / "share" / "jupyter" / "lab" / "settings"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "overrides.json").write_text(NO_NEWS_POPUP)


if __name__ == "__main__":
    main()
