"""Options of the partitioners. Nothing but the standard library is imported here."""

from dataclasses import dataclass

__all__ = ["ByGroup", "Dirichlet", "Iid", "Quantity", "Shards"]


@dataclass
class Iid:
    """Shuffled rows, dealt out evenly.

    Args:
        clients: Number of clients, at least 1.
    """

    _target_: str = "aeros_transforms.partitioners.iid.Iid"
    clients: int = 10


@dataclass
class Dirichlet:
    """Label skew: each client holds its own mixture of classes, drawn from a Dirichlet.

    Args:
        clients: Number of clients, at least 1.
        alpha: Concentration, above 0; the smaller, the fewer classes a client holds.
        min_examples: Examples each client holds at least.
        balanced: Give all clients the same number of examples.
    """

    _target_: str = "aeros_transforms.partitioners.dirichlet.Dirichlet"
    clients: int = 10
    alpha: float = 0.5
    min_examples: int = 1
    balanced: bool = False


@dataclass
class Shards:
    """Label skew: rows sorted by label, cut into shards, some shards for each client.

    Args:
        clients: Number of clients, at least 1.
        shards_per_client: Shards each client holds, at least 1: about as many classes.
    """

    _target_: str = "aeros_transforms.partitioners.shards.Shards"
    clients: int = 10
    shards_per_client: int = 2


@dataclass
class ByGroup:
    """Natural split: each distinct value of a column is a client of that name.

    The column is not part of the clients' data.

    Args:
        column: Name of the field that tells clients apart.
        min_examples: Leave out clients that hold fewer examples.
    """

    _target_: str = "aeros_transforms.partitioners.by_group.ByGroup"
    column: str = ""
    min_examples: int = 1


@dataclass
class Quantity:
    """Quantity skew: clients hold very different numbers of examples.

    Args:
        clients: Number of clients, at least 1.
        alpha: Concentration of the Dirichlet that the clients' shares are drawn from, above
            0; the smaller, the more unequal.
        min_examples: Examples each client holds at least.
    """

    _target_: str = "aeros_transforms.partitioners.quantity.Quantity"
    clients: int = 10
    alpha: float = 0.5
    min_examples: int = 1
