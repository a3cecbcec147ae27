"""Source texts in Moodle's formats to HTML fragments by language."""

import pytest

from exam.imports.texts import BLANK, Format, rendered


def render(source: str, form: Format = "moodle") -> dict[str, str]:
    lost: list[str] = []
    text = rendered(source, form, "en", lost)
    assert lost == []
    return text


@pytest.mark.parametrize(
    ("form", "source", "fragment"),
    [
        ("moodle", "two\nlines", "two<br>lines"),
        ("moodle", "<ul>\n<li>a</li>\n</ul>", "<ul> <li>a</li> </ul>"),
        ("moodle", "a > b & c", "a &gt; b &amp; c"),
        ("moodle", f"x {BLANK} y", "x _____ y"),
        ("html", "<p>two\nlines</p>", "<p>two\nlines</p>"),
        ("html", "&lt;b&gt; &eacute;", "&lt;b&gt; é"),
        ("plain", "<b>no</b>\n\\(x\\)", "&lt;b&gt;no&lt;/b&gt;<br>\\(x\\)"),
        ("markdown", "**a** and _b_", "<strong>a</strong> and <em>b</em>"),
        ("markdown", "a  \nb", "a<br>\nb"),
        ("markdown", "one\n\ntwo", "<p>one</p>\n<p>two</p>"),
        ("markdown", "- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("markdown", "`a<b` & ~~c~~", "<code>a&lt;b</code> &amp; <s>c</s>"),
        ("markdown", f"{BLANK} is _it_", "_____ is <em>it</em>"),
        ("markdown", "[a]: b", "[a]: b"),
        ("moodle", "is \\(x\\) > 1", "is <math><mrow><mi>x</mi></mrow></math> &gt; 1"),
        ("markdown", "is \\(x_1*y*z_2\\)?", None),
    ],
)
def test_each_format_is_rendered(form: Format, source: str, fragment: str | None) -> None:
    text = render(source, form)["en"]
    assert text == fragment if fragment else "<em>" not in text and text.count("<msub>") == 2


def test_a_formula_in_html_may_be_written_with_entities() -> None:
    assert render("<p>$$a &lt; b$$</p>", "html")["en"] == (
        '<p><math display="block"><mrow><mi>a</mi><mo>&lt;</mo><mi>b</mi></mrow></math></p>'
    )


def test_a_broken_formula_stays_as_typed_and_is_named() -> None:
    lost: list[str] = []
    text = rendered("Find \\(\\frac{1}\\) < 2", "moodle", "en", lost)
    assert text == {"en": "Find <code>\\(\\frac{1}\\)</code> &lt; 2"}
    assert lost == ["The formula \\frac{1} is broken or unknown and stays as typed."]


def test_a_formula_inside_a_tag_does_no_harm() -> None:
    lost: list[str] = []
    assert rendered('<img alt="\\(x\\)" src="q.png"> a', "html", "en", lost) == {"en": "a"}
    assert lost == ["The picture q.png was not taken."]


def test_multilang_spans_become_languages() -> None:
    source = (
        '<p><span lang="en" class="multilang">The river</span> <span lang="mr" class="multilang">नदी '
        "<b>मोठी</b></span> \\(x\\) <lang lang='en'>here</lang><lang lang='mr'>येथे</lang>!</p>"
    )
    x = "<math><mrow><mi>x</mi></mrow></math>"
    assert render(source, "html") == {
        "en": f"<p>The river {x} here!</p>",
        "mr": f"<p>नदी <b>मोठी</b> {x} येथे!</p>",
    }


def test_a_language_that_a_group_lacks_takes_its_first_words() -> None:
    source = '<span lang="en" class="multilang">a</span><span lang="mr" class="multilang">अ</span> = '
    assert render(source + '<span class="multilang" lang="hi">ह</span>', "html") == {
        "en": "a = ह",
        "mr": "अ = ह",
        "hi": "a = ह",
    }


def test_nested_spans_do_not_confuse_the_languages() -> None:
    source = '<span lang="en" class="multilang">a <span lang="mr">ब</span> c</span> d'
    assert render(source, "html") == {"en": 'a <span lang="mr">ब</span> c d'}
    unclosed = '<span lang="en" class="multilang">a'
    lost: list[str] = []
    assert rendered(unclosed, "html", "en", lost) == {"en": '<span lang="en">a</span>'}
    assert lost == ["The attribute class of <span> was taken out."]


def test_long_markdown_is_shown_as_it_is() -> None:
    lost: list[str] = []
    text = rendered("*a* " * 2000, "markdown", "en", lost)
    assert text["en"].startswith("*a* *a*")
    assert "longer than 5000" in lost[0]
