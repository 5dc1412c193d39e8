"""Named random streams: the same seed and name give the same numbers, another name gives independent ones."""

import hashlib

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """A generator for one purpose, derived from the root seed and the purpose's name parts."""
    digest = hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).digest()
    words = [int.from_bytes(digest[start : start + 4], "little") for start in range(0, 16, 4)]
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(words)))
