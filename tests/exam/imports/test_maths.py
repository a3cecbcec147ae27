"""TeX to MathML: right where it can be, honest where it cannot."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exam.imports.html import clean
from exam.imports.maths import Formula, formulas, mathml


@pytest.mark.parametrize(
    ("tex", "element"),
    [
        ("x^2", "<math><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>"),
        (r"\frac{a}{2}", "<math><mrow><mfrac><mrow><mi>a</mi></mrow><mrow><mn>2</mn></mrow></mfrac></mrow></math>"),
        ("a<b", "<math><mrow><mi>a</mi><mo>&lt;</mo><mi>b</mi></mrow></math>"),
        ("5% x", "<math><mrow><mn>5</mn><mi>%</mi><mi>x</mi></mrow></math>"),
        (r"5\%", "<math><mrow><mn>5</mn><mi>%</mi></mrow></math>"),
        ("क्षेत्रफळ=9", "<math><mrow><mtext>क्षेत्रफळ</mtext><mo>=</mo><mn>9</mn></mrow></math>"),
        (r"\text{<script>x</script> & y}", None),
    ],
)
def test_formulas_become_mathml(tex: str, element: str | None) -> None:
    made = mathml(tex)
    assert made is not None
    cleaned = clean(made)
    assert "<script" not in cleaned
    if element:
        assert cleaned == element


def test_a_displayed_formula_says_so() -> None:
    assert 'display="block"' in (mathml("x", display=True) or "")


@pytest.mark.parametrize(
    "tex",
    [
        "",
        "  ",
        "{",
        "}",
        "x^",
        "x_1_2",
        r"\frac{1}",
        r"\sqrt",
        r"\left( x",
        r"\nosuchcommand{x}",
        r"\begin{nosuch}x",
        r"\def\a{\b\b}\a",
        r"\newcommand{\a}{xx}\a",
        "x" * 2001,
        "{" * 31 + "x" + "}" * 31,
        r"\sqrt" * 300 + "x",
    ],
)
def test_what_is_broken_or_dangerous_is_no_formula(tex: str) -> None:
    assert mathml(tex) is None


@given(st.text(alphabet=r"\{}^_&<>%$x1 fracsqtlei()[]", max_size=60))
def test_any_tex_gives_clean_mathml_or_nothing(tex: str) -> None:
    made = mathml(tex)
    if made is not None:
        cleaned = clean(made)
        assert cleaned.startswith("<math") and cleaned.endswith("</math>")
        assert set(re.findall(r"<([a-z]+)", cleaned)) <= set(re.findall(r"<([a-z]+)", made))


def test_delimiters_are_found_in_order() -> None:
    text = r"a \(x\) b $$y$$ c \[z\] d \( e"
    found = list(formulas(text))
    assert [(formula.tex, formula.display) for formula in found] == [("x", False), ("y", True), ("z", True)]
    assert [text[formula.start : formula.end] for formula in found] == [r"\(x\)", "$$y$$", r"\[z\]"]
    assert list(formulas("5 $ and 6 $")) == []
    assert list(formulas(r"\(a $$ b\)")) == [Formula(0, 10, "a $$ b", False)]


def test_thousands_of_openers_take_no_time() -> None:
    started = time.process_time()
    assert list(formulas(r"\(" * 100_000 + r"\[" * 100_000)) == []
    assert time.process_time() - started < 1
