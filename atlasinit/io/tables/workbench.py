"""The label table that Connectome Workbench keeps in the header of a volume."""

from typing import Any
from xml.etree import ElementTree

from atlasinit.io.colors import to_hex
from atlasinit.io.contents import LabelRow

_CODE = 30


def label_rows(image: Any, number: int) -> tuple[LabelRow, ...] | None:
    """Return the table of a volume of a NIfTI image, None where Workbench left none.

    Parameters
    ----------
    image
        A nibabel image, of whatever format.
    number
        Number of the volume, from 0.
    """
    for extension in getattr(image.header, "extensions", ()):
        if extension.get_code() == _CODE:
            return _rows(bytes(extension.content).strip(b"\0 "), number)
    return None


def _rows(xml: bytes, number: int) -> tuple[LabelRow, ...] | None:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None  # another program's
    labels = root.findall(f"VolumeInformation[@Index='{number}']/LabelTable/Label")
    rows = tuple(
        LabelRow(
            int(label.attrib["Key"]),
            (label.text or "").strip(),
            to_hex(float(label.get(channel, "0")) for channel in ("Red", "Green", "Blue")),
        )
        for label in labels
    )
    # A volume of values has a table that names key 0 alone.
    return rows if any(row.key for row in rows) else None
