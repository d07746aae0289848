from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from edgebuild.report.markup import el, join, raw


def test_text_is_escaped_and_markup_is_not() -> None:
    assert el("p", "<b>", el("i", "&")) == "<p>&lt;b&gt;<i>&amp;</i></p>"


def test_attributes_are_named_and_escaped() -> None:
    made = el("td", class_="a", aria_label='"x"', hidden=True, title=None, open=False, x=1.25)
    assert made == '<td class="a" aria-label="&quot;x&quot;" hidden x="1.2"></td>'


def test_void_elements_have_no_end() -> None:
    assert el("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_nothing_and_nests_are_children() -> None:
    assert join([None, "a", [el("b"), ["<"]], 3]) == "a<b></b>&lt;3"


def test_raw_is_trusted() -> None:
    assert el("style", raw("a > b")) == "<style>a > b</style>"


@given(st.text(), st.text())
def test_no_text_can_become_markup(text: str, attribute: str) -> None:
    parser = _Collect()
    parser.feed(el("p", text, title=attribute))
    parser.close()
    assert parser.tags == ["p"]
    assert parser.attributes[0][0] == "title"


class _Collect(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
