import copy
import inspect
import math
import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

from helpers.data import TensorLoader
from helpers.training import (
    EarlyStopping,
    accuracy,
    evaluate,
    fit,
    train_epochs,
    train_steps,
)

loss_fn = nn.CrossEntropyLoss()


def make_data(rows=50):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 4, generator=generator)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 1).long()


def make_model(*, dropout=0.0, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(4, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(8, 3),
    )


def make_parts(**options):
    """Return the five arguments of fit, freshly made."""
    model = make_model(**options)
    x, y = make_data()
    train_loader = TensorLoader(x, y, batch_size=16, shuffle=True)
    val_loader = TensorLoader(x, y, batch_size=16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, train_loader, val_loader, loss_fn, optimizer


def assert_same_weights(model, other):
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def without_times(history):
    return [{k: v for k, v in r.items() if k != "seconds"} for r in history]


def test_weights_equal_those_of_a_loop_written_by_hand():
    model, train_loader, val_loader, _, optimizer = make_parts()
    by_hand, loader, _, _, its_optimizer = make_parts()

    fit(model, train_loader, val_loader, loss_fn, optimizer, epochs=3)
    for _ in range(3):
        by_hand.train()
        for x, y in loader:
            its_optimizer.zero_grad()
            loss_fn(by_hand(x), y).backward()
            its_optimizer.step()

    assert_same_weights(model, by_hand)


def test_record_holds_plain_numbers_under_the_promised_names():
    history = fit(*make_parts(), epochs=2)

    names = ["epoch", "train_loss", "val_loss", "val_accuracy", "lr", "seconds"]
    assert [list(record) for record in history] == [names, names]
    assert [record["epoch"] for record in history] == [1, 2]
    assert all(type(v) in (int, float) for record in history for v in record.values())
    assert history[0]["lr"] == 0.1


def test_further_metrics_are_recorded_under_their_names():
    metrics = {
        "accuracy": accuracy,
        "confidence": lambda z, y: z.softmax(1).amax(1).mean(),
    }
    (record,) = fit(*make_parts(), epochs=1, metrics=metrics)
    assert 0 < record["val_confidence"] < 1
    assert "val_accuracy" in record


def test_training_loss_is_the_mean_over_examples_not_over_batches():
    model, train_loader, val_loader, _, optimizer = make_parts()
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    per_batch = []

    def noted(logits, y):
        loss = loss_fn(logits, y)
        if model.training:
            per_batch.append((loss.item(), len(y)))
        return loss

    (record,) = fit(model, train_loader, val_loader, noted, optimizer, epochs=1)

    assert [size for _, size in per_batch] == [16, 16, 16, 2]
    expected = sum(loss * size for loss, size in per_batch) / 50
    assert math.isclose(record["train_loss"], expected, rel_tol=1e-9)
    mean_of_means = sum(loss for loss, _ in per_batch) / 4
    assert not math.isclose(record["train_loss"], mean_of_means, rel_tol=1e-3)


def test_evaluation_is_exact_when_the_last_batch_is_smaller():
    x = torch.arange(10.0).unsqueeze(1)
    y = torch.tensor([1, 1, 1, 1, 1, 1, 1, 1, 0, 1])
    model = nn.Linear(1, 2)
    nn.init.zeros_(model.weight)
    model.bias.data = torch.tensor([0.0, 1.0])  # always says class 1

    loader = TensorLoader(x, y, batch_size=8)
    result = evaluate(model, loader, {"accuracy": accuracy, "loss": loss_fn})

    assert result["accuracy"] == 0.9  # the mean of batch means would be 0.75
    assert math.isclose(result["loss"], loss_fn(model(x), y).item(), rel_tol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_modes_weights_and_gradients_as_they_were(training):
    model, loader, _, _, _ = make_parts(dropout=0.5)
    model.train(training)
    model[1].eval()  # a frozen layer stays frozen
    before = copy.deepcopy(model.state_dict())

    evaluate(model, loader, {"loss": loss_fn})

    assert model.training is training
    assert not model[1].training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_evaluation_restores_the_mode_after_an_error():
    model, loader, _, _, _ = make_parts()

    def broken(logits, y):
        raise RuntimeError("broken metric")

    with pytest.raises(RuntimeError, match="broken metric"):
        evaluate(model, loader, {"broken": broken})
    assert model.training


def test_no_grad_does_not_leak_into_the_loop_body():
    for _ in train_epochs(*make_parts(), epochs=1):
        assert torch.is_grad_enabled()
    model, loader, _, _, optimizer = make_parts()
    for _ in train_steps(model, loader, loss_fn, optimizer):
        assert torch.is_grad_enabled()


def test_resumed_run_equals_uninterrupted():
    whole = make_parts(dropout=0.3)
    expected = fit(*whole, epochs=5)

    parts = make_parts(dropout=0.3)
    history = []
    for record in train_epochs(*parts, epochs=5):
        history.append(record)
        if record["epoch"] == 2:
            break
    history += fit(*parts, epochs=5, start=len(history))

    assert_same_weights(parts[0], whole[0])
    assert without_times(history) == without_times(expected)


def test_finished_run_has_nothing_left_to_resume():
    assert fit(*make_parts(), epochs=3, start=3) == []


def test_scheduler_is_stepped_after_every_batch():
    parts = make_parts()
    schedule = lr_scheduler.OneCycleLR(parts[4], max_lr=1.0, total_steps=8)
    rates = []

    def watch(batches):
        for batch in batches:
            rates.append(parts[4].param_groups[0]["lr"])
            yield batch

    history = fit(*parts, epochs=2, scheduler=schedule, watch=watch)

    assert len(set(rates)) == len(rates) == 8
    assert [record["lr"] for record in history] == [rates[3], rates[7]]


def test_scheduler_stepped_in_the_loop_body_acts_per_epoch():
    parts = make_parts()
    schedule = lr_scheduler.StepLR(parts[4], step_size=1, gamma=0.5)
    rates = []
    for record in train_epochs(*parts, epochs=3):
        rates.append(record["lr"])
        schedule.step()
    assert rates == [0.1, 0.05, 0.025]


def bad_run(step, bad):
    """Return parts of a run whose loss goes wrong in a step of the second epoch."""
    model, *_ = make_parts()
    model[1] = nn.Identity()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.025)
    seen = []

    def breaking(logits, y):
        seen.append(1)
        loss = logits.square().mean()
        return loss * bad if len(seen) == 25 + step else loss

    return model, TensorLoader(*make_data(), batch_size=2), None, breaking, optimizer


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("step", [1, 13, 25])
def test_training_that_diverges_ends_and_says_where_and_what_to_try(bad, step):
    sentence = rf"epoch 2, step {step}, at learning rate 0\.025: try a tenth"
    with pytest.raises(FloatingPointError, match=sentence):
        fit(*bad_run(step, bad), epochs=3)


def test_learning_rate_in_the_error_is_that_of_the_failing_step():
    parts = make_parts()
    schedule = lr_scheduler.LambdaLR(parts[4], lambda step: 10.0**step)

    def breaking(logits, y):
        rate = parts[4].param_groups[0]["lr"]
        return loss_fn(logits, y) * (math.nan if rate > 5 else 1)

    with pytest.raises(FloatingPointError, match=r"step 3, at learning rate 10:"):
        fit(*parts[:3], breaking, parts[4], epochs=1, scheduler=schedule)


def test_weights_that_the_last_step_ruined_are_noticed():
    model, _, _, _, optimizer = make_parts()
    optimizer.param_groups[0]["lr"] = math.nan
    with pytest.raises(
        FloatingPointError, match="epoch 1, step 1, at learning rate nan"
    ):
        fit(model, [make_data()], None, loss_fn, optimizer, epochs=1)


@pytest.mark.parametrize("place", [1, 2])
def test_empty_loader_is_one_clear_error(place):
    parts = list(make_parts())
    parts[place] = TensorLoader(*make_data(3), batch_size=4, drop_last=True)
    with pytest.raises(ValueError, match="gave no batches"):
        fit(*parts, epochs=1)


def test_used_up_generator_is_one_clear_error():
    model, _, val_loader, _, optimizer = make_parts()
    once = iter([make_data(4)])
    with pytest.raises(ValueError, match="a generator that is used up"):
        fit(model, once, val_loader, loss_fn, optimizer, epochs=2)


def test_loader_without_length_works():
    model, _, _, _, optimizer = make_parts()

    class Unmeasured:
        def __iter__(self):
            yield make_data(8)
            yield make_data(8)

    lengths = []

    def watch(batches):
        with pytest.raises(TypeError):
            len(batches)
        taken = list(batches)
        lengths.append(len(taken))
        return taken

    loaders = Unmeasured(), Unmeasured()
    fit(model, *loaders, loss_fn, optimizer, epochs=1, watch=watch)
    assert lengths == [2]


def test_watch_sees_every_batch_and_knows_their_number():
    seen = []

    def watch(batches):
        seen.append(len(batches))
        for x, y in batches:
            seen.append(len(x))
            yield x, y

    fit(*make_parts(), epochs=1, watch=watch)
    assert seen == [4, 16, 16, 16, 2]


def test_training_without_validation_records_the_training_alone():
    model, train_loader, _, _, optimizer = make_parts()
    (record,) = fit(model, train_loader, None, loss_fn, optimizer, epochs=1)
    assert list(record) == ["epoch", "train_loss", "lr", "seconds"]


def test_dataloader_serves_as_well_as_tensorloader():
    model, _, _, _, optimizer = make_parts()
    loader = DataLoader(TensorDataset(*make_data()), batch_size=16, shuffle=True)
    history = fit(model, loader, loader, loss_fn, optimizer, epochs=8)
    assert history[-1]["train_loss"] < history[0]["train_loss"]


mse = nn.MSELoss()
bce = nn.BCEWithLogitsLoss()


def run(loss, change, outputs=1, model=None, **options):
    """Train for an epoch on changed targets, or on changed inputs and targets."""
    x, y = make_data()
    changed = change(x, y)
    pair = changed if isinstance(changed, tuple) else (x, changed)
    model = model or nn.Linear(4, outputs)
    loader = DataLoader(TensorDataset(*pair), batch_size=16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return fit(model, loader, loader, loss, optimizer, epochs=5, **options)


def column(x, y):
    return y.float().unsqueeze(1)


def vector(x, y):
    return y.float()


@pytest.mark.parametrize(
    "loss",
    [mse, bce, F.l1_loss, nn.PoissonNLLLoss(), nn.HingeEmbeddingLoss(), nn.KLDivLoss()],
)
def test_predictions_compared_with_all_targets_are_refused(loss):
    with pytest.raises(ValueError, match=r"compare each with all: use y\.unsqueeze"):
        run(loss, vector)


@pytest.mark.parametrize("metric", [F.l1_loss, nn.PoissonNLLLoss()])
def test_metric_that_compares_with_all_targets_is_refused(metric):
    def squeezed(logits, y):
        return mse(logits.squeeze(1), y)

    with pytest.raises(ValueError, match=r"compare each with all: use y\.unsqueeze"):
        run(squeezed, vector, metrics={"mae": metric})


@pytest.mark.parametrize(
    "change", [lambda x, y: y.clamp(max=0), column, lambda x, y: y.unsqueeze(1)]
)
@pytest.mark.parametrize("loss", [loss_fn, F.cross_entropy, nn.NLLLoss()])
def test_cross_entropy_of_one_column_is_refused(loss, change):
    with pytest.raises(ValueError, match="yes or no: use BCEWithLogitsLoss, or two"):
        run(loss, change)


def test_cross_entropy_of_squeezed_logits_is_refused():
    model = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
    with pytest.raises(ValueError, match="yes or no: use BCEWithLogitsLoss, or two"):
        run(loss_fn, vector, model=model)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (lambda x, y: y.float(), r"must be int64: use y\.long\(\)"),
        (lambda x, y: y.int(), r"must be int64: use y\.long\(\)"),
        (lambda x, y: y.unsqueeze(1), r"one per row: use y\.squeeze\(1\)"),
        (lambda x, y: y + 1, "from 0 to the number of outputs less one"),
        (lambda x, y: y - 1, "from 0 to the number of outputs less one"),
        (lambda x, y: (x.double(), y), r"float64: use \.float\(\)"),
    ],
)
@pytest.mark.parametrize("where", ["training", "validation"])
def test_error_that_learners_meet_is_explained_below_it(change, hint, where):
    x, y = make_data()
    changed = change(x, y)
    bad = [changed if isinstance(changed, tuple) else (x, changed)]
    loaders = (bad, [(x, y)]) if where == "training" else ([(x, y)], bad)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises((RuntimeError, IndexError)) as caught:
        fit(model, *loaders, loss_fn, optimizer, epochs=1)
    (note,) = caught.value.__notes__
    assert re.search(hint, note)


def test_images_of_float64_are_explained():
    model = nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 2), nn.Flatten())
    with pytest.raises(RuntimeError) as caught:
        run(loss_fn, lambda x, y: (x.double(), y), model=model)
    assert "float64" in caught.value.__notes__[0]


