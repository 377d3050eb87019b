"""Settings for every test and for the notebooks that pytest executes."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small models are faster on one thread
os.environ.setdefault("HELPERS_OFFLINE", "1")  # no test depends on a download
