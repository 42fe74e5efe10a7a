"""Pages: everything that is no markup is escaped, nothing is fetched, files are written whole."""

import html.parser
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.reporting.page import (
    Markup,
    Notice,
    data_uri,
    disclosure,
    element,
    facts,
    join,
    notices,
    page,
    section,
    table,
    write_page,
)

# What a text node can hold: carriage returns and controls are changed on purpose or by any parser.
_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))


class Reader(html.parser.HTMLParser):
    """Python's own parser, noting what it finds."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append(dict(attrs))

    def handle_data(self, data):
        self.texts.append(data)


@given(_TEXTS, _TEXTS)
def test_any_text_comes_back_from_a_parser_as_it_was(content, value):
    read = Reader(element("p", content, title=value))
    assert read.tags == ["p"]
    assert "".join(read.texts) == content
    assert read.attributes == [{"title": value}]


@given(st.text())
def test_no_text_breaks_out_or_fails(text):
    assert set(Reader(element("td", text, alt=text)).tags) == {"td"}
    element("td", text, alt=text).encode("utf-8")


def test_every_part_escapes_what_it_is_given():
    evil = "</style><script>alert(1)</script>"
    read = Reader(
        page(
            evil,
            section("a", evil, table([evil], [[evil]]), facts([(evil, evil), ("none", None)])),
            notices([Notice("note", evil, (evil,), 3)]),
            disclosure(evil, evil, 7, None, [evil, [evil]]),
        )
    )
    assert "script" not in read.tags
    assert read.tags.count("style") == 1
    assert "".join(read.texts).count(evil) == 12
    assert "and 2 more" in read.texts


def test_markup_passes_and_nothing_else_does():
    assert join(Markup("<b>"), "<b>", None, 3, 0.5) == "<b>&lt;b&gt;30.5"
    assert element("rect", stroke_width=2, class_="x", fill=None) == (
        '<rect stroke-width="2" class="x"></rect>'
    )
    assert element("br") == "<br>"


def test_a_page_forbids_scripts_and_the_network():
    policies = [
        found["content"]
        for found in Reader(page("x")).attributes
        if found.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_problems_come_before_notes():
    texts = Reader(
        notices([Notice("note", "n"), Notice("good", "g"), Notice("problem", "p")])
    ).texts
    assert texts == ["p", "n", "g"]


def test_a_picture_lies_in_its_address():
    assert data_uri(b"\xff\xd8") == "data:image/jpeg;base64,/9g="


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "page.html"
    write_page(path, "first")
    assert path.read_text() == "first"
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IRUSR
    with pytest.raises(UnicodeEncodeError):
        write_page(path, "x" * 100_000 + "\ud800")
    assert path.read_text() == "first"
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]
