"""The networks of `simulation.py` as plain torch, for the peers."""

from torch import nn


def module(inputs, hidden, codes=0):
    """Return an mlp of these hidden widths, a cnn for images, or an lstm for text.

    Args:
        inputs: ``(numbers,)``, or ``(height, width)`` of an image.
        hidden: Width of each hidden layer.
        codes: Characters that there are in a text; 0: no text.
    """
    if codes:
        return Lstm(codes, hidden[0])
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


class Lstm(nn.Module):
    """One layer over embedded characters; its last state tells the next one."""

    def __init__(self, codes, hidden):
        super().__init__()
        self.embedding = nn.Embedding(codes, 8)
        self.lstm = nn.LSTM(8, hidden, batch_first=True)
        self.linear = nn.Linear(hidden, codes)

    def forward(self, x):
        states, _ = self.lstm(self.embedding(x))
        return self.linear(states[:, -1])


def _dense(inputs, hidden):
    layers = []
    for before, after in zip([inputs, *hidden], hidden, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear([inputs, *hidden][-1], 10))
