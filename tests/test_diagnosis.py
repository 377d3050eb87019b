import functools
import random
import re

import numpy as np
import pytest
import torch
import zoo
from torch import nn

from helpers.data import TensorLoader
from helpers.diagnosis import diagnose

# PyTorch warns of this one bug itself; here, a warning would be an error.
pytestmark = pytest.mark.filterwarnings("ignore:Using a target size")


@functools.cache
def checks_found(setup):
    return [finding.check for finding in diagnose(*setup.build())]


def false_alarms(setup):
    return set(checks_found(setup)) - setup.checks - setup.also


def missed(setup):
    return not setup.checks & set(checks_found(setup))


@pytest.mark.parametrize("setup", zoo.BROKEN, ids=lambda setup: setup.name)
def test_broken_set_up_is_named_right(setup):
    assert not missed(setup), f"found {checks_found(setup)}"
    assert not false_alarms(setup)


@pytest.mark.parametrize("setup", zoo.HEALTHY, ids=lambda setup: setup.name)
def test_healthy_set_up_raises_no_alarm(setup):
    assert checks_found(setup) == []


def test_zoo_is_large_enough_and_its_totals_are_printed(capsys):
    everything = zoo.BROKEN + zoo.HEALTHY
    lost = sum(map(missed, zoo.BROKEN))
    alarms = sum(bool(false_alarms(setup)) for setup in everything)
    with capsys.disabled():
        print(
            f"\nzoo: {len(zoo.BROKEN)} broken set-ups, {len(zoo.BROKEN) - lost} found, "
            f"{lost} missed; false alarms in {alarms} of all {len(everything)}"
        )
    assert len(zoo.BROKEN) >= 30
    assert len(zoo.HEALTHY) >= 20
    assert len({setup.name for setup in everything}) == len(everything)


# ------------------------------------------------------------- nothing is changed


def bits(value):
    """Return something that is equal only if every bit is."""
    if isinstance(value, torch.Tensor):
        raw = value.detach().cpu().contiguous().flatten().view(torch.uint8)
        return value.dtype, value.device, value.shape, raw.numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [bits(item) for item in value]
    return value


def generators(loader):
    """Return the states of the generators that a loader draws from."""
    sources = (loader, getattr(loader, "sampler", None))
    found = [getattr(source, "generator", None) for source in sources]
    return [g.get_state() for g in found if g is not None]


def state_of(model, loader, optimizer, val_loader=None):
    """Return all that a diagnosis must leave as it is, by name."""
    state = {f"buffer {name}": bits(b) for name, b in model.named_buffers()}
    for name, parameter in model.named_parameters():
        state[f"parameter {name}"] = (id(parameter), bits(parameter))
        state[f"grad {name}"] = (id(parameter.grad), bits(parameter.grad))
        state[f"requires_grad {name}"] = parameter.requires_grad
    for name, module in model.named_modules():
        state[f"mode {name}"] = module.training
        state[f"hooks {name}"] = [
            len(getattr(module, hooks))
            for hooks in vars(module)
            if hooks.endswith("_hooks")
        ]
    state["held"] = [[id(p) for p in g["params"]] for g in optimizer.param_groups]
    state["optimizer"] = bits(optimizer.state_dict())
    state["loaders"] = bits([generators(loader), generators(val_loader)])
    dataset = getattr(loader, "dataset", loader if isinstance(loader, list) else None)
    tensors = getattr(dataset, "tensors", dataset if isinstance(dataset, list) else [])
    state["data"] = bits(tensors)
    state["random state of torch"] = bits(torch.get_rng_state())
    state["random state of numpy"] = bits(np.random.get_state())  # noqa: NPY002
    state["random state of Python"] = random.getstate()
    if torch.cuda.is_available():
        state["random state of CUDA"] = bits(torch.cuda.get_rng_state())
    state["switches"] = (
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.is_anomaly_enabled(),
        torch.are_deterministic_algorithms_enabled(),
    )
    return state


def assert_same_state(before, after):
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == []


def assert_leaves_as_it_was(model, loader, loss_fn, optimizer, *val_loader):
    before = state_of(model, loader, optimizer, *val_loader)
    findings = diagnose(model, loader, loss_fn, optimizer, *val_loader)
    assert_same_state(before, state_of(model, loader, optimizer, *val_loader))
    return findings


def setup_named(make):
    return next(s for s in zoo.BROKEN + zoo.HEALTHY if s.make is make)


