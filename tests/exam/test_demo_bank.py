"""The demo's question bank and people: right in form, whole in both languages, every key answerable."""

import re
import struct
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from grading.items import Choice, InlineChoice, Item, Match, Numeric, Ordering, Text, TextEntry
from grading.keys import ChoiceKey, InlineKey, Key, MatchKey, NumericKey, OrderKey, TextKey
from grading.scoring import score_item
from grading.typed import folded

DEMO = Path(__file__).parents[2] / "exam" / "demo"
SECTIONS = ("ped", "mat", "sci", "lan", "law")
HTML_TAG = re.compile("p|strong|em|sub|sup|br|ul|ol|li|table|caption|thead|tbody|tr|th|td|img")
MATH_TAG = re.compile(
    "math|mrow|mi|mn|mo|mtext|mspace|mfrac|msqrt|mroot|msub|msup|msubsup|munder|mover|munderover"
    "|mtable|mtr|mtd|mstyle|mpadded|mphantom"
)
ATTRIBUTES = {"img": {"src", "alt"}, "mi": {"mathvariant"}, "mspace": {"width"}}
GAP = re.compile(r"\[\[\w+\]\]")
DEVANAGARI = re.compile("[\u0900-\u097f]")


class BankItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    item: Item
    key: Key


class BankSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    section: str
    title: Text
    items: list[BankItem]


