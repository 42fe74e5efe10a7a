"""Pages of HTML that stand alone: no network, no script, everything escaped unless it is markup."""

import base64
import html
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# Okabe and Ito's colours: told apart by colour-blind readers, and on a grey printer by lightness.
BLUE, ORANGE, GREEN, PURPLE, VERMILION = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00"
SERIES_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, "#56B4E9")

# The browser itself then refuses to fetch or run anything, whatever a page's texts contain.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: only light; --line: #d0d7de; --quiet: #57606a; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 75rem; padding: 1.5rem 1.25rem 3rem; background: #fff; color: #1f2328;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", Arial, sans-serif;
  overflow-wrap: anywhere; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.25rem 0 .75rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .35rem; }
p { margin: .4rem 0 .8rem; max-width: 50rem; }
a { color: #0550ae; }
svg { display: block; max-width: 100%; }
svg text { font-family: inherit; fill: #1f2328; }
nav a { margin-right: 1rem; white-space: nowrap; }
.quiet { color: var(--quiet); }
.small { font-size: .85rem; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.25rem; margin: 1rem 0; }
.facts dt { color: var(--quiet); }
.facts dd { margin: 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
.scrolls { overflow-x: auto; }
.scrolls table { overflow-wrap: normal; }
.notices { list-style: none; margin: 1rem 0; padding: 0; border: 1px solid var(--line); border-radius: 6px; }
.notices > li { padding: .6rem .9rem .6rem 2.4rem; border-left: 6px solid; position: relative; }
.notices > li + li { border-top: 1px solid var(--line); }
.notices > li::before { position: absolute; left: .85rem; font-weight: 700; }
.notices .problem { border-left-color: #D55E00; background: #fff4ec; }
.notices .problem::before { content: "!"; color: #a33f00; }
.notices .note { border-left-color: #0072B2; background: #f2f8fc; }
.notices .note::before { content: "i"; color: #0072B2; }
.notices .good { border-left-color: #009E73; background: #effaf5; }
.notices .good::before { content: "\\2713"; color: #00664a; }
.notices ul { margin: .25rem 0 0; padding-left: 1.1rem; font-size: .9rem; columns: 20rem; column-gap: 2rem; }
.notices ul li { break-inside: avoid; }
details > summary { cursor: pointer; color: #0550ae; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .25rem 0 .75rem; padding: 0; list-style: none; }
.legend svg { display: inline-block; vertical-align: -.1em; margin-right: .4em; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); gap: 1.25rem 2rem; }
figure { margin: 0; max-width: 28rem; }
figcaption { font-weight: 600; margin-bottom: .25rem; }
.bars { list-style: none; margin: 0; padding: 0; columns: var(--column, 34rem) 2; column-gap: 2.5rem; }
.bars li { display: grid; grid-template-columns: var(--label, 11rem) 1fr var(--value, 8.5rem);
  gap: .6rem; align-items: center; break-inside: avoid; padding: .14rem 0; font-size: .9rem; line-height: 1.25; }
.bars.narrow { columns: 18rem; --label: 4rem; }
.bars .value { font-variant-numeric: tabular-nums; }
.bars svg { width: 100%; height: .9rem; background: #eef1f4; }
@media (max-width: 40rem) {
  body { padding: 1rem .9rem 2rem; }
  h1 { font-size: 1.4rem; }
  .facts { grid-template-columns: minmax(0, 6.5rem) 1fr; gap: .15rem .8rem; }
  .bars:not(.narrow) li { grid-template-columns: 1fr max-content; gap: 0 .6rem; }
  .bars:not(.narrow) svg { grid-row: 2; grid-column: 1 / 3; }
}
@media print {
  html { font-size: 11px; }
  body { max-width: none; padding: 0; }
  nav { display: none; }
  h2, h3, figcaption, .legend { break-after: avoid; }
  .charts { grid-template-columns: repeat(2, 1fr); }
  figure, tr, .notices > li { break-inside: avoid; }
  a { color: inherit; text-decoration: none; }
}
"""


class Markup(str):
    """Text that is HTML already. Any other text is escaped when it enters a page."""

    __slots__ = ()


class Notice(NamedTuple):
    """Something the reader of a page should know.

    Attributes:
        level: "problem" (mend it before training), "note" (know it) or "good".
        text: One or two sentences.
        examples: What it concerns, one line each.
        total: Number of things concerned, where that is more than there are examples.
    """

    level: str
    text: str
    examples: tuple[str, ...] = ()
    total: int = 0


def join(*content: Any) -> Markup:
    """Puts pieces one after the other; text and numbers are escaped, None is nothing."""
    return Markup("".join(_flatten(content)))


def _flatten(content: Any) -> Iterable[str]:
    if content is None:
        return
    if isinstance(content, Markup):
        yield content
    elif isinstance(content, str | int | float):
        yield html.escape(_clean(str(content)))
    else:
        for piece in content:
            yield from _flatten(piece)


def _clean(text: str) -> str:
    """Without what HTML cannot hold: control characters and halves of surrogate pairs."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c in "\t\n" or (ord(c) > 31 and ord(c) != 127) else "\ufffd" for c in text)


def element(tag: str, *content: Any, **attributes: str | int | float | None) -> Markup:
    """An HTML or SVG element.

    Args:
        tag: Its name; `br`, `img` and `meta` have no end tag.
        *content: Markup, text and numbers (escaped), None (nothing), or iterables of these.
        **attributes: `class_` is class, `stroke_width` is stroke-width; None leaves one out.

    Returns:
        The markup.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(_clean(str(value)))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in ("br", "img", "meta"):
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(*content)}</{tag}>")


def page(title: str, *body: Any, style: str = "") -> str:
    """A whole page.

    Args:
        title: In the browser's tab.
        *body: As for `element`.
        style: More CSS, trusted.

    Returns:
        The HTML file's text.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(_STYLE + style)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', *body), lang='en')}\n"


def section(anchor: str, heading: str, *content: Any) -> Markup:
    """A part of a page under a heading that links can point to."""
    return element("section", element("h2", heading), *content, id=anchor)


def contents(sections: Sequence[tuple[str, str]]) -> Markup:
    """Links to sections, given as (anchor, text)."""
    return element(
        "nav", [join(element("a", text, href=f"#{anchor}"), " ") for anchor, text in sections]
    )


def facts(pairs: Iterable[tuple[str, Any]]) -> Markup:
    """Names and values, two columns; pairs whose value is None are left out."""
    return element(
        "dl",
        [
            join(element("dt", name), element("dd", value))
            for name, value in pairs
            if value is not None
        ],
        class_="facts",
    )


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Markup:
    """A table that scrolls sideways where the page is too narrow for it."""
    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", [element("th", cell, scope="col") for cell in header])),
            element(
                "tbody", [element("tr", [element("td", cell) for cell in row]) for row in rows]
            ),
        ),
        class_="scrolls",
    )


def notices(items: Sequence[Notice]) -> Markup:
    """A box with notices, problems first."""
    order = ("problem", "note", "good")
    ranked = sorted(items, key=lambda notice: order.index(notice.level))
    return element("ul", [_notice(notice) for notice in ranked], class_="notices")


def _notice(notice: Notice) -> Markup:
    lines = [element("li", example) for example in notice.examples]
    if notice.total > len(notice.examples) > 0:
        lines.append(element("li", f"and {notice.total - len(notice.examples):,} more"))
    return element("li", notice.text, element("ul", lines) if lines else None, class_=notice.level)


def disclosure(summary: str, *content: Any) -> Markup:
    """Content that a click on its summary shows."""
    return element("details", element("summary", summary), *content)


def data_uri(jpeg: bytes) -> str:
    """A JPEG as an address that holds the picture itself."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def write_page(path: Path, text: str) -> None:
    """Writes a page whole or not at all, making the folder where it is missing.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        # mkstemp's files are private; a page is as readable as other files of its user.
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
