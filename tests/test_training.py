import copy
import inspect
import math
import time

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

    def watch(steps):
        for step in steps:
            rates.append(parts[4].param_groups[0]["lr"])
            yield step

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


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("bad_step", [1, 3, 300])
def test_loss_that_is_not_finite_stops_the_run_and_says_where(bad, bad_step):
    model, *_ = make_parts()
    x, y = make_data(600)
    loader = TensorLoader(x, y, batch_size=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.025)
    seen = []

    def breaking(logits, y):
        seen.append(1)
        loss = logits.square().mean()
        return loss * bad if len(seen) == 600 + bad_step else loss

    model[1] = nn.Identity()
    with pytest.raises(FloatingPointError) as caught:
        fit(model, loader, None, breaking, optimizer, epochs=3)

    message = str(caught.value)
    assert (
        f"became {bad} in epoch 2, step {bad_step}, at learning rate 0.025" in message
    )
    assert "ten times smaller" in message
    assert len(seen) < 1200, "the epoch went on to its end"


def test_learning_rate_in_the_error_is_that_of_the_failing_step():
    parts = make_parts()
    schedule = lr_scheduler.LambdaLR(parts[4], lambda step: 10.0**step)

    def breaking(logits, y):
        rate = parts[4].param_groups[0]["lr"]
        return loss_fn(logits, y) * (math.nan if rate > 5 else 1)

    with pytest.raises(FloatingPointError, match=r"step 3, at learning rate 10\."):
        fit(*parts[:3], breaking, parts[4], epochs=1, scheduler=schedule)


@pytest.mark.parametrize("epochs", [0, -1])
def test_epochs_below_one_are_refused_at_the_call(epochs):
    with pytest.raises(ValueError, match=f"at least 1; {epochs} was given"):
        train_epochs(*make_parts(), epochs=epochs)


@pytest.mark.parametrize("start", [-1, 4])
def test_start_outside_the_run_is_refused_at_the_call(start):
    with pytest.raises(ValueError, match=f"epochs=3; {start} was given"):
        train_epochs(*make_parts(), epochs=3, start=start)


def test_model_without_parameters_is_refused_at_the_call():
    _, *rest = make_parts()
    with pytest.raises(ValueError, match="no parameters"):
        train_epochs(nn.ReLU(), *rest, epochs=1)


def test_empty_training_loader_is_one_clear_error():
    model, _, val_loader, _, optimizer = make_parts()
    x, y = make_data(3)
    empty = TensorLoader(x, y, batch_size=4, drop_last=True)
    with pytest.raises(ValueError, match=r"training loader gave no batches in epoch 1"):
        fit(model, empty, val_loader, loss_fn, optimizer, epochs=1)


def test_used_up_generator_is_one_clear_error():
    model, _, val_loader, _, optimizer = make_parts()
    once = iter([make_data(4)])
    with pytest.raises(ValueError, match=r"no batches in epoch 2.*generator"):
        fit(model, once, val_loader, loss_fn, optimizer, epochs=2)


def test_empty_validation_loader_is_one_clear_error():
    model, train_loader, _, _, optimizer = make_parts()
    with pytest.raises(ValueError, match="nothing to evaluate"):
        fit(model, train_loader, [], loss_fn, optimizer, epochs=1)


def test_loader_without_length_works():
    model, _, _, _, optimizer = make_parts()

    class Endless:
        def __iter__(self):
            yield make_data(8)
            yield make_data(8)

    lengths = []

    def watch(steps):
        with pytest.raises(TypeError):
            len(steps)
        taken = list(steps)
        lengths.append(len(taken))
        return taken

    (record,) = fit(
        model, Endless(), Endless(), loss_fn, optimizer, epochs=1, watch=watch
    )
    assert lengths == [2]
    assert record["epoch"] == 1


def test_watch_sees_every_step_and_knows_their_number():
    seen = []

    def watch(steps):
        seen.append(len(steps))
        for loss, size in steps:
            seen.append(size)
            yield loss, size

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


