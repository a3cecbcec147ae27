"""Export and import again: the same items from CSV, XLSX and GIFT, or every difference named."""

import csv
import io
import time
from fractions import Fraction
from html import escape

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exam.exports import (
    HELP,
    export_csv,
    export_gift,
    export_xlsx,
    harmless,
    template_columns,
    template_csv,
    template_xlsx,
)
from exam.imports.formats import read_items
from exam.imports.gift import read_gift
from exam.imports.html import clean, tidied
from exam.imports.making import choice, item_of, matching, named, text_entry, true_false
from exam.imports.report import Unreadable
from exam.imports.tables import read_csv, read_xlsx
from grading.items import Choice, Essay, Gap, InlineChoice, Item, Match, Numeric, Option, Ordering, TextEntry
from grading.keys import (
    ChoiceKey,
    InlineKey,
    Key,
    ManualKey,
    MatchKey,
    NumericAnswer,
    NumericKey,
    OrderKey,
    TextAnswer,
    TextKey,
)

TAGS = ["en", "mr", "hi", "pt-BR"]
PIECES = [
    *"abक्षित्र 🙂=+-@'\"#~:{}%|;,/\n\t$\\",
    "<b>B</b>", "<sub>2</sub>", "&lt;", "&amp;", "&nbsp;", "\\(x\\)", "$$y$$", "_x000D_", "_x005F_", "x005F_", "[html]",
    "<p>p</p>", "<br>", "<math><mi>x</mi></math>", '<span lang="mr">अ</span>', "//", "[[1]]", "=SUM(A1)", "->", "....",
]  # fmt: skip
quick = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))

words = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join)
fragments = words.map(lambda raw: clean(tidied(raw)).strip()).filter(bool)
plain = st.text(st.sampled_from("abक =+-@'\"#~:{}%|;,/\\$*🙂"), min_size=1, max_size=12).map(str.strip).filter(bool)
lines = plain.map(lambda text: " ".join(text.split()))
ids = st.text(st.sampled_from("abcXYZ019_-"), min_size=1, max_size=6)
weights = st.sampled_from(["1", "1/2", "1/3", "0.25", "2/7", "5/13", "0.5"])
losing = st.sampled_from(["0", "-1", "-1/2", "-0.25", "1/3"])


@st.composite
def texts(draw, tags):
    first = draw(st.sampled_from(tags))
    more = draw(st.lists(st.sampled_from(tags), unique=True, max_size=len(tags)))
    return {tag: draw(fragments) for tag in sorted({first, *more}, key=lambda tag: tag != first)}


@st.composite
def options(draw, tags, least=2, most=5, text=None):
    names = draw(st.lists(ids, unique=True, min_size=least, max_size=most))
    return [Option(name, draw(texts(tags) if text is None else text), draw(st.booleans())) for name in names]


@st.composite
def pairs(draw, kinds=("choice", "text", "numeric", "match", "inline", "order", "essay")):
    tags = draw(st.lists(st.sampled_from(TAGS), unique=True, min_size=1, max_size=3))
    text, maybe = texts(tags), st.none() | texts(tags)
    prompt, general, shuffle = draw(text), draw(maybe), draw(st.booleans())
    match draw(st.sampled_from(kinds)):
        case "choice":
            listed = draw(options(tags))
            shares = {option.id: draw(losing) for option in listed[1:]} | {listed[0].id: draw(weights)}
            feedback = {option.id: draw(text) for option in listed if draw(st.booleans())}
            interaction = Choice(listed, draw(st.booleans()), shuffle)
            key = ChoiceKey({name: share for name, share in shares.items() if share != "0"}, feedback, general)
        case "text":
            answers = [TextAnswer(draw(plain), draw(weights), draw(maybe)) for _ in range(draw(st.integers(1, 3)))]
            interaction = TextEntry(draw(st.integers(1, 500)))
            key = TextKey(answers, draw(st.booleans()), general)
        case "numeric":
            bounds = draw(st.lists(st.tuples(st.integers(-999, 999), st.integers(0, 99)), min_size=1, max_size=3))
            numbers = [
                NumericAnswer(str(low), f"{low + more}.50" if more else str(low), draw(weights), draw(maybe))
                for low, more in bounds
            ]
            interaction, key = Numeric(draw(maybe)), NumericKey(numbers, draw(maybe), general)
        case "match":
            left, right = draw(options(tags)), draw(options(tags))
            interaction = Match(left, right, shuffle)
            key = MatchKey({one.id: draw(st.sampled_from(right)).id for one in left}, general)
        case "inline":
            names = draw(st.lists(ids, unique=True, min_size=1, max_size=3))
            bare = st.dictionaries(st.sampled_from(tags), plain.map(lambda raw: escape(raw, quote=False)), min_size=1)
            gaps = [Gap(name, draw(options(tags, text=bare))) for name in names]
            marks = " ".join(f"[[{name}]]" for name in names)
            interaction = InlineChoice(dict.fromkeys(tags, f"x <b>y</b> {marks} z"), gaps, shuffle)
            right = {gap.id: draw(st.sampled_from(gap.options)).id for gap in gaps}
            key = InlineKey(right, {gap.id: "1/2" for gap in gaps if draw(st.booleans())}, general)
        case "order":
            listed = draw(options(tags))
            order = draw(st.permutations([option.id for option in listed]))
            interaction = Ordering(listed, shuffle)
            key = OrderKey(order, draw(st.sampled_from(["all_or_nothing", "relative_next"])), general)
        case "essay":
            interaction = Essay(draw(st.integers(1, 20_000)), draw(st.integers(2, 40)))
            key = ManualKey(draw(maybe), general)
    media = draw(st.just([]) | st.just(["ab" * 32]))
    return Item("", draw(lines), prompt, interaction, draw(st.just("") | lines), media), key


