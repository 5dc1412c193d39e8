"""How close prices must come to the profiler. The promise is 1 %; the closed form is held to more, to rounding.

But transformers up to 5.20 form rotary angles as a product, which the profiler sees and no price has: up to 0.06 % of
what a toy takes, far less of a model.
"""

import inspect

from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

ROTARY_IS_A_PRODUCT = " @ " in inspect.getsource(LlamaRotaryEmbedding.forward)
EXACT = 1e-3 if ROTARY_IS_A_PRODUCT else 1e-6
