"""Train a network, see how it does on unseen examples, or show it a picture."""

import argparse
import re

from helpers import commands
from helpers.checkpoints import CheckpointError

EXPECTED = ValueError, OSError, CheckpointError, FloatingPointError
TORCHS = RuntimeError, AssertionError  # as when there is no such device, or network
LOST = re.compile("(?i)gloo|nccl|closed by peer")  # a process misses another


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def error(self, message):
        """Say it, and end with the status of a wrong call."""
        self.exit(2, f"{self.prog}: {message}\n")


def make_parser():
    """Return the parser of all commands, each described by its docstring."""
    parser = Parser(prog="python -m helpers", description=__doc__)
    several = parser.add_subparsers(required=True, metavar="train | evaluate | predict")
    for does in (commands.train, commands.evaluate, commands.predict):
        words = {"help": does.__doc__.partition(".")[0], "description": does.__doc__}
        words["formatter_class"] = argparse.RawDescriptionHelpFormatter
        words["argument_default"] = argparse.SUPPRESS
        several.add_parser(does.__name__, **words).set_defaults(does=does)
    train, evaluate, predict = (one.add_argument for one in several.choices.values())
    add_options(train)
    for add in (train, evaluate):
        add("--device", help="such as cpu or cuda; the fastest if not given")
    evaluate("checkpoint")
    predict("checkpoint")
    predict("image")
    return parser


def add_options(train):
    """Add the options that only training has."""
    train("--dataset", choices=["mnist", "fashion-mnist", "iris"])
    train("--model", choices=["mlp", "cnn"])
    train("--epochs", type=int, help="how many to have done in the end")
    train("--lr", type=float, help="the learning rate")
    train("--batch-size", type=int, help="of all processes together")
    train("--optimizer", choices=commands.OPTIMIZERS)
    train("--schedule", choices=commands.SCHEDULES)
    train("--seed", type=int)
    train("--checkpoint", metavar="FILE", help="where to save the run after each epoch")
    train("--resume", action="store_true", help="go on with the run in that file")
    train("--history", metavar="FILE", help="where to write the records, as JSON lines")


def main():
    """Do what the command line says; end with one line if that isn't possible."""
    parser = make_parser()
    options = vars(parser.parse_args())
    does = options.pop("does")
    try:
        does(**options)
    except KeyboardInterrupt:
        parser.exit(130, f"Stopped. {commands.GO_ON}\n")
    except (*EXPECTED, *TORCHS) as error:
        said = " ".join(str(error).split())
        if isinstance(error, RuntimeError) and LOST.search(said):
            parser.exit(1, f"Another process has ended. {commands.GO_ON}\n")
        parser.exit(2, f"{said}\n")


if __name__ == "__main__":
    main()
