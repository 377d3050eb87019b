"""Set-ups for supervised training, broken and healthy, for helpers.diagnosis.

Each is a function that returns `model, loader, loss_fn, optimizer` and perhaps a
validation loader. A broken one is registered with the checks of which at least
one must be found, and under `also` with what its bug honestly causes besides.
"""

import copy
import functools
import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from sklearn import datasets
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.utils.data import (
    DataLoader,
    Dataset,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from helpers.data import TensorLoader, load_iris

SGD, Adam, AdamW = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW


class SetUp(NamedTuple):
    """One entry of the zoo; a healthy one has no checks."""

    name: str
    make: Callable
    checks: frozenset = frozenset()
    also: frozenset = frozenset()

    def build(self):
        """Return the arguments of diagnose, the same in every call."""
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - what people's own data sets draw from
        random.seed(0)
        return self.make()


BROKEN, HEALTHY = [], []


def broken(*checks, also=()):
    def register(make):
        BROKEN.append(SetUp(make.__name__, make, frozenset(checks), frozenset(also)))
        return make

    return register


def healthy(make):
    HEALTHY.append(SetUp(make.__name__, make))
    return make


# ------------------------------------------------------------------------ data


def table(rows=256, features=6, classes=3):
    """Return standard normal columns, and classes that a small network learns."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, features, generator=generator)
    w = torch.randn(features, classes, generator=generator)
    return x, (x @ w + 0.5 * x.abs() @ w.roll(1, 0)).argmax(1)


def yes_or_no(rows=256, features=6):
    x, y = table(rows, features, classes=2)
    return x, y.float()


def line(rows=256, features=4):
    """Return inputs and a target of shape (N, 1), standardised both."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(rows, features, generator=generator)
    y = x @ torch.randn(features, 1, generator=generator)
    y += 0.3 * torch.randn(rows, 1, generator=generator)
    return x, (y - y.mean()) / y.std()


def houses(rows=256):
    """Return area, rooms, year and distance of houses, unscaled, and their prices."""
    generator = np.random.default_rng(3)
    area = generator.uniform(40, 200, rows)
    rooms = np.round(area / 28 + generator.normal(0, 0.7, rows)).clip(1)
    year = generator.integers(1900, 2025, rows)
    distance = generator.exponential(8000, rows)
    price = 2500 * area + 900 * (year - 1900) - 5 * distance
    price += 60_000 + generator.normal(0, 15_000, rows)
    columns = np.stack([area, rooms, year, distance], axis=1)
    return torch.tensor(columns).float(), torch.tensor(price).float()


def standardised(values):
    return (values - values.mean(0)) / values.std(0)


@functools.cache
def _digits():
    found = datasets.load_digits()
    return torch.tensor(found.images).float() / 16, torch.tensor(found.target)


def digits(rows=512):
    """Return images (N, 1, 8, 8) between 0 and 1, and their labels."""
    x, y = _digits()
    return x[:rows].unsqueeze(1).clone(), y[:rows].clone()


def walks(rows=256, steps=12):
    """Return sequences (N, T, 2), and whether the first column's sum is positive."""
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(rows, steps, 2, generator=generator)
    return x, (x[:, :, 0].sum(1) > 0).long()


def sentences(rows=256, length=12, words=40):
    """Return word numbers (N, T), and whether more than half are small."""
    generator = torch.Generator().manual_seed(5)
    share = torch.rand(rows, 1, generator=generator)
    small = torch.rand(rows, length, generator=generator) < share
    x = torch.randint(words // 2, (rows, length), generator=generator)
    return x + words // 2 * ~small, (small.float().mean(1) > 0.5).long()


def letters(rows=256, length=24):
    """Return pieces of a text as numbers, the same one letter on, and how many."""
    text = datasets.load_iris()["DESCR"]
    alphabet = sorted(set(text))
    numbers = torch.tensor([alphabet.index(letter) for letter in text])
    starts = torch.linspace(0, len(text) - length - 2, rows).long()
    pieces = torch.stack([numbers[start : start + length + 1] for start in starts])
    return pieces[:, :-1].clone(), pieces[:, 1:].clone(), len(alphabet)


def shapes(rows=64):
    """Return noisy images (N, 1, 12, 12), and per pixel: nothing, square or bar."""
    generator = torch.Generator().manual_seed(6)
    y = torch.zeros(rows, 12, 12, dtype=torch.long)
    for mask in y:
        row, column, at = torch.randint(8, (3,), generator=generator).tolist()
        mask[at] = 2
        mask[row : row + 4, column : column + 4] = 1
    noise = 0.3 * torch.randn(y.shape, generator=generator)
    return (y.float() - 0.5 + noise).unsqueeze(1), y


def batches(*tensors, size=32, **options):
    """Return a shuffling loader of torch's own."""
    options.setdefault("shuffle", True)
    return DataLoader(TensorDataset(*tensors), batch_size=size, **options)


def in_memory(*tensors, size=32, **options):
    """Return a shuffling loader of the course."""
    options.setdefault("shuffle", True)
    return TensorLoader(*tensors, batch_size=size, **options)


# ---------------------------------------------------------------------- models


def mlp(inputs=6, outputs=3, hidden=32):
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )


def small_cnn(outputs=10):
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, outputs),
    )


def with_dropout(p=0.3):
    return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(p), nn.Linear(32, 3))


class Classifier(nn.Module):
    """An encoder and a head."""

    def __init__(self, inputs=6, hidden=32, outputs=3):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU())
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.head(self.encoder(x))


class Recurrent(nn.Module):
    """A recurrent layer, of whose outputs the last one is classified."""

    def __init__(self, layer, hidden=24, outputs=2):
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.head(self.layer(x)[0][:, -1])


class TextClassifier(nn.Module):
    """Embedded words, a transformer block, and the mean over the words."""

    def __init__(self, words=40, width=32, *, batch_first=True):
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.places = nn.Parameter(0.02 * torch.randn(12, width))
        self.block = nn.TransformerEncoderLayer(
            width, nhead=4, dim_feedforward=64, dropout=0.1, batch_first=batch_first
        )
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.block(self.words(x) + self.places).mean(1))


