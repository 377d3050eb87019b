"""Live panels: adapters around the training loop, never inside it."""

from helpers.panels.drawing import DrawingPad
from helpers.panels.explorers import LogitsPanel, NoisePanel, RacePanel, TangentPanel
from helpers.panels.training import TrainingPanel
