"""The label table that Connectome Workbench keeps in the header of a volume."""

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
