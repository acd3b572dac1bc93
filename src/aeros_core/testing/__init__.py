"""Contract tests of the roles, for plugin authors to inherit.

Subclass the class of your role in a test module, set what its docstring asks for, and
pytest runs the contract on your implementation::

    from aeros_core.testing import CollectorTests

    class TestMine(CollectorTests):
        def make(self):
            return Mine(trim=0.1)

Begin with the contract of your role: there is one module for each. Tests of this package's own
behaviour do not belong here; they are in the folder ``tests`` of the repository.
"""

from aeros_core.testing.codec import CodecTests
from aeros_core.testing.collector import CollectorTests
from aeros_core.testing.inferencer import InferencerTests
from aeros_core.testing.partitioner import PartitionerTests
from aeros_core.testing.repository import RepositoryTests
from aeros_core.testing.trainer import TrainerTests
from aeros_core.testing.transformer import SourceTests, TransformerTests

__all__ = [
    "CodecTests",
    "CollectorTests",
    "InferencerTests",
    "PartitionerTests",
    "RepositoryTests",
    "SourceTests",
    "TrainerTests",
    "TransformerTests",
]
