"""The set-up script in a folder of its own, with a stand-in for uv that takes notes."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STAND_IN = """\
#!{python}
import json, os, pathlib, sys, time
here, words = pathlib.Path(__file__).parent, sys.argv[1:]
said = {{"--version": "uv 0.13.9 (a build)", "cache": os.environ.get("CACHE", here)}}
if words[0] in said:
    sys.exit(print(said[words[0]]))
settings = {{name: value for name, value in os.environ.items() if "UV" in name}}
with open(here / "notes.txt", "a") as file:
    file.write(json.dumps({{"words": words, "settings": settings}}) + "\\n")
if "--dry-run" in words:
    print("no way there", file=sys.stderr)
    sys.exit("NO_PYTORCH_INDEX" in os.environ)
if "HANG" in os.environ:
    (here / "hangs").touch()
    time.sleep(600)
sys.exit("no space left" if "FAIL" in os.environ else 0)
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in is a Unix script")


@pytest.fixture
def course(tmp_path):
    return Course(tmp_path)


class Course:
    """A copy of the files that the set-up reads, on a machine with our stand-in."""

    def __init__(self, folder):
        self.root, self.machine = folder / "course", folder / "machine"
        self.machine.mkdir()
        (self.root / "tools").mkdir(parents=True)
        for name in ("tools/install.py", "pyproject.toml", "requirements.txt"):
            shutil.copy(ROOT / name, self.root / name)
        (self.machine / "uv").write_text(STAND_IN.format(python=sys.executable))
        (self.machine / "uv").chmod(0o755)

    @property
    def venv(self):
        return self.root / ".venv"

    def start(self, *extras, **environment):
        return subprocess.Popen(
            [sys.executable, self.root / "tools" / "install.py", *extras],
            env={"PATH": str(self.machine), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def install(self, *extras, **environment):
        """Run the script; return its status, what it said, and uv's installations."""
        (self.machine / "notes.txt").write_text("")
        process = self.start(*extras, **environment)
        said = "".join(process.communicate())
        lines = (self.machine / "notes.txt").read_text().splitlines()
        notes = [json.loads(line) for line in lines if "--dry-run" not in line]
        return process.returncode, said, notes


def options(note):
    words = note["words"]
    assert words[:3] == ["pip", "install", "--python"]
    assert words[-1] == "--quiet"
    return words[words.index("-e") + 1 : -1]


def own_package(course):
    """Put a file where a learner's own package would be."""
    path = course.venv / "lib" / "own.py"
    path.touch()
    return path


def test_first_call_installs_what_is_pinned_and_second_finds_it_ready(course):
    status, said, [note] = course.install()
    assert (status, said.count("\n")) == (0, 1)
    assert options(note) == [".[dev,browser]", "-c", "requirements.txt"]
    assert note["settings"] == {"UV_SYSTEM_CERTS": "1", "UV_TORCH_BACKEND": "auto"}
    settings = course.venv / "share/jupyter/lab/settings/overrides.json"
    [popups] = json.loads(settings.read_text()).values()
    assert popups == {"checkForUpdates": False, "fetchNews": "false"}
    assert course.install() == (0, "", [])


def test_pytorch_index_out_of_reach_is_left_out_quietly(course):
    status, said, [note] = course.install(NO_PYTORCH_INDEX="1")
    assert (status, said.count("\n")) == (0, 1)
    assert note["settings"] == {"UV_SYSTEM_CERTS": "1"}


def test_settings_of_the_user_hold(course):
    chosen = {"UV_TORCH_BACKEND": "cu130", "UV_SYSTEM_CERTS": "0"}
    assert course.install(**chosen)[2][0]["settings"] == chosen


@pytest.mark.skipif(not Path("/proc").is_mount(), reason="needs a second file system")
def test_files_are_copied_from_a_cache_on_another_disk(course):
    [note] = course.install(CACHE="/proc/no/such/folder")[2]
    assert note["settings"]["UV_LINK_MODE"] == "copy"


@pytest.mark.parametrize(
    ("versions", "wanted"),
    [
        ("oldest", ["--upgrade", "--resolution", "lowest-direct"]),
        ("newest", ["--upgrade"]),
    ],
)
def test_other_versions_are_built_afresh(course, versions, wanted):
    course.install()
    own = own_package(course)
    [note] = course.install(VERSIONS=versions)[2]
    assert options(note) == [".[dev,browser]", *wanted]
    assert not own.exists()


def test_unknown_versions_are_refused(course):
    said = "VERSIONS can be pinned, oldest or newest, but not old.\n"
    assert course.install(VERSIONS="old") == (1, said, [])


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements.txt"])
def test_change_of_requirements_installs_again_and_keeps_own_packages(course, name):
    course.install()
    own = own_package(course)
    with open(course.root / name, "a") as file:
        file.write("# changed\n")
    assert len(course.install()[2]) == 1
    assert own.exists()


def test_extra_is_added_to_what_is_there(course):
    course.install()
    own = own_package(course)
    [note] = course.install("bench")[2]
    assert options(note)[0] == ".[dev,browser,bench]"
    assert own.exists()
    assert course.install() == (0, "", [])


def test_moved_folder_is_built_afresh(course):
    course.install()
    own_package(course)
    course.root = course.root.rename(course.root.with_name("moved é"))
    assert len(course.install()[2]) == 1
    assert not (course.venv / "lib" / "own.py").exists()


@pytest.mark.parametrize("harm", [Path.unlink, lambda python: python.chmod(0)])
def test_environment_without_a_python_that_runs_is_built_afresh(course, harm):
    course.install()
    python = course.venv / "bin" / "python"
    target = python.resolve()
    python.unlink()
    shutil.copy(target, python)
    harm(python)
    assert course.install()[0] == 0
    assert subprocess.run([python, "-c", ""]).returncode == 0


def test_failure_of_uv_is_one_sentence_and_the_next_call_starts_afresh(course):
    status, said, _ = course.install(FAIL="1")
    assert status == 1
    assert said.splitlines()[1:] == [
        "no space left",
        "The set-up failed: the lines above say why.",
    ]
    own = own_package(course)
    assert len(course.install()[2]) == 1
    assert not own.exists()


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_update_is_built_afresh(course, kind):
    course.install()
    own = own_package(course)
    (course.root / "requirements.txt").write_text("# changed\n")
    process = course.start(HANG="1")
    while not (course.machine / "hangs").exists():
        time.sleep(0.01)
    os.killpg(process.pid, kind)
    said = process.communicate()[1]
    if kind == signal.SIGINT:
        assert "The set-up was interrupted. The next call starts afresh." in said
    assert len(course.install()[2]) == 1
    assert not own.exists()


def test_folder_left_empty_by_an_interrupted_call_is_taken(course):
    course.venv.mkdir()
    assert len(course.install()[2]) == 1


@pytest.mark.parametrize("where", [".venv", "elsewhere"])
def test_folder_that_is_no_environment_is_refused(course, where):
    folder = course.root / where
    folder.mkdir()
    (folder / "thesis.txt").touch()
    if where != ".venv":
        (folder / "pyvenv.cfg").touch()
        course.venv.symlink_to(folder)
    status, said, notes = course.install()
    assert (status, said.count("\n"), notes) == (1, 1, [])
    assert "call again" in said
    assert (folder / "thesis.txt").exists()


def test_links_inside_the_environment_are_not_followed(course):
    outside = course.root / "photos"
    outside.mkdir()
    (outside / "one.png").touch()
    course.install()
    (course.venv / "photos").symlink_to(outside)
    course.install(VERSIONS="newest")
    assert not (course.venv / "photos").exists()
    assert (outside / "one.png").exists()


@pytest.mark.parametrize(
    ("told", "used"),
    [
        ("echo uv 0.11.0", True),
        ("echo uv 1.0.0", True),
        ("echo uv 0.10.12", False),
        ("echo uv: command not found >&2; exit 127", False),
    ],
)
def test_uv_is_used_if_it_is_new_enough(course, monkeypatch, told, used):
    uv = course.machine / "uv"
    uv.write_text(f"#!/bin/sh\n{told}\n")
    monkeypatch.setenv("PATH", str(course.machine))
    script = runpy.run_path(str(course.root / "tools" / "install.py"))
    assert script["find_uv"]() == (str(uv) if used else None)
