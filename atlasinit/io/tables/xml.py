"""Label tables in XML: of FSL, SPM, CAT12 and the Juelich brain atlas."""

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring

from atlasinit.errors import ContentError
from atlasinit.io.contents import LabelRow
from atlasinit.io.tables.cells import is_whole_number, parse_key
from atlasinit.io.tables.columns import Rows, rows_of_columns
from atlasinit.io.tables.titles import key_rank, normalise_title

# Elements that are an entry each, whose text is its name where they have no other.
_ENTRIES = {"label", "structure", "region", "roi", "area", "parcel", "entry", "item"}


def rows_of_xml(data: bytes) -> Rows:
    """Return the entries of an atlas in XML.

    In FSL's, whose labels have an attribute ``index``, this is the value in the image for an
    atlas of type ``Label``. For any other it is the number of a volume, and the value in
    the image of labels one more. In SPM's and CAT12's each label holds an element ``index`` and
    one ``name``; in those of the Juelich atlas the value is an attribute ``grayvalue``.
    """
    try:
        root = fromstring(data)
    except ParseError as error:
        raise ContentError(f"its XML is damaged: {error}") from error
    entries = list(_entries(root))
    if all("index" in element.attrib for element in entries):
        return tuple(_rows_of_fsl(root, entries))
    records = [_fields(element) for element in entries]
    titles = list(dict.fromkeys(title for record in records for title in record))
    for i, record in enumerate(records):
        if not any(key_rank(normalise_title(title)) is not None for title in record):
            name = record.get("name", "")
            raise ContentError(f"is a label without an index: {name!r}", row=i + 1)
    return rows_of_columns(titles, [[record.get(title) for title in titles] for record in records])


def _rows_of_fsl(root: Element, entries: list[Element]) -> Iterator[LabelRow]:
    # Of a probabilistic atlas the index counts volumes from 0, and the values of labels from 1.
    first = 0 if root.findtext("header/type", "").strip().casefold() == "label" else 1
    for i, label in enumerate(entries):
        name = "".join(label.itertext()).strip()
        if not is_whole_number(label.get("index")):
            raise ContentError(f"is a label without an index: {name!r}", row=i + 1)
        # Voxel coordinates of a place in the region, for viewers.
        xyz = [label.attrib[axis] for axis in "xyz" if axis in label.attrib]
        extra = {"xyz": ", ".join(xyz)} if len(xyz) == 3 else {}
        key = parse_key(label.get("index"), row=i + 1, column="index") + first
        yield LabelRow(key, name, extra=extra)


def _fields(element: Element) -> dict[str, Any]:
    """Return the attributes and the elements of an entry, and its own text as its name."""
    fields: dict[str, Any] = {**element.attrib}
    for child in element:
        # <index>1</index>; an attribute of the same name goes before.
        fields.setdefault(str(child.tag).rpartition("}")[2], "".join(child.itertext()).strip())
    text = (element.text or "").strip()
    if text and not any(normalise_title(title) == "name" for title in fields):
        fields["name"] = text
    return fields


def _entries(root: Element) -> Iterator[Element]:
    """Yield the entries in the order of the file; an element within one is a field of it."""
    # Depth first, in the order of the file: children are put on the stack the last one first.
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if _tag(element) in _ENTRIES and not _holds_entries(element):
            yield element
        else:
            waiting.extend(reversed(element))


def _holds_entries(element: Element) -> bool:
    return any(_tag(child) in _ENTRIES and (len(child) or child.attrib) for child in element)


def _tag(element: Element) -> str:
    """Return the name of an element without its namespace; a comment has none."""
    return element.tag.rpartition("}")[2].casefold() if isinstance(element.tag, str) else ""