def in_the_middle_of_training(device="cpu"):
    """Return a set-up with dropout, batch norm, an optimizer's state, gradients."""
    torch.manual_seed(0)
    x, y = zoo.table(rows=200)
    model = nn.Sequential(
        nn.Linear(6, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(16, 3),
    ).to(device)
    loader = TensorLoader(x[:160], y[:160], shuffle=True, seed=5, device=device)
    val_loader = zoo.batches(
        x[160:].to(device), y[160:].to(device), generator=torch.Generator()
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    zoo.train(model, loader, nn.CrossEntropyLoss(), optimizer, steps=7)
    x, y = next(iter(loader))
    nn.CrossEntropyLoss()(model(x), y).backward()
    model[3].eval()
    return model, loader, nn.CrossEntropyLoss(), optimizer, val_loader


@pytest.mark.parametrize(
    "make",
    [
        zoo.language_model_with_tied_weights,
        zoo.rare_class_drawn_more_often,
        zoo.noise_added_by_the_data_set,
        zoo.whole_data_set_as_one_batch,
        zoo.iris_with_validation,
        zoo.frozen_backbone_kept_in_eval_mode,
        zoo.residual_blocks_that_begin_as_identity,
        zoo.spectral_norm_layers,
        zoo.variational_autoencoder,
        zoo.linear_regression_by_lbfgs,
        zoo.bfloat16_throughout,
        zoo.batch_norm_network_built_for_inference,
        zoo.home_made_norm_that_never_stops_to_learn,
        zoo.dropout_never_switched_on,
        zoo.regression_that_diverges,
        zoo.missing_values_left_in_the_table,
        zoo.labels_that_count_from_one,
        zoo.optimizer_of_the_copy,
        zoo.functional_relus_that_never_fire,
    ],
    ids=lambda make: make.__name__,
)
def test_nothing_is_changed(make):
    assert_leaves_as_it_was(*setup_named(make).build())


def test_nothing_is_changed_in_the_middle_of_training():
    findings = assert_leaves_as_it_was(*in_the_middle_of_training())
    assert "leftover_gradients" in [finding.check for finding in findings]


def test_training_goes_on_as_if_nobody_had_looked():
    weights = []
    for look in (False, True):
        model, loader, loss_fn, optimizer, val_loader = in_the_middle_of_training()
        if look:
            diagnose(model, loader, loss_fn, optimizer, val_loader)
        optimizer.zero_grad()
        zoo.train(model, loader, loss_fn, optimizer, steps=9)
        weights.append(bits(model.state_dict()))
    assert weights[0] == weights[1]


class RaisesAtThirdCall:
    """What its function returns, until the third call."""

    def __init__(self, function, error):
        self.function, self.error, self.calls = function, error, 0

    def __call__(self, *inputs):
        self.calls += 1
        if self.calls >= 3:
            raise self.error
        return self.function(*inputs)


class RaisingModel(nn.Module):
    def __init__(self, model, error):
        super().__init__()
        self.inside = model
        self.answer = RaisesAtThirdCall(model, error)

    def forward(self, x):
        return self.answer(x)


def raising_model(error):
    model, loader, loss_fn, optimizer, val_loader = in_the_middle_of_training()
    return RaisingModel(model, error), loader, loss_fn, optimizer, val_loader


def raising_loss(error):
    model, loader, loss_fn, optimizer, val_loader = in_the_middle_of_training()
    return model, loader, RaisesAtThirdCall(loss_fn, error), optimizer, val_loader


class RaisingLoader(TensorLoader):
    def __iter__(self):
        for i, batch in enumerate(super().__iter__()):
            if i == 2:
                raise self.error
            yield batch


def raising_loader(error):
    model, loader, loss_fn, optimizer, val_loader = in_the_middle_of_training()
    loader = RaisingLoader(*loader.tensors, batch_size=20, shuffle=True)
    loader.error = error
    return model, loader, loss_fn, optimizer, val_loader


@pytest.mark.parametrize("raising", [raising_model, raising_loss])
def test_nothing_is_changed_when_a_check_raises(raising):
    assert_leaves_as_it_was(*raising(ValueError("no more")))


@pytest.mark.parametrize("raising", [raising_model, raising_loss, raising_loader])
def test_nothing_is_changed_when_it_is_interrupted(raising):
    model, loader, loss_fn, optimizer, val_loader = raising(KeyboardInterrupt())
    before = state_of(model, loader, optimizer, val_loader)
    with pytest.raises(KeyboardInterrupt):
        diagnose(model, loader, loss_fn, optimizer, val_loader)
    assert_same_state(before, state_of(model, loader, optimizer, val_loader))


def test_one_shot_loader_is_not_consumed():
    x, y = zoo.table()
    loader = ((x[rows], y[rows]) for rows in torch.arange(256).split(32))
    model = zoo.mlp()
    optimizer = torch.optim.Adam(model.parameters())

    findings = diagnose(model, loader, nn.CrossEntropyLoss(), optimizer)

    assert [finding.check for finding in findings] == ["used_up_loader"]
    assert len(list(loader)) == 8


def test_at_most_ten_batches_of_an_epoch_are_looked_at():
    looked_at = []

    class Counting(TensorLoader):
        def __iter__(self):
            for i, batch in enumerate(super().__iter__()):
                looked_at.append(i + 1)
                yield batch

    loader = Counting(*zoo.table(rows=1000), batch_size=20, shuffle=True)
    model = zoo.mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    diagnose(model, loader, nn.CrossEntropyLoss(), optimizer)
    assert max(looked_at) <= 10


# --------------------------------------------------------------- what is reported


def test_each_finding_says_what_why_and_what_to_try_and_is_printed(capsys):
    findings = diagnose(*setup_named(zoo.raw_prices_without_a_scaler).build())
    printed = " ".join(capsys.readouterr().out.split())
    assert findings
    for finding in findings:
        for words in (finding.saw, finding.why, finding.try_this):
            assert words.strip()
            assert " ".join(words.split()) in printed
        assert any(letter.isdigit() for letter in finding.saw)


def test_the_most_serious_comes_first(capsys):
    x, y = zoo.line()
    model = zoo.mlp(4, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    loader = TensorLoader(x, y.squeeze(1))
    model(x).sum().backward()

    findings = diagnose(model, loader, nn.MSELoss(), optimizer)

    checks = [finding.check for finding in findings]
    assert {"same_order", "leftover_gradients"} < set(checks)
    assert checks[0] in ("broadcast", "targets_ignored")
    printed = " ".join(capsys.readouterr().out.split())
    places = [printed.index(" ".join(finding.saw.split())) for finding in findings]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "make", [zoo.sgd_at_a_millionth, zoo.momentum_with_a_rate_of_fifty]
)
def test_finding_on_the_learning_rate_names_it_and_those_that_work(make):
    (finding,) = diagnose(*setup_named(make).build())
    assert len(re.findall(r"\d[\de.+-]*", finding.saw + finding.try_this)) >= 2


def test_healthy_training_gets_one_line_that_counts_checks_and_batches(capsys):
    assert diagnose(*setup_named(zoo.linear_regression).build()) == []
    (line,) = capsys.readouterr().out.strip().splitlines()
    assert any(letter.isdigit() for letter in line)


def test_model_that_takes_a_dict_gets_one_line_and_no_crash(capsys):
    class TakesDict(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = zoo.mlp()

        def forward(self, inputs):
            return self.net(inputs["numbers"])

    x, y = zoo.table()
    loader = [({"numbers": x[i : i + 32]}, y[i : i + 32]) for i in range(0, 256, 32)]
    random.shuffle(loader)
    model = TakesDict()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    loader = zoo.DataLoader(loader, batch_size=None, shuffle=True)

    assert (
        assert_leaves_as_it_was(model, loader, nn.CrossEntropyLoss(), optimizer) == []
    )

    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) in (1, 2)  # what was checked; what could not be


def test_batches_that_are_dicts_get_one_line_and_no_crash(capsys):
    x, y = zoo.table()
    loader = [{"x": x[i : i + 32], "y": y[i : i + 32]} for i in range(0, 256, 32)]
    model = zoo.mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    findings = diagnose(model, loader, nn.CrossEntropyLoss(), optimizer)
    assert findings == []
    assert len(capsys.readouterr().out.strip().splitlines()) in (1, 2)


@pytest.mark.skipif(not torch.accelerator.is_available(), reason="no accelerator here")
def test_nothing_is_changed_on_an_accelerator():
    device = torch.accelerator.current_accelerator()
    findings = assert_leaves_as_it_was(*in_the_middle_of_training(device))
    assert "leftover_gradients" in [finding.check for finding in findings]
