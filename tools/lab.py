"""Open JupyterLab on the notebooks, with the start page first.

Options are JupyterLab's own: `python tools/lab.py --no-browser --port=9000`.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
# What `python -m jupyterlab` does, with our own modules within its reach.
START = (
    f"import sys; sys.path.insert(0, {str(ROOT)!a}); "
    "from jupyterlab.labapp import main; main()"
)


def command(notebooks, options):
    """Return the command line that serves a folder to this machine alone."""
    return [
        *(sys.executable, "-c", START, "--ServerApp.ip=127.0.0.1"),
        f"--ServerApp.root_dir={notebooks}",
        "--LabApp.default_url=/lab/tree/00_start_here.ipynb",
        "--ContentsManager.pre_save_hook=tools.server.forget_python_version",
        "--ServerApp.kernel_websocket_connection_class=tools.server.PromptConnection",
        *options,
    ]


if __name__ == "__main__":
    try:
        sys.exit(subprocess.run(command(NOTEBOOKS, sys.argv[1:])).returncode)
    except KeyboardInterrupt:
        sys.exit()
