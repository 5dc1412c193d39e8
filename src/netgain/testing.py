"""For tests of your own methods: the scripted model that netgain's own tests use. No torch is needed.

>>> from netgain.testing import scripted_model
>>> model = scripted_model({"2 + 2 =": " 4"})
"""

from netgain.model.scripted import UNIT, ScriptedAdapter, scripted_model

__all__ = ["UNIT", "ScriptedAdapter", "scripted_model"]