def banks(**how):
    """Some items with their keys, each with a code of its own."""

    def coded(listed, codes):
        return [(Item(code, *[getattr(item, f) for f in item.__struct_fields__[1:]]), key)
                for (item, key), code in zip(listed, codes, strict=False)]  # fmt: skip

    return st.builds(
        coded, st.lists(pairs(**how), min_size=1, max_size=3), st.lists(lines, unique=True, min_size=3, max_size=3)
    )


def records(taken: list[tuple[Item, Key]]) -> list[str]:
    return [next(iter(item.prompt)) for item, _ in taken]


@quick
@given(banks())
def test_a_table_gives_the_same_items_again(bank) -> None:
    for write, read in ((export_csv, read_csv), (export_xlsx, read_xlsx)):
        data, report = write(bank)
        pictured = sum(bool(item.media) for item, _ in bank)
        assert (report.items, report.refused, report.lossy) == (len(bank), 0, pictured), report.entries
        taken, again = read(data, "bank")
        assert taken == bank and records(taken) == records(bank)
        assert again.taken == len(bank), again.entries


@st.composite
def sayable(draw):
    """An item with its key as a reader makes it, of what GIFT can say."""
    tags = draw(st.lists(st.sampled_from(TAGS), unique=True, min_size=1, max_size=3))

    def text():
        return {tag: draw(fragments) for tag in tags}

    prompt, general = text(), draw(st.none() | st.just(text()))
    kind, losses = draw(st.sampled_from(["choice", "truefalse", "text", "numeric", "match", "essay"])), []
    several = [text() for _ in range(draw(st.integers(2, 4)))]
    remarks = [draw(st.none() | st.just(text())) for _ in several]
    match kind:
        case "choice" if draw(st.booleans()):
            shares = [
                Fraction(1, 2),
                Fraction(1, 2),
                *(draw(st.sampled_from([0, -1, Fraction(-1, 3)])) for _ in several),
            ]
            listed = {str(one): one for one in [*several, text()]}
            shares = [Fraction(one) for one in shares][: len(listed)]
            made = choice(prompt, list(listed.values()), shares, [None] * len(listed), losses, multiple=True)
        case "choice":
            shares = [Fraction(1), *(Fraction(draw(st.sampled_from([0, "1/3", "-1/4", "1/7"]))) for _ in several[1:])]
            if len({str(one) for one in several}) < len(several):
                shares = [Fraction(1)] * len(several)
            made = choice(prompt, several, shares, remarks, losses, general=general)
        case "truefalse":
            feedback = {name: one for name, one in zip(("true", "false"), remarks, strict=False) if one}
            made = true_false(prompt, [draw(st.sampled_from(["true", "false"]))], feedback, general)
        case "text":
            written = draw(st.lists(plain.filter(lambda raw: "->" not in raw), min_size=1, max_size=3))
            accepted = [(raw, Fraction(1), remark) for raw, remark in zip(written, [*remarks, None], strict=False)]
            made = text_entry(accepted, general)
        case "numeric":
            made = (
                Numeric(),
                NumericKey([NumericAnswer("-2.5", "-2.5"), NumericAnswer("1", "3", "1/2")], remarks[0], general),
            )
        case "match":
            triples = [("", one, text()) for one in several]
            made = matching(prompt, [*triples, ("", {}, text())], general)
        case "essay":
            made = Essay(), ManualKey(None, general)
    return item_of(
        kind, draw(st.just("") | lines), draw(lines.filter(lambda raw: "/" not in raw)), prompt, made[0], []
    ), made[1]


