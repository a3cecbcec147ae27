"""What every act of the staff goes through: the right role, texts that can be kept, and a row in the audit log."""

import unicodedata
from typing import Any

from exam.auth import Role, StaffSession
from exam.db import Connection, Rows, load
from exam.errors import Malformed, NotAllowed

add_act, list_newest_acts = load("audit", "add_act", "list_newest_acts")


def only(staff: StaffSession, *roles: Role) -> None:
    """NotAllowed unless the member of staff has one of these roles."""
    if staff.role not in roles:
        raise NotAllowed


def plain_text(text: str, field: str, most: int, *, required: bool = True) -> str:
    """`text` in Unicode NFC without spaces around it, 1 (or 0) to `most` characters; Malformed with the field."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()
    if required and not text:
        raise Malformed("Please fill this in.", field=field)
    if len(text) > most:
        raise Malformed(f"This is longer than {most} characters.", field=field)
    # NUL and lone surrogates cannot be stored; the other control characters are nothing that a person typed.
    if any(unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t" for character in text):
        raise Malformed("This contains characters that cannot be shown. Type it anew.", field=field)
    return text


async def record(
    connection: Connection,
    act: str,
    *,
    staff: StaffSession | None,
    district_id: int | None,
    candidate_id: int | None = None,
    **detail: Any,
) -> None:
    """Adds an act to the log in the caller's transaction, so that neither is there without the other.

    `act` is "noun.verbed"; `detail` is JSON and names ids and numbers, never answers or secrets. The staff role may
    only write acts of a district in its scope.
    """
    await add_act.run(
        connection,
        act=act,
        staff_id=staff and staff.staff_id,
        district_id=district_id,
        candidate_id=candidate_id,
        detail=detail,
    )


async def list_acts(connection: Connection, staff: StaffSession, before: int | None = None) -> Rows:
    """The newest 100 acts in the staff's districts, or those before the act of this number.

    NotAllowed for other roles than district and platform admin.
    """
    only(staff, "district_admin", "platform_admin")
    return await list_newest_acts.many(connection, scope=staff.scope, before=before)
