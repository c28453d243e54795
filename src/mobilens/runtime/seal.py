"""Hashes over every byte of a model file, so that whatever was changed can be named.

The values of each weight have a hash of their own. One more, called the graph's, covers all other
bytes: nodes, names and shapes of the weights, opset, notes of other tools. Only the entries that
hold the manifest itself are left out; they carry their own hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

from mobilens.runtime.onnx_file import OnnxFile, Tensor


def tensor_hashes(file: OnnxFile) -> dict[str, str]:
    """Give the SHA-256 of each weight, by name, over its type, shape and values."""
    return {tensor.name: _tensor_hash(file.data, tensor) for tensor in file.tensors}


def graph_hash(file: OnnxFile, without_notes: Collection[bytes]) -> str:
    """Give the SHA-256 of everything but the values of weights.

    What is cut out can be told from what remains, since tags and lengths stay: no two files with
    the same hashes differ.

    Args:
        file: The file.
        without_notes: Keys of the notes that are left out.
    """
    cuts = [(part.payload, part.end) for tensor in file.tensors for part in tensor.values]
    cuts += [(note.start, note.end) for note in file.notes if note.key in without_notes]
    digest = hashlib.sha256()
    view = memoryview(file.data)
    position = 0
    for start, end in sorted(cuts):
        digest.update(view[position:start])
        position = end
    digest.update(view[position:])
    return digest.hexdigest()


def changed_weights(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Say which weights differ; empty when none does."""
    kinds = {
        "changed": [name for name in expected if found.get(name, expected[name]) != expected[name]],
        "missing": [name for name in expected if name not in found],
        "added": [name for name in found if name not in expected],
    }
    return "; ".join(_sentence(names, kind) for kind, names in kinds.items() if names)


def _sentence(names: list[str], kind: str) -> str:
    shown = ", ".join(map(repr, names[:3]))
    if len(names) == 1:
        return f"weight {shown} {'is' if kind == 'missing' else 'was'} {kind}"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"weights {shown}{more} {'are' if kind == 'missing' else 'were'} {kind}"


def _tensor_hash(data: bytes, tensor: Tensor) -> str:
    dims = "x".join(map(str, tensor.dims))
    digest = hashlib.sha256(f"{tensor.data_type} {dims}".encode())
    view = memoryview(data)
    for part in tensor.values:
        digest.update(f" {part.number} {part.end - part.payload} ".encode())
        digest.update(view[part.payload : part.end])
    return digest.hexdigest()
