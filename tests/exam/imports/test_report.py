"""The report's sums, its JSON, and its lines for people."""

import msgspec

from exam.imports.report import Report


def test_a_report_adds_up_and_names_what_is_not_whole() -> None:
    report = Report()
    report.accept("bank.gift:1", "R1", [])
    report.accept("bank.gift:3", "R2", ["Tags are not kept: hard."])
    report.refuse("bank.gift:5", "R3", ["No answer is right."])
    assert msgspec.to_builtins(report) == {
        "items": 3,
        "taken": 1,
        "lossy": 1,
        "refused": 1,
        "entries": [
            {"source": "bank.gift:1", "id": "R1", "status": "taken", "reasons": []},
            {"source": "bank.gift:3", "id": "R2", "status": "lossy", "reasons": ["Tags are not kept: hard."]},
            {"source": "bank.gift:5", "id": "R3", "status": "refused", "reasons": ["No answer is right."]},
        ],
    }
    assert report.lines() == [
        "3 read: 1 taken whole, 1 with losses, 1 not taken.",
        "bank.gift:3  R2: taken with losses. Tags are not kept: hard.",
        "bank.gift:5  R3: not taken. No answer is right.",
    ]


def test_reports_do_not_share_their_entries() -> None:
    Report().refuse("x:1", "x", ["broken"])
    assert Report().entries == []


def test_a_withdrawn_entry_counts_as_refused() -> None:
    report = Report()
    report.accept("list.csv:2", "MH-1", [])
    report.accept("list.csv:3", "MH-2", ["A loss."])
    report.withdraw({"list.csv:2": ["No such batch."], "list.csv:3": ["No such batch."]})
    assert (report.items, report.taken, report.lossy, report.refused) == (2, 0, 0, 2)
    assert [(entry.id, entry.status) for entry in report.entries] == [("MH-1", "refused"), ("MH-2", "refused")]
