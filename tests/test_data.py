import math

import numpy as np
import pytest
import torch
from sklearn import datasets
from torch.utils.data import DataLoader, TensorDataset

from helpers.data import (
    MNIST_FILES,
    TensorLoader,
    data_folder,
    load_iris,
    load_mnist,
    mnist_is_here,
    stratified_split,
)

x, y = torch.arange(20.0).view(10, 2), torch.arange(10)


def test_batches_equal_those_of_an_unshuffled_dataloader():
    ours = list(TensorLoader(x, y, batch_size=4))
    theirs = list(DataLoader(TensorDataset(x, y), batch_size=4))
    assert len(ours) == len(theirs) == 3
    for batch, expected in zip(ours, theirs, strict=True):
        assert all(map(torch.equal, batch, expected))


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
@pytest.mark.parametrize("shuffle", [True, False])
def test_length_and_sizes_follow_drop_last(drop_last, sizes, shuffle):
    loader = TensorLoader(x, y, batch_size=4, drop_last=drop_last, shuffle=shuffle)
    assert len(loader) == len(sizes)
    assert [len(batch_y) for _, batch_y in loader] == sizes


def test_shuffling_keeps_rows_together_and_loses_none():
    batches = list(TensorLoader(x, y, batch_size=3, shuffle=True))
    order = torch.cat([batch_y for _, batch_y in batches])
    assert sorted(order.tolist()) == y.tolist()
    assert order.tolist() != y.tolist()
    assert torch.equal(torch.cat([batch_x for batch_x, _ in batches]), x[order])


def orders(seed, epochs=2):
    loader = TensorLoader(y, batch_size=10, shuffle=True, seed=seed)
    return [batch.tolist() for _ in range(epochs) for (batch,) in loader]


def test_order_depends_on_the_seed_and_the_epoch_alone():
    torch.manual_seed(1)
    first = orders(seed=5)
    torch.manual_seed(2)
    assert orders(seed=5) == first
    assert first[0] != first[1]
    assert orders(seed=6) != first


def test_iterating_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    list(TensorLoader(x, y, shuffle=True))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shuffle", [True, False])
def test_changing_a_batch_leaves_the_data_alone(shuffle):
    data = x.clone()
    for (batch,) in TensorLoader(data, shuffle=shuffle):
        batch.zero_()
    assert torch.equal(data, x)


def test_tensors_move_to_the_device_once():
    loader = TensorLoader(x, y, device="meta", shuffle=True)
    assert {t.device.type for t in loader.tensors} == {"meta"}
    assert {t.device.type for batch in loader for t in batch} == {"meta"}


def test_dataset_has_the_length_that_loops_ask_for():
    assert len(TensorLoader(x, y).dataset) == 10


def test_arrays_and_nothing_are_refused_in_words():
    with pytest.raises(TypeError, match=r"was given ndarray, Tensor; torch\.as_tensor"):
        TensorLoader(np.zeros(10), y)
    with pytest.raises(TypeError, match="was given nothing"):
        TensorLoader()


def test_different_lengths_are_refused_in_words():
    with pytest.raises(ValueError, match="have 10 and 9 rows"):
        TensorLoader(x, y[:9])


def test_batch_size_below_one_is_refused_in_words():
    with pytest.raises(ValueError, match="batch_size must be at least 1; 0 was given"):
        TensorLoader(x, y, batch_size=0)


def test_without_its_files_mnist_is_replaced_by_the_digits_and_says_so(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("HELPERS_DATA", str(tmp_path))
    monkeypatch.setenv("HELPERS_OFFLINE", "1")
    data = load_mnist()

    assert data.name == "digits"
    assert "stand in" in capsys.readouterr().out
    assert data.train.x.shape == (1500, 1, 28, 28)
    assert data.test.x.shape == (297, 1, 28, 28)
    assert data.train.x.dtype == torch.float32
    assert data.train.y.dtype == torch.int64
    assert (data.train.x.min(), data.train.x.max()) == (0, 1)
    assert set(data.test.y.tolist()) == set(range(10))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not mnist_is_here(), reason="MNIST is not in the data folder")
def test_mnist_comes_in_the_same_form(capsys):
    data = load_mnist()
    assert data.name == "MNIST"
    assert capsys.readouterr().out == ""
    assert data.train.x.shape == (60_000, 1, 28, 28)
    assert data.test.y.shape == (10_000,)
    assert data.train.y.bincount()[:3].tolist() == [5923, 6742, 5958]
    assert data.train.x.dtype == torch.float32
    assert abs(data.train.x.mean().item() - 0.1307) < 1e-4


def test_files_of_mnist_cut_short_count_as_missing(monkeypatch, tmp_path, capsys):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in MNIST_FILES:
        (raw / name).write_bytes(b"")
    monkeypatch.setenv("HELPERS_DATA", str(tmp_path))
    monkeypatch.setenv("HELPERS_OFFLINE", "1")
    assert not mnist_is_here()
    assert load_mnist().name == "digits"


