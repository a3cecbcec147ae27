"""The pages of questions with gaps, in order and for essays: whole for authors, without the key for everybody else."""

import re
from collections.abc import Callable

import httpx

from exam.db import Connection
from grading.items import Essay, Gap, InlineChoice, Item, Ordering
from grading.keys import InlineKey, Key, ManualKey, OrderKey
from tests.cast import Cast, both, options
from tests.web.test_staff_pages import staff, words

GAPS = [Gap("g1", options("north", "south")), Gap("g2", options("east", "west"))]
TEXT = {"en": "<p>First [[g1]], then [[g2]].</p>", "mr": "<p>आधी [[g1]], मग [[g2]].</p>"}
ITEMS: list[tuple[Item, Key]] = [
    (
        Item("n1", "main", both("Fill the gaps"), InlineChoice(TEXT, GAPS)),
        InlineKey({"g1": "b", "g2": "a"}, {"g2": "2/3"}, both("Sunrise")),
    ),
    (Item("n2", "main", both("Sort"), Ordering(options("one", "two", "three"))), OrderKey(["c", "a", "b"])),
    (Item("n3", "main", both("Sort too"), Ordering(options("x", "y"))), OrderKey(["a", "b"], "relative_next")),
    (Item("n4", "main", both("Write"), Essay(900)), ManualKey(both("Names a reason"))),
]


async def test_every_kind_is_shown_with_its_key_to_authors_and_without_it_to_others(
    client: Callable[[], httpx.AsyncClient], cast: Cast, owner: Connection
) -> None:
    await cast.staff()
    bank_id = await cast.bank(ITEMS)
    anil, asha = await staff(client, "anil"), await staff(client, "asha")
    listed = words(await anil.get(f"/staff/banks/{bank_id}"))
    for kind in ("gaps in a text", "putting in order", "essay, marked by people"):
        assert kind in listed
    pages = {}
    for row in await owner.fetch("SELECT item_id, code FROM item"):
        path = f"/staff/banks/{bank_id}/items/{row['item_id']}"
        shown, hidden = await anil.get(path), await asha.get(path)
        assert shown.status_code == hidden.status_code == 200, row["code"]
        assert not re.search("keyed|weight 2|place 1|Names a reason|Sunrise|Only the whole|Each pair", hidden.text)
        pages[row["code"]] = words(shown), shown.text, words(hidden)
    plain, html, hidden_words = pages["n1"]
    assert "First [[g1]], then [[g2]]." in plain and "आधी [[g1]], मग [[g2]]." in hidden_words
    assert "weight 2/3" in plain and "Sunrise" in plain and html.count('class="keyed"') == 2
    assert "one one (मराठी) place 2" in pages["n2"][0] and "Only the whole order gives marks" in pages["n2"][0]
    assert "three (मराठी)" in pages["n2"][2]
    assert "Each pair that stands together" in pages["n3"][0]
    assert "A long text of at most 900 characters" in pages["n4"][2]
    assert "Names a reason" in pages["n4"][0] and "cannot be released" in pages["n4"][0]