def test_last_batch_of_one_before_batchnorm_is_explained():
    model, *_, optimizer = make_parts()
    loader = TensorLoader(*make_data(17), batch_size=16)
    with pytest.raises(ValueError, match="more than 1 value per channel") as caught:
        fit(model, loader, None, loss_fn, optimizer, epochs=1)
    assert "drop_last=True" in caught.value.__notes__[0]


@pytest.mark.skipif(
    not torch.accelerator.is_available(), reason="no accelerator on this machine"
)
def test_loss_with_weights_on_another_device_is_explained():
    model, train_loader, _, _, _ = make_parts()
    model.to(torch.accelerator.current_accelerator())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    weighted = nn.CrossEntropyLoss(weight=torch.ones(3))
    with pytest.raises(RuntimeError) as caught:
        fit(model, train_loader, None, weighted, optimizer, epochs=1)
    assert ".to(device)" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "error",
    [
        TypeError("a mistake in the loss itself"),
        RuntimeError("a mistake about the target"),
        ValueError("y is out of bounds"),
    ],
)
def test_error_of_ones_own_loss_is_left_as_it_is(error):
    def broken(logits, y):
        raise error

    with pytest.raises(type(error)) as caught:
        run(broken, vector)
    assert caught.value is error
    assert not hasattr(error, "__notes__")


