"""The gates' functions, and a step of an LSTM against torch's cell."""

import numba
import numpy as np
import torch

from aeros_torch.kernels import lstm_gates


@numba.njit
def curves(x, tanhs, sigmoids):
    for k in range(len(x)):
        tanhs[k], sigmoids[k] = lstm_gates.tanh(x[k]), lstm_gates.sigmoid(x[k])


@numba.njit
def there_and_back(sums, cells, states, tanhs, down, lost, made):
    lstm_gates.open_(sums, cells, states, tanhs, 0, 1)
    made[:] = states[1]
    lstm_gates.close(sums, cells[0], tanhs, down, lost)


def test_tanh_and_sigmoid():
    x = np.concatenate([np.linspace(-100, 100, 20001), np.geomspace(1e-30, 1, 999), [0.0]])
    x = np.append(x, [np.inf, -np.inf, np.nan]).astype(np.float32)
    tanhs, sigmoids = np.empty_like(x), np.empty_like(x)
    curves(x, tanhs, sigmoids)
    exact = np.tanh(x.astype(np.float64))
    np.testing.assert_allclose(tanhs, exact, rtol=5e-7, atol=1e-37)
    np.testing.assert_allclose(sigmoids, (np.tanh(x.astype(np.float64) / 2) + 1) / 2, atol=2e-7)
    assert np.abs(tanhs[:-1]).max() <= 1


def test_a_step_there_and_back():
    rng = np.random.default_rng(3)
    width = 11
    sums = rng.standard_normal((4, width), np.float32)
    before, down, after = rng.standard_normal((3, width), np.float32)
    total = torch.from_numpy(sums.copy()).requires_grad_()
    earlier = torch.from_numpy(before.copy()).requires_grad_()
    i, f, o = (torch.sigmoid(total[k]) for k in (0, 1, 3))
    cell = f * earlier + i * torch.tanh(total[2])
    state = o * torch.tanh(cell)
    (state @ torch.from_numpy(down) + cell @ torch.from_numpy(after)).backward()
    cells, states = np.zeros((2, width), np.float32), np.zeros((2, width), np.float32)
    cells[0], flat, lost = before, sums.reshape(-1), after.copy()
    tanhs, made = np.empty(width, np.float32), np.empty(width, np.float32)
    there_and_back(flat, cells, states, tanhs, down, lost, made)
    close = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(made, state.detach().numpy(), **close)
    np.testing.assert_allclose(cells[1], cell.detach().numpy(), **close)
    np.testing.assert_allclose(sums, total.grad.numpy(), **close)
    np.testing.assert_allclose(lost, earlier.grad.numpy(), **close)
