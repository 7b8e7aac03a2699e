"""The main job on real data that comes with packages on PyPI: load, smooth, project, save, show."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from atlasinit.catalogue import package_file
from atlasinit.cli.demonstration_page import Part, build_index
from atlasinit.figures import plot_atlas
from atlasinit.io import open_data, save_atlas, write_table
from atlasinit.io.formats.grids import load_image
from atlasinit.io.input import Input
from atlasinit.io.overlay.surfaces import read_surface
from atlasinit.io.targets import read_target
from atlasinit.loading import load_atlas
from atlasinit.nn import AtlasLinear
from atlasinit.projection import project
from atlasinit.report import generate_report
from atlasinit.smoothing import smooth
from atlasinit.support.writing import atomic_write

MEASURES = {
    "thickness": "thick",
    "sulcal_depth": "sulc",
    "curvature": "curv",
    "vertex_area": "area",
}
"""Column of the table to the name of nilearn's packaged fsaverage5 map."""

UNITS = {"thickness": "mm", "sulcal_depth": "mm", "curvature": "1/mm", "vertex_area": "mm²"}
"""The mean area of a vertex is not that of the parcel, which the report measures."""

SIDES = {"cortex_L": "left", "cortex_R": "right"}
_FSAVERAGE5 = "nilearn/datasets/data/fsaverage5"
_GREY_MATTER = "nilearn/datasets/data/mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz"


def run_demo(out: Path, *, fwhm: float = 6.0) -> Iterator[Path]:
    """Run both demonstrations into the folder `out` and yield each file once it is written.

    Desikan-Killiany on fsaverage5, smoothed with `fwhm` (mm) and made a layer,
    projected on the four surface maps that nilearn packages; and the spheres of
    Seitzman 2018 on nilearn's MNI grid, projected on its grey-matter map. The last file is
    a page, ``index.html``, that leads to all of them.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    # Each as soon as it is written.
    for path in itertools.chain(_surface(out, fwhm), _volume(out, fwhm)):
        paths.append(path)
        yield path
    parts = (
        Part(
            "desikan-killiany",
            "Desikan-Killiany on fsaverage5",
            f"68 parcels of the cortex, smoothed by {fwhm:g} mm (FWHM) and made a layer, projected "
            "on thickness, sulcal depth, curvature and vertex area.",
        ),
        Part(
            "seitzman2018",
            "Seitzman 2018 in MNI space",
            "300 spheres, projected on a map of grey matter.",
        ),
    )
    yield build_index(out, parts, paths).save(out / "index.html", overwrite=True)


def _surface(out: Path, fwhm: float) -> Iterator[Path]:
    atlas = load_atlas("desikan-killiany", space="fsaverage5")
    soft = smooth(atlas, fwhm=fwhm)
    layer = AtlasLinear.from_atlas(soft)
    files = {
        compartment: {
            measure: package_file(f"{_FSAVERAGE5}/{name}_{side}.gii.gz")
            for measure, name in MEASURES.items()
        }
        for compartment, side in SIDES.items()
    }
    # The same maps twice: means of the labels, and what the layer of the smoothed atlas makes of
    # them, which starts as that atlas.
    values, smoothed = {}, {}
    for measure in MEASURES:
        data = open_data({c: files[c][measure] for c in SIDES}, atlas).all()
        values[measure] = np.asarray(project(atlas, data)[:, 0])
        smoothed[f"{measure}_fwhm{fwhm:g}"] = np.asarray(layer(data)).reshape(-1)
    table = atlas.labels.assign(**values, **smoothed)
    surfaces = {}
    for compartment, side in SIDES.items():
        inflated = read_surface(package_file(f"{_FSAVERAGE5}/infl_{side}.gii.gz"))
        surfaces[compartment] = (inflated.coordinates, inflated.faces)
    yield from save_atlas(soft, out / "desikan-killiany.npz", overwrite=True)
    yield from save_atlas(atlas, out / "desikan-killiany.label.gii", overwrite=True)
    yield from save_atlas(soft, out / "desikan-killiany.func.gii", overwrite=True)
    yield write_table(table, out / "desikan-killiany_values.tsv", overwrite=True)
    yield _save(
        plot_atlas(atlas, values, surfaces=surfaces, units=UNITS), out / "desikan-killiany.png"
    )
    report = generate_report(soft, before=atlas, values=values, surfaces=surfaces)
    yield report.save(out / "desikan-killiany.html", overwrite=True)


def _volume(out: Path, fwhm: float) -> Iterator[Path]:
    image = package_file(_GREY_MATTER)
    atlas = load_atlas("seitzman2018", mask=read_target(image).grid)
    data = open_data(image, atlas).all() / 255  # stored as 0 to 255
    grey_matter = np.asarray(project(atlas, data)[:, 0])
    table = atlas.labels.assign(grey_matter=grey_matter)
    soft = smooth(atlas, fwhm=fwhm)
    # The grid of the spheres is the image's own, so that its voxels lie behind them as they are.
    with Input(image) as source:
        background = np.asanyarray(load_image(source).dataobj)
    yield from save_atlas(atlas, out / "seitzman2018.npz", overwrite=True)
    yield write_table(table, out / "seitzman2018_values.tsv", overwrite=True)
    yield _save(plot_atlas(atlas, background=background), out / "seitzman2018.png")
    report = generate_report(
        soft, before=atlas, values={"grey_matter": grey_matter}, background=background
    )
    yield report.save(out / "seitzman2018.html", overwrite=True)


def _save(figure: Figure, path: Path) -> Path:
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    return path
