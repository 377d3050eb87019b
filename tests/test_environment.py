import sys

import pytest

from helpers import environment
from helpers.environment import check_setup


def test_a_working_set_up_is_ready(capsys):
    assert check_setup() == []
    assert capsys.readouterr().out == "Everything is ready.\n"


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("ipywidgets", "%pip install --force-reinstall ipywidgets"),
        ("sklearn", "%pip install --force-reinstall scikit-learn"),
        ("torch", "%pip install --force-reinstall torch torchvision"),
        ("torchvision", "%pip install --force-reinstall torch torchvision"),
    ],
)
def test_package_that_is_missing_gets_the_line_that_mends_it(
    module, command, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, module, None)  # importing it fails, as if missing
    (problem,) = check_setup()
    assert f"{environment.PACKAGES[module]} can't be imported" in problem
    assert problem.endswith(f"Run in a cell: {command}")
    assert capsys.readouterr().out == problem + "\n"


def test_package_that_breaks_is_reported_and_not_raised(monkeypatch):
    real = environment.importlib.import_module

    def import_module(name):
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name)

    monkeypatch.setattr(environment.importlib, "import_module", import_module)
    (problem,) = check_setup()
    assert "torchvision can't be imported (operator torchvision::nms" in problem
    assert problem.endswith("torch torchvision")


def test_conda_users_are_told_the_conda_line(monkeypatch, tmp_path):
    (tmp_path / "conda-meta").mkdir()
    monkeypatch.setattr(environment.sys, "prefix", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torch", None)
    (problem,) = check_setup()
    assert problem.endswith("%conda install -c conda-forge pytorch torchvision")
