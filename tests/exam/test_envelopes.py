"""Envelopes: codes that can be read out and typed, what they open, and who may look at one."""

import itertools
from collections import Counter

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exam.auth import StaffSession
from exam.envelopes import LETTERS, ROUNDS, code_of, look_at_code, seal_envelope
from exam.errors import NotAllowed, NothingHere, NotPossible
from loadtest import protocol
from loadtest.protocol import Unexpected
from tests.cast import MUMBAI, PUNE

SECRET, FORM, KEY = bytes(range(32)), bytes(range(100, 132)), bytes(range(50, 82))


def checked(code):
    """Whether the last letter of a code fits the others, by the rule of the protocol."""
    values = [LETTERS.index(letter) for letter in code]
    total = 0
    for place, value in enumerate(values[:-1]):
        for _ in range(13 - place):
            value <<= 1
            value ^= 0b100101 if value & 32 else 0
        total ^= value
    return total == values[-1]


def test_a_code_belongs_to_its_slot_and_its_secret():
    codes = [code_of(SECRET, slot) for slot in range(1, 400)]
    assert len(set(codes)) == len(codes) and code_of(SECRET, 1) == codes[0] != code_of(bytes(32), 1)
    assert all([len(group) for group in code.split("-")] == [4, 4, 4, 2] for code in codes)
    letters = Counter("".join(codes).replace("-", ""))
    assert set(letters) == set(LETTERS) and max(letters.values()) < 2 * min(letters.values())
    assert all(checked(code.replace("-", "")) for code in codes)


def test_the_check_catches_every_wrong_letter_and_any_two_exchanged():
    code = code_of(SECRET, 7).replace("-", "")
    for place, letter in itertools.product(range(14), LETTERS):
        assert checked(code[:place] + letter + code[place + 1 :]) == (letter == code[place])
    for one, other in itertools.combinations(range(14), 2):
        swapped = list(code)
        swapped[one], swapped[other] = code[other], code[one]
        assert checked("".join(swapped)) == (code[one] == code[other]), (one, other)


def envelope(sealed, slot=7):
    return protocol.Envelope(slot, ROUNDS, sealed.salt.hex(), sealed.sealed.hex())


def test_an_envelope_opens_with_its_code_for_its_slot_and_form_only():
    code = code_of(SECRET, 7)
    sealed = seal_envelope(code, 7, FORM, KEY)
    assert protocol.open_envelope(code, FORM.hex(), envelope(sealed)) == KEY.hex()
    assert ROUNDS >= 600_000 and KEY not in sealed.sealed and KEY not in sealed.salt
    again = seal_envelope(code, 7, FORM, KEY)
    assert again.salt != sealed.salt and again.sealed != sealed.sealed
    other = code_of(SECRET, 8)
    for wrong in (
        (other, FORM.hex(), envelope(sealed)),
        (code, bytes(32).hex(), envelope(sealed)),
        (code, FORM.hex(), envelope(sealed, slot=8)),
    ):
        with pytest.raises(Unexpected):
            protocol.open_envelope(*wrong)
    with pytest.raises(InvalidTag):  # nor without any code
        AESGCM(bytes(32)).decrypt(bytes(12), sealed.sealed, f"exam-envelope-1:7:{FORM.hex()}".encode())


def member(role, staff_id, district=MUMBAI):
    return StaffSession(b"", staff_id, role, role, district, (district,))


async def test_who_may_look_at_a_code_and_when_is_on_record(cast, hall, owner):
    ids = await cast.staff()
    early, late = await cast.candidate("early"), await cast.candidate("late")
    closed = await cast.slot(early, opens_in=300, envelopes=True)
    opened = await cast.slot(late, opens_in=-5, envelopes=True)
    bare = await cast.slot(await cast.candidate("bare"))
    asha, iqbal = member("district_admin", ids["asha"]), member("invigilator", ids["iqbal"])

    async def look(staff, slot):
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            return (await look_at_code(connection, staff, slot.slot_id, hall.code_key))[1]

    assert await look(asha, closed) == cast.code(closed)
    assert await look(asha, opened) == await look(iqbal, opened) == cast.code(opened) != cast.code(closed)
    with pytest.raises(NotAllowed):
        await look(iqbal, closed)
    with pytest.raises(NotPossible):
        await look(asha, bare)
    with pytest.raises(NothingHere):
        await look(member("district_admin", ids["prachi"], PUNE), closed)
    for role in ("author", "marker", "platform_admin"):
        with pytest.raises(NotAllowed):
            await look(member(role, ids["anil"]), opened)
    acts = await owner.fetch("SELECT staff_id, detail FROM audit WHERE act = 'code.seen' ORDER BY audit_id")
    seen = [(row["staff_id"], row["detail"]["slot_id"], row["detail"]["before_opening"]) for row in acts]
    assert seen == [
        (ids["asha"], closed.slot_id, True),
        (ids["asha"], opened.slot_id, False),
        (ids["iqbal"], opened.slot_id, False),
    ]
    assert not any(cast.code(closed)[:9] in str(row["detail"]) for row in acts)
