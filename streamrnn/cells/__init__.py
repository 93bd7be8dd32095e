"""Recurrences without a time axis, one file each."""

from streamrnn.cells.cell import Cell
from streamrnn.cells.elman import Elman
from streamrnn.cells.gru import GRU
from streamrnn.cells.lstm import LSTM

__all__ = ["GRU", "LSTM", "Cell", "Elman"]
