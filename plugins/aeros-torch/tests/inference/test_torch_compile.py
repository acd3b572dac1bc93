import logging

import torch
from torch import nn

from aeros_torch.inference.torch_compile import CompiledModule


def test_what_cannot_be_compiled_answers_eagerly_and_says_so_once(monkeypatch, caplog):
    def refuse(module, dynamic):
        raise RuntimeError("no compiler\nanywhere")

    monkeypatch.setattr(torch, "compile", refuse)
    module = nn.Linear(3, 2)
    with caplog.at_level(logging.WARNING):
        optimised = CompiledModule(module, torch.zeros(1, 3))
        x = torch.ones(4, 3)
        for rows in (4, 1, 0):
            torch.testing.assert_close(optimised(x[:rows]), module(x[:rows]))
    assert not optimised.compiled
    assert [record.message for record in caplog.records] == [
        "Linear is not compiled, and answers eagerly: RuntimeError: no compiler anywhere"
    ]


def test_one_row_is_not_compiled_anew(monkeypatch):
    seen = []

    def compiled(module, dynamic):
        return lambda x: seen.append(len(x)) or module(x)

    monkeypatch.setattr(torch, "compile", compiled)
    module = nn.Linear(3, 2)
    optimised = CompiledModule(module, torch.zeros(1, 3))
    x = torch.randn(5, 3)
    for rows in (5, 1, 0):
        torch.testing.assert_close(optimised(x[:rows]), module(x[:rows]))
    assert optimised.compiled
    assert seen == [3, 5, 2]
