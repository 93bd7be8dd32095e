"""PyTorch's recurrent layers (cuDNN on GPUs, oneDNN on processors), trained beside ours; needs torch when called."""

from collections.abc import Mapping
from typing import Any

NAMES = {"elman": "RNN", "gru": "GRU", "lstm": "LSTM"}


class TorchUpdate:
    """An update of nn.RNN, nn.GRU or nn.LSTM by Adam, for the mean square of its outputs; each call makes one.

    Args:
        cell: "elman", "gru" or "lstm".
        size: batch, frames, hidden and layers.
        dtype: "float32" or "bfloat16" (autocast; weights are float32).

    Raises:
        ImportError: there is no torch.
    """

    def __init__(self, cell: str, size: Mapping[str, int], dtype: str):
        try:
            import torch  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ImportError("no module torch") from error
        self._torch, hidden = torch, size["hidden"]
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = getattr(torch.nn, NAMES[cell])(hidden, hidden, size["layers"], batch_first=True)
        self._network = network.to(self._device)
        self._optimizer = torch.optim.Adam(self._network.parameters(), 1e-3)
        self._x = torch.randn(size["batch"], size["frames"], hidden, device=self._device)
        self._dtype = getattr(torch, dtype)

    def __call__(self) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        with self._torch.autocast(self._device.type, self._dtype, enabled=self._dtype != self._torch.float32):
            y: Any = self._network(self._x)[0]
        y.float().square().mean().backward()
        self._optimizer.step()
        if self._device.type == "cuda":
            self._torch.cuda.synchronize()


__all__ = ["TorchUpdate"]
