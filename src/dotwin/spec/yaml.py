"""Twins as YAML files: read with line numbers, written so that nothing is lost."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from dotwin.errors import Problem, SpecificationError
from dotwin.spec.check import problems_of_twin
from dotwin.spec.library import find_twin
from dotwin.spec.partial import problems_of_sound_parts
from dotwin.spec.twin import Twin

__all__ = ["check_file", "read_twin", "read_yaml", "write_yaml"]

type _Place = tuple[str | int, ...]


def read_twin(source: str | Path) -> Twin:
    """Read a twin from a YAML file, or a reference twin by its name.

    Parameters
    ----------
    source : str or Path
        A file, or a name that `models` lists, such as ``"workforce_pressure"``.

    Returns
    -------
    Twin

    Raises
    ------
    SpecificationError
        With every problem found, each with its line.
    FileNotFoundError
        When there is neither such a file nor such a reference twin.
    """
    path = find_twin(source)
    return read_yaml(_text_of(path), source=path.name)


def check_file(path: str | Path) -> list[Problem]:
    """List every problem of a twin's file, each with its line; none when it is sound.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileNotFoundError
    """
    try:
        read_twin(path)
    except SpecificationError as error:
        return list(error.problems)
    return []


def read_yaml(text: str, source: str = "") -> Twin:
    """Read a twin from YAML text.

    The text is YAML 1.2: ``no``, ``off`` and dates are text, and a key that stands twice is an
    error.

    Parameters
    ----------
    text : str
    source : str
        What messages call the text, such as a file's name.

    Returns
    -------
    Twin

    Raises
    ------
    SpecificationError
        With every problem found, each with its line.

    Examples
    --------
    >>> twin = read_yaml('''
    ... twin: visits
    ... panel: {unit: provider}
    ... indicators:
    ...   staff: {domain: workforce}
    ... ''')
    >>> twin.given
    ('staff',)
    """
    document = _Document(text, source)
    problems = list(document.problems)
    data = document.data
    if not isinstance(data, dict):
        if not problems:
            problems = [Problem("", "a twin is a map: twin, panel, indicators and so on.")]
        raise SpecificationError(problems, source)
    try:
        twin = Twin.with_readable_fields(data)
    except SpecificationError as error:
        problems += error.problems
        problems += problems_of_sound_parts(data, error.problems)
    else:
        problems += problems_of_twin(twin)
    if problems:
        located = sorted(map(document.located, problems), key=lambda one: one.line or 0)
        raise SpecificationError(list(dict.fromkeys(located)), source)
    return twin


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecificationError(
            f"is not UTF-8 text (byte {error.start}); save it as UTF-8.", path.name
        ) from None


class _Document:
    """Plain data from YAML text, with the line of every key and item."""

    def __init__(self, text: str, source: str) -> None:
        self.problems: list[Problem] = []
        self.lines: dict[_Place, int] = {}
        self._bare: set[_Place] = set()  # names in {…} with nothing behind them
        declared = re.match(r"\ufeff?%YAML (?!1\.2)\S+", text)
        if declared is not None:
            # In 1.1 `no` is false and 12:30 is 750: a twin would mean something else by it.
            raise SpecificationError(
                Problem("", f"a twin is YAML 1.2; leave out '{declared.group()}'.", 1), source
            )
        self._yaml = YAML(typ="safe", pure=True)
        self.data: Any = None
        try:
            root = self._yaml.compose(io.StringIO(text))
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark is not None else None
            what = " ".join(str(part) for part in (error.context, error.problem) if part)
            if "got '['" in what:
                what += "; inside {…} an expression with x[-1] stands in quotes"
            raise SpecificationError(
                Problem("", f"the file is not YAML here: {what}.", line), source
            ) from None
        except YAMLError as error:
            raise SpecificationError(f"the file is not YAML: {error}", source) from None
        if root is not None:
            self.data = self._read(root, (), ())

    def located(self, problem: Problem) -> Problem:
        """Give the problem the line of its place, or of the nearest one around it."""
        if problem.line is not None:
            return problem
        if problem.path in self._bare and problem.what.startswith("there is no"):
            hint = (
                " A comma inside {…} ends a text; if this belongs to the text before it, put that"
            )
            problem = replace(problem, what=f"{problem.what}{hint} in quotes.")
        path = problem.path
        while path and path not in self.lines:
            path = path[:-1]
        return replace(problem, line=self.lines.get(path))

    def _read(self, node: Node, path: _Place, above: tuple[int, ...]) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if id(node) in above:
            self.problems.append(Problem.at(path, "this part holds itself.", line))
            return None
        inside = (*above, id(node))
        match node:
            case MappingNode():
                return self._map(node, path, inside)
            case SequenceNode():
                items = _rejoined_items(node)
                return [
                    self._read(item, (*path, position), inside)
                    for position, item in enumerate(items)
                ]
            case ScalarNode():
                return self._scalar(node, path)
        raise TypeError(f"not a YAML node: {node!r}")

    def _map(self, node: MappingNode, path: _Place, above: tuple[int, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in _rejoined_pairs(node):
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                parts = value_node.value if isinstance(value_node, SequenceNode) else [value_node]
                for part in reversed(parts):
                    found = self._read(part, path, above)
                    if isinstance(found, dict):
                        merged |= found
                continue
            if not isinstance(key_node, ScalarNode):
                self.problems.append(Problem.at(path, "a name must be text.", line))
                continue
            key = key_node.value
            here = (*path, key)
            if key in result:
                first = self.lines[here]
                self.problems.append(
                    Problem.at(here, f"stands twice, first on line {first}; keep one.", line)
                )
                continue
            self.lines[here] = line
            if node.flow_style and _is_empty(value_node):
                self._bare.add(here)
            result[key] = self._read(value_node, here, above)
        return {**merged, **result}

    def _scalar(self, node: ScalarNode, path: _Place) -> Any:
        kind = str(node.tag).removeprefix("tag:yaml.org,2002:")
        match kind:
            case "null":
                return None
            case "bool" | "int" | "float":
                return self._yaml.constructor.construct_object(node)
            case "str" | "timestamp":
                return node.value
            case _:
                line = node.start_mark.line + 1
                self.problems.append(Problem.at(path, f"the tag {node.tag} is not accepted.", line))
                return None


# Inside {…} and […] a comma ends an item, even the comma of normal(0, 0.5). A piece that opens a
# parenthesis and does not close it can only be the first half of such a call, so it is put together
# again with what follows.


def _is_empty(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.style is None and node.value == ""


def _is_open(node: Node) -> TypeGuard[ScalarNode]:
    return (
        isinstance(node, ScalarNode)
        and node.style is None
        and node.value.count("(") > node.value.count(")")
    )


def _joined(first: ScalarNode, second: ScalarNode) -> ScalarNode:
    return ScalarNode(
        "tag:yaml.org,2002:str",
        f"{first.value}, {second.value}",
        first.start_mark,
        second.end_mark,
    )


def _rejoined_items(node: SequenceNode) -> list[Node]:
    items: list[Node] = []
    for item in node.value:
        if node.flow_style and items and _is_open(items[-1]) and isinstance(item, ScalarNode):
            items[-1] = _joined(items[-1], item)
        else:
            items.append(item)
    return items


def _rejoined_pairs(node: MappingNode) -> list[tuple[Node, Node]]:
    pairs: list[tuple[Node, Node]] = []
    for key, value in node.value:
        if node.flow_style and pairs and isinstance(key, ScalarNode):
            last_key, last_value = pairs[-1]
            if _is_open(last_key) and _is_empty(last_value):
                pairs[-1] = (_joined(last_key, key), value)
                continue
            if _is_open(last_value) and _is_empty(value):
                pairs[-1] = (last_key, _joined(last_value, key))
                continue
        pairs.append((key, value))
    return pairs


def write_yaml(twin: Twin) -> str:
    """Write a twin as YAML that `read_yaml` reads back to an equal twin.

    What equals its default is left out.

    Parameters
    ----------
    twin : Twin

    Returns
    -------
    str

    Examples
    --------
    >>> twin = read_yaml("{twin: t, panel: {unit: home}, indicators: {beds: {domain: capacity}}}")
    >>> read_yaml(write_yaml(twin)) == twin
    True
    """
    data = twin.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for scenario in data.get("scenarios", {}).values():
        del scenario["name"]  # its key says it
    yaml = YAML()
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.allow_unicode = True
    stream = io.StringIO()
    yaml.dump(_laid_out(data), stream)
    return stream.getvalue()


def _is_simple(item: Any) -> bool:
    """Whether it stands in […] without quotes, in every reader's eyes."""
    return not isinstance(item, str) or re.fullmatch(r"\w[\w ./%-]*", item) is not None


def _laid_out(value: Any) -> Any:
    """Put short lists of scalars on one line and everything else on lines of its own."""
    if isinstance(value, dict):
        return {_worded(key, is_key=True): _laid_out(item) for key, item in value.items()}
    if isinstance(value, list):
        items = CommentedSeq(_laid_out(item) for item in value)
        if all(map(_is_simple, value)) and sum(len(str(item)) + 2 for item in value) <= 60:
            items.fa.set_flow_style()
        return items
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return _worded(value) if isinstance(value, str) else value


def _worded(text: str, *, is_key: bool = False) -> str:
    """Choose the form of a text that brings back every character of it."""
    lines = text.split("\n")
    if len(lines) == 1 and text.isprintable():
        return text
    indented = text[:1] in (" ", "\n")
    can_stand_as_it_is = all(map(str.isprintable, lines)) and text.strip() and not indented
    worded: str = (
        LiteralScalarString(text)
        if can_stand_as_it_is and not is_key
        else DoubleQuotedScalarString(text)
    )
    return worded
