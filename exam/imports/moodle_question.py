"""One <question> of Moodle XML while it is read: its texts, its pictures, and names for all that is left over."""

import binascii
import html
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from hashlib import sha256
from urllib.parse import quote

from exam.imports.elements import Element
from exam.imports.html import TooComplex
from exam.imports.making import ANSWER_LIMIT, TEXT_LIMIT, language_of, share_of
from exam.imports.pictures import picture_type
from exam.imports.report import Broken
from exam.imports.texts import Format, rendered
from grading.items import Interaction, Text
from grading.keys import Key

Built = tuple[str, Text, Interaction, Key]
"""The kind of an item as its code is made from it, what is asked, how, and what is right."""

YES = ("1", "true", "yes")
_FORMATS: dict[str, Format] = {
    "html": "html",
    "moodle_auto_format": "moodle",
    "plain_text": "plain",
    "markdown": "markdown",
}
# What Moodle does with these has no counterpart here and says nothing about the question.
_MEANINGLESS = frozenset(
    (
        *("shownumcorrect", "showstandardinstruction", "responserequired", "attachmentsrequired", "maxbytes"),
        *("filetypeslist", "showgrading", "layouttype", "unitpenalty"),
    )
)
# What stands inside the elements of a question and is read where it belongs.
_INNER = frozenset(
    ["text", "file", "feedback", "tolerance", "answer", "group", "infinite", "tag", "unit", "unit_name", "multiplier"]
)
_MANY = frozenset(["file", "tag", "unit"])
_ALWAYS_READ = ("name", "questiontext", "generalfeedback", "penalty", "defaultgrade", "hidden", "tags", "idnumber")
_WORDS = frozenset(["questiontext", "answer", "subquestion", "dragbox", "selectoption"])
_OVERALL = ("correctfeedback", "partiallycorrectfeedback", "incorrectfeedback")
_SAMPLE = 5000
_DATA_PICTURE = re.compile(r"data:image/[a-z+.-]{1,20};base64,([A-Za-z0-9+/=\s]+)")
_MLANG = re.compile(r"\{mlang(?:\s+([A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})?))?\s*\}")
_VOID = frozenset(["br", "hr", "img", "col", "wbr", "mspace", "none", "mprescripts"])


def plain(element: Element | None) -> str:
    """The bare words of an element and of what is in it, but for files, with single spaces."""
    return " ".join("".join(_strings(element)).split()) if element is not None else ""


def _strings(element: Element) -> Iterator[str]:
    for part in element.parts:
        if isinstance(part, str):
            yield part
        elif part.tag != "file":
            yield from _strings(part)


def _markup(element: Element) -> str:
    """The text of an element; elements in it, HTML that nobody has escaped, as they were."""
    if not any(True for _ in element):
        return element.own_text()
    return "".join(_tagged(part) if isinstance(part, Element) else html.escape(part) for part in element.parts)


def _tagged(element: Element) -> str:
    attributes = "".join(f' {name.rpartition(" ")[2]}="{html.escape(to)}"' for name, to in element.attributes.items())
    inner = "".join(_tagged(part) if isinstance(part, Element) else html.escape(part) for part in element.parts)
    return f"<{element.tag}{attributes}>" + ("" if element.tag in _VOID else f"{inner}</{element.tag}>")


def shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


def _figure(number: str) -> str:
    """A number as written, without the noughts that Moodle fills it up with."""
    return shortened(number.rstrip("0").rstrip(".") if "." in number else number)


class _Placed(Broken):
    """A refusal that says its element and line already."""


@contextmanager
def at(element: Element) -> Iterator[None]:
    """Says in which element and line the question is broken."""
    try:
        yield
    except _Placed:
        raise
    except (Broken, TooComplex) as broken:
        raise _Placed(f"<{element.tag}> in line {element.line}: {broken}") from None


