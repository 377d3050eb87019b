from importlib import metadata

import pytest

from helpers import environment
from helpers.environment import check_setup


def test_a_working_set_up_is_described_in_words(capsys):
    assert check_setup() == []
    printed = capsys.readouterr().out
    assert f"PyTorch {metadata.version('torch')} and torchvision" in printed
    assert "Data: " in printed
    assert "ipywidgets" in printed
    assert printed.endswith("Everything is ready.\n")


@pytest.mark.parametrize("place", ["", "missing"])
def test_missing_data_is_called_the_offline_default(
    place, monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("HELPERS_DATA", str(tmp_path / place))
    assert check_setup() == []
    assert "the offline default" in capsys.readouterr().out


def pretend_versions(monkeypatch, **versions):
    """Make some distributions look installed in another version, or not at all."""
    real = metadata.version

    def version(name):
        found = versions[name] if name in versions else real(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(environment.metadata, "version", version)


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("ipywidgets", "%pip install --force-reinstall ipywidgets"),
        ("scikit-learn", "%pip install --force-reinstall scikit-learn"),
        ("torch", "%pip install --force-reinstall torch torchvision"),
    ],
)
def test_missing_package_gets_the_line_that_mends_it(
    missing, command, monkeypatch, capsys
):
    pretend_versions(monkeypatch, **{missing: None})
    (problem,) = check_setup()
    assert problem.startswith(f"{missing} is missing")
    assert problem.endswith(command)
    printed = capsys.readouterr().out
    assert problem in printed
    assert "Everything is ready" not in printed


def test_torch_of_another_release_than_torchvisions_is_reported(monkeypatch):
    pretend_versions(monkeypatch, torch="2.12.0+cpu", torchvision="0.29.1+cpu")
    monkeypatch.setattr(
        environment.metadata, "requires", lambda name: ["numpy", "torch (==2.14.1)"]
    )
    (problem,) = check_setup()
    assert "torchvision 0.29.1+cpu needs torch ==2.14.1" in problem
    assert "torch 2.12.0+cpu is installed" in problem
    assert problem.endswith("%pip install --force-reinstall torch torchvision")


def test_torchvision_that_cannot_be_imported_is_reported(monkeypatch):
    real = environment.importlib.import_module

    def import_module(name):
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name)

    monkeypatch.setattr(environment.importlib, "import_module", import_module)
    (problem,) = check_setup()
    assert "cannot be imported (operator torchvision::nms does not exist)" in problem
    assert problem.endswith("%pip install --force-reinstall torch torchvision")


def test_conda_users_are_told_the_conda_line(monkeypatch, tmp_path):
    (tmp_path / "conda-meta").mkdir()
    monkeypatch.setattr(environment.sys, "prefix", str(tmp_path))
    pretend_versions(monkeypatch, torch=None)
    (problem,) = check_setup()
    assert problem.endswith("%conda install -c conda-forge pytorch torchvision")
