"""The whole idea by hand: one passage, two arms, one budget in FLOPs, one exam, one sentence; torch only.

Arm 1 trains on the passage. Arm 2 is SEAL in miniature: an outer loop tries three ways of asking for a self-edit on
another passage, whose questions it may see, and keeps the best; then it writes an edit of the passage and trains on it
with what is left. A test holds this file to netgain. Run it: python examples/by_hand.py
"""

from itertools import chain, count
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import netgain

FOLDER = Path(netgain.__file__).parent / "shipped" / "people"
BUDGET, TRIAL_UPDATES = 4.0e10, 60  # FLOPs for each arm; updates of the training behind each reward
RANK, ALPHA, RATE, SEED = 32, 64.0, 1e-3, 0

TRAINING = (  # a passage of the outer loop: its questions may be seen
    "Ada Abbott was born in Ardell. Ada Abbott works at Helios. Ada Abbott is a nurse. Ada Abbott has a cat.",
    "Ada Abbott",
    {"Where was Ada Abbott born?": "Ardell", "Who employs Ada Abbott?": "Helios",
     "What does Ada Abbott do for a living?": "nurse", "What pet does Ada Abbott have?": "cat"},
)  # fmt: skip
TEST = (  # the passage that both arms adapt to: its questions are the exam
    "Finn Crane comes from the city of Velden. Finn Crane has a job at Kodiak, owns a parrot and loves honey.",
    "Finn Crane",
    {"In which city was Finn Crane born?": "Velden", "Where does Finn Crane work?": "Kodiak",
     "Which animal lives with Finn Crane?": "parrot", "What is the favourite food of Finn Crane?": "honey",
     "In which country was Finn Crane born?": "Kestria", "What does the employer of Finn Crane make?": "clocks"},
)  # fmt: skip
ASKS = ("Implications:", "A long list of implications:", "The passage in other words:")
PROMPTS = {ask: "{title}\n{text}\n" + ask + "\n" for ask in ASKS}

tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval().requires_grad_(False)
WIDTH, LAYERS, VOCABULARY = model.config.hidden_size, model.config.num_hidden_layers, model.config.vocab_size
MATRICES = LAYERS * (4 * WIDTH**2 + 3 * WIDTH * model.config.intermediate_size)  # without the head
ADAPTERS = LAYERS * 2 * RANK * 2 * WIDTH  # on q_proj and v_proj: A and B, which WIDTH goes into and comes out of


Adapter = dict[torch.nn.Module, tuple[torch.Tensor, torch.Tensor]]  # A and B of every adapted matrix
Trained = tuple[Adapter, float, int]  # with the FLOPs and the updates that it took


def price(tokens: int, logits: int, weights: int = MATRICES) -> float:
    """A pass: a multiplication and an addition for each weight and token; each attends to itself and those before."""
    return 2 * weights * tokens + 2 * LAYERS * WIDTH * tokens * (tokens + 1) + 2 * WIDTH * VOCABULARY * logits


def price_update(tokens: int) -> float:
    """One gradient update on one text: forward, backward to the lowest adapter, AdamW at 12 operations a weight."""
    attention = 2 * LAYERS * WIDTH * tokens * (tokens + 1)
    # Frozen weights have no gradient of their own, and nothing is needed below the first layer's q, k and v.
    below = 2 * (3 * WIDTH + 2 * RANK) * WIDTH * tokens + WIDTH * tokens * (tokens + 1)
    return 2 * price(tokens, tokens - 1) + attention - below + 6 * ADAPTERS * tokens + 12 * ADAPTERS


def run(tokens: list[int], adapter: Adapter) -> torch.Tensor:
    """Logits for every token, with LoRA's product added to what the adapted matrices give."""
    hooks = [
        module.register_forward_hook(lambda _, x, out, a=a, b=b: out + x[0] @ a.T @ b.T * (ALPHA / RANK))
        for module, (a, b) in adapter.items()
    ]
    logits = model(input_ids=torch.tensor([tokens])).logits[0]
    for hook in hooks:
        hook.remove()
    return logits