class Question:
    """One <question> while it is read: what was lost, which pictures it brought, what of it nobody has asked for."""

    def __init__(self, element: Element, language: str, losses: list[str], *, keeps_pictures: bool) -> None:
        self.element, self.losses = element, losses
        self.kind = element.attributes.get("type", "").strip()
        self.pictures: dict[str, bytes] = {}
        self._language, self._keeps_pictures = language, keeps_pictures
        self._many: set[str] = set()
        self._asked = set(_ALWAYS_READ)

    def judge_language(self) -> None:
        """Settles in which language its texts are, where nobody has said it, by the letters of what is asked."""
        if not self._language:
            words = {"questiontext"} if self.kind == "truefalse" else _WORDS
            self._language = language_of(plain(child)[:_SAMPLE] for child in self.element if child.tag in words)

    def called(self) -> str:
        """What it may be called in a report, also where it is broken: its name or its first words."""
        words = plain(self.element.first("name")) or re.sub("<[^<>]*>", " ", plain(self.element.first("questiontext")))
        return shortened(" ".join(words.split())) or "question"

    def one(self, tag: str) -> Element | None:
        """The child with this tag; asked for, so that it is not named as left over."""
        self._asked.add(tag)
        return self.element.first(tag)

    def setting(self, tag: str) -> str:
        """The words of a child, "" where it is absent."""
        return plain(self.one(tag))

    def several(self, tag: str) -> list[Element]:
        """The children with this tag; Broken where they are too many."""
        self._many.add(tag)
        listed = self.element.all(tag)
        if len(listed) > ANSWER_LIMIT:
            raise Broken(f"It has {len(listed)} times <{tag}>; at most {ANSWER_LIMIT} are taken.")
        return listed

    def source(self, holder: Element, usual: Format = "html") -> tuple[str, Format]:
        """The source text of an element and its format, `usual` where it names none; pictures have their address."""
        named_form = holder.attributes.get("format", "")
        form = _FORMATS.get(named_form, usual)
        if named_form and named_form not in _FORMATS:
            form = "moodle"
            self.lose(f'The text format "{shortened(named_form)}" is unknown; the text was read as HTML.')
        inner = holder.first("text")
        if inner is not None and holder.own_text().strip():
            self.lose(f'"{shortened(holder.own_text().strip())}" stands beside <text> and is not kept.')
        if inner is not None and any(True for _ in inner):
            form = "html"
        text = (_markup(inner) if inner is not None else holder.own_text()).replace("\r\n", "\n").replace("\r", "\n")
        text = self._with_pictures(text, holder.all("file"))
        if len(text) > TEXT_LIMIT:
            raise Broken(f"It is longer than {TEXT_LIMIT} characters.")
        return (text if form == "plain" else self._spans(text)).strip(), form

    def shown(self, text: str, form: Format) -> Text:
        """A source text as items hold it."""
        return rendered(text, form, self._language, self.losses)

    def text(self, holder: Element | None, usual: Format = "html") -> Text | None:
        """The text of an element, None where there is none; Broken."""
        if holder is None:
            return None
        with at(holder):
            made = self.shown(*self.source(holder, usual))
        return made if any(made.values()) else None

    def asked(self) -> tuple[str, Format]:
        """The source of the question's text; Broken where there is none."""
        holder = self.element.first("questiontext")
        if holder is None:
            raise Broken("It has no question text.")
        with at(holder):
            text, form = self.source(holder)
            if not text:
                raise Broken("It has no question text.")
        return text, form

    def body(self) -> Element:
        """Where its text stands."""
        found = self.element.first("questiontext")
        return self.element if found is None else found

    def prompt(self, text: str, form: Format) -> Text:
        """What is asked, which says which language is that of record; Broken where nothing is left of it."""
        with at(self.body()):
            prompt = self.shown(text, form)
            if not any(prompt.values()):
                raise Broken(f"No question text is left. {' '.join(self.losses)}".strip())
        self._language = next(iter(prompt))
        return prompt

    def general(self) -> Text | None:
        return self.text(self.one("generalfeedback"))

    def form(self) -> Format:
        """The format of the question's text, which that of its answers follows where they name none."""
        holder = self.element.first("questiontext")
        return _FORMATS.get(holder.attributes.get("format", ""), "html") if holder is not None else "html"

    def share(self, answer: Element) -> Fraction:
        with at(answer):
            if "fraction" not in answer.attributes:
                raise Broken("It has no fraction and so no worth.")
            return share_of(answer.attributes["fraction"].strip().replace(",", "."))

    def lose(self, loss: str) -> None:
        self.losses.append(loss)

    def _spans(self, text: str) -> str:
        """`text` with {mlang en}…{mlang}, as the filter multilang2 has it, in the spans that `rendered` knows."""
        first, *pieces = _MLANG.split(text)
        made, opened = [first], False
        for tag, words in zip(pieces[::2], pieces[1::2], strict=True):
            if bool(tag) == opened:
                return text
            language = self._language if tag == "other" else (tag or "").replace("_", "-")
            made += [f'<span class="multilang" lang="{language}">' if tag else "</span>", words]
            opened = not opened
        return text if opened else "".join(made)

    def _with_pictures(self, text: str, files: Sequence[Element]) -> str:
        text = _DATA_PICTURE.sub(lambda found: self._picture("in the text", found[1]) or found[0], text)
        if len(files) > ANSWER_LIMIT:
            raise Broken(f"It has {len(files)} files; at most {ANSWER_LIMIT} are taken.")
        # The longest names first, since one may begin another.
        for file in sorted(files, key=lambda file: -len(file.attributes.get("name", ""))):
            name = file.attributes.get("path", "/") + file.attributes.get("name", "")
            links = {f"@@PLUGINFILE@@{made}" for made in (name, quote(name), html.escape(name))}
            linked = [link for link in sorted(links) if link in text]
            if not linked:
                self.lose(f'The file "{shortened(name[1:])}" stands in no text and was left out.')
            elif address := self._picture(f'"{shortened(name[1:])}"', file.own_text()):
                for link in linked:
                    text = re.sub(re.escape(link) + r"(?:\?[^\s\"'<>)]*)?", address, text)
        return text

    def _picture(self, name: str, base64: str) -> str | None:
        """Keeps a picture; its address, or None where it is left out, which is a loss."""
        try:
            data = b64decode("".join(base64.split()), validate=True)
            picture_type(data)
        except binascii.Error:
            self.lose(f"The file {name} is damaged and was left out.")
            return None
        except Broken as why:
            self.lose(f"The file {name} was left out: {why}")
            return None
        if not self._keeps_pictures:
            self.lose(f"The picture {name} was left out.")
            return None
        digest = sha256(data).hexdigest()
        self.pictures[digest] = data
        return f"/media/{digest}"

    def name_settings(self) -> None:
        """Names what Moodle knows of a question and an exam here does not."""
        lose, words = self.lose, {child.tag: plain(child) for child in self.element}
        if tags := [plain(tag) for tag in self.element.first("tags") or () if plain(tag)]:
            lose(f"Tags are not kept: {shortened(', '.join(tags))}.")
        # Moodle writes a penalty of 1 with every true/false; nobody can change it.
        if (penalty := _figure(words.get("penalty", ""))) not in ("", "0") and self.kind != "truefalse":
            lose(f"The penalty {penalty} for each further try is not kept: there is one try.")
        if (mark := _figure(words.get("defaultgrade", ""))) not in ("", "1"):
            lose(f"The default mark {mark} is not kept: the exam says how many marks a question has.")
        if words.get("hidden") == "1":
            lose("It was hidden in Moodle and is not hidden here.")
        if any(plain(hint) for hint in self.element.all("hint")):
            lose("Its hints are not kept: there is one try.")
        if any(words.get(tag) for tag in _OVERALL):
            lose("The feedback on the answer as a whole (right, partly right, wrong) is not kept.")
        if words_beside := " ".join(self.element.own_text().split()):
            lose(f'"{shortened(words_beside)}" stands in no element and is not kept.')
        done = {*self._asked, *self._many, *_MEANINGLESS, *_OVERALL, "hint"}
        seen: set[str] = set()
        for child in self.element:
            if child.tag in done and (child.tag not in seen or child.tag not in self._asked):
                self._name_inner(child)
            elif plain(child) or child.first("file"):
                lose(f"<{shortened(child.tag)}> in line {child.line} is not kept: {shortened(plain(child))}")
            seen.add(child.tag)

    def _name_inner(self, element: Element) -> None:
        seen: set[str] = set()
        for inner in element:
            if inner.tag not in _INNER or (inner.tag in seen and inner.tag not in _MANY):
                self.lose(f"<{shortened(inner.tag)}> in line {inner.line} is not kept.")
            elif inner.tag != "text":
                self._name_inner(inner)
            seen.add(inner.tag)