@pytest.mark.parametrize(
    ("loss", "outputs", "change", "words"),
    [
        (loss_fn, 3, lambda y: y.float(), r"must be int64, so use y\.long\(\)"),
        (loss_fn, 3, lambda y: y.int(), r"must be int64, so use y\.long\(\)"),
        (loss_fn, 3, lambda y: y.unsqueeze(1), r"one per row, so use y\.squeeze\(1\)"),
        (loss_fn, 2, lambda y: y, r"must lie in 0 … 1, and these run from 0 to 2"),
        (
            mse,
            1,
            lambda y: y.float(),
            r"\(16, 1\) float32 with targets \(16,\).*with all",
        ),
        (mse, 1, lambda y: y, r"with all others.*y\.unsqueeze\(1\)"),
        (mse, 1, lambda y: y.double().unsqueeze(1), r"float64, as.*y\.float\(\)"),
        (bce, 1, lambda y: y.float(), r"with all others"),
        (bce, 1, lambda y: y.unsqueeze(1) > 0, r"decimal numbers, so use y\.float\(\)"),
    ],
)
@pytest.mark.parametrize("where", ["training", "validation"])
def test_targets_that_do_not_fit_the_loss_are_named(
    loss, outputs, change, words, where
):
    model = nn.Linear(4, outputs)
    x, y = make_data()
    bad = TensorLoader(x, change(y), batch_size=16)
    fits = y if loss is loss_fn else y.float().unsqueeze(1)
    good = TensorLoader(x, fits % outputs if loss is loss_fn else fits, batch_size=16)
    loaders = (bad, good) if where == "training" else (good, bad)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with pytest.raises(ValueError, match=words):
        fit(model, *loaders, loss, optimizer, epochs=1, metrics={})


