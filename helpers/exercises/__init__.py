"""Exercises that check themselves, hint by hint, and remember what is solved."""

from helpers.exercises.base import hint, solution
from helpers.exercises.checker import check
from helpers.exercises.progress import progress

__all__ = ["check", "hint", "progress", "solution"]
