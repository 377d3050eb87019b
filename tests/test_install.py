"""The set-up script, with pip and venv replaced by stand-ins that take notes."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def load_script():
    spec = importlib.util.spec_from_file_location("install", ROOT / "tools/install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Return the script as a module that works on an almost empty folder."""
    module = load_script()
    for name in ("pyproject.toml", "constraints.txt"):
        text = (ROOT / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "other.txt").write_text("tqdm==4.66.0\n")
    put_in_place(module, monkeypatch, tmp_path)
    monkeypatch.setattr(module, "nvidia_driver_is_here", lambda: False)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("CONSTRAINTS", "TORCH_INDEX"):
        monkeypatch.delenv(name, raising=False)
    module.calls, module.arguments, module.results = [], {}, {}
    module.fits = False

    def make_venv():
        module.calls.append("venv")
        (tmp_path / ".venv").mkdir(exist_ok=True)
        module.fits = True

    def pip(arguments, quiet_errors=False):
        what = "torch" if "--no-deps" in arguments else "all"
        module.calls.append(what)
        module.arguments[what] = arguments
        result = module.results.get(what, 0)
        if isinstance(result, BaseException):
            raise result
        return result

    monkeypatch.setattr(module, "make_venv", make_venv)
    monkeypatch.setattr(module, "pip", pip)
    monkeypatch.setattr(module, "venv_fits", lambda: module.fits)
    return module


def put_in_place(module, monkeypatch, folder):
    monkeypatch.setattr(module, "ROOT", str(folder))
    monkeypatch.setattr(module, "VENV", str(folder / ".venv"))
    monkeypatch.setattr(module, "STAMP", str(folder / ".venv" / "installed.txt"))


def test_first_call_installs_and_second_finds_it_done(install):
    install.main()
    assert install.calls == ["venv", "torch", "all"]
    assert install.arguments["torch"][:2] == ["torch>=2.11,<3", "torchvision>=0.26"]
    assert install.CPU_INDEX in install.arguments["torch"]
    assert install.arguments["all"][-2:] == ["-c", "constraints.txt"]
    install.main()
    assert install.calls == ["venv", "torch", "all"]


def test_processor_only_index_out_of_reach_is_no_failure(install):
    install.results["torch"] = 1
    install.main()
    install.main()
    assert install.calls == ["venv", "torch", "all"]


def test_failed_installation_is_not_taken_for_done(install):
    install.results["all"] = 1
    with pytest.raises(SystemExit, match="could not be installed"):
        install.main()
    install.results.clear()
    install.main()
    assert install.calls == ["venv", "torch", "all", "torch", "all"]


def test_interrupted_change_of_versions_is_not_taken_for_done(install, monkeypatch):
    install.main()
    monkeypatch.setenv("CONSTRAINTS", "other.txt")
    install.results["all"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        install.main()
    install.results.clear()
    install.calls.clear()
    monkeypatch.delenv("CONSTRAINTS")
    install.main()
    assert install.calls == ["torch", "all"]


def test_empty_constraints_bring_the_newest_versions(install, monkeypatch):
    monkeypatch.setenv("CONSTRAINTS", "")
    install.main()
    assert install.arguments["all"][-3:] == ["--upgrade", "--upgrade-strategy", "eager"]
    assert "-c" not in install.arguments["all"]


def test_index_named_by_the_user_is_used_and_must_work(install, monkeypatch):
    monkeypatch.setenv("TORCH_INDEX", "https://example.org/simple")
    install.results["torch"] = 1
    with pytest.raises(SystemExit, match=r"TORCH_INDEX=https://example\.org"):
        install.main()
    assert "https://example.org/simple" in install.arguments["torch"]
    assert "--force-reinstall" in install.arguments["torch"]


@pytest.mark.parametrize(
    ("platform", "driver"), [("darwin", False), ("win32", False), ("linux", True)]
)
def test_processor_only_index_is_for_linux_without_a_driver(
    install, monkeypatch, platform, driver
):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(install, "nvidia_driver_is_here", lambda: driver)
    install.main()
    assert install.calls == ["venv", "all"]


def test_change_of_requirements_installs_again(install, tmp_path):
    install.main()
    with open(tmp_path / "pyproject.toml", "a") as file:
        file.write("# changed\n")
    install.main()
    assert install.calls.count("all") == 2


def test_moved_folder_is_installed_again(install, monkeypatch, tmp_path):
    install.main()
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    put_in_place(install, monkeypatch, moved)
    install.main()
    assert install.calls.count("all") == 2


def test_another_interpreter_gets_a_new_environment(install, monkeypatch):
    install.main()
    monkeypatch.setattr(sys, "version", "3.99.0 (other)")
    install.fits = False
    install.main()
    assert install.calls == ["venv", "torch", "all"] * 2


def test_environment_of_the_same_interpreter_fits_and_a_missing_one_does_not(tmp_path):
    module = load_script()
    module.VENV_PYTHON = sys.executable
    assert module.venv_fits()
    module.VENV_PYTHON = str(tmp_path / "missing")
    assert not module.venv_fits()


def test_news_popup_is_silenced_for_this_environment_alone(install, tmp_path):
    install.main()
    folder = tmp_path / ".venv" / "share" / "jupyter" / "lab" / "settings"
    assert "fetchNews" in (folder / "overrides.json").read_text()
