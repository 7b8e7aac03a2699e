"""What Connectome Workbench keeps in the header of a volume: names of maps, and their labels."""

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from nibabel.nifti1 import Nifti1Extension

from atlasinit.core.labels import LabelTable
from atlasinit.io.colors import colors_of, from_hex, table_to_hex
from atlasinit.io.contents import LabelRow

CODE = 30
"""Of its extension among NIfTI's."""
NONE = "???"
"""The name that it gives key 0."""


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


def header_of_labels(name: str, labels: LabelTable, keys: Sequence[int]) -> Nifti1Extension:
    """Return the extension of one volume of labels, whose rows the file calls `keys`."""
    root = Element("CaretExtension")
    info = _volume(root, 0, name, "Label")
    table = SubElement(info, "LabelTable")
    none = (0, NONE, (1.0, 1.0, 1.0), "0")
    colors = map(from_hex, colors_of(labels))
    own = ((k, n, c, "1") for k, n, c in zip(keys, labels["name"], colors, strict=True))
    for key, text, rgb, alpha in (none, *own):
        channels = dict(zip(("Red", "Green", "Blue"), (f"{part:.6g}" for part in rgb), strict=True))
        SubElement(table, "Label", {"Key": str(key), **channels, "Alpha": alpha}).text = text
    return _extension(root)


def header_of_maps(names: Sequence[str]) -> Nifti1Extension:
    """Return the extension of volumes of values with these names."""
    root = Element("CaretExtension")
    for number, name in enumerate(names):
        _volume(root, number, name, "Functional")
    return _extension(root)


def _volume(root: Element, number: int, name: str, kind: str) -> Element:
    info = SubElement(root, "VolumeInformation", {"Index": str(number)})
    SubElement(info, "GuiLabel").text = name
    SubElement(info, "StudyMetaDataLinkSet")
    SubElement(info, "VolumeType").text = kind
    return info


def _extension(root: Element) -> Nifti1Extension:
    return Nifti1Extension(CODE, ElementTree.tostring(root, "utf-8", xml_declaration=True))