@quick
@given(st.lists(sayable(), min_size=1, max_size=3))
def test_gift_gives_the_same_items_again(bank) -> None:
    given = {}
    bank = [(named(item, given, []), key) for item, key in bank]
    data, report = export_gift(bank)
    assert report.refused == 0
    taken, _ = read_gift(data, "bank.gift")
    for pair, again, entry in zip(bank, taken, report.entries, strict=True):
        assert pair == again, (entry, data.decode())
    assert records(taken) == records(bank)


@quick
@given(banks())
def test_what_gift_cannot_say_is_named(bank) -> None:
    data, report = export_gift(bank)
    assert report.items == len(bank) == report.taken + report.lossy + report.refused
    written = [pair for pair, entry in zip(bank, report.entries, strict=True) if entry.status != "refused"]
    assert all(entry.reasons for entry in report.entries if entry.status != "taken")
    taken = read_gift(data, "bank.gift")[0] if written else []
    assert len(taken) == len(written)
    kept = [entry for entry in report.entries if entry.status != "refused"]
    for (item, key), (again, same_key), entry in zip(written, taken, kept, strict=True):
        if entry.status == "taken":
            assert (item.code, item.title, item.section, item.prompt) == (
                again.code,
                again.title,
                again.section,
                again.prompt,
            )
            assert told(item, key) == told(again, same_key)


def told(item: Item, key: Key) -> object:
    """What is right in words, whatever the options are called."""
    match item.interaction, key:
        case Choice(options=listed), ChoiceKey(weights=shares, feedback=feedback):
            return sorted(
                (str(one.text), one.pinned, Fraction(shares.get(one.id, 0)), str(feedback.get(one.id)))
                for one in listed
            )
        case Match(prompts=left, choices=right), MatchKey(pairs=chosen):
            names = {one.id: str(one.text) for one in right}
            return [(str(one.text), names[chosen[one.id]]) for one in left], sorted(names.values())
        case _, TextKey(answers=answers, case_sensitive=exactly):
            return [(one.text, Fraction(one.weight), one.feedback) for one in answers], exactly
        case _, NumericKey(answers=numbers, otherwise=otherwise):
            return [(Fraction(one.low), Fraction(one.high), Fraction(one.weight)) for one in numbers], otherwise
    return key


# Tables for people ------------------------------------------------------------------------------------------------


def item(text: str = "Q?", **more: str) -> tuple[Item, Key]:
    listed = [Option("a", {"en": "yes"}), Option("b", {"en": "no"})]
    return Item("q", "General", {"en": text}, Choice(listed), **more), ChoiceKey({"a": "1"})


@pytest.mark.parametrize("cell", ["=1+1", "+cmd", "-cmd|'/C'!A0", "@SUM(A1)", "'=x", "＝1", "\tx", "-1/2"])
def test_no_cell_of_a_csv_is_a_formula(cell: str) -> None:
    data, _ = export_csv([item(cell, title="t" + cell)])
    lines = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    assert all(not one.startswith(("=", "+", "-", "@", "\t", "＝")) or one == "-1" for line in lines for one in line)
    taken, report = read_csv(data, "x.csv")
    assert taken[0][0].prompt == {"en": cell.strip()} and report.taken == 1


def test_plain_negative_numbers_stay_numbers() -> None:
    assert harmless("-1") == "-1" and harmless("-0.25") == "-0.25" and harmless("-1/2") == "'-1/2"


def test_every_cell_of_a_workbook_is_text() -> None:
    data, _ = export_xlsx([item("=1+1"), item("#N/A"), item("1/2")])
    sheet = openpyxl.load_workbook(io.BytesIO(data)).active
    cells = [cell for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} == {"s"} and {cell.number_format for cell in cells} == {"@"}


