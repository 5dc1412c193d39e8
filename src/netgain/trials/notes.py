"""What methods kept in the journal beside their charges, read back as rows."""

from pydantic import ValidationError

from netgain.metering.account import Account, Book
from netgain.records.chain import read
from netgain.records.claim import RewardRun
from netgain.records.events import Noted

REWARDS = "rewards"


def rewards(book: Book, root: Account) -> tuple[RewardRun, ...]:
    """The rewards that a method noted in this attempt, under the word ``rewards``; what is none is left out."""
    book.flush()
    found = []
    for record in read(book.journal.path).records:
        if record.seq > root.row and isinstance(record.event, Noted) and record.event.text == REWARDS:
            data = {name: value for name, value in record.event.data.items() if name != "names"}
            try:
                found.append(RewardRun.model_validate(data))
            except ValidationError:
                continue
    return tuple(found)