def train(model, loader, loss_fn, optimizer, *, steps):
    """Take steps as people do, and leave no gradients."""
    model.train()
    while steps > 0:
        for x, y in loader:
            loss_fn(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
            steps -= 1


# ------------------------------------------------ broken: loss, outputs, targets


@broken("broadcast", also=["targets_ignored"])
def column_of_outputs_against_a_row_of_targets():
    x, y = line()
    model = mlp(4, 1)
    loader = in_memory(x, y.squeeze(1))
    return model, loader, nn.MSELoss(), Adam(model.parameters(), lr=1e-2)


@broken("broadcast", also=["targets_ignored"])
def squared_error_by_hand_that_broadcasts():
    x, y = line()
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    loader = batches(x, y.squeeze(1))
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return model, loader, lambda z, y: ((z - y) ** 2).mean(), optimizer


@broken("broadcast", also=["targets_ignored"])
def row_of_outputs_against_a_column_of_targets():
    class LogLoss(nn.Module):
        def forward(self, z, y):
            return -(y * F.logsigmoid(z) + (1 - y) * F.logsigmoid(-z)).mean()

    class Squeezed(Classifier):
        def forward(self, x):
            return super().forward(x).squeeze(-1)

    x, y = yes_or_no()
    model = Squeezed(outputs=1)
    loader = batches(x, y.unsqueeze(1))
    return model, loader, LogLoss(), Adam(model.parameters(), lr=1e-2)


@broken("targets_ignored")
def loss_against_the_models_own_answers():
    x, y = digits()
    model = small_cnn()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return model, batches(x, y), lambda z, _: F.cross_entropy(z, z.argmax(1)), optimizer


@broken("targets_ignored")
def means_compared_instead_of_examples():
    def loss_fn(z, y):
        return (z.mean() - y.mean()) ** 2

    x, y = line()
    model = mlp(4, 1)
    return model, in_memory(x, y + 1), loss_fn, Adam(model.parameters(), lr=1e-2)


@broken("softmax_twice")
def softmax_layer_before_cross_entropy():
    x, y = digits()
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
        nn.Softmax(dim=1),
    )
    return model, batches(x, y), nn.CrossEntropyLoss(), Adam(model.parameters(), 3e-3)


@broken("softmax_twice")
def softmax_in_forward_and_cross_entropy_in_a_function():
    class Probabilities(Classifier):
        def forward(self, x):
            return F.softmax(super().forward(x), dim=-1)

    def loss_fn(outputs, targets):
        return F.cross_entropy(outputs, targets, label_smoothing=0.1)

    model = Probabilities()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, in_memory(*table()), loss_fn, optimizer


@broken("softmax_twice")
def sigmoid_before_bce_with_logits():
    x, y = yes_or_no()
    model = nn.Sequential(*mlp(6, 1), nn.Sigmoid(), nn.Flatten(0))
    loader = batches(x, y)
    return model, loader, nn.BCEWithLogitsLoss(), Adam(model.parameters(), lr=1e-2)


@broken("not_log_probabilities")
def negative_log_likelihood_of_logits():
    model = mlp()
    optimizer = SGD(model.parameters(), lr=0.05)
    return model, batches(*table()), nn.NLLLoss(), optimizer


@broken("not_log_probabilities")
def negative_log_likelihood_of_probabilities():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1))
    return model, in_memory(*digits()), F.nll_loss, Adam(model.parameters(), lr=1e-2)


@broken("one_logit", also=["targets_ignored", "no_gradient", "vanishing_gradient"])
def cross_entropy_on_one_column():
    x, y = yes_or_no()
    model = mlp(6, 1)
    loader = batches(x, y.unsqueeze(1))
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@broken("one_logit", "labels_outside")
def cross_entropy_on_one_logit_with_labels():
    x, y = table(classes=2)
    model = mlp(6, 1)
    optimizer = SGD(model.parameters(), lr=0.1)
    return model, batches(x, y), nn.CrossEntropyLoss(), optimizer


@broken("labels_outside", also=["missing_classes"])
def labels_that_count_from_one():
    x, y = table()
    model = mlp()
    optimizer = Adam(model.parameters(), lr=1e-2)
    return model, in_memory(x, y + 1), nn.CrossEntropyLoss(), optimizer


@broken("labels_outside", also=["loss_too_high", "missing_classes"])
def binary_targets_one_and_two():
    x, y = yes_or_no()
    model = nn.Sequential(*mlp(6, 1), nn.Flatten(0))
    loader = batches(x, y + 1)
    return model, loader, nn.BCEWithLogitsLoss(), Adam(model.parameters(), lr=1e-2)


@broken("labels_outside", "target_scale", also=["loss_too_high", "exploding_gradient"])
def mask_between_0_and_255():
    x, y = shapes()
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1)
    )
    loader = batches(x, 255.0 * (y > 0).unsqueeze(1), size=16)
    return model, loader, nn.BCEWithLogitsLoss(), Adam(model.parameters(), lr=1e-3)


@broken("missing_classes")
def filter_that_lost_three_digits():
    x, y = digits()
    model = small_cnn()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return model, batches(x[y < 7], y[y < 7]), nn.CrossEntropyLoss(), optimizer


@broken("missing_classes")
def head_with_a_thousand_outputs_for_ten_classes():
    model = nn.Sequential(nn.Flatten(), *mlp(64, 1000, hidden=64))
    optimizer = Adam(model.parameters(), lr=3e-3)
    return model, in_memory(*digits()), nn.CrossEntropyLoss(), optimizer


@broken("sorted_labels", also=["same_order", "missing_classes"])
def iris_in_the_order_of_the_file():
    x, y = datasets.load_iris(return_X_y=True)
    x = standardised(torch.tensor(x, dtype=torch.float32))
    model = mlp(4, 3)
    loader = batches(x, torch.tensor(y), size=16, shuffle=False)
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@broken("sorted_labels", also=["same_order", "missing_classes"])
def list_of_batches_sorted_by_class():
    x, y = table(rows=320, classes=2)
    order = y.argsort()
    loader = list(zip(x[order].split(32), y[order].split(32), strict=True))
    model = with_dropout()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, loader, nn.CrossEntropyLoss(), optimizer


@broken("same_order")
def data_loader_that_does_not_shuffle():
    model = mlp()
    loader = batches(*table(), shuffle=False)
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@broken("same_order")
def loader_in_memory_that_does_not_shuffle():
    x, y = line()
    model = nn.Linear(4, 1)
    loader = in_memory(x, y, shuffle=False)
    return model, loader, nn.MSELoss(), SGD(model.parameters(), lr=0.05)


@broken("same_order")
def order_drawn_from_the_same_seed_in_each_epoch():
    class Reseeded:
        def __init__(self, *tensors):
            self.tensors = tensors

        def __iter__(self):
            order = torch.Generator().manual_seed(42)
            for rows in torch.randperm(256, generator=order).split(32):
                yield [tensor[rows] for tensor in self.tensors]

    model = Classifier()
    optimizer = AdamW(model.parameters(), lr=1e-2)
    return model, Reseeded(*table()), nn.CrossEntropyLoss(), optimizer


# ------------------------------------------------------------ broken: the inputs


@broken("unscaled_inputs", also=["loss_too_high", "exploding_gradient"])
def pixels_up_to_255():
    x, y = digits()
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    loader = batches(255 * x, y)
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-3)


@broken("unscaled_inputs", also=["loss_too_high", "learning_rate_too_large"])
def columns_of_different_size():
    x, y = houses()
    model = mlp(4, 1)
    loader = in_memory(x, standardised(y).unsqueeze(1))
    return model, loader, nn.MSELoss(), Adam(model.parameters(), lr=1e-3)


