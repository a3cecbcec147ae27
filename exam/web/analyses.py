"""The door to analyses: the exam at a glance and each question with its figures; with its options for authors alone."""

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from exam.analyses import Choices, Figures, analysis_of, ask_for_analysis, choices_of, items_asked, list_analyses
from exam.errors import NotPossible
from exam.hall import Hall
from exam.web.author import READERS
from exam.web.forms import Form, asked
from exam.web.guards import StaffRequest, staff_of
from exam.web.pages import Pages, plain, see_other
from grading.findings import Finding, ItemFigures, OptionFigures, sentence
from grading.items import Choice, InlineChoice, Interaction, Item, Match, Option, Ordering, places

DONE = {"asked": "The figures are being made. Load the page again in a few seconds."}


class Looked(msgspec.Struct, frozen=True):
    """One question on the page: its figures, what to look at (urgent, sentence), and for authors its named options."""

    item_id: int
    code: str
    item: Item
    figures: ItemFigures
    findings: list[tuple[bool, str]]
    options: list[tuple[str, OptionFigures]]

    @property
    def urgent(self) -> bool:
        """Whether somebody has to look at it before results are released."""
        return any(urgent for urgent, _ in self.findings)


def routes(hall: Hall) -> list[HTTPRouteHandler]:
    """The handlers of this door."""
    pages = Pages(hall)

    @get("/staff/analyses", opt={"audience": READERS, "sheds": "report"})
    async def analyses(request: StaffRequest) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            rows = await list_analyses(connection, staff)
        return pages.staff(request, "analyses", exams=rows)

    async def page(request: StaffRequest, exam_id: int, form: Form, status: int = 200) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            row = await analysis_of(connection, staff, exam_id)
            items = await items_asked(connection, staff, exam_id) if row["made_at"] else {}
        figures = msgspec.convert(row["figures"], Figures) if row["made_at"] else None
        chosen = await choices_of(hall.db, staff, exam_id) if figures and staff.role == "author" else {}
        looked = [_looked(one, *items[one.item], chosen.get(one.item)) for one in (figures.items if figures else [])]
        return pages.staff(
            request,
            "analysis",
            status=status,
            form=form,
            exam=row,
            figures=figures,
            looked=looked,
            done=DONE.get(asked(request, "done")),
        )

    @get("/staff/analyses/{exam_id:int}", opt={"audience": READERS, "sheds": "report"})
    async def analysis(request: StaffRequest, exam_id: FromPath[int]) -> Response[bytes]:
        return await page(request, exam_id, Form())

    @post("/staff/analyses/{exam_id:int}", opt={"audience": READERS}, status_code=200)
    async def ask(request: StaffRequest, exam_id: FromPath[int]) -> Response[bytes]:
        staff, form = staff_of(request), Form()
        try:
            async with hall.db.staff.transaction(scope=staff.scope) as connection:
                await ask_for_analysis(connection, staff, exam_id)
        except NotPossible as refusal:
            form.refuse(refusal)
            return await page(request, exam_id, form, refusal.status)
        return see_other(f"/staff/analyses/{exam_id}?done=asked")

    return [analyses, analysis, ask]


def _looked(figures: ItemFigures, item_id: int, code: str, item: Item, choices: Choices | None) -> Looked:
    names = _names(item.interaction)
    findings: list[Finding] = choices.findings if choices else figures.findings

    def called(one: Finding | OptionFigures) -> str:
        return names.get((one.part, one.option), one.option)  # a typed answer is its own name

    return Looked(
        item_id=item_id,
        code=code,
        item=item,
        figures=figures,
        findings=[(one.urgent, sentence(one, called(one))) for one in findings],
        # A matching of many can be chosen in thousands of ways: those that nobody took are of no interest.
        options=[
            (called(one), one)
            for one in (choices.options if choices else [])
            if one.chosen or one.right or isinstance(item.interaction, Choice)
        ],
    )


def _names(interaction: Interaction) -> dict[tuple[str, str], str]:
    """What options are called on the page, by part and option; nothing for what is typed."""

    def words(option: Option, place: int) -> str:
        return plain(option.text) or f"option {place}"

    match interaction:
        case Choice(options=options):
            return {("", one.id): words(one, place) for place, one in enumerate(options, 1)}
        case Match(prompts=prompts, choices=choices):
            return {
                (prompt.id, choice.id): f"{words(prompt, row)} → {words(choice, place)}"
                for row, prompt in enumerate(prompts, 1)
                for place, choice in enumerate(choices, 1)
            }
        case InlineChoice(gaps=gaps):
            return {
                (gap.id, one.id): f"[[{gap.id}]] {words(one, place)}"
                for gap in gaps
                for place, one in enumerate(gap.options, 1)
            }
        case Ordering(options=options):
            return {
                (wanted, one.id): f"{wanted}. {words(one, place)}"
                for wanted in places(len(options))
                for place, one in enumerate(options, 1)
            }
    return {}
