"""The allow-list that every imported text passes: what an exam page may hold, and names for what it may not.

Text structure, tables, pictures of this hall and presentation MathML stay. Scripts, styles, links, frames, forms
and pictures from elsewhere go.
"""

import html
import re

import nh3

TAG_LIMIT = 2000
DEPTH_LIMIT = 50


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


TAGS = _names(
    "abbr b bdi bdo blockquote br caption cite code col colgroup dd del dfn div dl dt em figcaption figure h3 h4"
    " h5 h6 hr i img ins kbd li mark ol p pre q rp rt ruby s samp small span strong sub sup table tbody td tfoot"
    " th thead tr u ul var wbr"
    # presentation MathML
    " math merror mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms mspace msqrt"
    " mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none"
)
# What these hold is no text for a reader.
_HOLLOW = _names("annotation annotation-xml head script style svg template")
# Elements of HTML that are not kept; anything else in angle brackets is taken for text such as "List<String>".
_FOREIGN = _HOLLOW | _names(
    "a acronym address applet area article aside audio base basefont bgsound big body button canvas center data"
    " datalist details dialog dir embed fieldset font footer form frame frameset h1 h2 header hgroup html iframe"
    " input isindex label lang legend link listing main map marquee maction maligngroup malignmark menu menuitem"
    " meta meter mglyph mlabeledtr nav nobr noembed noframes noscript object optgroup option output param picture"
    " plaintext progress section select semantics slot source strike summary textarea time title track tt video"
    " xml xmp"
)
_WORD_TAG = re.compile(r"(?:o|w|m|v|st1):[a-z0-9]+")

_ATTRIBUTES: dict[str, set[str]] = {
    "*": {"lang", "dir"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "col": {"span"},
    "colgroup": {"span"},
    "ol": {"start", "type", "reversed"},
    "li": {"value"},
    "abbr": {"title"},
    "math": {"display"},
    "mi": {"mathvariant"},
    "mo": set(
        _names("accent fence form largeop lspace maxsize minsize movablelimits rspace separator stretchy symmetric")
    ),
    "mspace": {"width", "height", "depth"},
    "mpadded": {"width", "height", "depth", "lspace", "voffset"},
    "mfrac": {"linethickness"},
    "mover": {"accent"},
    "munder": {"accentunder"},
    "munderover": {"accent", "accentunder"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "mtable": {"columnalign", "rowspacing", "columnspacing", "columnlines", "rowlines", "frame"},
    "mtd": {"columnalign", "columnspan", "rowspan"},
}
_VALUES = {
    "src": re.compile(r"/media/[0-9a-f]{64}"),
    "alt": re.compile(r"(?s).{0,1000}"),
    "title": re.compile(r"(?s).{0,200}"),
    "lang": re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}"),
    "dir": re.compile(r"ltr|rtl|auto"),
}
_VALUE = re.compile(r"[A-Za-z0-9.,%+ -]{0,60}")

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:-]*)([^<>]*)>|<")
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'=<>`]+))?""")
_BOOLEAN = _names(
    "allowfullscreen async autoplay checked compact controls defer disabled hidden itemscope loop multiple muted"
    " nowrap playsinline readonly required reversed selected"
)
_UNCLOSED = _names("br col dd dt hr img input li link meta option p param source td th tr track wbr")
_UNSEEN = _names("annotation annotation-xml body head html link meta noscript semantics xml")
_PICTURE = re.compile(r'<img((?: [a-z]+="[^"]*")*)>')
_ALT = re.compile(r' alt="([^"]*)"')


class TooComplex(ValueError):
    """More or deeper elements than a question needs; the message is a sentence about them."""


def _allowed(element: str, attribute: str, value: str) -> str | None:
    return value if _VALUES.get(attribute, _VALUE).fullmatch(value) else None


_CLEANER = nh3.Cleaner(
    tags=set(TAGS),
    clean_content_tags=set(_HOLLOW),
    attributes=_ATTRIBUTES,
    attribute_filter=_allowed,
    url_schemes=set(),
    link_rel=None,
)


def clean(text: str) -> str:
    """The HTML fragment `text` with nothing but the allow-list in it; cleaning again changes nothing.

    A picture whose source is not /media/<64 hex digits> leaves its alternative text.
    """
    for _ in range(5):
        # Taking out a wrapper can leave elements that a browser would nest otherwise than they stand here.
        cleaned = _PICTURE.sub(_picture_or_alt, _CLEANER.clean(text))
        if cleaned == text:
            return cleaned
        text = cleaned
    return html.escape(text, quote=False)


