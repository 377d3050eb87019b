"""Train a network, see how it does on unseen examples, or show it a picture."""

import argparse

from helpers import commands

EXPECTED = ValueError, OSError, FloatingPointError, RuntimeError, AssertionError
# Errors take one line, without the usage; options that aren't given aren't there.
SHORT = {"usage": argparse.SUPPRESS, "argument_default": argparse.SUPPRESS}
LOST = "gloo", "nccl", "closed by peer"  # a process misses another


def make_parser():
    """Return the parser of all commands, each described by its docstring."""
    parser = argparse.ArgumentParser("python -m helpers", description=__doc__, **SHORT)
    several = parser.add_subparsers(required=True, prog=parser.prog)
    for does in (commands.train, commands.evaluate, commands.predict):
        summary, example = does.__doc__.split("\n\n")
        words = {"help": summary, "description": summary, "epilog": example}
        several.add_parser(does.__name__, **words, **SHORT).set_defaults(does=does)
    train, evaluate, predict = (one.add_argument for one in several.choices.values())
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
    for add in (train, evaluate):
        add("--device", help="such as cpu or cuda; the fastest if not given")
    evaluate("checkpoint")
    predict("checkpoint")
    predict("image")
    return parser


def main():
    """Do what the command line says; end with one line if that isn't possible."""
    parser = make_parser()
    options = vars(parser.parse_args())
    does = options.pop("does")
    try:
        does(**options)
    except KeyboardInterrupt:
        parser.exit(130, f"Stopped. {commands.GO_ON}\n")
    except EXPECTED as error:
        said = " ".join(str(error).split())
        if isinstance(error, RuntimeError) and any(w in said.lower() for w in LOST):
            parser.exit(1, f"Another process has ended. {commands.GO_ON}\n")
        parser.exit(2, f"{said}\n")


if __name__ == "__main__":
    main()
