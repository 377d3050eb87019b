import shutil
import socket

import numpy as np
import pytest
import torch
import torchvision
from sklearn import datasets
from torch.utils.data import DataLoader, TensorDataset
from torchvision.datasets.utils import check_integrity

from helpers import data
from helpers.data import DATA, TensorLoader, load_iris, load_mnist

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


def test_different_lengths_are_refused_in_words():
    with pytest.raises(ValueError, match="have 10 and 9 rows"):
        TensorLoader(x, y[:9])


@pytest.fixture
def course(monkeypatch, tmp_path):
    """Return a folder with MNIST's files alone, in place of the course's own data."""
    shutil.copytree(DATA / "MNIST", tmp_path / "MNIST")
    for file in (tmp_path / "MNIST" / "raw").glob("*[!z]"):
        file.unlink()  # what torchvision may have unpacked
    monkeypatch.setattr(data, "DATA", tmp_path)
    return tmp_path


def test_mnist_is_read_as_it_was_published():
    train, test = load_mnist()
    assert train.x.shape == (60_000, 1, 28, 28)
    assert test.x.shape == (10_000, 1, 28, 28)
    assert (train.x.dtype, train.y.dtype) == (torch.float32, torch.int64)
    assert (train.x.min(), train.x.max()) == (0, 1)
    assert train.y.bincount()[:3].tolist() == [5923, 6742, 5958]
    assert abs(train.x.mean().item() - 0.1307) < 1e-4
    assert abs(train.x.std().item() - 0.3081) < 1e-4


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise OSError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
def test_line_of_every_tutorial_loads_mnist_without_a_network(course):
    images = torchvision.datasets.MNIST(course, train=False, download=True)
    test = load_mnist().test
    assert torch.equal(images.data, test.x.squeeze(1).mul(255).round().byte())
    assert torch.equal(images.targets, test.y)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1000])


def change_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def leave_a_pointer(path):
    path.write_text("version 1\n")  # as where large files were not checked out


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), truncate, change_a_byte, leave_a_pointer]
)
def test_damaged_or_missing_file_is_named_with_the_line_that_restores_it(
    damage, course
):
    damage(course / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz")
    sentence = r"t10k-images-idx3-ubyte\.gz is missing or damaged.*git restore :/data"
    with pytest.raises(FileNotFoundError, match=sentence):
        load_mnist()


def test_what_torchvision_left_half_unpacked_does_not_matter(course):
    (course / "MNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(b"half")
    assert len(load_mnist().test.x) == 10_000


def test_files_are_those_that_torchvision_knows():
    for name, md5 in torchvision.datasets.MNIST.resources:
        assert check_integrity(DATA / "MNIST" / "raw" / name, md5)


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