def test_what_a_cell_cannot_hold_is_refused_and_not_cut() -> None:
    long = item("x" * 40_000)
    _, report = export_xlsx([long, item()])
    assert [entry.status for entry in report.entries] == ["refused", "taken"]
    assert "32767" in report.entries[0].reasons[0]
    assert export_csv([long])[1].taken == 1


def test_pictures_are_named_as_a_loss() -> None:
    name = "ab" * 32
    pictured = item(f'<img src="/media/{name}" alt="x">', media=[name])
    for write in (export_csv, export_xlsx, export_gift):
        assert write([pictured])[1].entries[0].reasons == [
            "Its pictures are named and not contained: only this hall has them."
        ]


def test_the_templates_are_read_once_they_are_filled_in() -> None:
    columns = [column.heading() for column in template_columns(["en", "mr"])]
    assert columns[:6] == ["kind", "code", "section", "prompt_en", "prompt_mr", "answer"]
    for empty, read in ((template_csv(["en", "mr"]), read_csv), (template_xlsx(["en", "mr"]), read_xlsx)):
        with pytest.raises(Unreadable, match="no rows"):
            read(empty, "t")
        cells = ["choice", "c1", "Sums", "Q?", "प्र?", "2", *(f"x{place}" for place in range(len(columns) - 6))]
        if read is read_csv:
            filled = empty + ",".join(cells).encode()
        else:
            book = openpyxl.load_workbook(io.BytesIO(empty))
            assert [cell.value for cell in book.active[1]] == columns
            assert all(book.active.column_dimensions[letter].number_format == "@" for letter in "ABF")
            book.active.append(cells)
            out = io.BytesIO()
            book.save(out)
            filled = out.getvalue()
        taken, report = read(filled, "t")
        assert [item.code for item, _ in taken] == ["c1"] and report.refused == 0


def test_the_examples_of_the_template_can_be_taken() -> None:
    heads = next(line for line in HELP if line[:1] == ["kind"])
    for line in HELP[HELP.index(heads) + 1 :]:
        cells = {head: cell for head, cell in zip(heads, line, strict=True) if cell and head in heads[:1] + heads[2:7]}
        cells |= dict(part.split(": ", 1) for part in line[7].split("; ") if part)
        out = io.StringIO()
        writer = csv.DictWriter(out, list(cells))
        writer.writeheader()
        writer.writerow(cells)
        _, report = read_csv(out.getvalue().encode(), "help.csv")
        assert report.taken == 1, (line, report.entries)


def test_gift_refuses_what_it_would_make_another_question_of() -> None:
    text = Item("t", "General", {"en": "Q?"}, TextEntry()), TextKey([TextAnswer("a -> b")])
    order = Item("o", "General", {"en": "Q?"}, Ordering(item()[0].interaction.options)), OrderKey(["b", "a"])
    data, report = export_gift([text, order])
    assert (report.refused, data) == (2, b"")
    assert all("GIFT" in entry.reasons[0] for entry in report.entries)


def test_gift_names_what_it_cannot_say() -> None:
    unit = Item("n", "General", {"en": "Q?"}, Numeric({"en": "km"})), NumericKey([NumericAnswer("1", "1", "5/13")])
    exactly = Item("t", "General", {"en": "Q?"}, TextEntry(50)), TextKey([TextAnswer("a")], case_sensitive=True)
    data, report = export_gift([unit, exactly])
    assert [entry.status for entry in report.entries] == ["lossy", "lossy"]
    told = [" ".join(entry.reasons) for entry in report.entries]
    assert "unit" in told[0] and "5/13" in told[0]
    assert "case_sensitive" in told[1] and "max_length: 50 becomes 200" in told[1]
    assert len(read_gift(data, "x")[0]) == 2


def test_five_thousand_items_take_seconds() -> None:
    began = time.process_time()
    yes_no, key = item()[0].interaction, item()[1]
    texts = [{"en": f"Question {n}?", "mr": f"प्रश्न {n}?"} for n in range(5000)]
    listed = [(Item(f"q{n}", f"S{n // 800}", text, yes_no), key) for n, text in enumerate(texts)]
    for write, name in ((export_csv, "x.csv"), (export_xlsx, "x.xlsx"), (export_gift, "x.gift")):
        data, report = write(listed)
        assert report.refused == 0
        assert len(read_items(data, name)[0]) == 5000
    print(f"three formats out and in: {time.process_time() - began:.1f} s")
    assert time.process_time() - began < 60