@broken("constant_inputs", also=["no_gradient", "vanishing_gradient"])
def bytes_divided_as_whole_numbers():
    x, y = digits()
    pictures = (240 * x).byte() // 255
    model = small_cnn()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return model, batches(pictures.float(), y), nn.CrossEntropyLoss(), optimizer


@broken("constant_inputs")
def data_set_that_always_returns_its_first_row():
    class Rows(Dataset):
        def __init__(self, x, y):
            self.x, self.y = x, y

        def __len__(self):
            return len(self.x)

        def __getitem__(self, index):
            return self.x[0], self.y[index]

    model = mlp()
    loader = DataLoader(Rows(*table()), batch_size=32, shuffle=True)
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@broken("not_finite")
def missing_values_left_in_the_table():
    x, y = table()
    x[::9, 2] = torch.nan
    model = mlp()
    loader = batches(x, y)
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@broken("not_finite")
def logarithm_of_zeros():
    x, y = digits()
    model = nn.Sequential(nn.Flatten(), *mlp(64, 10))
    optimizer = SGD(model.parameters(), lr=0.05)
    return model, in_memory(x.log(), y), nn.CrossEntropyLoss(), optimizer


@broken("not_finite")
def gaps_in_the_targets():
    x, y = line()
    y[5::11] = torch.nan
    model = mlp(4, 1)
    return model, batches(x, y), nn.SmoothL1Loss(), Adam(model.parameters(), lr=1e-2)


@broken(
    "target_scale",
    also=["loss_too_high", "learning_rate_too_small", "exploding_gradient"],
)
def raw_prices_without_a_scaler():
    x, y = houses()
    model = mlp(4, 1)
    loader = in_memory(standardised(x), y.unsqueeze(1))
    return model, loader, nn.MSELoss(), Adam(model.parameters(), lr=1e-3)


@broken("target_scale", also=["loss_too_high", "learning_rate_too_small"])
def years_as_targets():
    class MeanAbsoluteError(nn.Module):
        def forward(self, z, y):
            return (z.squeeze(1) - y).abs().mean()

    x, _ = houses()
    rest = standardised(x[:, [0, 1, 3]])
    model = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
    loader = batches(rest, x[:, 2])
    return model, loader, MeanAbsoluteError(), SGD(model.parameters(), lr=0.01)


@broken("same_rows")
def validation_on_the_training_data():
    x, y = table()
    model = with_dropout()
    optimizer = Adam(model.parameters(), lr=1e-2)
    loader, val_loader = batches(x, y), batches(x, y, size=64, shuffle=False)
    return model, loader, nn.CrossEntropyLoss(), optimizer, val_loader


@broken("same_rows")
def splits_that_overlap():
    x, y = line()
    model = mlp(4, 1)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    loader = in_memory(x[:200], y[:200])
    val_loader = in_memory(x[150:], y[150:], shuffle=False)
    return model, loader, nn.MSELoss(), optimizer, val_loader


@broken("same_rows")
def rows_repeated_before_the_split():
    x, y = table()
    drawn = torch.randint(256, (512,))
    x, y = x[drawn], y[drawn]
    model = mlp()
    optimizer = Adam(model.parameters(), lr=1e-2)
    loader, val_loader = batches(x[:400], y[:400]), batches(x[400:], y[400:])
    return model, loader, nn.CrossEntropyLoss(), optimizer, val_loader


@broken("used_up_loader")
def generator_instead_of_a_loader():
    x, y = table()
    model = mlp()
    rows = torch.randperm(256).split(32)
    loader = ((x[i], y[i]) for i in rows)
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@broken("used_up_loader")
def iterator_of_a_loader():
    model = mlp(4, 1)
    loader = iter(batches(*line()))
    return model, loader, nn.MSELoss(), SGD(model.parameters(), lr=0.05)


# -------------------------------------------- broken: gradients and the optimizer


@broken("no_gradient")
def features_detached_before_the_head():
    class Detached(Classifier):
        def forward(self, x):
            return self.head(self.encoder(x).detach())

    model = Detached()
    loader = batches(*table())
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@broken("no_gradient")
def layer_that_forward_forgets():
    class Forgetful(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(6, 32)
            self.second = nn.Linear(32, 32)
            self.last = nn.Linear(32, 3)

        def forward(self, x):
            hidden = torch.relu(self.first(x))
            torch.relu(self.second(hidden))
            return self.last(hidden)

    model = Forgetful()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, in_memory(*table()), nn.CrossEntropyLoss(), optimizer


@broken("no_gradient", "vanishing_gradient")
def rounding_inside_forward():
    class Rounded(Classifier):
        def forward(self, x):
            return self.head((4 * self.encoder(x)).round() / 4)

    x, y = yes_or_no()
    model = nn.Sequential(Rounded(outputs=1), nn.Flatten(0))
    loader = batches(x, y)
    return model, loader, nn.BCEWithLogitsLoss(), Adam(model.parameters(), lr=1e-2)


@broken("no_gradient")
def numpy_inside_forward():
    class ThroughNumpy(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(2, 24, batch_first=True)
            self.head = nn.Linear(24, 2)

        def forward(self, x):
            states = self.gru(x)[0].detach().cpu().numpy().max(axis=1)
            return self.head(torch.from_numpy(states).to(x.device))

    model = ThroughNumpy()
    loader = batches(*walks())
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@broken("not_held")
def layers_in_a_plain_list():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(6, 32), nn.Linear(32, 32)]
            self.head = nn.Linear(32, 3)

        def forward(self, x):
            for layer in self.layers:
                x = torch.relu(layer(x))
            return self.head(x)

    model = Hidden()
    loader = batches(*table())
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@broken("not_held", also=["other_models_optimizer"])
def head_replaced_after_the_optimizer_was_made():
    model = Classifier(outputs=1000)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    model.head = nn.Linear(32, 3)
    return model, in_memory(*table()), nn.CrossEntropyLoss(), optimizer


@broken("not_held")
def embedding_left_out_of_the_groups():
    model = TextClassifier()
    groups = [
        {"params": model.block.parameters(), "lr": 1e-3},
        {"params": model.head.parameters(), "lr": 1e-2},
    ]
    return model, batches(*sentences()), nn.CrossEntropyLoss(), AdamW(groups)


@broken("frozen_but_held")
def frozen_half_left_in_the_optimizer():
    model = Classifier()
    model.encoder.requires_grad_(False)
    optimizer = Adam(model.parameters(), lr=1e-2)
    return model, batches(*table()), nn.CrossEntropyLoss(), optimizer


@broken("other_models_optimizer", also=["not_held"])
def model_made_anew_below_the_optimizer():
    model = small_cnn()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    model = small_cnn()
    return model, batches(*digits()), nn.CrossEntropyLoss(), optimizer


@broken("other_models_optimizer", also=["not_held"])
def optimizer_of_the_copy():
    model = mlp(4, 1)
    best = copy.deepcopy(model)
    return model, in_memory(*line()), nn.MSELoss(), AdamW(best.parameters(), lr=1e-2)


@broken("leftover_gradients")
def gradients_of_a_trial_step_left():
    model, loader, loss_fn = mlp(), batches(*table()), nn.CrossEntropyLoss()
    optimizer = Adam(model.parameters(), lr=1e-2)
    x, y = next(iter(loader))
    loss_fn(model(x), y).backward()
    return model, loader, loss_fn, optimizer


@broken("vanishing_gradient")
def ten_sigmoid_layers():
    hidden = [layer for _ in range(10) for layer in (nn.Linear(32, 32), nn.Sigmoid())]
    model = nn.Sequential(nn.Linear(6, 32), nn.Sigmoid(), *hidden, nn.Linear(32, 3))
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, batches(*table()), nn.CrossEntropyLoss(), optimizer


@broken("vanishing_gradient")
def deep_tanh_network_with_tiny_weights():
    layers = [nn.Linear(4, 32)]
    for _ in range(6):
        layers += [nn.Tanh(), nn.Linear(32, 32)]
    model = nn.Sequential(*layers, nn.Tanh(), nn.Linear(32, 1))
    for layer in model[::2]:
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)
    loader = in_memory(*line())  # a whole epoch's gradients of the last bias cancel
    return model, loader, nn.MSELoss(), Adam(model.parameters(), lr=1e-3)