class District(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    district_id: int
    code: str
    name: Text
    schools: list[str]


class People(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    districts: list[District]
    first_names: list[str]
    surnames: list[str]


BANK = {name: msgspec.json.decode((DEMO / "bank" / f"{name}.json").read_bytes(), type=BankSection) for name in SECTIONS}
ENTRIES = [entry for section in BANK.values() for entry in section.items]
BY_CODE = pytest.mark.parametrize("entry", ENTRIES, ids=[entry.item.code for entry in ENTRIES])


class Fragment(HTMLParser):
    """Reads one HTML fragment: its tags with attributes, its plain text, and what is left open."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.plain = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if not {"math", "em", "sub", "sup"} & set(self.open):
            self.plain += data


def prose(entry: BankItem) -> Iterator[Text]:
    """The texts that say something in words: prompt, unit, feedback."""
    yield entry.item.prompt
    if isinstance(entry.item.interaction, Numeric) and entry.item.interaction.unit:
        yield entry.item.interaction.unit
    if isinstance(entry.item.interaction, InlineChoice):
        yield {language: GAP.sub("", text) for language, text in entry.item.interaction.text.items()}
    assert entry.key.general is not None, "a key without feedback"
    yield entry.key.general


def labels(entry: BankItem) -> Iterator[Text]:
    """The texts that may be a mere formula or a quoted foreign word: options, prompts and choices."""
    match entry.item.interaction:
        case Choice(options=options):
            yield from (option.text for option in options)
        case Match(prompts=prompts, choices=choices):
            yield from (option.text for option in [*prompts, *choices])
        case InlineChoice(gaps=gaps):
            yield from (option.text for gap in gaps for option in gap.options)
        case Ordering(options=options):
            yield from (option.text for option in options)


def texts(entry: BankItem) -> Iterator[Text]:
    yield from prose(entry)
    yield from labels(entry)


def right(entry: BankItem) -> list[str]:
    assert isinstance(entry.key, ChoiceKey)
    return [option for option, weight in entry.key.weights.items() if Fraction(weight) > 0]


def kind(item: Item) -> str:
    match item.interaction:
        case Choice(multiple=True):
            return "several"
        case Choice(options=options):
            return "truth" if {option.id for option in options} == {"true", "false"} else "one"
        case other:
            return type(other).__name__


def test_there_are_enough_items_in_every_section_and_of_every_kind() -> None:
    assert len(ENTRIES) >= 60
    for name, section in BANK.items():
        assert section.section == name
        assert set(section.title) == {"en", "mr"} and DEVANAGARI.search(section.title["mr"])
        assert len(section.items) >= 12
        assert all(entry.item.section == name for entry in section.items)
        kinds = Counter(kind(entry.item) for entry in section.items)
        rare = {"InlineChoice", "Ordering"}
        assert set(kinds) - rare == {"one", "several", "truth", "Numeric", "TextEntry", "Match"}, name
        assert kinds.most_common(1)[0][0] == "one", name
    assert {"InlineChoice", "Ordering"} <= {kind(entry.item) for entry in ENTRIES}
    assert "Essay" not in {kind(entry.item) for entry in ENTRIES}, "a slot with essays cannot be released by a demo"
    assert sum("<math" in msgspec.json.encode(entry.item).decode() for entry in ENTRIES) >= 10


def test_codes_prompts_and_titles_are_there_once_each() -> None:
    for values in (
        [entry.item.code for entry in ENTRIES],
        [entry.item.title for entry in ENTRIES],
        [folded(entry.item.prompt["en"]) for entry in ENTRIES],
        [folded(entry.item.prompt["mr"]) for entry in ENTRIES],
    ):
        assert [value for value, times in Counter(values).items() if times > 1] == []
        assert all(values)


@BY_CODE
def test_every_text_is_there_in_english_and_in_marathi(entry: BankItem) -> None:
    for text in texts(entry):
        assert list(text) == ["en", "mr"]
        assert all(Fragment(value).tags or value.strip() for value in text.values())
    for text in prose(entry):
        assert DEVANAGARI.search(Fragment(text["mr"]).plain), text["mr"]
    for text in labels(entry):
        plain = Fragment(text["mr"]).plain
        assert DEVANAGARI.search(plain) or not re.search("[A-Za-z]", plain), text["mr"]
    for text in texts(entry):
        assert not re.search("[0-9]", Fragment(text["mr"]).plain), f"mixed digits: {text['mr']}"


@BY_CODE
def test_only_allowed_html_and_mathml_that_is_well_formed_xml(entry: BankItem) -> None:
    for text in texts(entry):
        for value in text.values():
            fragment = Fragment(value)
            assert fragment.open == []
            for tag, attributes in fragment.tags:
                assert HTML_TAG.fullmatch(tag) or MATH_TAG.fullmatch(tag), tag
                assert set(attributes) <= ATTRIBUTES.get(tag, set()), (tag, attributes)
            found = re.findall("<math.*?</math>", value, re.DOTALL)
            assert len(found) == value.count("<math")
            for source in found:
                assert all(MATH_TAG.fullmatch(node.tag) for node in ET.fromstring(source).iter())
            assert "\\(" not in value


@BY_CODE
def test_the_key_fits_its_item_and_full_marks_can_be_had(entry: BankItem) -> None:
    match entry.item.interaction, entry.key:
        case Choice(options=options, multiple=multiple), ChoiceKey(weights=weights):
            ids = [option.id for option in options]
            assert len(set(ids)) == len(ids)
            assert len({folded(option.text["en"]) for option in options}) == len(ids)
            assert len({folded(option.text["mr"]) for option in options}) == len(ids)
            assert set(weights) <= set(ids)
            assert sum(Fraction(weights[option]) for option in right(entry)) == 1
            if multiple:
                assert len(ids) == 5 and 2 <= len(right(entry)) <= 4
                assert all(Fraction(weights[option]) < 0 for option in set(ids) - set(right(entry)))
            else:
                assert len(right(entry)) == 1 and len(ids) in (2, 4)
        case TextEntry(max_length=limit), TextKey(answers=answers):
            full = [answer.text for answer in answers if Fraction(answer.weight) == 1]
            assert any(DEVANAGARI.search(text) for text in full), "no Marathi spelling"
            assert any(not DEVANAGARI.search(text) for text in full), "no English spelling"
            assert all(0 < len(text.strip("*")) <= limit for text in full)
            assert len({folded(text) for text in full}) == len(full), "a spelling twice"
        case Numeric(), NumericKey(answers=answers):
            assert all(Fraction(answer.low) <= Fraction(answer.high) for answer in answers)
            assert any(Fraction(answer.weight) == 1 for answer in answers)
        case Match(prompts=prompts, choices=choices), MatchKey(pairs=pairs):
            assert 3 <= len(prompts) <= len(choices)
            assert set(pairs) == {prompt.id for prompt in prompts}
            assert set(pairs.values()) <= {choice.id for choice in choices}
            assert len(set(pairs.values())) == len(prompts)
        case InlineChoice(gaps=gaps), InlineKey(right=gap_key):
            assert all(len(gap.options) >= 3 for gap in gaps)
            assert score_item(entry.item.interaction, entry.key, gap_key) == 1
        case Ordering(options=options), OrderKey(order=order):
            whole = {str(place): option for place, option in enumerate(order, start=1)}
            assert len(options) >= 4 and score_item(entry.item.interaction, entry.key, whole) == 1
            assert order != [option.id for option in options], "the paper shows the key"
        case interaction, key:
            pytest.fail(f"{type(key).__name__} cannot mark {type(interaction).__name__}")


def test_the_right_option_stands_everywhere_about_equally_often() -> None:
    single = [entry for entry in ENTRIES if kind(entry.item) == "one"]
    ids = Counter(right(entry)[0] for entry in single)
    places: Counter[int] = Counter()
    longest = 0
    for entry in single:
        assert isinstance(entry.item.interaction, Choice)
        options = entry.item.interaction.options
        places.update(n for n, option in enumerate(options) if [option.id] == right(entry))
        lengths = {option.id: len(option.text["en"]) for option in options}
        others = max(size for option, size in lengths.items() if [option] != right(entry))
        longest += lengths[right(entry)[0]] > others
    for counts in (ids, places):
        assert len(counts) == 4 and max(counts.values()) - min(counts.values()) <= 3, counts
    assert longest <= len(single) // 2, "the longest option is too often the right one"
    truths = Counter(right(entry)[0] for entry in ENTRIES if kind(entry.item) == "truth")
    assert abs(truths["true"] - truths["false"]) <= 2


def test_options_that_speak_of_the_others_keep_their_place() -> None:
    pinned = 0
    for entry in ENTRIES:
        if not isinstance(entry.item.interaction, Choice):
            continue
        for place, option in enumerate(entry.item.interaction.options):
            about_others = re.search(r"\b(none|all|both) of (these|the above)", option.text["en"], re.I)
            assert option.pinned == bool(about_others), (entry.item.code, option.id)
            if option.pinned:
                pinned += 1
                assert place == len(entry.item.interaction.options) - 1
    assert pinned


def test_the_pictures_exist_are_named_and_described() -> None:
    used = set()
    for entry in ENTRIES:
        referred = set()
        for text in texts(entry):
            for language, value in text.items():
                for tag, attributes in Fragment(value).tags:
                    if tag != "img":
                        continue
                    source, alt = attributes["src"] or "", attributes["alt"] or ""
                    assert source.startswith("media/"), source
                    referred.add(source.removeprefix("media/"))
                    assert len(alt) > 20 and bool(DEVANAGARI.search(alt)) == (language == "mr")
        assert referred == set(entry.item.media)
        used |= referred
    assert used == {path.name for path in (DEMO / "bank").glob("*.png")} and used
    for name in used:
        data = (DEMO / "bank" / name).read_bytes()
        assert data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) <= 20 * 1024
        width, height = struct.unpack(">II", data[16:24])
        assert 300 <= width <= 1200 and 150 <= height <= 1200


def test_the_people_are_enough_for_two_hundred_candidates() -> None:
    people = msgspec.json.decode((DEMO / "people.json").read_bytes(), type=People)
    assert [(d.district_id, d.code) for d in people.districts] == [
        (1, "MUM"), (2, "PUN"), (3, "NAG"), (4, "NAS"), (5, "AUR"),
    ]  # fmt: skip
    for district in people.districts:
        assert set(district.name) == {"en", "mr"} and DEVANAGARI.search(district.name["mr"])
        assert len(set(district.schools)) == 4
    schools = [school for district in people.districts for school in district.schools]
    assert len(set(schools)) == len(schools)
    assert len(set(people.first_names)) == len(people.first_names) == 60
    assert len(set(people.surnames)) == len(people.surnames) == 60
