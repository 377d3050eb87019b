"""Open JupyterLab on the notebooks, with the start page first.

Options are JupyterLab's own: `python tools/lab.py --no-browser --port=9000`.
"""

import subprocess
import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def command(notebooks, options):
    """Return the command line that serves a folder to this machine alone."""
    return [
        *(sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1"),
        f"--ServerApp.root_dir={notebooks}",
        "--LabApp.default_url=/lab/tree/00_start_here.ipynb",
        *options,
    ]


if __name__ == "__main__":
    try:
        sys.exit(subprocess.run(command(NOTEBOOKS, sys.argv[1:])).returncode)
    except KeyboardInterrupt:
        sys.exit()
