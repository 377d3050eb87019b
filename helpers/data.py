"""Data for the notebooks: batches in memory, Iris, MNIST and its offline default."""

import os
import re
from collections.abc import Iterator, Sequence
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from helpers.downloads import DownloadError, fetch_unpacked, md5_of

# The four files of MNIST, and of every data set in its format: bytes, and MNIST's md5.
MNIST_FILES = {
    "train-images-idx3-ubyte": (47_040_016, "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": (60_008, "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": (7_840_016, "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": (10_008, "27ae3e4e09519cfbb04c329615203637"),
}


class TensorLoader:
    """Batches of tensors held in memory: a DataLoader without its per-item cost.

    It is given the tensors where a DataLoader is given a data set. Shuffling
    draws from a generator of the loader's own, started from `seed`, so neither
    other cells nor other loaders change the order. `device` moves the tensors
    there once. Batches are copies: changing one is safe.
    """

    def __init__(
        self,
        *tensors: Tensor,
        batch_size: int = 32,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        device: torch.device | str | None = None,
    ):
        if not tensors or not all(isinstance(t, Tensor) for t in tensors):
            kinds = ", ".join(type(t).__name__ for t in tensors) or "nothing"
            raise TypeError(
                f"TensorLoader holds tensors and was given {kinds}; "
                "torch.as_tensor makes one from an array or a list."
            )
        lengths = [len(t) for t in tensors]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"The tensors have {' and '.join(map(str, lengths))} rows; "
                "each must have one row per example."
            )
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; {batch_size} was given.")
        self.tensors = tuple(t.to(device) for t in tensors)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = torch.Generator().manual_seed(seed)

    @property
    def dataset(self) -> TensorDataset:
        """The same tensors as a data set, so that `len(loader.dataset)` works."""
        return TensorDataset(*self.tensors)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        whole, rest = divmod(len(self.tensors[0]), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Go through the data once, in a new order if shuffled."""
        first = self.tensors[0]
        if self.shuffle:
            order = torch.randperm(len(first), generator=self.generator)
            batches = order.to(first.device).split(self.batch_size)
        for i in range(len(self)):
            if self.shuffle:
                yield tuple(t.index_select(0, batches[i]) for t in self.tensors)
            else:
                rows = slice(i * self.batch_size, (i + 1) * self.batch_size)
                yield tuple(t[rows].clone() for t in self.tensors)


class Split(NamedTuple):
    """Examples and their targets, row by row."""

    x: Tensor
    y: Tensor


class IrisData(NamedTuple):
    """Iris in three parts, scaled, with what is needed to scale a new flower."""

    train: Split
    val: Split
    test: Split
    scaler: object
    feature_names: list[str]
    class_names: list[str]


class ImageData(NamedTuple):
    """A set of labelled images, with the name of what it really is."""

    name: str
    train: Split
    test: Split


def load_iris(fractions: Sequence[float] = (0.7, 0.2, 0.1), seed: int = 42) -> IrisData:
    """Load Iris, split by class into training, validation and test, and scaled.

    The scaler takes its means and deviations from the training part alone.
    """
    from sklearn import datasets
    from sklearn.preprocessing import StandardScaler

    if not isinstance(fractions, Sequence) or len(fractions) != 3:
        raise ValueError(f"fractions must be three numbers, not {fractions!r}.")
    iris = datasets.load_iris()
    parts = stratified_split(iris.data, iris.target, fractions, seed)
    scaler = StandardScaler().fit(parts[0][0])
    splits = (
        Split(torch.tensor(scaler.transform(x), dtype=torch.float32), torch.tensor(y))
        for x, y in parts
    )
    return IrisData(*splits, scaler, iris.feature_names, iris.target_names.tolist())


def stratified_split(x, y, fractions: Sequence[float], seed: int) -> list[tuple]:
    """Split arrays at random into parts with the same share of each class."""
    from sklearn.model_selection import train_test_split

    fractions = [float(fraction) for fraction in fractions]
    if not all(f > 0 for f in fractions) or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            f"fractions must be positive and sum to 1; {fractions} sum to "
            f"{sum(fractions):g}."
        )
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(
            f"seed must be a whole number such as 42, not a {type(seed).__name__}."
        )
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must lie in 0 … 2**32 - 1; {seed} was given.")
    parts, classes = [], set(y)
    while len(fractions) > 1:
        share, *fractions = fractions
        rest = round(len(y) * sum(fractions) / (share + sum(fractions)))
        try:
            x_part, x, y_part, y = train_test_split(
                x, y, test_size=rest, stratify=y, random_state=int(seed)
            )
        except ValueError as error:
            raise _too_small(error) from error
        parts.append((x_part, y_part))
    parts.append((x, y))
    if any(set(y_part) != classes for _, y_part in parts):
        raise _too_small("one part has no example of it")
    return parts


def _too_small(reason):
    return ValueError(
        "A class is too small to be in every part: take more data, fewer parts or "
        f"larger fractions. ({reason})"
    )


def load_mnist(dataset: str = "MNIST") -> ImageData:
    """Load MNIST or FashionMNIST, or scikit-learn's small digits in its place.

    Files that are missing or damaged are downloaded, unless HELPERS_OFFLINE is
    set. Where that is not possible, the digits stand in (the offline default):
    a printed line and the `name` of what is returned ("digits") say so. Images
    come as float32 in 0 … 1, shaped (N, 1, 28, 28), and labels as int64.
    """
    from torchvision import datasets
    from torchvision.datasets.mnist import read_image_file, read_label_file

    if dataset not in ("MNIST", "FashionMNIST"):
        raise ValueError(f"dataset must be MNIST or FashionMNIST, not {dataset!r}.")
    raw = data_folder() / dataset / "raw"
    splits = []
    try:
        _complete_files(getattr(datasets, dataset), raw)
        for part in ("train", "t10k"):
            x = read_image_file(str(raw / f"{part}-images-idx3-ubyte"))
            y = read_label_file(str(raw / f"{part}-labels-idx1-ubyte"))
            splits.append(Split(x.unsqueeze(1).float().div_(255), y))
    except (DownloadError, OSError, AssertionError, ValueError) as error:
        reason = error if isinstance(error, DownloadError) else "its files are damaged."
        print(
            f"{dataset} is not here in full, and {reason} Scikit-learn's 1,797 digits, "
            "resized to 28×28, stand in."
        )
        return _load_digits()
    return ImageData(dataset, *splits)


def data_folder() -> Path:
    """Return the folder for data: HELPERS_DATA, or data/ beside this package."""
    return Path(os.environ.get("HELPERS_DATA") or Path(__file__).parent.parent / "data")


def mnist_is_here() -> bool:
    """Tell whether the four files of MNIST are in the data folder, in full."""
    raw = data_folder() / "MNIST" / "raw"
    return all(_has_size(raw / name, size) for name, (size, _) in MNIST_FILES.items())


def _complete_files(source, raw):
    """Download each of a data set's files that is missing or damaged."""
    is_mnist = source.__name__ == "MNIST"
    noted = {} if is_mnist else _read_md5s(raw)
    for packed_name, md5_packed in source.resources:
        file = packed_name.removesuffix(".gz")
        size, md5_of_mnist = MNIST_FILES[file]
        md5 = md5_of_mnist if is_mnist else noted.get(file)
        complete = _has_size(raw / file, size)
        if complete and md5 is not None and md5_of(raw / file) == md5:
            continue
        try:
            if os.environ.get("HELPERS_OFFLINE", "0") != "0":
                raise DownloadError("HELPERS_OFFLINE forbids a download.")
            md5 = fetch_unpacked(file, source.mirrors, md5_packed, size, raw / file)
        except DownloadError:
            if complete and md5 is None:
                continue  # put here by hand, and nothing speaks against it
            raise
        if not is_mnist:
            noted[file] = md5
            _write_md5s(raw, noted)


def _has_size(path, size):
    return path.is_file() and path.stat().st_size == size


def _read_md5s(raw):
    """Read the md5s noted at earlier downloads."""
    try:
        text = (raw / "MD5SUMS").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {file: md5 for md5, file in re.findall(r"(?m)^([0-9a-f]{32})  (.+)$", text)}


def _write_md5s(raw, noted):
    """Note md5s as md5sum writes them, for the next time these files are loaded."""
    text = "".join(f"{md5}  {file}\n" for file, md5 in noted.items())
    part = raw / f"MD5SUMS.{os.getpid()}.part"
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, raw / "MD5SUMS")
    except OSError:
        part.unlink(missing_ok=True)  # without the note, the file is fetched again


def _load_digits() -> ImageData:
    """Split scikit-learn's 8×8 digits into 1,500 and 297, in MNIST's format."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.as_tensor(digits.images, dtype=torch.float32).div(16).unsqueeze(1)
    x = torch.nn.functional.interpolate(x, (28, 28), mode="bilinear").clamp(0, 1)
    y = torch.as_tensor(digits.target, dtype=torch.int64)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    train, test = order[:1500], order[1500:]
    return ImageData("digits", Split(x[train], y[train]), Split(x[test], y[test]))
