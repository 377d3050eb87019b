"""The exercises of notebook 10, checkpoints."""

import copy
import io
import os
import re
import tempfile
from pathlib import Path

import torch
from torch import nn

from helpers.exercises.base import Function, Value


class size_of_a_checkpoint(Value):
    """The size of a large language model's checkpoint."""

    number = "10.1"
    hints = (
        "How many numbers does Adam keep for each weight, besides the weight itself?",
        "A billion numbers of one byte each would be one GB.",
    )
    right = (
        "Nearly five terabytes at every save, so many machines write at once, each its "
        "own piece. The counts of steps, one for each tensor, are the small change."
    )
    tolerance = 5e-3

    def solution():
        weights = 405  # billions, so that the result is in GB
        # the weight, and two running averages of Adam's
        numbers = 3 * weights
        return 4 * numbers

    def mistake_weights_alone():
        """That is the weights alone, and a run is more than its weights."""
        return 1620

    def mistake_one_average():
        """You counted one of Adam's running averages. Look at the optimizer's line."""
        return 3240

    def mistake_gradients():
        """You counted the gradients too, which the next step clears anyway."""
        return 6480

    def mistake_numbers():
        """That is how many billions of numbers there are; how large is each?"""
        return 1215

    def mistake_bytes():
        """That is in bytes. The question is how many GB."""
        return 4.86e12

    def mistake_terabytes():
        """That is in terabytes. The question is how many GB."""
        return 4.86

    def mistake_gibibytes():
        """You divided by 2³⁰. Here a GB is 10⁹ bytes."""
        return 4526

    def mistake_bits():
        """Four bytes are 32 bits, but the question is in bytes."""
        return 38880


class first_difference(Value):
    """The first step at which a forgotten part can be seen."""

    number = "10.2"
    hints = (
        "The loss of a step comes out of the forward pass. What has a say in it by "
        "then, and what only in the step that the optimizer takes afterwards?",
        "The optimizer keeps the learning rate of the moment in its own state, so a "
        "forgotten schedule does no harm until it is asked for the next rate.",
        "Or look: hand `load(...)` to a loop over `train_steps` of helpers.training, "
        "and call `scheduler.step()` in its body.",
    )
    right = (
        "What the forward pass uses shows at once; Adam's averages show a step later, "
        "and the schedule after one more, as the optimizer had brought the rate of the "
        "moment along. So the first step that differs tells you where to look."
    )

    def probe(answer):
        given = answer if isinstance(answer, dict) else {}
        steps = {str(name).lower(): step for name, step in given.items()}
        names = {"dropout", "order", "optimizer", "scheduler", "model"}
        complete = "it is a dictionary with the five names that `load` knows"
        return {complete: set(steps) == names, **steps}

    def solution():
        return {
            # They all have a say in the forward pass, and so in the first loss.
            "model": 1,
            "order": 1,
            "dropout": 1,
            # The first step starts from the right weights, and goes astray.
            "optimizer": 2,
            # The rate of the first step came with the optimizer. Then the schedule
            # sets one for the second step, and the third loss shows it.
            "scheduler": 3,
        }

    def mistake_at_once():
        """A loss comes before the step it leads to. Can all five have had a say by
        then?
        """
        return {"model": 1, "order": 1, "dropout": 1, "optimizer": 1, "scheduler": 1}

    def mistake_one_too_early():
        """At the end you're off by one. The first loss is there before the optimizer
        has done anything at all.
        """
        return {"model": 1, "order": 1, "dropout": 1, "optimizer": 1, "scheduler": 2}

    def mistake_both_at_two():
        """Nearly. The optimizer's state came back: which learning rate is in it?"""
        return {"model": 1, "order": 1, "dropout": 1, "optimizer": 2, "scheduler": 2}

    def mistake_swapped():
        """Two of them are the wrong way round: which one is used in the first step,
        and which is asked only after it?
        """
        return {"model": 1, "order": 1, "dropout": 1, "optimizer": 3, "scheduler": 2}

    def mistake_dropout():
        """Dropout is no part of the step. When does it roll its dice?"""
        return {"model": 1, "order": 1, "dropout": 2, "optimizer": 2, "scheduler": 3}

    def mistake_chance():
        """The batch of the first step has been drawn by somebody, and so have the
        numbers that dropout sets to zero in it.
        """
        return {"model": 1, "order": 2, "dropout": 2, "optimizer": 2, "scheduler": 3}

    def mistake_from_zero():
        """You count the steps from 0. The first one after the restart is step 1."""
        return {"model": 0, "order": 0, "dropout": 0, "optimizer": 1, "scheduler": 2}


