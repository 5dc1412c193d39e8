"""Between texts and tokens: how a prompt is rendered, begun and read back, by the model's own tokenizer."""

from collections.abc import Sequence
from typing import Literal, final

from netgain.errors import InputError
from netgain.model.interface import Prompt
from netgain.model.loading import Loaded

Chat = Literal["auto", "template", "base"]


@final
class Texts:
    """One model's tokenizer. ``chat`` is how conversations become text, ``ends`` are the tokens that end an answer."""

    def __init__(self, loaded: Loaded, chat: Chat) -> None:
        self._name, self._tokenizer = loaded.name, loaded.tokenizer
        templated = getattr(loaded.tokenizer, "chat_template", None) is not None
        if chat == "template" and not templated:
            raise InputError(f"chat {chat!r}", f"the tokenizer of {loaded.name} has no template", "use base")
        self._templated = templated and chat != "base"
        self.ends = _ends(loaded)

    def rendered(self, prompt: Prompt) -> str:
        """A prompt as one text."""
        if isinstance(prompt, str):
            return prompt
        if not self._templated:
            return "\n\n".join(message.content for message in prompt)
        turns = [{"role": message.role, "content": message.content} for message in prompt]
        return str(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def prompt(self, prompt: Prompt) -> tuple[int, ...]:
        """A prompt's tokens, at least one."""
        special = isinstance(prompt, str) or not self._templated  # a template brings its own special tokens
        tokens = self.tokens(self.rendered(prompt), special=special)
        return tokens or (self._beginning(),)

    def _beginning(self) -> int:
        """What an empty prompt starts from."""
        for token in (self._tokenizer.bos_token_id, *self.ends):
            if token is not None:
                return int(token)
        raise InputError(
            "prompt", f"it has no tokens, and {self._name} none to begin with", "give at least a character"
        )

    def tokens(self, text: str, *, special: bool) -> tuple[int, ...]:
        """Token ids, of any length."""
        return tuple(self._tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"])

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as text, special ones left out."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))


def _ends(loaded: Loaded) -> tuple[int, ...]:
    """The tokens that end an answer, as the model's generation settings or its tokenizer name them."""
    named = getattr(getattr(loaded.model, "generation_config", None), "eos_token_id", None)
    named = loaded.tokenizer.eos_token_id if named is None else named
    return () if named is None else tuple(named) if isinstance(named, (list, tuple)) else (int(named),)
