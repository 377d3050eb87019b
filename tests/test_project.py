"""What the files of the project promise one another."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def requirements(*extras):
    """Return the direct dependencies, and Python, as pairs of name and bounds."""
    project = tomllib.loads(read("pyproject.toml"))["project"]
    lines = project["dependencies"].copy()
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    lines.append("python" + project["requires-python"])
    return dict(re.fullmatch(r"([\w-]+)(.*)", line).groups() for line in lines)


def test_every_direct_dependency_is_pinned_and_no_host_is_named():
    lines = [line for line in read("requirements.txt").splitlines() if line[0] != "#"]
    pinned = [re.match(r"([\w-]+)==[\w.+]+(?= ;|$)", line)[1] for line in lines]
    direct = requirements("dev", "browser", "bench").keys() - {"python"}
    assert direct <= set(pinned)


def test_commit_hook_uses_the_pinned_ruff():
    [version] = re.findall(r"^ruff==(.+)", read("requirements.txt"), re.MULTILINE)
    assert f"rev: v{version}\n" in read(".pre-commit-config.yaml")


def test_conda_environment_names_the_same_packages_and_bounds():
    environment = yaml.safe_load(read("environment.yml"))
    *conda, pip = environment["dependencies"]
    found = dict(re.fullmatch(r"([\w-]+)(.*)", line).groups() for line in conda)
    wanted = requirements("dev")
    assert found == {CONDA_NAMES.get(name, name): b for name, b in wanted.items()}
    assert pip == {"pip": ["-e ."]}
    assert environment["channels"] == ["conda-forge"]


def loaded_by(statement):
    """Return the top-level names of the modules that a statement loads."""
    code = f"{statement}; import sys; print(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


HEAVY = {"matplotlib", "ipywidgets", "torchvision", "sklearn", "IPython"}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("helpers", HEAVY | {"torch"}),
        ("helpers.training", HEAVY),
        ("helpers.data", HEAVY),
        ("helpers.environment", HEAVY | {"torch"}),
    ],
)
def test_module_loads_no_more_than_it_needs(module, unwanted):
    assert not loaded_by(f"import {module}") & unwanted


def test_training_imports_no_sibling():
    source = read("helpers/training.py")
    assert "helpers" not in re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE)


def test_readme_shows_pictures_and_links_that_exist():
    text = read("README.md")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert any(target.endswith(".png") for target in targets)
    for target in targets:
        assert (ROOT / target).exists(), target


def test_python_too_old_is_told_so_in_one_line():
    code = (
        "import runpy, sys; sys.version_info = (3, 9, 1); "
        f"runpy.run_path({str(ROOT / 'tools' / 'install.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "needs Python 3.11 or newer" in done.stderr
    assert "is 3.9" in done.stderr


def test_installer_can_be_read_by_an_old_python():
    ast.parse(read("tools/install.py"), feature_version=(3, 4))
    assert not re.search(r"\bf['\"]", read("tools/install.py")), "f-strings came in 3.6"