@broken("exploding_gradient", "loss_too_high", also=["learning_rate_too_large"])
def deep_relu_network_with_huge_weights():
    layers = [nn.Linear(6, 64)]
    for _ in range(8):
        layers += [nn.ReLU(), nn.Linear(64, 64)]
    model = nn.Sequential(*layers, nn.ReLU(), nn.Linear(64, 3))
    for layer in model[::2]:
        nn.init.normal_(layer.weight, std=0.5)
    loader = batches(*table())
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-3)


@broken("exploding_gradient", also=["learning_rate_too_large"])
def deep_tanh_network_with_large_weights():
    layers = [nn.Linear(6, 64)]
    for _ in range(14):
        layers += [nn.Tanh(), nn.Linear(64, 64)]
    model = nn.Sequential(*layers, nn.Tanh(), nn.Linear(64, 3))
    for layer in model[:-1:2]:
        nn.init.normal_(layer.weight, std=0.7)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, in_memory(*table()), nn.CrossEntropyLoss(), optimizer


@broken("exploding_gradient", also=["learning_rate_too_large"])
def recurrent_weights_that_grow():
    layer = nn.RNN(2, 24, batch_first=True)
    nn.init.orthogonal_(layer.weight_hh_l0, gain=3)
    model = Recurrent(layer)
    optimizer = SGD(model.parameters(), lr=0.01)
    return model, batches(*walks(steps=30)), nn.CrossEntropyLoss(), optimizer


@broken("dead_relus", also=["vanishing_gradient", "no_gradient"])
def seven_of_eight_relus_dead():
    model = nn.Sequential(nn.Flatten(), *mlp(64, 10, hidden=64))
    nn.init.constant_(model[1].bias[:56], -3)
    optimizer = Adam(model.parameters(), lr=1e-3)
    return model, in_memory(*digits()), nn.CrossEntropyLoss(), optimizer


@broken("dead_relus", also=["vanishing_gradient", "no_gradient"])
def functional_relus_that_never_fire():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 16, 3)
            self.head = nn.Linear(16, 10)

        def forward(self, x):
            return self.head(F.relu(self.conv(x)).mean((2, 3)))

    model = Network()
    with torch.no_grad():
        model.conv.bias -= 4
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, batches(*digits()), nn.CrossEntropyLoss(), optimizer


@broken("equal_weights", also=["no_gradient", "vanishing_gradient", "dead_relus"])
def network_from_zeros():
    model = mlp()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, batches(*table()), nn.CrossEntropyLoss(), optimizer


@broken("equal_weights", also=["no_gradient", "vanishing_gradient"])
def every_weight_the_same_constant():
    model = nn.Sequential(
        nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3)
    )
    for layer in model[::2]:
        nn.init.constant_(layer.weight, 0.1)
        nn.init.zeros_(layer.bias)
    optimizer = Adam(model.parameters(), lr=1e-2)
    return model, in_memory(*table()), nn.CrossEntropyLoss(), optimizer


@broken("loss_too_high", also=["exploding_gradient"])
def last_layer_with_huge_weights():
    model = nn.Sequential(nn.Flatten(), *mlp(64, 10, hidden=64))
    nn.init.normal_(model[-1].weight, std=10)
    loader = batches(*digits())
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-3)


@broken("loss_too_high", "learning_rate_too_large", also=["exploding_gradient"])
def loss_summed_over_the_batch():
    model = mlp()
    optimizer = SGD(model.parameters(), lr=0.5, momentum=0.9)
    loader = in_memory(*table(), size=64)
    return model, loader, nn.CrossEntropyLoss(reduction="sum"), optimizer


# --------------------------------------------------- broken: modes and examples


@broken("mode_without_effect")
def dropout_that_forward_forgets():
    class Undropped(Classifier):
        def __init__(self):
            super().__init__()
            self.dropout = nn.Dropout(0.5)

    model = Undropped()
    loader = batches(*table())
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@broken("mode_without_effect", "examples_mixed")
def batch_norm_without_running_statistics():
    model = nn.Sequential(
        nn.Linear(6, 32),
        nn.BatchNorm1d(32, track_running_stats=False),
        nn.ReLU(),
        nn.Linear(32, 3),
    )
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, in_memory(*table()), nn.CrossEntropyLoss(), optimizer


@broken("mode_without_effect")
def dropout_never_switched_on():
    class Switched(Classifier):
        def forward(self, x):
            return self.head(F.dropout(self.encoder(x), 0.5, self.dropout.training))

        def train(self, mode=True):
            super().train(mode)
            self.dropout.eval()
            return self

    model = Switched()
    model.dropout = nn.Dropout(0.5).eval()
    loader = batches(*table())
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@broken("eval_mode")
def model_left_in_eval_mode_by_validation():
    model = with_dropout().eval()
    loader = batches(*table())
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@broken("eval_mode")
def batch_norm_network_built_for_inference():
    model = small_cnn().train(False)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return model, in_memory(*digits()), nn.CrossEntropyLoss(), optimizer


@broken("dropout_in_eval")
def functional_dropout_without_the_mode():
    class Dropped(Classifier):
        def forward(self, x):
            return self.head(F.dropout(self.encoder(x), 0.5))

    model = Dropped()
    loader = in_memory(*table())
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@broken("dropout_in_eval")
def dropout_layer_made_in_forward():
    class Fresh(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 8, 3)
            self.head = nn.Linear(8 * 6 * 6, 10)

        def forward(self, x):
            x = torch.relu(self.conv(x)).flatten(1)
            return self.head(nn.Dropout(0.4)(x))

    model = Fresh()
    loader = batches(*digits())
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=3e-3)


