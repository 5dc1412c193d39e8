"""netgain: how much of a self-improving language model's gain is left once every method gets the same compute?"""

__all__ = ["__version__"]

__version__ = "0.1.0"
