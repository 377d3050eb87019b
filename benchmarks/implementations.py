"""What benchmarks/peers.py compares: one epoch of the same training, by each library.

    python benchmarks/implementations.py NAME BATCH_SIZE THREADS SIZE...

measures one of them in this process, and prints what it took as JSON. Each
function imports what it needs and returns a `train(data, batch_size)`, in which
everything from the new model to the end of the epoch is timed.
"""

import copy
import functools
import gc
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torchvision.datasets
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from helpers.data import Split, TensorLoader, data_folder, load_mnist
from helpers.training import fit

LEARNING_RATE, WARM_UP, TRAINING_IMAGES = 1e-3, 1_000, 60_000
WEIGHTS = 784 * 128 + 128 + 128 * 10 + 10
LEAST_ACCURACY = {32: 0.93, 256: 0.90}  # on the test images, after one whole epoch
loss_fn = nn.CrossEntropyLoss()


class Trained(NamedTuple):
    """A trained network: what it takes images for, and its number of weights."""

    predict: Callable
    weights: int


def make_network():
    """Return the untrained network."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def make_parts():
    """Return the network and the optimizer that all torch loops use."""
    network = make_network()
    adam = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    return network, adam


def trained(network):
    """Wrap a trained torch network."""

    @torch.no_grad()
    def predict(x):
        return network(x).argmax(1)

    return Trained(predict, sum(p.numel() for p in network.parameters()))


def data_loader(data, batch_size):
    """Return the batches as PyTorch's own documentation makes them."""
    return DataLoader(TensorDataset(*data), batch_size=batch_size, shuffle=True)


def our_loader(data, batch_size):
    """Return the batches as the course makes them."""
    return TensorLoader(*data, batch_size=batch_size, shuffle=True)


