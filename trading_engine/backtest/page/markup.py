"""HTML made of elements, so that what is told can never become markup.

What belongs here: making elements, and text of them. What does not: what a page says.

Text and attributes are escaped by the serialiser; what stands in a script element is not, so `data` writes JSON without
any character that HTML knows.
"""

from xml.etree.ElementTree import Element, SubElement, tostring

Child = Element | str | None
_SCRIPT_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def el(tag: str, *children: Child, **attributes: str | bool | None) -> Element:
    """An element; a name ends in _ or holds one for a hyphen (`class_`, `aria_label`), True is an attribute alone."""
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None and value is not False:
            made.set(name.rstrip("_").replace("_", "-"), "" if value is True else str(value))
    for child in children:
        add(made, child)
    return made


def add(parent: Element, child: Child) -> None:
    """Append an element or text; None adds nothing."""
    if child is None:
        return
    if isinstance(child, str):
        last = parent[-1] if len(parent) else None
        if last is None:
            parent.text = (parent.text or "") + child
        else:
            last.tail = (last.tail or "") + child
        return
    parent.append(child)


def data(name: str, json_text: str) -> Element:
    """A block of JSON for the page's script; reading it gives exactly what was given."""
    for character, escape in _SCRIPT_UNSAFE.items():
        json_text = json_text.replace(character, escape)
    return el("script", json_text, id=name, type="application/json")


def document(head: list[Element], body: list[Element]) -> bytes:
    """A whole page, UTF-8."""
    page = Element("html", {"lang": "en"})
    for name, parts in (("head", head), ("body", body)):
        SubElement(page, name).extend(parts)
    text: str = tostring(page, encoding="unicode", method="html")
    return f"<!DOCTYPE html>\n{text}\n".encode()
