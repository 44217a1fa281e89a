"""Elements as text."""

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_engine.backtest.page.markup import data, document, el
from trading_engine.domain.errors import InvariantBroken

ANYTHING = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30) | st.sampled_from(
    ["</script>", '"><b>', "<!--", "&lt;", "]]>", "\u2028"]
)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Every element that a browser would see."""
        self.tags.append(tag)
        self.attributes.update(attrs)

    def handle_data(self, data: str) -> None:
        """Every text that a browser would see."""
        self.words.append(data)


@given(ANYTHING, ANYTHING, ANYTHING)
def test_whatever_is_told_stays_text(inside: str, attribute: str, after: str) -> None:
    """A browser reads back the very words, and no element that was not made."""
    reader = _Reader()
    made = document([], [el("p", el("b", inside, title=attribute), after)])
    reader.feed(made.decode())
    reader.close()
    assert ["html", "head", "body", "p", "b"] == reader.tags
    assert attribute == reader.attributes["title"]
    assert f"\n{inside}{after}\n" == "".join(reader.words)


@given(st.dictionaries(ANYTHING, ANYTHING, max_size=4))
def test_data_reads_back_as_it_was(told: dict[str, str]) -> None:
    """JSON in a script: the same values, and nothing in it that could end the script."""
    text = data("told", json.dumps(told, ensure_ascii=False)).text or ""
    assert told == json.loads(text)
    assert set("<>&\u2028\u2029").isdisjoint(text)


def test_a_script_that_would_end_itself_is_refused() -> None:
    """The page's own script and style are not escaped, so they must not hold an end."""
    with pytest.raises(InvariantBroken, match="the page's script would end before its end"):
        document([], [el("script", 'const end = "</script>";')])


def test_attributes_come_in_python_names() -> None:
    """A trailing _ goes, another is a hyphen; True is alone, None and False are nothing."""
    made = document([], [el("p", class_="one", aria_label="two", hidden=True, title=None, lang=False)])
    assert b'<p class="one" aria-label="two" hidden=""></p>' in made