def plain_loop(network, batches, optimizer):
    """Train as the published loops do; return the sum of the losses."""
    total = 0.0
    network.train()
    for x, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(network(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total


def ours():
    """Train with fit and TensorLoader."""

    def train(data, batch_size):
        network, adam = make_parts()
        fit(network, our_loader(data, batch_size), None, loss_fn, adam, epochs=1)
        return trained(network)

    return train


def by_hand():
    """Train with the plain loop, on batches picked from the tensors by hand."""

    def train(data, batch_size):
        def batches():
            for rows in torch.randperm(len(data.x)).split(batch_size):
                yield data.x.index_select(0, rows), data.y.index_select(0, rows)

        network, adam = make_parts()
        plain_loop(network, batches(), adam)
        return trained(network)

    return train


def over_tensors():
    """Train with the plain loop, on a DataLoader over the tensors."""

    def train(data, batch_size):
        network, adam = make_parts()
        plain_loop(network, data_loader(data, batch_size), adam)
        return trained(network)

    return train


def published():
    """Train as most tutorials do: image by image through torchvision, plain Adam."""

    def train(dataset, batch_size):
        network = make_network()
        adam = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
        batches = DataLoader(dataset, batch_size=batch_size, shuffle=True)
        plain_loop(network, batches, adam)
        return trained(network)

    return train


def sklearn():
    """Train scikit-learn's network."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    # It warns of every training that ends at max_iter, as one epoch must.
    warnings.filterwarnings("ignore", "Stochastic Optimizer", ConvergenceWarning)

    def train(data, batch_size):
        network = MLPClassifier(
            hidden_layer_sizes=(128,),
            solver="adam",
            alpha=0,
            batch_size=batch_size,
            learning_rate_init=LEARNING_RATE,
            max_iter=1,
            shuffle=True,
            random_state=0,
        ).fit(data.x.flatten(1).numpy(), data.y.numpy())
        weights = sum(w.size for w in network.coefs_ + network.intercepts_)
        return Trained(lambda x: network.predict(x.flatten(1).numpy()), weights)

    return train


def skorch():
    """Train through skorch."""
    from skorch import NeuralNetClassifier

    def train(data, batch_size):
        net = NeuralNetClassifier(
            make_network(),
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            optimizer__fused=True,
            lr=LEARNING_RATE,
            max_epochs=1,
            batch_size=batch_size,
            iterator_train__shuffle=True,
            train_split=None,
            callbacks__print_log=None,
            verbose=0,
        ).fit(data.x.numpy(), data.y.numpy())
        return trained(net.module_.eval())

    return train


def ignite(make_loader=data_loader):
    """Train through PyTorch-Ignite."""
    from ignite.engine import create_supervised_trainer

    def train(data, batch_size):
        network, adam = make_parts()
        trainer = create_supervised_trainer(network, adam, loss_fn)
        trainer.run(make_loader(data, batch_size), max_epochs=1)
        return trained(network)

    return train


def lightning(make_loader=data_loader):
    """Train through Lightning, with all that it offers besides training turned off."""
    from lightning.pytorch import LightningModule, Trainer

    quieten_lightning()

    class Classifier(LightningModule):
        def __init__(self):
            super().__init__()
            self.network, self.adam = make_parts()

        def training_step(self, batch, batch_index):
            x, y = batch
            return loss_fn(self.network(x), y)

        def configure_optimizers(self):
            return self.adam

    def train(data, batch_size):
        classifier = Classifier()
        trainer = Trainer(max_epochs=1, accelerator="cpu", devices=1, barebones=True)
        trainer.fit(classifier, make_loader(data, batch_size))
        return trained(classifier.network)

    return train


def quieten_lightning():
    """Silence its advice on what is chosen here, and one warning of torch's to it."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".*does not have many workers")
    # It calls, in torch, what newer versions of torch call by another name.
    warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec", FutureWarning)


def keras():
    """Train through Keras, with torch as its backend."""
    import keras

    def train(data, batch_size):
        keras.utils.set_random_seed(0)
        network = keras.Sequential(
            [
                keras.Input((784,)),
                keras.layers.Dense(128, activation="relu"),
                keras.layers.Dense(10),
            ]
        )
        network.compile(
            keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        x, y = data.x.flatten(1).numpy(), data.y.numpy()
        network.fit(x, y, batch_size=batch_size, epochs=1, shuffle=True, verbose=0)
        return Trained(
            lambda x: network.predict(x.flatten(1).numpy(), verbose=0).argmax(1),
            network.count_params(),
        )

    return train


IMPLEMENTATIONS = {
    "ours": ours,
    "by hand, in memory": by_hand,
    "DataLoader over tensors": over_tensors,
    "published loop": published,
    "scikit-learn": sklearn,
    "skorch": skorch,
    "Ignite": ignite,
    "Lightning": lightning,
    "Keras": keras,
    "Ignite, our loader": lambda: ignite(our_loader),
    "Lightning, our loader": lambda: lightning(our_loader),
}


@functools.cache
def load_images():
    """Load MNIST, once."""
    images = load_mnist()
    if images.name != "MNIST":
        sys.exit("The files of MNIST are damaged, so there is nothing to measure.")
    return images


def load_tensors():
    """Return a function that gives the first training images as tensors."""
    x, y = load_images().train
    return lambda size: Split(x[:size], y[:size])


def load_items():
    """Return a function that gives them as the published loop reads them."""
    transform = torchvision.transforms.ToTensor()
    every = torchvision.datasets.MNIST(data_folder(), transform=transform)

    def first(size):
        dataset = copy.copy(every)
        dataset.data, dataset.targets = every.data[:size], every.targets[:size]
        return dataset

    return first


def measure(name, batch_size, sizes):
    """Train on each number of images; return seconds, accuracies and memory."""
    train = IMPLEMENTATIONS[name]()
    first = load_items() if name == "published loop" else load_tensors()
    train(first(WARM_UP), batch_size)
    loaded = resident_memory()
    forget_peak()
    seconds, networks = [], []
    for size in sizes:
        data = first(size)
        gc.collect()
        began = time.perf_counter()
        networks.append(train(data, batch_size))
        seconds.append(time.perf_counter() - began)
    peak = peak_memory()
    return {
        "seconds": seconds,
        "accuracy": check(name, batch_size, sizes, networks),
        "peak_mb": peak,
        "training_mb": None if loaded is None else peak - loaded,
    }


def check(name, batch_size, sizes, networks):
    """Return the accuracies, or exit where a network is another or has not learned."""
    test, accuracies = load_images().test, []
    for size, network in zip(sizes, networks, strict=True):
        if network.weights != WEIGHTS:
            sys.exit(f"{name} has {network.weights:,} weights and not {WEIGHTS:,}.")
        right = torch.as_tensor(network.predict(test.x)) == test.y
        accuracies.append(right.float().mean().item())
        least = least_accuracy(batch_size, size)
        if not accuracies[-1] > least:
            sys.exit(
                f"{name} did not learn: batch {batch_size}, {size:,} images, accuracy "
                f"{accuracies[-1]:.3f} on the test images, and {least} is the least."
            )
    return accuracies


def least_accuracy(batch_size, size):
    """Return what one epoch must reach; in a few steps little can be learned."""
    if size == TRAINING_IMAGES:
        return LEAST_ACCURACY[batch_size]
    return 0.8 if size / batch_size > 150 else 0.2


def status_of_process(key):
    """Return a number of megabytes that Linux tells of this process, or None."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    kilobytes = next(line.split()[1] for line in lines if line.startswith(f"{key}:"))
    return int(kilobytes) / 2**10


def resident_memory():
    """Return what this process holds, in MB, or None where Linux is not there."""
    return status_of_process("VmRSS")


def forget_peak():
    """Let the peak begin anew: loading the images had one of its own."""
    if resident_memory() is not None:
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory():
    """Return the most that this process has held since `forget_peak`, in MB."""
    return status_of_process("VmHWM")


def matmul_peak(seconds_each=0.2):
    """Return the most operations per second that square matrix products reach."""
    best = 0.0
    for side in (256, 512, 1024, 2048):
        a, b = torch.randn(2, side, side)
        end = time.perf_counter() + seconds_each
        while (began := time.perf_counter()) < end:
            torch.mm(a, b)
            best = max(best, 2 * side**3 / (time.perf_counter() - began))
    return best


def main():
    """Measure what the arguments name, and print the result as JSON."""
    name, *numbers = sys.argv[1:]
    batch_size, threads, *sizes = map(int, numbers)
    assert os.environ["OMP_NUM_THREADS"] == str(threads), "NumPy's threads are not set"
    torch.set_num_threads(threads)
    if name == "matmul":
        print(json.dumps({"operations_per_second": matmul_peak()}))
    else:
        print(json.dumps(measure(name, batch_size, sizes)))


if __name__ == "__main__":
    main()
