"""How fast this machine multiplies at best: the roof that a model's speed is compared with.

One large product of matrices is what a processor does fastest. Nobody's library is always the
quickest, so several are timed and the fastest counts. Run by ``benchmark.py`` in a process of its
own; prints one JSON object.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mobilens.runtime.protobuf import encode_bytes, encode_number

# Three matrices of this side stay in the cache next to the core; one product takes a
# millisecond or so, as an answer of a small net does.
SIDE = 384
LEAST_RUNS = 5
# NumPy multiplies integers without any of a processor's instructions for them.
ONNXRUNTIME = importlib.util.find_spec("onnxruntime") is not None
PRECISIONS = ("float32", "int8") if ONNXRUNTIME else ("float32",)
# Variables that say how many threads NumPy's product may use, each read by another library.
THREAD_VARIABLES = (
    *("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"),
    *("BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
)
# ONNX's numbers for types.
TYPES = {np.dtype(np.float32): 1, np.dtype(np.uint8): 2, np.dtype(np.int8): 3, np.dtype("i4"): 6}
# Types of the two factors: which pair is quickest differs between processors.
INTEGER_FACTORS = ((np.uint8, np.int8), (np.uint8, np.uint8), (np.int8, np.int8))

Product = Callable[[], object]


def measure(precision: str, threads: int, seconds: float) -> dict[str, float]:
    """Time every way to multiply in a precision.

    Args:
        precision: ``"float32"`` or ``"int8"``.
        threads: Threads for one product; NumPy's are set by ``THREAD_VARIABLES`` before it starts.
        seconds: Time to measure for, over all ways.

    Returns:
        Operations a second by the way's name; a multiplication and an addition count as two.
    """
    ways = list(_float_ways(threads) if precision == "float32" else _integer_ways(threads))
    return {name: _rate(product, seconds / len(ways)) for name, product in ways}


def _float_ways(threads: int) -> Iterator[tuple[str, Product]]:
    left = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    out = np.empty_like(left)
    yield "numpy matmul", lambda: np.matmul(left, left, out=out)
    if ONNXRUNTIME:
        yield "onnxruntime MatMul", _onnx_product("MatMul", left, left, threads)


def _integer_ways(threads: int) -> Iterator[tuple[str, Product]]:
    numbers = np.random.default_rng(0).integers(0, 100, (SIDE, SIDE))
    for first, second in INTEGER_FACTORS:
        name = f"onnxruntime MatMulInteger {first.__name__} {second.__name__}"
        factors = numbers.astype(first), numbers.astype(second)
        yield name, _onnx_product("MatMulInteger", *factors, threads)


def _onnx_product(
    operator: str, left: NDArray[np.generic], right: NDArray[np.generic], threads: int
) -> Product:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        onnx_product(operator, left, right), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"left": left})


def onnx_product(operator: str, left: NDArray[np.generic], right: NDArray[np.generic]) -> bytes:
    """Write an ONNX file that multiplies what it is given by a matrix inside.

    Args:
        operator: ``"MatMul"`` or ``"MatMulInteger"``.
        left: Like what will be given.
        right: The matrix inside.
    """
    result = np.dtype(np.int32) if operator == "MatMulInteger" else left.dtype
    node = encode_bytes(1, b"left") + encode_bytes(1, b"right")
    node += encode_bytes(2, b"product") + encode_bytes(4, operator.encode())
    weight = b"".join(encode_number(1, side) for side in right.shape)
    weight += encode_number(2, TYPES[right.dtype]) + encode_bytes(8, b"right")
    weight += encode_bytes(9, right.tobytes())
    graph = encode_bytes(1, node) + encode_bytes(2, b"product") + encode_bytes(5, weight)
    graph += encode_bytes(11, _value(b"left", left.dtype, left.shape))
    graph += encode_bytes(12, _value(b"product", result, (left.shape[0], right.shape[1])))
    return encode_number(1, 10) + encode_bytes(7, graph) + encode_bytes(8, encode_number(2, 20))


def _value(name: bytes, kind: np.dtype[np.generic], shape: tuple[int, ...]) -> bytes:
    dims = b"".join(encode_bytes(1, encode_number(1, side)) for side in shape)
    tensor = encode_number(1, TYPES[kind]) + encode_bytes(2, dims)
    return encode_bytes(1, name) + encode_bytes(2, encode_bytes(1, tensor))


def _rate(product: Product, seconds: float) -> float:
    product()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < LEAST_RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        product()
        times.append(time.perf_counter() - start)
    return float(2 * SIDE**3 / statistics.median(times))


if __name__ == "__main__":
    precision, threads, seconds = sys.argv[1:]
    print(json.dumps(measure(precision, int(threads), float(seconds))))
