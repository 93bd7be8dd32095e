"""Fourier transforms as matmuls, which are available and fast in every runtime.

A transform of N = N1 N2 points is computed in two steps (Cooley and Tukey, "An algorithm for the machine calculation of
complex Fourier series", 1965): with n = N2 n1 + n2 and k = k1 + N1 k2,

    A[k1, n2] = sum_n1 x[n1, n2] w(n1 k1 / N1)                     w(a) = exp(-2 pi i a)
    X[k1, k2] = sum_n2 A[k1, n2] w(n2 k1 / N + n2 k2 / N2)

so two small matrices replace one of N^2 numbers, which matters more for the file's size than for its speed.
"""

from math import isqrt
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from streamrnn.export.onnx_graph import Complex, Equation, Graph, Shape, Value
from streamrnn.export.onnx_primitives import transposed
from streamrnn.export.onnx_shapes import cut

# Values of jax.lax.FftType.
RFFT, IRFFT = 2, 3


class Factors(NamedTuple):
    """The two steps of a real transform as real matrices; `part` is the axis of real and imaginary parts."""

    first: Float[np.ndarray, "k1_part n1"]
    second: Float[np.ndarray, "k1 part_n2 part_k2"]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """N1, N2, and the number of k2: only bins up to N / 2 are needed."""
        return self.first.shape[1], self.second.shape[1] // 2, self.second.shape[2] // 2


def factors(points: int) -> Factors:
    """The matrices for a transform of this many real numbers, with N1 and N2 as close to each other as possible."""
    n1 = next(n for n in range(isqrt(points), 0, -1) if points % n == 0)
    n2 = points // n1
    k2 = -(-(points // 2 + 1) // n1)
    first = np.exp(-2j * np.pi * np.outer(np.arange(n1), np.arange(n1)) / n1)
    angles = np.arange(n2)[:, None] * (np.arange(n1)[:, None, None] + n1 * np.arange(k2)) / points
    return Factors(
        np.stack([np.real(first), np.imag(first)], 1).reshape(2 * n1, n1).astype(np.float32), _as_real(angles)
    )


def _as_real(angles: Float[np.ndarray, "k1 n2 k2"]) -> Float[np.ndarray, "k1 part_n2 part_k2"]:
    """Multiplication by exp(-2 pi i angles), for real and imaginary parts side by side."""
    cosine, sine = np.cos(2 * np.pi * angles), np.sin(2 * np.pi * angles)
    return np.block([[cosine, -sine], [sine, cosine]]).astype(np.float32)


def fft(graph: Graph, eqn: Equation, x: Any) -> Value | Complex:
    """The rule of the primitive; transforms of complex numbers are not needed."""
    kind, points = int(eqn.params["fft_type"]), eqn.params["fft_lengths"]
    if len(points) != 1 or kind not in (RFFT, IRFFT):
        raise NotImplementedError("a Fourier transform that is not of real numbers along one axis")
    if kind == RFFT:
        return _forward(graph, graph.expand(x, eqn.inputs[0].shape), points[0])
    spectrum = Complex(*(graph.expand(part, eqn.inputs[0].shape) for part in x))
    return _inverse(graph, spectrum, points[0])


def _forward(graph: Graph, x: Value, points: int) -> Complex:
    matrices = factors(points)
    n1, n2, k2 = matrices.sizes
    *frames, _ = x.shape
    rows = _product(frames)
    x = graph.reshape(x, (rows, n1, n2))
    x = _matmul(graph, matrices.first, x, (rows, 2 * n1, n2))
    x = transposed(graph, graph.reshape(x, (rows, n1, 2 * n2)), (1, 0, 2))
    x = _matmul(graph, x, matrices.second, (n1, rows, 2 * k2))
    x = transposed(graph, graph.reshape(x, (n1, rows, 2, k2)), (1, 2, 3, 0))
    x = graph.reshape(x, (rows, 2 * k2 * n1))
    bins = points // 2 + 1
    parts = (cut(graph, x, (0, start), (rows, start + bins), (1, 1)) for start in (0, k2 * n1))
    return Complex(*(graph.reshape(part, (*frames, bins)) for part in parts))


def _inverse(graph: Graph, spectrum: Complex, points: int) -> Value:
    """The transposed matrices in the opposite order: x = F^T (c X) / N; c counts a bin and its mirror image."""
    matrices = factors(points)
    n1, n2, k2 = matrices.sizes
    *frames, bins = spectrum.real.shape
    rows = _product(frames)
    parts = [graph.reshape(part, (1, rows, bins)) for part in spectrum]
    x = graph.node("Concat", *parts, shape=(2, rows, bins), dtype=np.float32, axis=0)
    pads = np.array([0, 0, 0, 0, 0, k2 * n1 - bins])
    x = graph.node("Pad", x, pads, np.array(0, np.float32), shape=(2, rows, k2 * n1), dtype=np.float32)
    x = transposed(graph, graph.reshape(x, (2, rows, k2, n1)), (3, 1, 0, 2))
    x = graph.reshape(x, (n1, rows, 2 * k2))
    x = _matmul(graph, x, _weighted(matrices, points).transpose(0, 2, 1), (n1, rows, 2 * n2))
    x = graph.reshape(transposed(graph, x, (1, 0, 2)), (rows, 2 * n1, n2))
    x = _matmul(graph, matrices.first.T, x, (rows, n1, n2))
    return graph.reshape(x, (*frames, points))


def _weighted(matrices: Factors, points: int) -> Float[np.ndarray, "k1 part_n2 part_k2"]:
    n1, _, k2 = matrices.sizes
    k = np.arange(n1)[:, None] + n1 * np.arange(k2)
    counts = np.where((k == 0) | (2 * k == points), 1, 2) * (2 * k <= points) / points
    return matrices.second * np.tile(counts, (1, 2))[:, None].astype(np.float32)


def _matmul(graph: Graph, x: Value, y: Value, shape: Shape) -> Value:
    return graph.node("MatMul", x, y, shape=shape, dtype=np.float32)


def _product(sizes: list[Any]) -> Any:
    product = 1
    for size in sizes:
        product = product * size
    return product


__all__ = ["Factors", "factors", "fft"]
