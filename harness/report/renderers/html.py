"""Write a report as one self-contained page: no network, no script, light and dark, any width."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from jinja2 import Environment, Template
from markupsafe import Markup

from harness.report.blocks import (
    Bars,
    Block,
    Bullets,
    Curves,
    Document,
    Scatter,
    Shares,
    Table,
    Text,
    Verdicts,
)
from harness.report.documents.sweep import document, tally
from harness.report.model import Report
from harness.report.renderers import svg
from harness.report.renderers.page import FRAGMENT, PAGE, STYLE, TABLE, VERDICTS
from harness.report.renderers.pictures import legend
from harness.verdicts import Verdict

LONGEST = 12
"""A long table with more rows is folded away."""


NESTED = re.sub(r"(?m)^( *)(:root|body)(?= )", r"\1&", STYLE)
"""The style as one that is nested in the rule of an element, to which it then applies."""


def render(report: Report) -> str:
    """Return the report as a page, the questions first."""
    return _of(report).render()


def render_document(page: Document, title: str) -> str:
    """Return a document of another kind as such a page."""
    return _Page(page, title, ()).render()


def fragment(
    reports: Iterable[Report], notes: Iterable[str] = (), *, about: str = "", first: str = ""
) -> str:
    """Return reports as a part of another page, such as a cell of a notebook.

    It is self-contained and its style applies to nothing else. ``notes`` are folded away under what
    they are ``about``; the line ``first`` is not.
    """
    inner = Markup("\n").join(Markup(_of(report).body()) for report in reports)
    return _template(FRAGMENT).render(
        style=Markup(NESTED), reports=inner, notes=list(notes), about=about, first=first
    )


@cache
def _template(source: str) -> Template:
    """Compile a template once in a process; jinja2 escapes everything that it is given."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["kind"] = lambda word: str(word).replace(" ", "-")
    return environment.from_string(source)


def _of(report: Report) -> _Page:
    return _Page(document(report), report.sweep, tally(report))


class _Page:
    """Writes a document as HTML."""

    def __init__(self, page: Document, title: str, counts: Sequence[tuple[str, int]]) -> None:
        self.page = page
        self.title = title
        self.tally = counts

    def render(self) -> str:
        """Return the page."""
        return _template(PAGE).render(self.values())

    def body(self) -> str:
        """Return what is on the page, without its head and its style."""
        template = _template(PAGE)
        return "".join(template.blocks["report"](template.new_context(self.values())))

    def values(self) -> dict[str, Any]:
        """Return the values of the template."""
        page = self.page
        return {
            "page": {
                "headline": page.headline,
                "warning": page.warning,
                "summary": page.summary,
                "sections": page.questions_first,
            },
            "sweep": self.title,
            "tally": self.tally,
            "style": Markup(STYLE),
            "draw": self.draw,
        }

    def draw(self, block: Block) -> Markup:
        """Return a block as HTML."""
        digits, drawn = self.page.digits, Markup("")
        match block:
            case Text():
                drawn = Markup("<p>{}</p>").format(block.text)
            case Table():
                drawn = self._table(block)
            case Bullets():
                items = (Markup("<li><b>{}</b>: {}</li>").format(*item) for item in block.items)
                drawn = Markup("<ul>{}</ul>").format(Markup("").join(items))
            case Scatter():
                keys = [("good", "success"), ("other", "no success")] * block.judged
                note = legend(replace(block, judged=False))
                drawn = _figure(svg.scatter(block, digits), keys, note)
            case Curves():
                keys = [(f"line{i}", line.label) for i, line in enumerate(block.lines)]
                drawn = _figure(svg.curves(block, digits), keys, "bands: 95% intervals")
            case Bars():
                keys = [("good", block.key)] * bool(block.key)
                note = f"mean {block.metric}, 95% intervals"
                drawn = _figure(svg.bars(block, digits), keys, note)
            case Shares():
                keys = [(f"part{place}", label) for place, (label, _) in enumerate(block.parts)]
                drawn = _figure(svg.shares(block), keys, "shares of the variance")
            case Verdicts():
                drawn = self._table(block.table, badges=True) + self._verdicts(block.verdicts)
        return drawn

    def _verdicts(self, verdicts: tuple[Verdict, ...]) -> Markup:
        return Markup(_template(VERDICTS).render(verdicts=verdicts))

    def _table(self, table: Table, *, badges: bool = False) -> Markup:
        """Return a table; with ``badges`` its first column holds verdicts."""
        made = Markup(_template(TABLE).render(table=table, badges=badges))
        if not table.long or len(table.rows) <= LONGEST:
            return made
        summary = Markup("<summary>All {} runs</summary>").format(len(table.rows))
        return Markup("<details>{}{}</details>").format(summary, made)


def _figure(drawing: str, keys: list[tuple[str, str]], note: str) -> Markup:
    key = Markup('<span class="key"><i class="{}"></i>{}</span>')
    keyed = Markup("").join(key.format(kind, label) for kind, label in keys)
    caption = Markup("<figcaption>{}{}</figcaption>").format(keyed, note)
    return Markup("<figure>{}{}</figure>").format(Markup(drawing), caption)
