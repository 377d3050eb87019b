"""Remember which exercises are solved, in one small file of the user's own."""

import json
import os
from pathlib import Path

from platformdirs import user_data_path

from helpers.exercises.base import exercises, notebooks


def progress(forget: bool = False) -> None:
    """Print what is solved, a bar for each notebook; or forget it all."""
    if forget:
        _file().unlink(missing_ok=True)
    solved = _solved()
    for notebook, file in notebooks().items():
        here = exercises(file)
        title = " ".join(file.stem.split("_")[2:])
        boxes = "".join("■" if number in solved else "□" for number in here)
        count = len(solved & here.keys())
        print(f"{notebook:02} {title:16} {boxes:10} {count} of {len(here)}")


def remember(number: str) -> None:
    """Add an exercise to those that are solved, replacing the file in one step."""
    path = _file()
    part = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(sorted({*_solved(), number})), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        print(f"(This could not be noted in {path}: {error.strerror}.)")


def _solved() -> set[str]:
    """Return what is solved; nothing where the file is missing or broken."""
    try:
        return set(map(str, json.loads(_file().read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError):
        return set()


def _file() -> Path:
    return user_data_path("pytorch-by-hand") / "solved.json"