def _picture_or_alt(picture: re.Match[str]) -> str:
    if ' src="' in picture[1]:
        return picture[0]
    alt = _ALT.search(picture[1])
    return html.escape(html.unescape(alt[1]), quote=False) if alt else ""


def tidied(text: str) -> str:
    """`text` made fit for `clean` without losing words: comments out, angle brackets that are no tag escaped.

    TooComplex beyond 2,000 elements or a depth of 50, which would cost a browser dear.
    """
    kept, position = [], 0
    while (start := text.find("<!--", position)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        kept.append(text[position:start])
        position = end + 3
    text = "".join([*kept, text[position:]]) if kept else text
    if "<" not in text:
        return text
    depth = deepest = tags = 0

    def tag_or_text(found: re.Match[str]) -> str:
        nonlocal depth, deepest, tags
        closing, name, rest = found[1], (found[2] or "").lower(), found[3] or ""
        if not _is_tag(name, closing, rest):
            return "&lt;" + found[0][1:]
        tags += 1
        if name not in _UNCLOSED and not rest.endswith("/"):
            depth = max(0, depth - 1) if closing else depth + 1
            deepest = max(deepest, depth)
        if name in ("h1", "h2"):
            return f"<{closing}h3{rest}>"
        return found[0]

    text = _TAG.sub(tag_or_text, text)
    if tags > TAG_LIMIT or deepest > DEPTH_LIMIT:
        raise TooComplex(
            f"Its HTML has {tags} elements, {deepest} deep; at most {TAG_LIMIT} and {DEPTH_LIMIT} are taken."
        )
    return text


def _is_tag(name: str, closing: str, rest: str) -> bool:
    if name not in TAGS and name not in _FOREIGN and not _WORD_TAG.fullmatch(name):
        return False
    rest = rest.strip().rstrip("/").rstrip()
    if closing or not rest:
        return not rest
    return "=" in rest or all(word.lower() in _BOOLEAN for word in rest.split())


def losses(text: str) -> list[str]:
    """What `clean` will take out of the tidied fragment `text`, each kind named once."""
    named: dict[str, None] = {}
    for found in _TAG.finditer(text):
        closing, name, rest = found[1], (found[2] or "").lower(), found[3]
        if not name or closing:
            continue
        values = {attribute.lower(): html.unescape(value.strip("\"'")) for attribute, value in _ATTRIBUTE.findall(rest)}
        for loss in _element_losses(name, values) if name not in TAGS else _attribute_losses(name, values):
            named[loss] = None
    return list(named)


def _element_losses(name: str, values: dict[str, str]) -> list[str]:
    if name in _UNSEEN or ":" in name:
        return []
    if name == "a":
        if "href" not in values:
            return []
        return [f"The link to {_shortened(values['href'])} was taken out; its words stay."]
    if name in ("script", "style"):
        return [f"A {name} was taken out."]
    if name == "svg":
        return ["A drawing (SVG) was taken out."]
    if name in ("audio", "video", "iframe", "object", "embed", "source", "applet", "track"):
        address = values.get("src") or values.get("data") or ""
        return [f"<{name}> {_shortened(address)} was taken out.".replace("  ", " ")]
    return [f"The element <{name}> was taken out; its words stay."]


def _attribute_losses(name: str, values: dict[str, str]) -> list[str]:
    found = []
    if name == "img" and _allowed(name, "src", values.get("src", "")) is None:
        found.append(f"The picture {_shortened(values.get('src', ''))} was not taken.".replace("  ", " "))
    for attribute, value in values.items():
        if attribute == "src" or attribute.startswith("xmlns") or (name == "math" and attribute == "alttext"):
            continue
        if attribute.startswith("on"):
            found.append(f"A script ({attribute}) was taken out.")
        elif attribute == "style":
            found.append("Formatting (style) was taken out.")
        elif attribute not in _ATTRIBUTES["*"] | _ATTRIBUTES.get(name, set()):
            found.append(f"The attribute {attribute} of <{name}> was taken out.")
        elif _allowed(name, attribute, value) is None:
            found.append(f"The attribute {attribute} of <{name}> had a value that is not allowed.")
    return found


def _shortened(address: str) -> str:
    return address if len(address) <= 80 else address[:79] + "…"
