"""The networks of `simulation.py` as plain torch, for the peers."""

from torch import nn


def module(inputs, hidden):
    """Return an mlp of these hidden widths, or a cnn where an image comes in.

    Args:
        inputs: ``(numbers,)``, or ``(height, width)`` of an image.
        hidden: Width of each hidden layer.
    """
    if len(inputs) == 1:
        return _dense(inputs[0], hidden)
    height, width = inputs
    return nn.Sequential(
        nn.Unflatten(1, (1, height)),
        nn.Conv2d(1, 16, 5, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        *_dense(32 * (height // 4) * (width // 4), hidden),
    )


def _dense(inputs, hidden):
    layers = []
    for before, after in zip([inputs, *hidden], hidden, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear([inputs, *hidden][-1], 10))