@broken("state_between_batches")
def hidden_state_kept_from_the_last_batch():
    class Remembering(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(2, 24, batch_first=True)
            self.head = nn.Linear(24, 2)
            self.state = None

        def forward(self, x):
            states, last = self.gru(x, self.state)
            self.state = last.detach()
            return self.head(states[:, -1])

    model = Remembering()
    loader = batches(*walks())
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@broken("state_between_batches")
def state_kept_with_all_that_led_to_it():
    class Remembering(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(2, 24, batch_first=True)
            self.head = nn.Linear(24, 2)
            self.state = None

        def forward(self, x):
            states, self.state = self.lstm(x, self.state)
            return self.head(states[:, -1])

    model = Remembering()
    x, y = walks(steps=5)
    model(x[:32])
    return model, batches(x, y), nn.CrossEntropyLoss(), Adam(model.parameters())


@broken("state_between_batches", also=["examples_mixed"])
def home_made_norm_that_never_stops_to_learn():
    class Running(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(6))

        def forward(self, x):
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
            return x - self.mean

    x, y = yes_or_no()
    model = nn.Sequential(Running(), *mlp(6, 1), nn.Flatten(0))
    loader = in_memory(x + 2, y)
    return model, loader, nn.BCEWithLogitsLoss(), Adam(model.parameters(), lr=1e-2)


@broken("examples_mixed")
def gru_that_takes_the_batch_for_time():
    model = Recurrent(nn.GRU(2, 24))
    optimizer = Adam(model.parameters(), lr=1e-2)
    return model, batches(*walks()), nn.CrossEntropyLoss(), optimizer


@broken("examples_mixed")
def attention_over_the_batch():
    model = TextClassifier(batch_first=False)
    optimizer = AdamW(model.parameters(), lr=1e-3)
    return model, in_memory(*sentences()), nn.CrossEntropyLoss(), optimizer


@broken("examples_mixed")
def inputs_scaled_with_their_own_batch():
    class Scaled(Classifier):
        def forward(self, x):
            return super().forward((x - x.mean(0)) / (x.std(0) + 1e-6))

    model = Scaled(outputs=1, inputs=4)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return model, batches(*line()), nn.MSELoss(), optimizer


@broken("examples_mixed")
def channels_and_examples_swapped():
    class Swapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 8, 3, padding=1, stride=2)
            self.head = nn.Linear(8 * 4 * 4, 10)

        def forward(self, x):
            found = torch.relu(self.conv(x)).permute(1, 0, 2, 3)
            return self.head(found.reshape(len(x), -1))

    model = Swapped()
    loader = batches(*digits())
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=3e-3)


# -------------------------------------------------- broken: the learning rate


@broken("learning_rate_too_small")
def sgd_at_a_millionth():
    model = mlp()
    optimizer = SGD(model.parameters(), lr=1e-6)
    return model, batches(*table()), nn.CrossEntropyLoss(), optimizer


@broken("learning_rate_too_small")
def adam_at_a_hundred_millionth():
    model = mlp(4, 1)
    optimizer = Adam(model.parameters(), lr=1e-8)
    return model, in_memory(*line()), nn.MSELoss(), optimizer


@broken("learning_rate_too_large")
def regression_that_diverges():
    x, y = line(features=12)
    model = nn.Linear(12, 1)
    return model, batches(x, y), nn.MSELoss(), SGD(model.parameters(), lr=3.0)


@broken("learning_rate_too_large")
def adam_with_the_rate_of_sgd():
    model = nn.Sequential(nn.Flatten(), *mlp(64, 10, hidden=64))
    optimizer = Adam(model.parameters(), lr=3.0)
    return model, in_memory(*digits()), nn.CrossEntropyLoss(), optimizer


@broken("learning_rate_too_large")
def momentum_with_a_rate_of_fifty():
    model = nn.Sequential(*mlp(6, 1), nn.Flatten(0))
    optimizer = SGD(model.parameters(), lr=50.0, momentum=0.9)
    return model, in_memory(*yes_or_no()), nn.BCEWithLogitsLoss(), optimizer


# --------------------------------------------------- healthy: classes and tables


@healthy
def iris_with_validation():
    iris = load_iris()
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    loader, val_loader = in_memory(*iris.train, size=16), in_memory(*iris.val)
    return model, loader, nn.CrossEntropyLoss(), optimizer, val_loader


@healthy
def convolutions_with_batch_norm_and_a_small_last_batch():
    x, y = digits(400)
    model = small_cnn()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    loader = batches(x[:259], y[:259], size=64)
    return model, loader, nn.CrossEntropyLoss(), optimizer, batches(x[259:], y[259:])


@healthy
def flat_digits_with_dropout_and_functional_relu():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(64, 48), nn.Linear(48, 10)
            self.dropout = nn.Dropout(0.2)

        def forward(self, x):
            return self.last(self.dropout(F.relu(self.first(x.flatten(1)))))

    model = Network()
    loader = batches(*digits(), drop_last=True)
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-3)


@healthy
def dropout_of_zero():
    model = with_dropout(p=0.0)
    optimizer = AdamW(model.parameters(), lr=1e-2)
    return model, in_memory(*table()), nn.CrossEntropyLoss(), optimizer


@healthy
def binary_with_squeezed_logits():
    model = nn.Sequential(*mlp(6, 1), nn.Flatten(0))
    optimizer = Adam(model.parameters(), lr=1e-2)
    return model, batches(*yes_or_no()), nn.BCEWithLogitsLoss(), optimizer


@healthy
def binary_by_hand_on_one_column():
    def loss_fn(z, y):
        return (F.softplus(z) - y * z).mean()

    x, y = yes_or_no()
    model = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 1))
    loader = batches(x, y.unsqueeze(1))
    return model, loader, loss_fn, SGD(model.parameters(), lr=0.1, momentum=0.9)


@healthy
def probabilities_and_plain_bce():
    model = nn.Sequential(*mlp(6, 1), nn.Sigmoid(), nn.Flatten(0))
    optimizer = Adam(model.parameters(), lr=1e-2)
    return model, in_memory(*yes_or_no()), nn.BCELoss(), optimizer


@healthy
def targets_of_plus_and_minus_one():
    x, y = yes_or_no()
    model = nn.Sequential(*mlp(6, 1), nn.Flatten(0))
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, batches(x, 2 * y - 1), nn.SoftMarginLoss(), optimizer


@healthy
def one_positive_in_fifty_with_pos_weight():
    x, _ = table(rows=1024)
    y = (x[:, 0] + x[:, 1] > 2.9).float()
    model = nn.Sequential(*mlp(6, 1), nn.Flatten(0))
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(49.0))
    optimizer = Adam(model.parameters(), lr=3e-3)
    return model, batches(x, y), loss_fn, optimizer


