"""Joins ES modules: few files for the line, made of many for people. No build step, and nothing that needs node.

A joined file holds an entry with all that it imports statically and that is not surely there already, each module in a
function of its own; they find each other in `$`, the registry, which is the first entry's. What is imported dynamically
becomes a file of the same kind, so that there is one instance of each module. Comments and needless blanks stay behind.
A way of writing that is not understood stops the start: Unjoinable says where.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple


class Unjoinable(Exception):
    """Modules that are written in a way that the joining does not understand."""


class Token(NamedTuple):
    kind: str
    text: str
    line: int
    apart: str
    """What stood before it: "" nothing, " " blanks or a comment, "\\n" the end of a line."""


_TOKEN: Final = re.compile(
    r"""
    (?P<newline>\n) | (?P<blank>[ \t\r\ufeff]+) | (?P<comment>//[^\n]*|/\*[\s\S]*?\*/)
    | (?P<string>"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*')
    | (?P<word>[\w$\#]+) | (?P<template>`) | (?P<slash>/) | (?P<mark>=>|\+\+|--|\.\.\.|[^\s\w"'])
    """,
    re.VERBOSE,
)
_REGEX: Final = re.compile(r"/(?:[^/\\\[\n]|\\[^\n]|\[(?:[^\]\\\n]|\\[^\n])*\])+/\w*")
_BEFORE_A_VALUE: Final = frozenset(
    [
        "return",
        "typeof",
        "case",
        "in",
        "of",
        "delete",
        "void",
        "throw",
        "new",
        "else",
        "do",
        "instanceof",
        "await",
        "yield",
    ]
)
_CONTROL: Final = frozenset(["if", "for", "while", "with", "switch", "catch"])
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_ADDRESS: Final = re.compile(r"\.{1,2}/[\w./-]+?\.js")
_IMPORT: Final = re.compile(rf'import (?:\{{ ([\w, ]+?)(?: ,)? \}} from )?"({_ADDRESS.pattern})"')
_DECLARING: Final = frozenset(["async", "function", "*", "class", "const"])
_OPENING: Final = frozenset("([{")
_CLOSING: Final = frozenset(")]}")
_NOTHING_AFTER: Final = frozenset("{([,;")


@dataclass
class Module:
    """One source, read: what it needs and gives, and its body without the words for that."""

    name: str
    imports: dict[str, dict[str, str]] = field(default_factory=dict)
    """Module: what is taken from it, own name: its name there."""
    later: dict[str, None] = field(default_factory=dict)
    """What it imports dynamically."""
    exports: list[str] = field(default_factory=list)
    body: list[Token] = field(default_factory=list)
    waits: bool = False
    """Whether it awaits something before it is there."""


def join(sources: Mapping[str, str], entries: Mapping[str, str | None]) -> dict[str, str]:
    """The joined files by name: of each entry, and of each module that is imported dynamically.

    sources: text by name ("exam.js"); entries: name, and the entry whose file its own imports, if any.
    """
    modules = {name: _read(name, text) for name, text in sources.items()}
    order: list[str] = []
    for name in modules:
        _place(modules, name, order, [])

    def closure(name: str) -> set[str]:
        return {name}.union(*(closure(needed) for needed in modules[name].imports))

    there: dict[str, set[str]] = {}  # by file: what is there before it, for sure
    root = {name: base or name for name, base in entries.items()}
    waiting = [(name, closure(base) if base else set(), root[name]) for name, base in entries.items()]
    while waiting:
        name, before, base = waiting.pop(0)
        if name in there and (there[name] <= before or name in entries):
            continue
        there[name] = before & there.get(name, before)
        root[name] = base
        held = there[name] | closure(name)
        # Whoever imports dynamically may come first: what is there for a chunk is what every importer has.
        for needed in sorted(held - there[name]):
            waiting += [(chunk, held, base) for chunk in modules[needed].later]
    return {
        name: _write(modules, name, [each for each in order if each in closure(name) - before], root[name])
        for name, before in there.items()
    }


def _place(modules: Mapping[str, Module], name: str, order: list[str], above: list[str]) -> None:
    """Puts a module behind all that it needs."""
    if name in above:
        raise Unjoinable(f"{' → '.join([*above, name])}: modules that need each other")
    if name in order:
        return
    module = modules[name]
    for needed in [*module.imports, *module.later]:
        if needed not in modules:
            raise Unjoinable(f"{name} imports {needed}, which is not there")
    for needed, names in module.imports.items():
        _place(modules, needed, order, [*above, name])
        if missing := set(names.values()) - set(modules[needed].exports):
            raise Unjoinable(f"{name} imports {', '.join(sorted(missing))}, which {needed} does not export")
    order.append(name)


def _write(modules: Mapping[str, Module], name: str, inside: list[str], base: str) -> str:
    exports = modules[name].exports
    head = "export const $={};" if base == name else f'import{{$}}from"{_address(name, base)}";'
    parts = [head]
    for each in inside:
        module = modules[each]
        if module.waits and (exports or each != name):
            raise Unjoinable(f"{each} awaits something at its top, but others need it")
        needs = [
            f"const{{{','.join(there if own == there else f'{there}:{own}' for own, there in names.items())}}}"
            f"=$[{_quoted(needed)}];"
            for needed, names in module.imports.items()
            if names
        ]
        body = "".join([*needs, _text(module, name)])
        wrapped = f"{'async' if module.waits else ''}()=>{{{body}\nreturn{{{','.join(module.exports)}}}}}"
        parts.append(f"$[{_quoted(each)}]??=({wrapped})();")
    if exports:
        parts.append(f"const{{{','.join(exports)}}}=$[{_quoted(name)}];export{{{','.join(exports)}}};")
    return "\n".join(parts) + "\n"


def _text(module: Module, file: str) -> str:
    parts: list[str] = []
    before = ""
    # Nobody outside of a class can name its private fields, so they may have the shortest names there are.
    private = dict.fromkeys(token.text for token in module.body if token.kind == "word" and token.text[0] == "#")
    short = {name: f"#{_letters(place)}" for place, name in enumerate(private)}
    for token in module.body:
        text = _address(file, token.text) if token.kind == "address" else short.get(token.text, token.text)
        if token.kind == "template":
            text = re.sub(r"(?<=\.)#\w+", lambda found: short.get(found[0], found[0]), text)
        a, b = before[-1:], text[:1]
        if token.apart == "\n":
            parts.append("" if a in _NOTHING_AFTER else "\n")
        elif token.apart and (
            (_glues(a) and _glues(b)) or (a == b and a in "+-") or "/" in (a, b) or (a.isdigit() and b == ".")
        ):
            parts.append(" ")
        parts.append(text)
        before = text
    return "".join(parts)


def _letters(number: int) -> str:
    rest, letter = divmod(number, 26)
    return (_letters(rest - 1) if rest else "") + chr(ord("a") + letter)


def _glues(letter: str) -> bool:
    return letter.isalnum() or letter in ("_", "$", "#")


def _quoted(name: str) -> str:
    return f'"{name}"'


def _address(file: str, wanted: str) -> str:
    return f"./{posixpath.relpath(wanted, posixpath.dirname(file) or '.')}"


# Reading ----------------------------------------------------------------------------------------------------------


def _read(name: str, text: str) -> Module:
    """A module, read. Unjoinable for what it must not have."""
    module = Module(name)
    tokens = [*_tokens(name, text), *[Token("end", "", text.count("\n") + 1, "")] * 5]
    functions: list[bool] = []  # of each open brace, whether it holds the body of a function
    rounds: list[str] = []  # what stands before each open round bracket
    closed = ""  # what stood before the one that has just closed
    depth, at, asynchronous = 0, 0, False  # open brackets; place; whether an async function began in this statement

    def refused(why: str) -> Unjoinable:
        return Unjoinable(f"{name}:{tokens[at].line}: {why}")

    def named(address: str) -> str:
        return posixpath.normpath(posixpath.join(posixpath.dirname(name), address))

    while tokens[at].kind != "end":
        token, before = tokens[at], tokens[at - 1].text if at else ""
        word = token.text if token.kind == "word" and before != "." else ""
        if word == "import" and tokens[at + 1].text == "(":
            address = tokens[at + 2]
            found = _ADDRESS.match(address.text, 1) if address.kind in ("string", "template") else None
            if found is None:
                raise refused("the address of a dynamic import has to begin with that of a module")
            module.later[named(found[0])] = None
            pieces = [
                ("mark", address.text[0]),
                ("address", named(found[0])),
                (address.kind, address.text[found.end() :]),
            ]
            module.body += [token, tokens[at + 1], *(Token(kind, piece, address.line, "") for kind, piece in pieces)]
            rounds.append(word)
            depth += 1
            at += 3
        elif word == "import" and tokens[at + 1].text != ".":
            end = next(end for end in range(at, len(tokens)) if tokens[end].text in (";", ""))
            statement = " ".join(each.text for each in tokens[at:end])
            found = _IMPORT.fullmatch(statement)
            if depth or found is None:
                raise refused(f"this import is not understood: {statement}")
            taken = module.imports.setdefault(named(found[2]), {})
            for each in filter(None, (found[1] or "").split(" , ")):
                outside, _, inside = each.partition(" as ")
                taken[inside or outside] = outside
            at = end + 1
        elif word == "export":
            declared = next((each for each in tokens[at + 1 : at + 5] if each.text not in _DECLARING), tokens[-1])
            kind = tokens[at + 1].text
            if depth or kind not in _DECLARING or not _NAME.fullmatch(declared.text) or declared.text == "extends":
                raise refused("what is exported is a function, a class or a const, and has a name")
            if kind == "const" and _has_comma(tokens[at + 2 :]):
                raise refused("one exported const at a time")
            module.exports.append(declared.text)
            tokens[at + 1] = tokens[at + 1]._replace(apart="\n")
            at += 1
        else:
            if word == "$":
                raise refused("$ is the name of the registry")
            if word == "import" and tokens[at + 4].text != "url":
                raise refused("of import.meta only the url")
            asynchronous |= word == "async"
            module.waits |= word == "await" and not any(functions) and not asynchronous
            if token.text == "(":
                rounds.append(before)
            elif token.text == ")" and rounds:
                closed = rounds.pop()
            elif token.text == "{":
                functions.append(before == "=>" or (before == ")" and closed not in _CONTROL))
            elif token.text == "}" and functions:
                functions.pop()
            if token.kind == "mark":
                depth += (token.text in _OPENING) - (token.text in _CLOSING)
            if depth == 0 and token.text in (";", "}"):
                asynchronous = False
            module.body.append(token)
            at += 1
    if depth:
        raise refused("a bracket too many or too few")
    return module


def _has_comma(tokens: list[Token]) -> bool:
    depth = 0
    for token in tokens:
        if token.kind == "mark":
            depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if depth == 0 and token.text in (",", ";", ""):
            return token.text == ","
    return False


def _template_end(text: str, at: int) -> int:
    """Where the template literal ends that begins at `at`; -1 if it does not."""
    at += 1
    while at < len(text):
        if text[at] == "`":
            return at + 1
        if text.startswith("${", at):
            depth, at = 1, at + 2
            while depth and at < len(text):
                found = _TOKEN.match(text, at)
                if found is None:
                    return -1
                depth += {"{": 1, "}": -1}.get(found[0], 0)
                at = _template_end(text, at) if found.lastgroup == "template" else found.end()
                if at < 0:
                    return -1
        else:
            at += 2 if text[at] == "\\" else 1
    return -1


def _tokens(name: str, text: str) -> Iterator[Token]:
    """What the source is made of, without blanks and comments."""
    at, line, apart = 0, 1, ""
    last = Token("mark", ";", 0, "")
    rounds: list[bool] = []  # of each open round bracket, whether a control word stands before it
    controlled = False  # and of the one that has just closed
    while at < len(text):
        found = _TOKEN.match(text, at)
        kind = (found and found.lastgroup) or ""
        end = found.end() if found else -1
        if kind == "template":
            end = _template_end(text, at)
        elif kind == "slash" and last.text == "}":
            raise Unjoinable(f"{name}:{line}: a slash after }} may divide or begin a regular expression")
        elif kind == "slash" and (
            last.text in _BEFORE_A_VALUE
            if last.kind == "word"
            else controlled
            if last.text == ")"
            else last.kind in ("mark", "slash") and last.text not in ("]", "++", "--")
        ):
            kind = "regex"
            end = pattern.end() if (pattern := _REGEX.match(text, at)) else -1
        if end < 0:
            raise Unjoinable(f"{name}:{line}: what begins here is not understood")
        word = text[at:end]
        if kind in ("newline", "blank", "comment"):
            apart = "\n" if apart == "\n" or "\n" in word else " "
        else:
            if word == "(":
                rounds.append(last.text in _CONTROL)
            elif word == ")" and rounds:
                controlled = rounds.pop()
            last = Token(kind, word, line, apart)
            yield last
            apart = ""
        line += word.count("\n")
        at = end