class same_weights_other_answers(Value):
    """Two networks with equal weights that answer differently."""

    number = "10.3"
    hints = (
        "`has_same_weights` goes through `parameters()`, the numbers that training "
        "changes by its gradients. Does a network hold any others?",
        "One layer of notebook 09 learns something without a gradient, and uses it in "
        "evaluation mode only.",
        "Compare the names in `state_dict()` with those in `named_parameters()` for "
        "`nn.BatchNorm2d(3)`. Then show a copy of it a batch.",
    )
    right = (
        "Numbers that a layer keeps without a gradient are called buffers. "
        "`state_dict()` has them, a list of parameters has not: save the former."
    )

    def probe(answer):
        is_one = isinstance(answer, list | tuple) and len(answer) == 3
        if not is_one or not all(isinstance(a, nn.Module) for a in answer[:2]):
            raise TypeError(
                "give three things: model, other, x, the first two networks"
            )
        model, other, x = answer
        models = copy.deepcopy((model, other))
        with torch.no_grad():
            a, b = [model.eval()(x) for model in models]
        pairs = [list(model.parameters()) for model in models]
        same = len(pairs[0]) == len(pairs[1]) and all(map(torch.equal, *pairs))
        return {
            "printed, they are the same layers": str(models[0]) == str(models[1]),
            "has_same_weights says yes": same,
            "in evaluation mode they answer x differently": not (
                a.shape == b.shape and torch.allclose(a, b)
            ),
        }

    def solution():
        x = torch.randn(8, 3, 4, 4)
        model = nn.BatchNorm2d(3)
        other = nn.BatchNorm2d(3)
        # In training mode a batch moves the running averages. No optimizer is
        # needed for that, and the weights stay as they are.
        other(x + 5)
        return model, other, x

    def mistake_other_weights():
        """They do answer differently, but because their weights differ."""
        return nn.Linear(2, 2), nn.Linear(2, 2), torch.randn(4, 2)

    def mistake_alike():
        """In evaluation mode these two answer alike. Something has to differ that
        isn't a weight, and that still counts after `eval()`.
        """
        model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
        return model, copy.deepcopy(model), torch.randn(4, 2)

    def mistake_dropout():
        """Printed, they aren't the same layers, and in evaluation mode they answer
        alike all the same. (After `eval()`, dropout at any rate does nothing.)
        """
        return nn.Dropout(0.1), nn.Dropout(0.9), torch.randn(4, 2)

    def mistake_other_layers():
        """Their weights are the same, but the layers are others, as anybody can see
        who prints them. Let them look the same.
        """
        return nn.ReLU(), nn.Tanh(), torch.randn(4, 2)

    def mistake_other_everything():
        """They have neither the same layers nor the same weights, so no wonder."""
        return nn.Linear(2, 1), nn.Linear(2, 3), torch.randn(4, 2)


class _Files(dict):
    """The files of a folder and their states, which can say what they are."""

    def __repr__(self):
        notes = {"whole": ""}
        files = [name + notes.get(state, f" ({state})") for name, state in self.items()]
        return f"a folder with {', '.join(files)}" if files else "an empty folder"