class Named(nn.Module):
    """A model that returns a dictionary."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return {"logits": self.layer(x)}


def test_model_that_returns_a_dictionary_trains_with_a_loss_of_ones_own():
    history = run(
        lambda outputs, y: F.cross_entropy(outputs["logits"], y),
        lambda x, y: y,
        model=Named(),
    )
    assert history[-1]["val_loss"] < history[0]["val_loss"]


@pytest.mark.parametrize(
    "batch",
    [
        (*make_data(), torch.ones(50)),
        {"x": make_data()[0], "y": make_data()[1]},
        make_data()[0],
    ],
)
def test_batch_that_is_no_pair_is_refused(batch):
    model, *_, optimizer = make_parts()
    with pytest.raises(ValueError, match=r"must be a pair \(x, y\)"):
        fit(model, [batch], None, loss_fn, optimizer, epochs=1)
    with pytest.raises(ValueError, match=r"must be a pair \(x, y\)"):
        evaluate(model, [batch], {"loss": loss_fn})


def test_loss_without_brackets_is_named():
    with pytest.raises(ValueError, match=r"loss_fn is a class: call it"):
        run(nn.CrossEntropyLoss, lambda x, y: y, outputs=3)


def test_plateau_schedule_is_sent_to_the_loop():
    parts = make_parts()
    schedule = lr_scheduler.ReduceLROnPlateau(parts[4])
    with pytest.raises(ValueError, match=r"scheduler\.step\(record\[.val_loss.\]\)"):
        fit(*parts, epochs=1, scheduler=schedule)


def test_frozen_model_is_refused():
    parts = make_parts()
    parts[0].requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        fit(*parts, epochs=1)


def test_optimizer_of_another_model_is_refused():
    _, *others = make_parts()
    with pytest.raises(ValueError, match="none of this model's parameters"):
        fit(make_model(), *others, epochs=1)


def test_optimizer_of_a_part_of_the_model_trains_that_part():
    model, train_loader, val_loader, _, _ = make_parts()
    before = model[0].weight.clone()
    head = torch.optim.SGD(model[-1].parameters(), lr=0.1)
    history = fit(model, train_loader, val_loader, loss_fn, head, epochs=3)
    assert torch.equal(model[0].weight, before)
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_metric_named_loss_is_refused():
    with pytest.raises(ValueError, match="No metric can be named loss"):
        fit(*make_parts(), epochs=1, metrics={"loss": accuracy})


@pytest.mark.parametrize(
    ("loss", "change"),
    [
        (mse, column),
        (bce, lambda x, y: (y > 0).float().unsqueeze(1)),
        (nn.PoissonNLLLoss(), lambda x, y: y.unsqueeze(1)),
    ],
)
def test_regression_and_yes_or_no_need_no_metrics(loss, change):
    history = run(loss, change)
    assert "val_accuracy" not in history[0]
    assert history[-1]["val_loss"] < history[0]["val_loss"]


def test_soft_targets_in_training_and_class_numbers_in_validation_work():
    model = nn.Linear(4, 3)
    x, y = make_data()
    soft, hard = [(x, F.one_hot(y, 3).float())], [(x, y)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    (record,) = fit(model, soft, hard, loss_fn, optimizer, epochs=1)
    assert 0 < record["val_accuracy"] <= 1
    (record,) = fit(model, hard, soft, loss_fn, optimizer, epochs=1)
    assert "val_accuracy" not in record


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, y: bce(z.squeeze(1), y),
        lambda z, y: mse(z.squeeze(1), y),
        lambda z, y: mse(z.squeeze(1).double(), y.double()),
    ],
)
def test_a_loss_that_mends_the_shapes_itself_is_left_alone(loss):
    history = run(loss, lambda x, y: (y > 0).float())
    assert history[-1]["val_loss"] < history[0]["val_loss"]


def test_each_batch_is_given_to_a_metric_once():
    given = []

    def count(logits, y):
        given.append(len(y))
        return 0.0

    fit(*make_parts(), epochs=1, metrics={"count": count})
    assert given == [16, 16, 16, 2]


def test_accuracy_refuses_what_is_no_classification():
    column, columns, numbers = torch.zeros(5, 1), torch.zeros(5, 3), torch.arange(5)
    for pair in ((column, column), (column, numbers), (columns, numbers.float())):
        with pytest.raises(ValueError, match="needs rows of logits, and a class"):
            accuracy(*pair)


def test_accuracy_of_logits_that_are_nan_is_nan():
    logits = torch.tensor([[0.0, 1.0], [math.nan, 0.0]])
    assert accuracy(logits, torch.tensor([1, 0])).isnan()
    assert accuracy(logits[:1], torch.tensor([1])) == 1


def test_fit_shows_the_arguments_that_it_takes():
    ours, theirs = inspect.signature(fit), inspect.signature(train_epochs)
    assert ours.parameters == theirs.parameters


def test_batches_follow_the_model_to_its_device():
    model = nn.Linear(4, 3).to("meta")
    x, y = make_data()
    loader = TensorLoader(x, y, batch_size=16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = [loss for loss, _ in train_steps(model, loader, loss_fn, optimizer)]
    assert [loss.device.type for loss in losses] == ["meta"] * 4

    devices = set()

    def note(logits, y):
        devices.update((logits.device.type, y.device.type))
        return 0.0

    evaluate(model, loader, {"note": note})
    assert devices == {"meta"}


@pytest.mark.skipif(
    not torch.accelerator.is_available(), reason="no accelerator on this machine"
)
def test_training_on_the_accelerator_with_batches_from_memory():
    model, train_loader, val_loader, _, _ = make_parts()
    model.to(torch.accelerator.current_accelerator())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    history = fit(model, train_loader, val_loader, loss_fn, optimizer, epochs=10)
    assert history[-1]["train_loss"] < history[0]["train_loss"]


class Interrupted:
    """Wrap the batches of the epochs, and interrupt the second as Ctrl-C would."""

    def __init__(self):
        self.epoch = 0

    def __call__(self, batches):
        self.epoch += 1
        for batch in batches:
            if self.epoch == 2:
                raise KeyboardInterrupt
            yield batch


def test_interrupt_goes_through_fit():
    with pytest.raises(KeyboardInterrupt):
        fit(*make_parts(), epochs=9, watch=Interrupted())


def test_interrupted_loop_keeps_what_the_caller_collected():
    history = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        for record in train_epochs(*make_parts(), epochs=9, watch=Interrupted()):
            history.append(record)
    assert len(history) == 1


def test_early_stopping_waits_for_patience_and_restores_the_best():
    model = nn.Linear(1, 1)
    stopper = EarlyStopping(model, patience=2)
    answers = []
    for epoch, value in enumerate([3.0, 1.0, 2.0, 1.5], start=1):
        model.weight.data.fill_(epoch)
        answers.append(stopper(value))
    assert answers == [False, False, False, True]
    assert (stopper.best, stopper.best_epoch) == (1.0, 2)

    stopper.restore()
    assert model.weight.item() == 2


def test_early_stopping_counts_nan_and_tiny_gains_as_no_improvement():
    stopper = EarlyStopping(nn.Linear(1, 1), patience=2, min_delta=0.1)
    assert [stopper(v) for v in (1.0, 0.95, math.nan)] == [False, False, True]
