"""The label tables and names that Connectome Workbench keeps in the header of a volume."""

from xml.etree import ElementTree

from atlasinit.io.colors import table_to_hex
from atlasinit.io.contents import LabelRow


def rows_of_header(xml: bytes, number: int) -> tuple[LabelRow, ...] | None:
    """Return the table of volume `number` in Workbench's XML, None where it has none."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None  # another program's
    labels = root.findall(f"VolumeInformation[@Index='{number}']/LabelTable/Label")
    rgb = [[float(label.get(c, "0")) for c in ("Red", "Green", "Blue")] for label in labels]
    rows = tuple(
        LabelRow(int(label.attrib["Key"]), (label.text or "").strip(), color)
        for label, color in zip(labels, table_to_hex(rgb), strict=True)
    )
    # A volume of values has a table that names key 0 alone.
    return rows if any(row.key for row in rows) else None


def names_of_header(xml: bytes, count: int) -> list[str]:
    """Return the names of volumes in Workbench's XML, ``""`` of those that it does not name."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return [""] * count
    found = (root.find(f"VolumeInformation[@Index='{i}']/GuiLabel") for i in range(count))
    return ["" if name is None else (name.text or "").strip() for name in found]
