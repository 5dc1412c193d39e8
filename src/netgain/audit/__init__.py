"""Other people's runs: readers turn what they published into a claim, checks say what is wrong with the comparison.

``docs/readers.md`` shows how to write a reader.
"""

from netgain.audit.reader import Reader

__all__ = ["Reader"]