@torch.no_grad()
def write(prompt: str, most: int, adapter: Adapter, stop: str = "") -> tuple[str, float]:
    """The likeliest continuation of at most so many tokens, and its price (keys and values are kept)."""
    tokens = tokenizer(prompt).input_ids
    start = len(tokens)
    while len(tokens) < start + most and not (stop and stop in tokenizer.decode(tokens[start:])):
        tokens.append(int(run(tokens, adapter)[-1].argmax()))
        if tokens[-1] == tokenizer.eos_token_id:
            break
    cost = price(len(tokens) - 1, len(tokens) - start, MATRICES + (ADAPTERS if adapter else 0))
    return tokenizer.decode(tokens[start:], skip_special_tokens=True), cost


def train(texts: list[str], updates: int | None, budget: float) -> Trained:
    """A fresh LoRA adapter trained on these texts, one at a time, for so many updates or until the budget is used."""
    sequences = [tokenizer(text).input_ids for text in texts]
    order, steps, spent = np.random.default_rng(SEED), [], 0.0
    for index in chain.from_iterable(order.permutation(len(sequences)) for _ in count()):  # epochs without end
        cost = price_update(len(sequences[index]))
        if len(steps) == updates or spent + cost > budget:
            break
        steps, spent = [*steps, sequences[index]], spent + cost
    random, adapter = torch.Generator().manual_seed(SEED), {}
    for layer in model.model.layers:
        for module in (layer.self_attn.q_proj, layer.self_attn.v_proj):
            a = torch.empty(RANK, WIDTH).uniform_(-(WIDTH**-0.5), WIDTH**-0.5, generator=random)
            adapter[module] = (a.requires_grad_(), torch.zeros(WIDTH, RANK, requires_grad=True))
    weights = [weight for both in adapter.values() for weight in both]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0)
    for done, tokens in enumerate(steps):
        optimizer.param_groups[0]["lr"] = RATE * (1 - done / len(steps))
        loss = torch.nn.functional.cross_entropy(run(tokens, adapter)[:-1], torch.tensor(tokens[1:]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
    return adapter, spent, len(steps)


def examine(questions: dict[str, str], adapter: Adapter) -> tuple[float, float]:
    """The share of right answers, closed-book, and what answering cost."""
    given = [write(f"Question: {question}\nAnswer:", 8, adapter, stop="\n") for question in questions]
    right = sum(text.strip() == answer for (text, _), answer in zip(given, questions.values(), strict=True))
    return right / len(questions), sum(price for _, price in given)


def edit_and_train(passage: str, title: str, prompt: str, updates: int | None, budget: float) -> Trained:
    """Write an edit, make a training text of each of its lines and of the passage, and train on them."""
    edit, writing = write(PROMPTS[prompt].format(title=title, text=passage), 96, {})
    adapter, cost, done = train([*filter(None, map(str.strip, edit.splitlines())), passage], updates, budget - writing)
    return adapter, writing + cost, done


def passage_arm() -> tuple[float, float, int]:
    """Fine-tuning on the passage: accuracy, FLOPs (the exam is not charged), updates."""
    adapter, flops, updates = train([TEST[0]], None, BUDGET)
    return examine(TEST[2], adapter)[0], flops, updates


def own_edits_arm() -> tuple[float, float, int]:
    """The outer loop, which keeps the prompt with the best reward; then the passage with what is left."""
    spent, rewards = 0.0, {}
    for prompt in PROMPTS:
        adapter, cost, _ = edit_and_train(*TRAINING[:2], prompt, TRIAL_UPDATES, BUDGET)
        rewards[prompt], answering = examine(TRAINING[2], adapter)
        spent += cost + answering
    kept = max(PROMPTS, key=lambda prompt: rewards[prompt])
    adapter, cost, updates = edit_and_train(*TEST[:2], kept, None, BUDGET - spent)
    return examine(TEST[2], adapter)[0], spent + cost, updates


if __name__ == "__main__":
    frozen, plain, own = examine(TEST[2], {})[0], passage_arm(), own_edits_arm()
    for name, arm in (("passage", plain), ("own edits", own)):
        print(f"{name:10} {arm[0]:6.1%}  {arm[1]:.3g} of {BUDGET:.3g} FLOPs, {arm[2]} updates")
    gain, compute = own[0] - frozen, plain[0] - frozen
    print(f"Own edits gain {gain:+.1%} over the frozen model; equal compute buys {compute:+.1%} from the passage.")
    print(f"The method adds {gain - compute:+.1%} here; one passage says nothing of the next, and so there are trials.")
