"""What the notebooks share: the training loop, data in memory, plots.

Each module is imported by name (`from helpers.training import fit`), so that
a notebook loads only what it uses.
"""
