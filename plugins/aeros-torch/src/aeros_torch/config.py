"""The options of aeros-torch; light, so that discovery imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = [
    "Activation",
    "Cnn",
    "EarlyExit",
    "Engine",
    "Lenet",
    "Lstm",
    "Mlp",
    "Padding",
    "Precision",
    "Softmax",
    "TorchInferencer",
    "TorchTrainer",
]


class Activation(Enum):
    """The function between two layers."""

    relu = "relu"
    tanh = "tanh"
    sigmoid = "sigmoid"
    gelu = "gelu"
    silu = "silu"
    elu = "elu"
    leaky_relu = "leaky_relu"


class Engine(Enum):
    """What does the local training; each gives the same, to float tolerance."""

    auto = "auto"
    compiled = "compiled"
    cohort = "cohort"
    workers = "workers"
    sequential = "sequential"


class Precision(Enum):
    """The format in which losses and gradients are computed."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class Padding(Enum):
    """What a convolution does at the border."""

    same = "same"
    valid = "valid"


@dataclass
class TorchTrainer:
    """``trainer=torch``: trains an ``nn.Module`` on CPU or CUDA.

    Args:
        model: The module, an option of the group ``trainer/model``.
        engine: ``compiled`` trains with kernels of its own on the CPU, several clients at
            a time: the fastest for what it can do. ``cohort`` trains many clients at once
            over stacked weights, on the CPU or CUDA: modules without dropout and
            BatchNorm that ``torch.func`` can map; sgd, adam and adamw. ``workers`` trains
            in several processes. ``sequential`` trains any module, one client after the
            other. auto: the first of them that can, and pays.
        workers: Clients trained at the same time, by engines that can; 0: one for each
            core.
        optimizer: Name of any class of ``torch.optim``, in any case; it starts afresh
            in each round. ``sparseadam`` is refused; ``muon`` takes the matrices and
            leaves the other tensors to AdamW.
        lr: Learning rate, 0 or more.
        momentum: 0 or more; None: what the optimizer does by itself.
        weight_decay: 0 or more; None: what the optimizer does by itself.
        optimizer_options: Further options of the optimizer, as in
            ``+trainer.optimizer_options.nesterov=true``.
        scheduler: Name of a class of ``torch.optim.lr_scheduler``, in any case, with or
            without ``LR`` at its end; stepped once a round. None: the rate stays.
        scheduler_options: Options of the scheduler, as in
            ``+trainer.scheduler_options.step_size=10``.
        warmup: Rounds in which the rate grows linearly to the scheduler's first.
        epochs: Passes over a node's data in a round, at least 1.
        steps: Batches a node trains on in a round, instead of ``epochs``.
        batch_size: Examples in a batch, at least 1; a short last batch is kept.
        loss: Name of a loss of ``torch.nn.functional``; auto: ``cross_entropy`` where the
            target has categories, ``mse`` where it is a number.
        loss_options: Options of the loss, as in ``+trainer.loss_options.label_smoothing=0.1``.
        proximal_mu: Weight of FedProx's proximal term; what the collector announces wins.
        clip_norm: Largest L2 norm of a batch's gradient; None: as long as it is.
        device: auto (CUDA where there is one), cpu, cuda or cuda:<number>.
        threads: Threads within one operator while training; 1 is fastest for small models.
        precision: float32; or bfloat16, in which torch's autocast computes losses and
            gradients while training, on CUDA or the CPU. Weights stay float32.
        eval_batch_size: Examples in a batch of an evaluation, at least 1.
        eval_threads: Batches evaluated at the same time; 0: as many as torch has threads.
    """

    _target_: str = "aeros_torch.trainer.TorchTrainer"
    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"model": "mlp"}])
    model: Any = "???"
    engine: Engine = Engine.auto
    workers: int = 0
    optimizer: str = "sgd"
    lr: float = 0.01
    momentum: float | None = None
    weight_decay: float | None = None
    optimizer_options: dict[str, Any] = field(default_factory=dict)
    scheduler: str | None = None
    scheduler_options: dict[str, Any] = field(default_factory=dict)
    warmup: int = 0
    epochs: int = 1
    steps: int | None = None
    batch_size: int = 32
    loss: str = "auto"
    loss_options: dict[str, Any] = field(default_factory=dict)
    proximal_mu: float = 0.0
    clip_norm: float | None = None
    device: str = "auto"
    threads: int = 1
    precision: Precision = Precision.float32
    eval_batch_size: int = 512
    eval_threads: int = 0


