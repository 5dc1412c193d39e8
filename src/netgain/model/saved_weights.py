"""Which weights a script saved: by content, so that what it leaves is held to what its meter saw. No torch."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from netgain.model.model_folder import read_header


def hashed_weight(shape: Sequence[int], data: bytes | memoryview) -> str:
    """A digest of one weight: its shape, and its bytes in whatever precision it has."""
    found = sha256(",".join(map(str, shape)).encode())
    found.update(b";")
    found.update(data)
    return found.hexdigest()


def saved_weights(folder: Path) -> Iterator[tuple[str, str]]:
    """The name and digest of every weight in a folder's safetensors files. Raises InputError for a damaged file."""
    for path in sorted(folder.glob("*.safetensors")):
        tensors, start = read_header(path)
        with path.open("rb") as opened:
            for name, (_, shape, first, last) in tensors.items():
                opened.seek(start + first)
                yield name, hashed_weight(shape, opened.read(last - first))