@healthy
def one_positive_in_fifty_with_class_weights():
    x, _ = table(rows=1024)
    y = (x[:, 0] + x[:, 1] > 2.9).long()
    model = mlp(outputs=2)
    loss_fn = nn.CrossEntropyLoss(weight=torch.tensor([0.51, 25.0]))
    return model, in_memory(x, y), loss_fn, AdamW(model.parameters(), lr=3e-3)


@healthy
def one_positive_in_fifty_as_it_is():
    x, _ = table(rows=1024)
    y = (x[:, 0] + x[:, 1] > 2.9).long()
    model = mlp(outputs=2)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, batches(x, y), nn.CrossEntropyLoss(), optimizer


@healthy
def rare_class_drawn_more_often():
    x, _ = table(rows=512)
    y = (x[:, 0] + x[:, 1] > 2.5).long()
    shares = 1 / torch.bincount(y)[y]
    sampler = WeightedRandomSampler(
        shares, 320, generator=torch.Generator().manual_seed(7)
    )
    model = mlp(outputs=2)
    loader = DataLoader(TensorDataset(x, y), batch_size=32, sampler=sampler)
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@healthy
def many_labels_at_once():
    x, _ = table()
    y = (x @ torch.randn(6, 5) > torch.linspace(0, 3, 5)).float()
    model = nn.Sequential(
        nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 5)
    )
    loader = batches(x, y)
    return model, loader, nn.BCEWithLogitsLoss(), Adam(model.parameters(), lr=1e-2)


@healthy
def logistic_regression_from_zeros():
    model = nn.Linear(6, 3)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    optimizer = SGD(model.parameters(), lr=0.5)
    return model, in_memory(*table()), nn.CrossEntropyLoss(), optimizer


@healthy
def class_probabilities_as_targets():
    x, y = table()
    mixed = 0.8 * F.one_hot(y, 3) + 0.2 * F.one_hot(y, 3).roll(1, 0)
    model = mlp()
    optimizer = Adam(model.parameters(), lr=1e-2)
    return model, batches(x, mixed), nn.CrossEntropyLoss(), optimizer


@healthy
def smoothed_labels_and_parameter_groups():
    model = Classifier()
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0},
    ]
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.1)
    return model, in_memory(*table()), loss_fn, AdamW(groups, lr=5e-3)


@healthy
def log_softmax_and_negative_log_likelihood():
    model = nn.Sequential(*mlp(), nn.LogSoftmax(dim=1))
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, batches(*table()), nn.NLLLoss(), optimizer


@healthy
def softmax_and_the_logarithm_in_the_loss():
    def loss_fn(p, y):
        return -p.gather(1, y.unsqueeze(1)).clamp_min(1e-8).log().mean()

    model = nn.Sequential(*mlp(), nn.Softmax(dim=1))
    return model, in_memory(*table()), loss_fn, Adam(model.parameters(), lr=1e-2)


@healthy
def batch_norm_first_on_unscaled_columns():
    x, y = houses()
    model = nn.Sequential(nn.BatchNorm1d(4), *mlp(4, 2))
    loader = batches(x, (y > y.median()).long())
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@healthy
def numbered_categories_through_embeddings():
    class Table(nn.Module):
        def __init__(self, sizes):
            super().__init__()
            self.columns = nn.ModuleList(nn.Embedding(size, 8) for size in sizes)
            self.head = mlp(8 * len(sizes), 2)

        def forward(self, x):
            found = [layer(x[:, i]) for i, layer in enumerate(self.columns)]
            return self.head(torch.cat(found, dim=1))

    sizes = [12, 7, 31, 2000]
    x = torch.stack([torch.randint(size, (320,)) for size in sizes], dim=1)
    y = (x[:, 0] + x[:, 1] > 8).long()
    model = Table(sizes)
    optimizer = AdamW(model.parameters(), lr=1e-2)
    loader, val_loader = batches(x[:256], y[:256]), batches(x[256:], y[256:])
    return model, loader, nn.CrossEntropyLoss(), optimizer, val_loader


@healthy
def bag_of_words():
    x = (torch.rand(300, 120) < torch.linspace(0.3, 0.003, 120)).float()
    y = (x[:, :10].sum(1) > x[:, 10:20].sum(1)).long()
    model = mlp(120, 2)
    optimizer = Adam(model.parameters(), lr=3e-3)
    return model, batches(x, y), nn.CrossEntropyLoss(), optimizer


@healthy
def double_precision():
    x, y = table()
    model = mlp().double()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, in_memory(x.double(), y), nn.CrossEntropyLoss(), optimizer


@healthy
def bfloat16_throughout():
    x, y = table()
    model = mlp().bfloat16()
    loader = batches(x.bfloat16(), y)
    return model, loader, nn.CrossEntropyLoss(), AdamW(model.parameters(), lr=1e-2)


@healthy
def mixed_precision_inside_forward():
    class Mixed(Classifier):
        def forward(self, x):
            with torch.autocast(x.device.type, dtype=torch.bfloat16):
                return super().forward(x).float()

    model = Mixed()
    optimizer = Adam(model.parameters(), lr=1e-2)
    return model, in_memory(*table()), nn.CrossEntropyLoss(), optimizer


@healthy
def whole_data_set_as_one_batch():
    x, y = table(rows=120)
    model = mlp()
    return model, [(x, y)], nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@healthy
def batches_drawn_by_a_class_of_its_own():
    class Shuffled:
        def __init__(self, *tensors):
            self.tensors = tensors

        def __iter__(self):
            for rows in torch.randperm(len(self.tensors[0])).split(48):
                yield tuple(tensor[rows] for tensor in self.tensors)

    model = with_dropout()
    optimizer = AdamW(model.parameters(), lr=5e-3)
    return model, Shuffled(*table()), nn.CrossEntropyLoss(), optimizer


@healthy
def noise_added_by_the_data_set():
    class Noisy(Dataset):
        def __init__(self, x, y):
            self.x, self.y = x, y

        def __len__(self):
            return len(self.x)

        def __getitem__(self, index):
            x = self.x[index] + 0.1 * torch.randn(6)
            if random.random() < 0.5:
                x = x * np.random.uniform(0.9, 1.1)  # noqa: NPY002
            return x.float(), self.y[index]

    data = Noisy(*table())
    model = mlp()
    sampler = RandomSampler(data, generator=torch.Generator().manual_seed(1))
    loader = DataLoader(data, batch_size=32, sampler=sampler)
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


# ------------------------------------------------------------- healthy: numbers


@healthy
def linear_regression():
    model = nn.Linear(4, 1)
    optimizer = SGD(model.parameters(), lr=0.05)
    return model, in_memory(*line()), nn.MSELoss(), optimizer


@healthy
def regression_with_a_column_of_ones():
    x, y = line()
    x = torch.cat([torch.ones(len(x), 1), x], dim=1)
    model = nn.Linear(5, 1, bias=False)
    return model, batches(x, y), nn.MSELoss(), SGD(model.parameters(), lr=0.05)