def test_probabilities_as_targets_of_cross_entropy_work():
    model = nn.Linear(4, 3)
    x, y = make_data()
    loader = TensorLoader(x, F.one_hot(y, 3).float(), batch_size=16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    (record,) = fit(model, loader, loader, loss_fn, optimizer, epochs=1, metrics={})
    assert record["val_loss"] > 0


def test_a_loss_with_a_layout_of_its_own_is_left_alone():
    model = nn.Linear(4, 4)
    x, _ = make_data()
    loader = TensorLoader(x, x.view(-1, 2, 2), batch_size=16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def reconstruction(prediction, y):
        return F.mse_loss(prediction, y.flatten(1))

    history = fit(model, loader, None, reconstruction, optimizer, epochs=5, metrics={})
    assert history[-1]["train_loss"] < history[0]["train_loss"]


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, y: F.binary_cross_entropy_with_logits(z.squeeze(1), y),
        lambda z, y: F.mse_loss(z.squeeze(1), y),
        lambda z, y: F.mse_loss(z.squeeze(1).double(), y.double()),
    ],
)
def test_a_loss_that_mends_the_shapes_itself_is_left_alone(loss):
    model = nn.Linear(4, 1)
    x, y = make_data()
    loader = TensorLoader(x, (y > 0).float(), batch_size=16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = fit(model, loader, loader, loss, optimizer, epochs=5, metrics={})
    assert history[-1]["val_loss"] < history[0]["val_loss"]


def test_batch_of_one_hides_no_wrong_form():
    model = nn.Linear(4, 1)
    x, y = make_data(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="with all others"):
        fit(model, [(x, y.float())], None, mse, optimizer, epochs=1)


def test_errors_of_other_causes_are_passed_on_as_they_are():
    def broken(logits, y):
        raise TypeError("a mistake in the loss itself")

    parts = make_parts()
    with pytest.raises(TypeError, match="a mistake in the loss itself"):
        fit(*parts[:3], broken, parts[4], epochs=1)


@pytest.mark.parametrize(
    "loss", [nn.CrossEntropyLoss(reduction="none"), lambda z, y: z.mean(1)[:1]]
)
def test_loss_that_is_not_one_number_is_refused_in_words(loss):
    parts = make_parts()
    with pytest.raises(ValueError, match=r"must be one number.*mean\(\)"):
        fit(*parts[:3], loss, parts[4], epochs=1)


def test_data_set_in_place_of_a_loader_is_refused_in_words():
    model, _, val_loader, _, optimizer = make_parts()
    model[1] = nn.Identity()
    with pytest.raises(ValueError, match="single examples, not batches"):
        fit(
            model, TensorDataset(*make_data()), val_loader, loss_fn, optimizer, epochs=1
        )


def test_validation_loss_that_is_not_finite_stops_the_run():
    model, train_loader, val_loader, _, optimizer = make_parts()

    def breaking(logits, y):
        return loss_fn(logits, y) * (1 if model.training else math.inf)

    with pytest.raises(
        FloatingPointError, match=r"inf in the validation after epoch 1"
    ):
        fit(model, train_loader, val_loader, breaking, optimizer, epochs=2)


def test_learning_rate_held_in_a_tensor_is_recorded_as_it_was_used():
    parts = make_parts()
    rate = torch.tensor(0.1)
    optimizer = torch.optim.SGD(parts[0].parameters(), lr=rate, foreach=False)
    schedule = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    (record,) = fit(*parts[:4], optimizer, epochs=1, scheduler=schedule)
    assert math.isclose(record["lr"], 0.0125, rel_tol=1e-6)


def test_accuracy_refuses_what_is_no_classification_and_says_what_to_pass():
    with pytest.raises(ValueError, match=r"single logit, pass metrics=\{\}"):
        accuracy(torch.zeros(5, 1), torch.zeros(5, 1))
    with pytest.raises(ValueError, match=r"single logit, pass metrics=\{\}"):
        accuracy(torch.zeros(5, 1), torch.zeros(5).long())


def test_metric_that_does_not_fit_is_known_before_any_training():
    model = nn.Linear(4, 1)
    before = model.weight.clone()
    x, y = make_data()
    loader = TensorLoader(x, y.float().unsqueeze(1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="accuracy compares"):
        fit(model, loader, loader, mse, optimizer, epochs=1)
    assert torch.equal(model.weight, before)


def test_metric_may_return_a_plain_number():
    model, loader, *_ = make_parts()
    assert evaluate(model, loader, {"tenth": lambda z, y: 0.1})["tenth"] == 0.1


def test_seconds_are_those_of_the_epoch():
    def slow(steps):
        time.sleep(0.05)
        return steps

    history = fit(*make_parts(), epochs=2, watch=slow)
    assert all(0.05 < record["seconds"] < 30 for record in history)


def test_fit_shows_the_arguments_that_it_takes():
    assert inspect.signature(fit) == inspect.signature(train_epochs)


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


class InterruptedLoader:
    """Batches, with a KeyboardInterrupt in the middle of one epoch."""

    def __init__(self, epoch):
        self.epochs_left = epoch

    def __iter__(self):
        self.epochs_left -= 1
        yield make_data(16)
        if self.epochs_left == 0:
            raise KeyboardInterrupt
        yield make_data(16)


def test_interrupted_fit_keeps_the_history_and_a_usable_model(capsys):
    model, _, val_loader, _, optimizer = make_parts()
    history = fit(model, InterruptedLoader(3), val_loader, loss_fn, optimizer, epochs=9)

    assert [record["epoch"] for record in history] == [1, 2]
    assert "in the history: 2." in capsys.readouterr().out
    more = fit(model, val_loader, val_loader, loss_fn, optimizer, epochs=3, start=2)
    assert math.isfinite(more[0]["train_loss"])


def test_interrupted_loop_raises_and_keeps_what_the_caller_collected():
    model, _, val_loader, _, optimizer = make_parts()
    history = []

    def run():
        loader = InterruptedLoader(2)
        for record in train_epochs(
            model, loader, val_loader, loss_fn, optimizer, epochs=9
        ):
            history.append(record)

    with pytest.raises(KeyboardInterrupt):
        run()
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


def test_early_stopping_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="patience must be at least 1"):
        EarlyStopping(nn.Linear(1, 1), patience=0)
    with pytest.raises(RuntimeError, match="No epoch had a finite value"):
        EarlyStopping(nn.Linear(1, 1)).restore()
