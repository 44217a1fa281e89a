"""HTML made of elements, so that what is told can never become markup.

What belongs here: making elements, and their text. What does not: what a page says.

Text and attributes are escaped, every character of them that HTML knows. What stands in a script or style is not: it is
the page's own, or JSON from `data` without any such character.
"""

from html import escape
from xml.etree.ElementTree import Element

from trading_engine.domain.errors import InvariantBroken

Child = Element | str | None
_JSON_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_VOID = ("meta", "input")  # elements that have no end
_RAW = ("script", "style")  # elements whose text is not HTML


def el(tag: str, *children: Child, **attributes: str | bool | None) -> Element:
    """An element; a name ends in _ or holds one for a hyphen (`class_`, `aria_label`), True is an attribute alone."""
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None and value is not False:
            made.set(name.rstrip("_").replace("_", "-"), "" if value is True else str(value))
    for child in children:
        _add(made, child)
    return made


def _add(parent: Element, child: Child) -> None:
    if child is None:
        return
    if isinstance(child, Element):
        parent.append(child)
    elif len(parent):
        parent[-1].tail = (parent[-1].tail or "") + child
    else:
        parent.text = (parent.text or "") + child


def data(name: str, json_text: str) -> Element:
    """A block of JSON for the page's script; reading it gives exactly what was given."""
    for character, instead in _JSON_ESCAPES.items():
        json_text = json_text.replace(character, instead)
    return el("script", json_text, id=name, type="application/json")


def document(head: list[Element], body: list[Element]) -> bytes:
    """A whole page, UTF-8."""
    page = el("html", el("head", *head), el("body", *body), lang="en")
    parts = ["<!DOCTYPE html>\n"]
    _write(page, parts)
    return "".join([*parts, "\n"]).encode()


def _write(element: Element, parts: list[str]) -> None:
    """The library's own writer leaves < as it is in attributes; that is allowed, and one thing more to think about."""
    tag = element.tag
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in element.items())
    parts.append(f"<{tag}{attributes}>")
    if tag not in _VOID:
        text = element.text or ""
        if tag in _RAW and "</" in text:
            raise InvariantBroken(f"the page's {tag} would end before its end")
        parts.append(text if tag in _RAW else escape(text, quote=False))
        for child in element:
            _write(child, parts)
        parts.append(f"</{tag}>")
    parts.append(escape(element.tail or "", quote=False))
