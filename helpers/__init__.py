"""What the notebooks share: loop, data, plots, checkpoints, panels, exercises.

`diagnosis` looks for bugs in a training, and `python -m helpers` trains without a
notebook, in one process or, as `distributed` has it, in many.

Each module is imported by name (`from helpers.training import fit`), so that
a notebook loads only what it uses.
"""
