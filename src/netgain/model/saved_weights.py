"""Which weights a script saved: by content, so that what it leaves is held to what its meter saw. No torch."""

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from netgain.errors import InputError


def hashed_weight(shape: Sequence[int], data: bytes | memoryview) -> str:
    """A digest of one weight: its shape, and its bytes in whatever precision it has."""
    found = sha256(",".join(map(str, shape)).encode())
    found.update(b";")
    found.update(data)
    return found.hexdigest()


def saved_weights(folder: Path) -> Iterator[tuple[str, str]]:
    """The name and digest of every weight in a folder's safetensors files. Raises InputError for a damaged file.

    The format: eight bytes with the length of a JSON header, the header, the data that it points into
    (huggingface/safetensors, README, "Format").
    """
    for path in sorted(folder.glob("*.safetensors")):
        try:
            data = memoryview(path.read_bytes())
            length = int.from_bytes(data[:8], "little")
            header, body = json.loads(bytes(data[8 : 8 + length])), data[8 + length :]
            for name, entry in header.items():
                if name != "__metadata__":
                    first, last = entry["data_offsets"]
                    yield name, hashed_weight(entry["shape"], body[first:last])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise InputError(str(path), f"is no safetensors file that can be read ({problem})") from None