class Execution(Enum):
    """How a module is executed."""

    eager = "eager"
    compile = "compile"


class Quantise(Enum):
    """Numbers that dense layers compute with."""

    none = "none"
    int8 = "int8"


@dataclass
class TorchInferencer:
    """``inferencer=torch``: answers with a model that ``trainer=torch`` trained.

    Args:
        device: auto (CUDA where there is one), cpu, cuda or cuda:<number>.
        batch_size: Rows that go through the module at once, at least 1.
        threads: Threads within one operator; 1 is fastest for small models.
        execution: eager, or compile: by torch.compile when a model is loaded, which takes
            seconds and a C++ compiler; eager where that fails.
        quantise: int8 has dense layers multiply in 8 bits on the CPU; the rows of a batch
            share a scale, so answers depend a little on one another.
    """

    _target_: str = "aeros_torch.inference.inferencer.TorchInferencer"
    device: str = "auto"
    batch_size: int = 512
    threads: int = 1
    execution: Execution = Execution.eager
    quantise: Quantise = Quantise.none


@dataclass
class Softmax:
    """``trainer/model=softmax``: one linear layer; softmax or linear regression."""

    _target_: str = "aeros_torch.modules.models.Softmax"


@dataclass
class Mlp:
    """``trainer/model=mlp``: dense layers; takes any shape and flattens it.

    Args:
        hidden: Width of each hidden layer, in order.
        activation: Function after each hidden layer.
        dropout: Share of the hidden values dropped while training, 0 to 1.
    """

    _target_: str = "aeros_torch.modules.models.Mlp"
    hidden: list[int] = field(default_factory=lambda: [200])
    activation: Activation = Activation.relu
    dropout: float = 0.0


@dataclass
class Cnn:
    """``trainer/model=cnn``: convolutions with max pooling, then dense layers.

    The shape of the network in McMahan et al. 2017, section 3, which has channels
    ``[32, 64]`` and hidden ``[512]``. Takes images (height, width) or
    (channels, height, width).

    Args:
        channels: Channels of each convolution, in order; each is pooled 2 by 2.
        kernel: Height and width of a kernel, pixels.
        hidden: Width of each dense layer, in order.
        padding: same keeps the size of the image; valid makes it smaller and faster.
        activation: Function after each layer but the last.
        dropout: Share of the dense layers' values dropped while training, 0 to 1.
    """

    _target_: str = "aeros_torch.modules.models.Cnn"
    channels: list[int] = field(default_factory=lambda: [16, 32])
    kernel: int = 5
    hidden: list[int] = field(default_factory=lambda: [128])
    padding: Padding = Padding.same
    activation: Activation = Activation.relu
    dropout: float = 0.0


@dataclass
class Lenet(Cnn):
    """``trainer/model=lenet``: LeNet-5's layers, with max pooling; options as ``cnn``."""

    channels: list[int] = field(default_factory=lambda: [6, 16])
    hidden: list[int] = field(default_factory=lambda: [120, 84])


@dataclass
class Lstm:
    """``trainer/model=lstm``: reads a sequence and answers after its last step.

    Takes integer codes (steps,) with categories, or numbers (steps, features).

    Args:
        embedding: Length of the vector that stands for a code; unused for numbers.
        hidden: Width of each layer.
        layers: Number of LSTM layers.
        dropout: Share of each layer's output dropped while training, 0 to 1.
    """

    _target_: str = "aeros_torch.modules.models.Lstm"
    embedding: int = 8
    hidden: int = 128
    layers: int = 1
    dropout: float = 0.0


@dataclass
class EarlyExit:
    """``trainer/model=early_exit``: a model that can answer behind one of its layers.

    Teerapittayanon et al. 2016, "BranchyNet" (arXiv:1709.01686), with one exit.

    Args:
        trunk: The model, an option of this group: ``trainer/model@trainer.model.trunk=cnn``.
        at: Name of the layer behind which the exit is, such as ``convolutions.2``.
        hidden: Width of each hidden layer of the exit, in order.
        weight: Weight of the exit's loss beside that of the whole, above 0.
        joint: Whether the exit's loss trains the layers before it too, as in BranchyNet;
            false: the exit alone, and the trunk becomes what it would be without.
    """

    _target_: str = "aeros_torch.modules.early_exit.EarlyExit"
    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"/trainer/model@trunk": "mlp"}])
    trunk: Any = "???"
    at: str = ""
    hidden: list[int] = field(default_factory=list)
    weight: float = 1.0
    joint: bool = True