def test_iris_is_split_by_class_and_scaled():
    iris = load_iris()
    counts = [split.y.bincount().tolist() for split in iris[:3]]
    assert counts == [[35] * 3, [10] * 3, [5] * 3]
    assert [split.x.dtype for split in iris[:3]] == [torch.float32] * 3
    assert [split.y.dtype for split in iris[:3]] == [torch.int64] * 3
    assert iris.class_names == ["setosa", "versicolor", "virginica"]
    assert iris.feature_names[2] == "petal length (cm)"


def test_iris_scaler_has_seen_the_training_part_alone():
    iris = load_iris()
    torch.testing.assert_close(iris.train.x.mean(0), torch.zeros(4), atol=1e-6, rtol=0)
    deviation = iris.train.x.std(0, correction=0)
    torch.testing.assert_close(deviation, torch.ones(4))
    raw = datasets.load_iris().data
    assert abs(iris.val.x.mean(0)).max() > 0.01
    assert not np.allclose(iris.scaler.mean_, raw.mean(axis=0))

    original = torch.tensor(iris.scaler.inverse_transform(iris.test.x))
    distances = torch.cdist(original, torch.tensor(raw)).amin(dim=1)
    assert distances.max() < 1e-5


def test_iris_parts_share_no_flower_and_leave_none_out():
    iris = load_iris()
    parts = [iris.scaler.inverse_transform(split.x) for split in iris[:3]]
    rows = torch.tensor(np.concatenate(parts))
    raw = torch.tensor(datasets.load_iris().data)
    order = [sorted(map(tuple, t.round(decimals=1).tolist())) for t in (rows, raw)]
    assert order[0] == order[1]


def test_iris_takes_fractions_and_seed():
    halves = load_iris(fractions=(0.5, 0.3, 0.2), seed=1)
    assert [len(split.y) for split in halves[:3]] == [75, 45, 30]
    assert torch.equal(load_iris(seed=7).test.x, load_iris(seed=7).test.x)
    assert not torch.equal(load_iris(seed=7).test.x, load_iris(seed=8).test.x)


@pytest.mark.parametrize(
    "fractions", [(0.7, 0.2, 0.2), (0.7, 0.2), (1.2, -0.1, -0.1), (0.8, 0.2, 0.0)]
)
def test_iris_fractions_that_do_not_sum_are_refused_in_words(fractions):
    with pytest.raises(
        ValueError, match=r"must be three|must be positive and sum to 1"
    ):
        load_iris(fractions=fractions)


def test_iris_class_too_small_to_split_is_refused_in_words():
    with pytest.raises(ValueError, match="A class is too small to be in every part"):
        load_iris(fractions=(0.98, 0.01, 0.01))
    with pytest.raises(ValueError, match="A class is too small to be in every part"):
        stratified_split(np.zeros((5, 1)), np.array([0, 0, 0, 0, 1]), (0.5, 0.5), 0)


def test_class_missing_from_a_part_is_refused_in_words():
    y = np.array([0] * 98 + [1] * 2)
    with pytest.raises(ValueError, match="A class is too small to be in every part"):
        stratified_split(y[:, None], y, (0.9, 0.1), seed=0)


@pytest.mark.parametrize("fractions", [0.7, (0.5, 0.5), (math.nan, 0.5, 0.5)])
def test_iris_fractions_of_another_form_are_refused_in_words(fractions):
    with pytest.raises(ValueError, match="fractions must be"):
        load_iris(fractions)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_iris_seed_out_of_range_is_refused_in_words(seed):
    with pytest.raises(ValueError, match=f"seed must lie in 0 .*; {seed} was given"):
        load_iris(seed=seed)


def test_offline_digits_are_the_same_each_time(monkeypatch, tmp_path):
    monkeypatch.setenv("HELPERS_DATA", str(tmp_path))
    monkeypatch.setenv("HELPERS_OFFLINE", "1")
    torch.manual_seed(1)
    first = load_mnist("FashionMNIST")
    torch.manual_seed(2)
    second = load_mnist("FashionMNIST")
    assert first.name == "digits"
    assert torch.equal(first.train.x, second.train.x)


@pytest.mark.parametrize("seed", ["42", 4.2, None, True])
def test_iris_seed_of_an_unknown_type_is_refused_in_words(seed):
    with pytest.raises(TypeError, match="seed must be a whole number such as 42, not"):
        load_iris(seed=seed)


def test_an_empty_variable_means_the_folder_beside_the_package(monkeypatch):
    monkeypatch.setenv("HELPERS_DATA", "")
    assert data_folder().name == "data"
    assert (data_folder().parent / "helpers").is_dir()
