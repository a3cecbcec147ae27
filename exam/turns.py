"""Turns: of two requests that do the same at once, as a double click does, the second sees what the first has done."""

from exam.db import Connection, load

(hold_turn,) = load("turns", "hold_turn")


async def take_turn(connection: Connection, what: str) -> None:
    """Waits, inside a transaction, until no other transaction has the turn called `what`; Stuck after a second."""
    await hold_turn.run(connection, what=what)
