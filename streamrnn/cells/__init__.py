"""Recurrences without a time axis, one file each."""

from streamrnn.cells.cell import Cell, GatedCell, gate_sums, recurrent_part
from streamrnn.cells.elman import Elman
from streamrnn.cells.gru import GRU
from streamrnn.cells.linear import RGLRU, LinearCell, MinGRU, MinLSTM
from streamrnn.cells.lstm import LSTM

__all__ = [
    "GRU",
    "LSTM",
    "RGLRU",
    "Cell",
    "Elman",
    "GatedCell",
    "LinearCell",
    "MinGRU",
    "MinLSTM",
    "gate_sums",
    "recurrent_part",
]