class newest(Function):
    """The content of the newest checkpoint that can be loaded."""

    number = "10.4"
    hints = (
        "First get the numbers out of the names: `path.stem` is the name without its "
        "ending, and `split` cuts a text at a character.",
        '`sorted(..., key=..., reverse=True)` puts them in order. As text, "10" comes '
        'before "9".',
        "A `for` around a `try`, and a `return` within it: the first file that can be "
        "loaded ends the search.",
    )
    right = (
        "Should a save ever go wrong, such a run loses an epoch and not a week. Many "
        "keep the last two or three files for this reason, and delete the others."
    )

    def inputs():
        nine, last = {"epoch_9.pt": "whole"}, {"epoch_10.pt": "whole"}
        yield (_Files(nine | {"epoch_10.pt": "half", "epoch_11.part": "half"}),)
        yield (_Files({f"epoch_{i}.pt": "whole" for i in (1, 2, 3)}),)
        yield (_Files(nine | {"epoch_8.pt": "whole"} | last),)
        yield (_Files({"epoch_23.pt": "whole", "epoch_19.pt": "whole"}),)
        yield (_Files({"epoch_1.pt": "whole", "epoch_2.part": "whole"}),)
        yield (
            _Files(
                {"epoch_1.pt": "whole", "epoch_2.pt": "half"} | {"epoch_3.pt": "empty"}
            ),
        )
        yield (_Files({"epoch_5.pt": "whole", "epoch_6.pt": "no zip"}),)
        yield (_Files({"epoch_5.pt": "whole", "epoch_6.pt": "holds a path"}),)
        yield (_Files({"epoch_1.pt": "half"}),)
        yield (_Files(),)

    def probe(answer, files):
        with tempfile.TemporaryDirectory() as folder:
            # The dates say nothing, as in a folder that was copied.
            for i, (name, state) in enumerate(files.items()):
                path, epoch = Path(folder, name), int(re.findall(r"\d+", name)[0])
                content = {"epoch": epoch, "weights": torch.full((2,), float(epoch))}
                if state == "holds a path":
                    content["folder"] = Path("runs")
                torch.save(content, path)
                whole = path.read_bytes()
                damaged = {"half": whole[: len(whole) // 2], "empty": b""}
                damaged["no zip"] = b"Moved to the other disk."
                path.write_bytes(damaged.get(state, whole))
                os.utime(path, (10**9 - i, 10**9 - i))
            return answer(Path(folder))

    def solution(folder):
        # As text, epoch_10 would come before epoch_9: so sort by the number.
        def epoch(path):
            return int(path.stem.split("_")[1])

        for path in sorted(folder.glob("epoch_*.pt"), key=epoch, reverse=True):
            try:
                return torch.load(path)
            except Exception:  # half a zip, no zip, nothing, or not just tensors
                continue
        return None

    def mistake_text(folder):
        """You sort the names as text, where epoch_9 is the last of all."""
        for path in sorted(folder.glob("epoch_*.pt"), reverse=True):
            try:
                return torch.load(path)
            except Exception:
                continue
        return None

    def mistake_last_digit(folder):
        """You go by the last digit, and a number may have more than one."""
        paths = folder.glob("epoch_*.pt")
        for path in sorted(paths, key=lambda path: -int(path.stem[-1])):
            try:
                return torch.load(path)
            except Exception:
                continue
        return None

    def mistake_date(folder):
        """You go by the files' dates. They needn't say which epoch came last: a copy
        is new, whatever it holds.
        """
        paths = folder.glob("epoch_*.pt")
        for path in sorted(paths, key=lambda path: -path.stat().st_mtime):
            try:
                return torch.load(path)
            except Exception:
                continue
        return None

    def mistake_oldest(folder):
        """You begin with the oldest."""
        paths = folder.glob("epoch_*.pt")
        for path in sorted(paths, key=lambda path: int(path.stem[6:])):
            try:
                return torch.load(path)
            except Exception:
                continue
        return None

    def mistake_trusting(folder):
        """When the newest can't be loaded, your function fails with it."""
        paths = sorted(folder.glob("epoch_*.pt"), key=lambda path: int(path.stem[6:]))
        return torch.load(paths[-1]) if paths else None

    def mistake_gives_up(folder):
        """When the newest can't be loaded, you give up. An older one may be whole."""
        paths = sorted(folder.glob("epoch_*.pt"), key=lambda path: int(path.stem[6:]))
        try:
            return torch.load(paths[-1])
        except Exception:
            return None

    def mistake_part(folder):
        """You look at .part files as well, which no save has finished."""
        paths = folder.glob("epoch_*.p*t")
        for path in sorted(paths, key=lambda path: -int(path.stem[6:])):
            try:
                return torch.load(path)
            except Exception:
                continue
        return None

    def mistake_one_error(folder):
        """You expect one kind of error, and a file can be spoiled in several ways:
        an empty one, say, or one that was never a checkpoint, is refused with another.
        """
        paths = folder.glob("epoch_*.pt")
        for path in sorted(paths, key=lambda path: -int(path.stem[6:])):
            try:
                return torch.load(path)
            except RuntimeError:
                continue
        return None

    def mistake_stranger(folder):
        """You load with weights_only=False, and so you would run what a stranger has
        put into the folder.
        """
        paths = folder.glob("epoch_*.pt")
        for path in sorted(paths, key=lambda path: -int(path.stem[6:])):
            try:
                return torch.load(path, weights_only=False)
            except Exception:
                continue
        return None

    def mistake_path(folder):
        """You return the file's path, and should return what is in the file."""
        paths = folder.glob("epoch_*.pt")
        for path in sorted(paths, key=lambda path: -int(path.stem[6:])):
            try:
                torch.load(path)
                return path
            except Exception:
                continue
        return None


class Rewind(Function):
    """A moment of a run, to come back to as often as one likes."""

    number = "10.5"
    hints = (
        "You know the cure for `__init__` from early stopping, where only the weights "
        "were kept. It helps against the first mistake.",
        "The second shows when `back` is called twice. `load_state_dict` of a model "
        "copies the numbers into the model's own tensors. An optimizer's makes the "
        "tensors that it is given its own.",
        "So the optimizer must never get hold of the tensors you keep: what could you "
        "give it in their place?",
    )
    right = (
        "A file never had this problem: each `torch.load` makes new tensors. That an "
        "optimizer keeps what it is given shows only the second time, so whatever can "
        "be done twice wants to be tested twice."
    )
    may_change_inputs = True  # they are trained

    def inputs():
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        for model, make, settings in (
            (nn.Linear(3, 1), torch.optim.Adam, {"lr": 0.1}),
            (nn.Linear(3, 1), torch.optim.SGD, {"lr": 0.01, "momentum": 0.9}),
            (net, torch.optim.Adam, {"lr": 0.01}),
            (nn.Linear(3, 2), torch.optim.SGD, {"lr": 0.1}),
        ):
            yield model, make(model.parameters(), **settings)

    def probe(answer, model, optimizer):
        x, found = torch.randn(4, 8, 3), {}

        def train(steps):
            for batch in x[:steps]:
                optimizer.zero_grad()
                model(batch).pow(2).mean().backward()
                optimizer.step()

        def numbers():
            values = model.state_dict().values()
            return torch.cat([value.double().flatten() for value in values])

        train(3)
        moment = answer(model, optimizer)
        for time in ("once", "twice", "three times"):
            train(4)
            optimizer.param_groups[0]["lr"] *= 0.5
            moment.back()
            found[f"the model, back {time},"] = numbers()
            lr = optimizer.param_groups[0]["lr"]
            found[f"the learning rate, back {time},"] = lr
            train(2)
            found[f"the model two steps after it was back {time}"] = numbers()
        return found

    class solution:
        """Remember a moment of a run."""

        def __init__(self, model, optimizer):
            self.model, self.optimizer = model, optimizer
            # Copies, all the way down (import copy first), so that what is kept
            # does not train along.
            self.weights = copy.deepcopy(model.state_dict())
            self.averages = copy.deepcopy(optimizer.state_dict())

        def back(self):
            self.model.load_state_dict(self.weights)
            # The optimizer takes over the tensors it is given and goes on changing
            # them, so each time it gets a copy of its own.
            self.optimizer.load_state_dict(copy.deepcopy(self.averages))

    class mistake_live:
        """Nothing goes back: you keep the very tensors that training changes."""

        def __init__(self, model, optimizer):
            self.model, self.optimizer = model, optimizer
            self.weights, self.averages = model.state_dict(), optimizer.state_dict()

        def back(self):
            self.model.load_state_dict(self.weights)
            self.optimizer.load_state_dict(self.averages)

    class mistake_only_once(solution):
        """The first time all is well, the second time Adam's averages are wrong:
        what you kept has been changed since. Who got hold of it?
        """

        def back(self):
            self.model.load_state_dict(self.weights)
            self.optimizer.load_state_dict(self.averages)

    class mistake_averages_live(solution):
        """The weights go back, but the optimizer's averages are still today's. A copy
        of the outer dictionary isn't a copy of the tensors inside.
        """

        def __init__(self, model, optimizer):
            super().__init__(model, optimizer)
            self.averages = optimizer.state_dict()

        def back(self):
            self.model.load_state_dict(self.weights)
            self.optimizer.load_state_dict(self.averages)

    class mistake_averages_late(solution):
        """The weights go back, but the averages you keep go on changing until back()
        is called for the first time.
        """

        def __init__(self, model, optimizer):
            super().__init__(model, optimizer)
            self.averages = optimizer.state_dict()

    class mistake_copied_too_late(solution):
        """You copy in back(), and that is too late for the model: by then the tensors
        you keep have trained along.
        """

        def __init__(self, model, optimizer):
            self.model, self.optimizer = model, optimizer
            self.weights, self.averages = model.state_dict(), optimizer.state_dict()

    class mistake_model_alone(solution):
        """The model goes back, and the optimizer stays where it is."""

        def back(self):
            self.model.load_state_dict(self.weights)

    class mistake_fresh_averages(solution):
        """The model goes back, but the optimizer begins anew, with no averages."""

        def back(self):
            super().back()
            self.optimizer.state.clear()

    class mistake_parameters(solution):
        """You keep the parameters, and a model may hold more than those: look into
        the state_dict() of a batch normalization.
        """

        def back(self):
            self.optimizer.load_state_dict(copy.deepcopy(self.averages))
            with torch.no_grad():
                for name, weight in self.model.named_parameters():
                    weight.copy_(self.weights[name])

    class mistake_new_objects(solution):
        """Your back() gives its own names to new objects. The model and the optimizer
        outside, the ones that are trained, never notice.
        """

        def back(self):
            self.model = copy.deepcopy(self.model)
            self.model.load_state_dict(self.weights)


def numbered(rows, batch_size, seed=0):
    """Return a loader of numbered rows that can say what it is."""
    from helpers.data import TensorLoader

    class Numbered(TensorLoader):
        def __repr__(self):
            return f"a TensorLoader of {rows} rows in batches of {batch_size}"

    x = torch.arange(rows)
    return Numbered(x, -x, batch_size=batch_size, shuffle=True, seed=seed)


class Bookmark(Function):
    """A loader that can be saved between any two batches."""

    number = "10.6"
    hints = (
        "The order of an epoch is drawn when its first batch is asked for. By the "
        "second batch, the state of the generator is the one for the *next* epoch.",
        "So two things say where you are: the state that the generator had when the "
        "epoch began, and how many of its batches are done.",
        "`yield` stops the function until the next batch is asked for. Whatever "
        "state_dict() should know about this batch has to be noted before the yield.",
        "After loading, go through the epoch from its beginning and hand out only what "
        "is not done, in this epoch alone; and count on from where the count stood.",
    )
    right = (
        "The page's `save_checkpoint` asks every part for its `state_dict()`, so a "
        "`Bookmark` may take the loader's place there, and the run can be killed "
        "between any two steps."
    )
    may_change_inputs = True  # the loader is used

    def inputs():
        yield (numbered(10, 3),)
        yield (numbered(12, 4, seed=5),)
        yield (numbered(7, 1, seed=6),)
        yield (numbered(200, 32, seed=7),)

    def probe(answer, loader):
        rows, batch_size = len(loader.tensors[0]), loader.batch_size
        found, before = {}, loader.generator.get_state()

        def begin():
            loader.generator.set_state(before)
            return answer(loader)

        def through(marked, batches=None):
            seen = []
            for x, y in marked:
                if not torch.equal(x, -y):
                    raise ValueError("a batch should be the loader's pair (x, y)")
                seen += x.tolist()
                if batches is not None and len(seen) >= batches * batch_size:
                    break
            seen = torch.tensor(seen)
            return seen if batches is None else (seen, resumed(marked.state_dict()))

        def resumed(state):
            file = io.BytesIO()
            torch.save(state, file)
            file.seek(0)
            try:
                state = torch.load(file, weights_only=True)
            except Exception as error:
                text = "the state is not made of tensors, numbers and text alone"
                raise TypeError(text) from error
            marked = answer(numbered(rows, batch_size, seed=1))
            marked.load_state_dict(state)
            return marked

        marked = begin()
        found["the first epoch"] = through(marked)
        found["the second epoch"] = through(marked)
        after = resumed(marked.state_dict())
        found["the third epoch, after a stop before it,"] = through(after)
        found["the fourth epoch, after a stop before the third,"] = through(after)
        after = resumed(begin().state_dict())
        found["the first epoch, after a stop before it,"] = through(after)
        for stop in (1, 2):
            start, after = through(begin(), stop)
            found[f"an epoch up to batch {stop}"] = start
            found[f"the rest after a stop at batch {stop}"] = through(after)
            found[f"the epoch that follows a stop at batch {stop}"] = through(after)
        marked = begin()
        through(marked)
        after = through(marked, 2)[1]
        found["the rest after a stop in the second epoch"] = through(after)
        after = through(through(begin(), 1)[1], 1)[1]
        found["the rest after stops at batches 1 and 2"] = through(after)
        found["the epoch that follows two stops"] = through(after)
        twice = resumed(through(begin(), 1)[1].state_dict())
        found["the rest, when the state is saved again right after loading,"] = through(
            twice
        )
        return found

    class solution:
        """Go through a loader, and know where you are."""

        def __init__(self, loader):
            self.loader = loader
            self.skip = 0
            self._mark(0)

        def _mark(self, done):
            # Where an epoch begins: this state will draw its order, now or again.
            self.begin = self.loader.generator.get_state()
            self.done = done

        def __iter__(self):
            skip, self.skip = self.skip, 0  # in this epoch, not in those to come
            self._mark(skip)
            for number, batch in enumerate(self.loader, start=1):
                if number > skip:
                    # Counted before it leaves: after the yield would be too late.
                    self.done = number
                    yield batch
            self._mark(0)

        def state_dict(self):
            return {"begin": self.begin, "done": self.done}

        def load_state_dict(self, state):
            self.loader.generator.set_state(state["begin"])
            self.skip = state["done"]
            self._mark(self.skip)

    class mistake_from_the_start(solution):
        """The order is right, but after a stop the epoch begins anew, so that some
        batches are seen twice.
        """

        def load_state_dict(self, state):
            super().load_state_dict({**state, "done": 0})

    class mistake_state_of_now(solution):
        """After a stop within an epoch, the rest comes from another order. The
        generator had drawn this epoch's order long before you asked for its state.
        """

        def state_dict(self):
            return {"begin": self.loader.generator.get_state(), "done": self.done}

    class mistake_dice_alone(solution):
        """You bring the dice along, and between two epochs that is all it takes. But
        after a stop within an epoch, yours begins with a whole new one.
        """

        def state_dict(self):
            return {"begin": self.loader.generator.get_state(), "done": 0}

    class mistake_counted_late(solution):
        """The batch before the stop comes twice. When state_dict() is called, your
        method still waits at its yield: what has it not got round to?
        """

        def state_dict(self):
            return {"begin": self.begin, "done": max(self.done - 1, 0)}

    class mistake_one_too_many(solution):
        """One batch too many is left out after a stop."""

        def load_state_dict(self, state):
            done = state["done"]
            super().load_state_dict({**state, "done": done + (done > 0)})

    class mistake_no_order(solution):
        """You go on at the right number, but in another order: nothing of the old
        loader's dice has reached the new one.
        """

        def load_state_dict(self, state):
            self.skip = state["done"]
            self._mark(self.skip)

    class mistake_count_stays(solution):
        """The first epoch is right, and the second is empty: your count of what is
        done still stands where the first one ended.
        """

        def __iter__(self):
            self.begin = self.loader.generator.get_state()
            for number, batch in enumerate(self.loader, start=1):
                if number > self.done:
                    self.done = number
                    yield batch

    class mistake_saved_too_soon(solution):
        """Your state is right once a batch has been asked for. But right after
        loading, the dice in it are still those from before.
        """

        def load_state_dict(self, state):
            self.loader.generator.set_state(state["begin"])
            self.skip = self.done = state["done"]

    class mistake_skips_forever(solution):
        """The rest of the broken-off epoch is right. But then the first batches of
        the next epoch are left out too.
        """

        def load_state_dict(self, state):
            super().load_state_dict(state)
            self.always = state["done"]

        def __iter__(self):
            self.skip = getattr(self, "always", 0)
            yield from super().__iter__()

    class mistake_counts_anew(solution):
        """One stop is fine. At a second stop in the same epoch, you have counted
        only the batches since the first.
        """

        def state_dict(self):
            return {"begin": self.begin, "done": self.done - self.before}

        before = 0

        def load_state_dict(self, state):
            super().load_state_dict(state)
            self.before = state["done"]

        def __iter__(self):
            yield from super().__iter__()
            self.before = 0

    class mistake_between(solution):
        """Within an epoch you resume as you should. But after a stop between two
        epochs, the next one is empty: the count still stands at the end of the last.
        """

        def __iter__(self):
            for batch in super().__iter__():
                yield batch
                last = {"begin": self.begin, "done": self.done}
            self.begin, self.done = last["begin"], last["done"]

    class mistake_epoch_twice(solution):
        """Within an epoch you resume as you should. But after a stop between two
        epochs, the finished one comes again: whose beginning do you keep by then?
        """

        def __iter__(self):
            for batch in super().__iter__():
                yield batch
                begin = self.begin
            self.begin = begin

    class mistake_epoch_twice_and_too_soon(mistake_epoch_twice):
        """Within an epoch you resume as you should. But the beginning that you keep
        is out of date at two moments, after an epoch's last batch and after loading.
        """

        def load_state_dict(self, state):
            self.loader.generator.set_state(state["begin"])
            self.skip = self.done = state["done"]