@healthy
def linear_regression_by_lbfgs():
    x, y = line()
    model = nn.Linear(4, 1)
    return model, [(x, y)], nn.MSELoss(), torch.optim.LBFGS(model.parameters())


@healthy
def prices_scaled_beforehand():
    x, y = houses()
    model = mlp(4, 1)
    loader = batches(standardised(x), standardised(y).unsqueeze(1))
    return model, loader, nn.MSELoss(), Adam(model.parameters(), lr=1e-2)


@healthy
def raw_prices_scaled_in_the_loss():
    x, y = houses()
    mean, std = y.mean(), y.std()

    def loss_fn(z, price):
        return F.mse_loss(z.squeeze(1), (price - mean) / std)

    model = mlp(4, 1)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return model, in_memory(standardised(x), y), loss_fn, optimizer


@healthy
def raw_prices_and_a_scaler_in_the_model():
    class Prices(nn.Module):
        def __init__(self, mean, std):
            super().__init__()
            self.net = mlp(4, 1)
            self.register_buffer("mean", mean)
            self.register_buffer("std", std)

        def forward(self, x):
            return self.net(x).squeeze(1) * self.std + self.mean

    x, y = houses()
    model = Prices(y.mean(), y.std())
    loader = batches(standardised(x), y)
    return model, loader, nn.MSELoss(), Adam(model.parameters(), lr=1e-2)


@healthy
def counts_with_poisson_loss():
    x, _ = line()
    y = torch.poisson((1 + x @ torch.tensor([[0.4], [-0.3], [0.2], [0.1]])).exp())
    model = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 1))
    loader = batches(x, y)
    return model, loader, nn.PoissonNLLLoss(), Adam(model.parameters(), lr=1e-2)


@healthy
def quantiles_with_a_loss_module():
    class Pinball(nn.Module):
        def __init__(self, *shares):
            super().__init__()
            self.register_buffer("shares", torch.tensor(shares))

        def forward(self, z, y):
            error = y - z
            return torch.maximum(self.shares * error, (self.shares - 1) * error).mean()

    model = nn.Sequential(nn.Linear(4, 24), nn.SiLU(), nn.Linear(24, 3))
    loader = in_memory(*line())
    return model, loader, Pinball(0.1, 0.5, 0.9), Adam(model.parameters(), lr=1e-2)


@healthy
def forecast_of_a_wave():
    wave = torch.sin(torch.arange(300) / 5) + 0.1 * torch.randn(300)
    pieces = wave.unfold(0, 25, 1)
    model = Recurrent(nn.LSTM(1, 24, batch_first=True), outputs=1)
    loader = batches(pieces[:, :-1].unsqueeze(2), pieces[:, -1:])
    return model, loader, nn.HuberLoss(), Adam(model.parameters(), lr=5e-3)


# -------------------------------------------------------------- healthy: images


@healthy
def residual_blocks_that_begin_as_identity():
    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.first = nn.Conv2d(width, width, 3, padding=1)
            self.norm = nn.BatchNorm2d(width)
            self.second = nn.Conv2d(width, width, 3, padding=1)
            nn.init.zeros_(self.second.weight)
            nn.init.zeros_(self.second.bias)

        def forward(self, x):
            return x + self.second(F.relu(self.norm(self.first(x))))

    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2),
        Block(8),
        Block(8),
        nn.Flatten(),
        nn.LazyLinear(10),
    )
    loader = batches(*digits())
    model(next(iter(loader))[0])
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=3e-3)


@healthy
def head_that_begins_at_zero():
    model = nn.Sequential(nn.Flatten(), *mlp(64, 10, hidden=64))
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)
    return model, in_memory(*digits()), nn.CrossEntropyLoss(), Adam(model.parameters())


@healthy
def bytes_scaled_by_the_model():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = small_cnn()

        def forward(self, x):
            return self.net(x.float() / 255)

    x, y = digits()
    model = Scaled()
    loader = batches((255 * x).byte(), y)
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=3e-3)


@healthy
def pixels_up_to_255_scaled_by_the_first_layer():
    class Normalize(nn.Module):
        def forward(self, x):
            return (x - 80) / 95

    x, y = digits()
    model = nn.Sequential(Normalize(), nn.Flatten(), *mlp(64, 10, hidden=64))
    loader = in_memory(255 * x, y)
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-3)


@healthy
def pixels_classified_with_some_to_ignore():
    x, y = shapes()
    y[:, 0] = y[:, :, 0] = -100
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 3, 3, padding=1)
    )
    loader = batches(x, y, size=16)
    return model, loader, nn.CrossEntropyLoss(), Adam(model.parameters(), lr=1e-2)


@healthy
def answers_not_given_and_left_out_by_the_loss():
    x, _ = table()
    y = (x @ torch.randn(6, 5) > 0).float()
    y[torch.rand(256, 5) < 0.3] = -1

    def loss_fn(z, y):
        given = y >= 0
        return F.binary_cross_entropy_with_logits(z[given], y[given])

    model = mlp(6, 5)
    return model, batches(x, y), loss_fn, Adam(model.parameters(), lr=1e-2)


@healthy
def letters_to_ignore_named_in_a_function():
    x, y, count = letters()
    y[torch.rand(y.shape) < 0.2] = -1

    def loss_fn(z, y):
        return F.cross_entropy(z.flatten(0, 1), y.flatten(), ignore_index=-1)

    model = nn.Sequential(nn.Embedding(count, 24), nn.Linear(24, count))
    return model, batches(x, y), loss_fn, Adam(model.parameters(), lr=1e-2)


@healthy
def forces_as_the_slope_of_an_energy():
    class Forces(nn.Module):
        def __init__(self):
            super().__init__()
            self.energy = nn.Sequential(
                nn.Linear(3, 32), nn.SiLU(), nn.Linear(32, 1, bias=False)
            )

        @torch.enable_grad()
        def forward(self, x):
            x = x.detach().requires_grad_()
            return -torch.autograd.grad(self.energy(x).sum(), x, create_graph=True)[0]

    x = torch.randn(256, 3)
    model = Forces()
    optimizer = Adam(model.parameters(), lr=1e-2)
    return model, batches(x, -x - 0.3 * x.sin()), nn.MSELoss(), optimizer


@healthy
def autoencoder():
    x = digits()[0].flatten(1)
    model = nn.Sequential(
        nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 12), nn.ReLU(), nn.Linear(12, 64)
    )
    return model, in_memory(x, x), nn.MSELoss(), Adam(model.parameters(), lr=3e-3)


