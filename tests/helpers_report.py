"""Atlases to report on, and a reader of pages."""

from html.parser import HTMLParser

import numpy as np
from helpers import table
from helpers_smoothing import sphere_mesh, voronoi

import atlasinit as ai

HOSTILE = '<script>alert(\'1\')</script> & "x" onerror="y" {{ 7 * 7 }} é'


def cortex_atlas(n_parcels=4, level=3, names=None, name="cortex"):
    """Return two hemispheres of `n_parcels` each on anatomical spheres beside each other."""
    maps, geometry = {}, {}
    for side, x in (("L", -60.0), ("R", 60.0)):
        mesh = sphere_mesh(level, radius=50.0)
        geometry[f"cortex_{side}"] = ai.SurfaceMesh(
            mesh.n_vertices,
            faces=mesh.faces,
            sphere=mesh.sphere,
            anatomical=np.asarray(mesh.sphere) + np.float32([x, 0, 0]),
            hemisphere=side,
        )
        maps[f"cortex_{side}"] = voronoi(mesh, n_parcels, seed=ord(side))
    return ai.Atlas(
        name=name,
        space="test",
        maps=maps,
        geometry=geometry,
        labels=table([c for c in maps for _ in range(n_parcels)], names=names),
        provenance=ai.Provenance(source="files", licence="CC0", citation="nobody"),
    )


def hostile_atlas():
    """Return a cortex whose every name is full of markup."""
    names = [f"{HOSTILE} {i}" for i in range(8)]
    atlas = cortex_atlas(names=names, name=HOSTILE)
    stated = ai.Provenance(HOSTILE, HOSTILE, HOSTILE, HOSTILE, ((HOSTILE, HOSTILE),), (HOSTILE,))
    return ai.Atlas(
        name=HOSTILE,
        space=HOSTILE,
        maps=atlas.maps,
        geometry=atlas.geometry,
        labels=ai.LabelTable(
            {c: atlas.table[c] for c in atlas.table.columns} | {HOSTILE: [HOSTILE] * 8}
        ),
        provenance=stated,
    )


def blocks_atlas():
    """Return a volume of 8 x 8 x 8 voxels in 8 blocks."""
    index = np.stack(np.indices((8, 8, 8))) // 4
    labels = np.ravel_multi_index(tuple(index), (2, 2, 2)).reshape(-1).astype(np.int32)
    grid = ai.VolumeGrid((8, 8, 8), np.diag([2.0, 2, 2, 1]))
    return ai.Atlas(
        name="blocks",
        space="test",
        maps={"volume": ai.HardMaps(labels, 8)},
        geometry={"volume": grid},
        labels=table(["volume"] * 8),
    )


class Page(HTMLParser):
    """What a reader of the page finds: texts by tag, attributes, tables."""

    VOID = ("meta", "link", "img", "input", "line", "rect")

    def __init__(self, html):
        super().__init__()
        self._open, self._found, self.ids, self.handlers, self._tables = [], [], [], [], {}
        self._words = []
        self.feed(html)
        self.close()
        assert not self._open, [tag for tag, *_ in self._open]

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.handlers += [name for name in attributes if name.startswith("on")]
        if "id" in attributes:
            self.ids.append(attributes["id"])
        item = (tag, attributes, [])
        self._found.append(item)
        if tag == "table":
            self._rows = []
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append(item)
        if tag == "caption":
            self._tables[attributes["id"]] = self._rows
        if tag not in self.VOID:
            self._open.append(item)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            opened = self._open.pop()
            assert opened[0] == tag, (opened[0], tag)

    def handle_data(self, data):
        if self._open and self._open[-1][0] in ("script", "style"):
            return
        self._words.append(data)
        for _, _, words in self._open:
            words.append(data)

    @property
    def text(self):
        return " ".join("".join(self._words).split())

    def count(self, tag):
        return sum(name == tag for name, *_ in self._found)

    def texts(self, tag):
        return ["".join(words).strip() for name, _, words in self._found if name == tag]

    def attributes(self, tag, attribute):
        return [a[attribute] for name, a, _ in self._found if name == tag and attribute in a]

    def rows(self, caption):
        """Return the cells of the table with a caption, row by row."""
        return [["".join(cell[2]).strip() for cell in row] for row in self._tables[caption]]

    def table(self):
        """Return heading to cells of the table of parcels."""
        titles, *rows = self.rows("parcels-caption")
        return {title: [row[i] for row in rows] for i, title in enumerate(titles)}

    def numbers(self):
        """Return heading to the numbers that the cells of the table of parcels are sorted by."""
        titles, *rows = self._tables["parcels-caption"]
        return {
            "".join(title[2]).strip(): [
                float(row[i][1].get("data-number") or "".join(row[i][2]) or "nan") for row in rows
            ]
            for i, title in enumerate(titles)
            if title[1].get("class") == "n"
        }
