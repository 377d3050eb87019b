"""What is compared: one epoch of the same training, by each library.

As a program, `python -m benchmarks.implementations NAME [IMAGES]`, it measures one of
them and prints what it took as JSON. Each function trains a new network, and returns
what gives images a score for each class. All that it does is timed, but for a short
first call, in which the library is imported.
"""

import functools
import json
import logging
import sys
from functools import partial

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from benchmarks import common
from helpers.data import DATA, Split, TensorLoader, load_mnist
from helpers.training import fit

WARM_UP = 1_000  # images
LEAST_ACCURACY = {32: 0.93, 256: 0.90}  # on the test images, after one whole epoch
load_images = functools.cache(load_mnist)


def data_loader(data, batch_size):
    """Return the batches as PyTorch's own documentation makes them."""
    return DataLoader(TensorDataset(*data), batch_size=batch_size, shuffle=True)


def our_loader(data, batch_size):
    """Return the batches as the course makes them."""
    return TensorLoader(*data, batch_size=batch_size, shuffle=True)


def by_index(data, batch_size):
    """Pick the batches from the tensors by hand."""
    for rows in torch.randperm(len(data.x)).split(batch_size):
        yield data.x.index_select(0, rows), data.y.index_select(0, rows)


def ours(data, batch_size):
    """Train with fit and TensorLoader."""
    network, adam = common.make_parts()
    fit(network, our_loader(data, batch_size), None, common.loss_fn, adam, epochs=1)
    return network


def plain(data, batch_size, make_loader):
    """Train with the plain loop."""
    network, adam = common.make_parts()
    common.train_as_published(network, make_loader(data, batch_size), adam)
    return network


def published(dataset, batch_size):
    """Train as most tutorials do: image by image through torchvision, plain Adam."""
    network, adam = common.make_parts(fused=False)
    batches = DataLoader(dataset, batch_size=batch_size, shuffle=True)
    common.train_as_published(network, batches, adam)
    return network


def sklearn(data, batch_size):
    """Train scikit-learn's network."""
    from sklearn.neural_network import MLPClassifier

    options = {"learning_rate_init": 0.001, "alpha": 0, "random_state": 0}
    network = MLPClassifier((128,), batch_size=batch_size, max_iter=1, **options)
    network.fit(data.x.flatten(1).numpy(), data.y.numpy())
    return lambda x: network.predict_proba(x.flatten(1).numpy())


def skorch(data, batch_size):
    """Train through skorch."""
    from skorch import NeuralNetClassifier

    net = NeuralNetClassifier(
        common.make_network(),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=0.001,
        max_epochs=1,
        batch_size=batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks__print_log=None,
        verbose=0,
    )
    return net.fit(data.x.numpy(), data.y.numpy()).module_


def ignite(data, batch_size, make_loader=data_loader):
    """Train through PyTorch-Ignite."""
    from ignite.engine import create_supervised_trainer

    network, adam = common.make_parts()
    trainer = create_supervised_trainer(network, adam, common.loss_fn)
    trainer.run(make_loader(data, batch_size), max_epochs=1)
    return network


def lightning(data, batch_size, make_loader=data_loader):
    """Train through Lightning, with all that it offers besides training turned off."""
    from lightning.pytorch import LightningModule, Trainer

    class Classifier(LightningModule):
        def __init__(self):
            super().__init__()
            self.network, self.adam = common.make_parts()

        def training_step(self, batch, batch_index):
            x, y = batch
            return common.loss_fn(self.network(x), y)

        def configure_optimizers(self):
            return self.adam

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    classifier = Classifier()
    trainer = Trainer(max_epochs=1, accelerator="cpu", devices=1, barebones=True)
    trainer.fit(classifier, make_loader(data, batch_size))
    return classifier.network


def keras(data, batch_size):
    """Train through Keras, with torch as its backend."""
    import keras

    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(128, activation="relu")
    network = keras.Sequential([keras.Input((784,)), hidden, keras.layers.Dense(10)])
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.001, epsilon=1e-8), loss_fn)
    x, y = data.x.flatten(1).numpy(), data.y.numpy()
    network.fit(x, y, batch_size=batch_size, epochs=1, shuffle=True, verbose=0)
    return lambda x: network.predict(x.flatten(1).numpy(), verbose=0)


IMPLEMENTATIONS = {
    "by hand, in memory": partial(plain, make_loader=by_index),
    "DataLoader over tensors": partial(plain, make_loader=data_loader),
    "published loop": published,
    "scikit-learn": sklearn,
    "skorch": skorch,
    "ours": ours,
    "Ignite": ignite,
    "Lightning": lightning,
    "Keras": keras,
    "Ignite, our loader": partial(ignite, make_loader=our_loader),
    "Lightning, our loader": partial(lightning, make_loader=our_loader),
}


def load(name):
    """Return what gives the first images, as tensors or as items of a data set."""
    if name != "published loop":
        x, y = load_images().train
        return lambda size: Split(x[:size], y[:size])
    from torchvision.datasets import MNIST
    from torchvision.transforms import ToTensor

    items = MNIST(DATA, download=True, transform=ToTensor())
    return lambda size: Subset(items, range(size)) if size else items


def measure(name, size=None):
    """Return seconds and accuracy for each batch size, and the peak memory."""
    train, first = IMPLEMENTATIONS[name], load(name)
    data, few = first(size), first(WARM_UP)
    seconds, networks, accuracy = {}, {}, {}
    for batch_size in LEAST_ACCURACY:
        train(few, batch_size)
        run = common.timed(train, data, batch_size)
        seconds[batch_size], networks[batch_size] = run
    peak = common.peak_megabytes()  # before the test images are loaded
    test = load_images().test
    for batch_size, network in networks.items():
        with torch.no_grad():
            right = torch.as_tensor(network(test.x)).argmax(1) == test.y
        accuracy[batch_size] = right.float().mean().item()
        least = LEAST_ACCURACY[batch_size] if size is None else 0.2
        if accuracy[batch_size] < least:
            sys.exit(f"{name} did not learn: {accuracy[batch_size]:.1%} are right.")
    return {"seconds": seconds, "accuracy": accuracy, "peak_mb": peak}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], *map(int, sys.argv[2:]))))