@healthy
def variational_autoencoder():
    class Sampling(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(64, 32), nn.ReLU())
            self.mean, self.log_variance = nn.Linear(32, 4), nn.Linear(32, 4)
            self.decoder = nn.Sequential(mlp(4, 64), nn.Sigmoid())

        def forward(self, x):
            hidden = self.encoder(x)
            mean, log_variance = self.mean(hidden), self.log_variance(hidden)
            code = mean + (log_variance / 2).exp() * torch.randn_like(mean)
            return self.decoder(code), mean, log_variance

    def loss_fn(outputs, x):
        x_hat, mean, log_variance = outputs
        distance = F.binary_cross_entropy(x_hat, x, reduction="sum")
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
        return (distance + divergence) / len(x)

    x = digits()[0].flatten(1)
    model = Sampling()
    return model, batches(x, x), loss_fn, Adam(model.parameters(), lr=3e-3)


@healthy
def spectral_norm_layers():
    norm = nn.utils.parametrizations.spectral_norm
    model = nn.Sequential(
        nn.Flatten(), norm(nn.Linear(64, 32)), nn.LeakyReLU(0.2), norm(nn.Linear(32, 1))
    )
    x, y = digits()
    loader = batches(2 * x - 1, (y % 2).float().unsqueeze(1))
    return model, loader, nn.BCEWithLogitsLoss(), Adam(model.parameters(), lr=3e-3)


# --------------------------------------------------------------- healthy: words


@healthy
def untrained_transformer_block():
    model = TextClassifier()
    optimizer = AdamW(model.parameters(), lr=3e-4)
    return model, batches(*sentences()), nn.CrossEntropyLoss(), optimizer


@healthy
def gru_on_embedded_words():
    model = nn.Sequential(
        nn.Embedding(40, 16), Recurrent(nn.GRU(16, 24, batch_first=True))
    )
    optimizer = Adam(model.parameters(), lr=5e-3)
    return model, in_memory(*sentences()), nn.CrossEntropyLoss(), optimizer


@healthy
def language_model_with_tied_weights():
    class Letters(nn.Module):
        def __init__(self, count, width=32):
            super().__init__()
            self.letters = nn.Embedding(count, width)
            nn.init.normal_(self.letters.weight, std=0.1)
            self.gru = nn.GRU(width, width, batch_first=True)
            self.out = nn.Linear(width, count)
            self.out.weight = self.letters.weight

        def forward(self, x):
            return self.out(self.gru(self.letters(x))[0])

    def loss_fn(z, y):
        return F.cross_entropy(z.flatten(0, 1), y.flatten())

    x, y, count = letters()
    model = Letters(count)
    return model, batches(x, y), loss_fn, AdamW(model.parameters(), lr=3e-3)


@healthy
def causal_attention_over_letters():
    class Causal(nn.Module):
        def __init__(self, count, width=32):
            super().__init__()
            self.letters = nn.Embedding(count, width)
            self.norm = nn.LayerNorm(width)
            self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
            self.out = nn.Linear(width, count)

        def forward(self, x):
            h = self.letters(x)
            mask = nn.Transformer.generate_square_subsequent_mask(
                x.shape[1], device=x.device
            )
            z = self.norm(h)
            h = h + self.attention(z, z, z, attn_mask=mask, need_weights=False)[0]
            return self.out(h).transpose(1, 2)

    x, y, count = letters()
    model = Causal(count)
    loader = batches(x, y)
    return model, loader, nn.CrossEntropyLoss(), AdamW(model.parameters(), lr=3e-3)


@healthy
def sparse_gradients_of_an_embedding_bag():
    model = nn.Sequential(nn.EmbeddingBag(40, 16, sparse=True), nn.Linear(16, 2))
    optimizer = SGD(model.parameters(), lr=1.0)
    return model, batches(*sentences()), nn.CrossEntropyLoss(), optimizer


# ----------------------------------------------- healthy: trained, frozen, warming


def trained_on_digits(steps=60):
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 48),
        nn.BatchNorm1d(48),
        nn.ReLU(),
        nn.Linear(48, 10),
    )
    optimizer = Adam(model.parameters(), lr=1e-2)
    train(model, in_memory(*digits()), nn.CrossEntropyLoss(), optimizer, steps=steps)
    return model, optimizer


@healthy
def network_trained_already():
    model, optimizer = trained_on_digits(160)
    return model, in_memory(*digits()), nn.CrossEntropyLoss(), optimizer


@healthy
def trained_regression_with_gradients_set_to_zero():
    model = mlp(4, 1)
    loader, optimizer = batches(*line()), Adam(model.parameters(), lr=1e-2)
    train(model, loader, nn.MSELoss(), optimizer, steps=80)
    x, y = next(iter(loader))
    nn.MSELoss()(model(x), y).backward()
    optimizer.zero_grad(set_to_none=False)
    return model, loader, nn.MSELoss(), optimizer


@healthy
def fine_tuning_at_a_small_rate():
    model, _ = trained_on_digits(40)
    x, y = digits(1500)
    optimizer = AdamW(model.parameters(), lr=3e-4)
    return model, batches(x[512:], y[512:]), nn.CrossEntropyLoss(), optimizer


@healthy
def frozen_backbone_and_a_new_head():
    model, _ = trained_on_digits()
    model.requires_grad_(False)
    model[-1] = nn.Linear(48, 2)
    x, y = digits()
    optimizer = Adam(model[-1].parameters(), lr=1e-2)
    return model, batches(x, y % 2), nn.CrossEntropyLoss(), optimizer


@healthy
def frozen_backbone_kept_in_eval_mode():
    class Transfer(nn.Module):
        def __init__(self, backbone):
            super().__init__()
            self.backbone = backbone.requires_grad_(False)
            self.head = nn.Linear(48, 2)

        def train(self, mode=True):
            super().train(mode)
            self.backbone.eval()
            return self

        def forward(self, x):
            return self.head(self.backbone(x))

    model = Transfer(trained_on_digits()[0][:-1]).train()
    x, y = digits()
    wanted = [p for p in model.parameters() if p.requires_grad]
    loader = in_memory(x, y % 2)
    return model, loader, nn.CrossEntropyLoss(), SGD(wanted, lr=0.1, momentum=0.9)


@healthy
def backbone_under_no_grad_and_a_head_in_the_optimizer():
    class Transfer(nn.Module):
        def __init__(self, backbone):
            super().__init__()
            self.backbone = backbone
            self.head = nn.Linear(48, 2)

        def forward(self, x):
            with torch.no_grad():
                features = self.backbone(x)
            return self.head(features)

    model = Transfer(trained_on_digits()[0][:-1])
    x, y = digits()
    optimizer = Adam(model.head.parameters(), lr=1e-2)
    return model, batches(x, y % 2), nn.CrossEntropyLoss(), optimizer


@healthy
def warm_up_from_a_thousandth_of_the_rate():
    model = mlp()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1e-3, total_iters=50)
    return model, batches(*table()), nn.CrossEntropyLoss(), optimizer


@healthy
def pruned_network():
    model = mlp(hidden=64)
    for layer in (model[0], model[2]):
        prune.l1_unstructured(layer, "weight", amount=0.5)
    optimizer = Adam(model.parameters(), lr=1e-2)
    return model, batches(*table()), nn.CrossEntropyLoss(), optimizer
