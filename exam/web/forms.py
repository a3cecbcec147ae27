"""Forms of the staff's pages: what was typed, read strictly, and kept so that a refused form can come back with it."""

import datetime as dt
import types
import typing
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, get_args, get_origin
from zoneinfo import ZoneInfo

import msgspec
from litestar import Request
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from msgspec import Meta

from exam.errors import Malformed, Refusal, WrongType

LARGEST_FORM: Final = 64 * 1024
TOKEN: Final = "token"  # noqa: S105  the name of the field, not its value
LOOK: Final = "Some of this could not be taken. Nothing was changed; what you typed is still here."

Fields = TypeVar("Fields", bound=msgspec.Struct)


class Form:
    """The values of each field as they were typed, and what is wrong with them."""

    def __init__(self, values: Mapping[str, Sequence[str]] | None = None, files: Sequence[UploadFile] = ()) -> None:
        self._values = {name: list(typed) for name, typed in (values or {}).items()}
        self.files = files
        self.problem = ""
        self.problems: dict[str, str] = {}

    def value(self, name: str, otherwise: object = "") -> str:
        """What was typed into a field, or `otherwise` where the form was not sent yet."""
        typed = self._values.get(name)
        return typed[0] if typed else str(otherwise)

    def values(self, name: str) -> list[str]:
        """What was typed into all fields of one name, in their order."""
        return self._values.get(name, [])

    def refuse(self, refusal: Refusal) -> None:
        """Keeps a refusal's sentence, at its field where it names one."""
        fields = refusal.extra.get("fields")
        field = refusal.extra.get("field")
        if isinstance(fields, dict):
            self.problems.update(fields)
        elif isinstance(field, str):
            self.problems[field] = refusal.message
        self.problem = LOOK if self.problems else refusal.message

    def take(self, kind: type[Fields]) -> Fields:
        """The form as a struct. Malformed with a sentence per field (`fields`), or for a field it does not know.

        A sentence is the field's `Meta(description=…)`: what is expected there.
        """
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        if unknown := self._values.keys() - fields.keys() - {TOKEN}:
            raise Malformed(f"This form has a field that does not belong to it: {sorted(unknown)[0][:40]!r}.")
        taken: dict[str, Any] = {}
        wrong: dict[str, str] = {}
        for name, field in fields.items():
            typed = [_normal(text) for text in self.values(name)]
            many = get_origin(_plain(field.type)) is list
            if not many and len(typed) > 1:
                raise Malformed(f"This form has the field {name!r} more than once.")
            if not any(typed) and not field.required:
                continue
            try:
                if any(_unprintable(text) for text in typed):
                    raise msgspec.ValidationError
                taken[name] = msgspec.convert(typed if many else "".join(typed), field.type, strict=False)
            except msgspec.ValidationError:
                wrong[name] = _expected(field.type)
        if wrong:
            raise Malformed(LOOK, fields=wrong)
        return kind(**taken)


async def read_form(request: Request[Any, Any, Any]) -> Form:
    """The form of a POST, with files where the handler's `opt["files"]` names the field they come in.

    WrongType for a body that is none, TooLarge from the framework beyond LARGEST_FORM or the handler's own limit.
    """
    field = request.route_handler.opt.get("files")
    kinds = {RequestEncodingType.URL_ENCODED} | ({RequestEncodingType.MULTI_PART} if field else set())
    if request.content_type[0] not in kinds:
        raise WrongType("This page takes forms only. Nothing was changed.")
    try:
        sent = await request.form()
    except (UnicodeDecodeError, LookupError):  # of a part that says it is text, in an encoding that it is not in
        raise Malformed from None
    values: dict[str, list[str]] = {}
    files: list[UploadFile] = []
    for name, typed in sent.multi_items():
        if isinstance(typed, UploadFile) and name == field:
            files.append(typed)
        elif name != field or typed:  # where no file was chosen a browser sends an empty text
            values.setdefault(name, []).append(str(typed))
    return Form(values, files)


def asked(request: Request[Any, Any, Any], name: str) -> str:
    """What an address asks for under a name ("?section=algebra"); empty for nothing and for what nobody types."""
    text = request.query_params.get(name, "").strip()
    return "" if len(text) > 120 or _unprintable(text) else text


def moment(text: str, zone: ZoneInfo, field: str) -> dt.datetime:
    """A local date and time ("2026-02-28T10:00") of `zone`, aware; Malformed at `field` for none."""
    try:
        return dt.datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError:
        raise Malformed("This is not a day and a time, such as 2026-02-28T10:00.", field=field) from None


def _normal(text: str) -> str:
    # As exam.audit.plain_text keeps it, so that a form can be told from what it has done before.
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()


def _unprintable(text: str) -> bool:
    # PostgreSQL holds no NUL, and no page has a use for the rest.
    return any(ord(character) < 32 and character not in "\n\t" for character in text)


def _plain(kind: Any) -> Any:
    while get_origin(kind) is typing.Annotated:
        kind = get_args(kind)[0]
    return kind


def _expected(kind: Any) -> str:
    if get_origin(kind) is typing.Annotated:
        for note in kind.__metadata__:
            if isinstance(note, Meta) and note.description:
                return note.description
    if get_origin(kind) in (typing.Union, types.UnionType, list, typing.Annotated):
        return next((found for part in get_args(kind) if (found := _expected(part)) != NOT_UNDERSTOOD), NOT_UNDERSTOOD)
    return NOT_UNDERSTOOD


NOT_UNDERSTOOD: Final = "This could not be understood."
