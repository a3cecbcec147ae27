"""What became of each entry of an imported file: taken whole, taken with named losses, or refused with reasons."""

from typing import Literal

import msgspec

Status = Literal["taken", "lossy", "refused"]


class Unreadable(ValueError):
    """The file as a whole cannot be read; the message is a sentence for the person who brought it."""


class Broken(ValueError):
    """A question that does not follow its format; the message is a sentence for its author."""


class Entry(msgspec.Struct, frozen=True):
    """One question or line: `source` is "file:line", `id` its name there, `reasons` the losses or the refusal."""

    source: str
    id: str
    status: Status
    reasons: list[str] = []


class Report(msgspec.Struct):
    """Counts and entries in the file's order; `items` = `taken` + `lossy` + `refused`."""

    items: int = 0
    taken: int = 0
    lossy: int = 0
    refused: int = 0
    entries: list[Entry] = []

    def accept(self, source: str, id: str, losses: list[str]) -> None:
        """Counts an entry as taken, or as lossy where there are losses."""
        self.items += 1
        if losses:
            self.lossy += 1
        else:
            self.taken += 1
        self.entries.append(Entry(source, id, "lossy" if losses else "taken", losses))

    def refuse(self, source: str, id: str, reasons: list[str]) -> None:
        """Counts an entry as refused."""
        self.items += 1
        self.refused += 1
        self.entries.append(Entry(source, id, "refused", reasons))

    def withdraw(self, refusals: dict[str, list[str]]) -> None:
        """Refuses after all entries that were taken or lossy, by their source: the place they were meant for lacks."""
        for place, entry in enumerate(self.entries):
            if entry.source in refusals and entry.status != "refused":
                if entry.status == "taken":
                    self.taken -= 1
                else:
                    self.lossy -= 1
                self.refused += 1
                self.entries[place] = Entry(entry.source, entry.id, "refused", refusals[entry.source])

    def lines(self) -> list[str]:
        """The report for people: the sums, then every entry that lost something or was not taken."""
        words = {"lossy": "taken with losses", "refused": "not taken"}
        sums = f"{self.items} read: {self.taken} taken whole, {self.lossy} with losses, {self.refused} not taken."
        return [sums] + [
            f"{entry.source}  {entry.id}: {words[entry.status]}. {' '.join(entry.reasons)}"
            for entry in self.entries
            if entry.status in words
        ]
