import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from helpers.data import (
    MNIST_FILES,
    TensorLoader,
    data_folder,
    load_mnist,
    mnist_is_here,
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


def test_an_empty_variable_means_the_folder_beside_the_package(monkeypatch):
    monkeypatch.setenv("HELPERS_DATA", "")
    assert data_folder().name == "data"
    assert (data_folder().parent / "helpers").is_dir()
