"""Four views of a cortex, drawn by the package, by nilearn with Matplotlib, and by VTK."""

import importlib.util
import io

import numpy as np
from harness import median_seconds, report, row
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

import atlasinit as ai
from atlasinit.figures import parcel_colors
from atlasinit.figures.surfaces import open_sulci

ATLASES = {
    "Desikan-Killiany, fsaverage5": ("desikan-killiany", {"space": "fsaverage5"}),
    "Schaefer-400, fsLR": ("schaefer2018", {"space": "fsLR", "parcels": 400, "networks": 7}),
}
SIDES = {"cortex_L": "left", "cortex_R": "right"}
PIXELS = (580, 440)


def ours(atlas):
    ai.plot_atlas(atlas).savefig(io.BytesIO(), format="png", dpi=100)


def opened(atlas):
    """Return the surfaces that the package draws, for its peers."""
    return {c: open_sulci(g.anatomical.astype(float), g.faces) for c, g in atlas.geometry.items()}


def labels_at_vertices(atlas, compartment):
    """Return the parcel of each vertex from 1, 0 for none."""
    mesh, labels = atlas.geometry[compartment], atlas.maps[compartment].labels
    found = np.zeros(mesh.n_vertices)
    found[mesh.vertices] = np.asarray(labels) + 1
    return found


def by_nilearn(atlas, surfaces):
    from nilearn.plotting import plot_surf_roi

    colors = parcel_colors(atlas)
    figure = Figure(figsize=(12, 3))
    views = [(c, view) for c in SIDES for view in ("lateral", "medial")]
    for place, (c, view) in enumerate(views, start=1):
        own = colors[atlas.parcel_slices()[c]]
        plot_surf_roi(
            [surfaces[c], atlas.geometry[c].faces],
            roi_map=labels_at_vertices(atlas, c),
            hemi=SIDES[c],
            view=view,
            cmap=ListedColormap(np.vstack([np.full((1, 3), 0.66), own])),
            vmin=0,
            vmax=len(own),
            colorbar=False,
            axes=figure.add_subplot(1, 4, place, projection="3d"),
        )
    figure.savefig(io.BytesIO(), format="png", dpi=100)


def by_vtk(atlas, surfaces):
    """Return RGB of four windows of VTK's, drawn in software where there is no display."""
    import vtkmodules.vtkRenderingOpenGL2  # noqa: F401  registers what draws
    from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
    from vtkmodules.vtkRenderingCore import (
        vtkActor,
        vtkPolyDataMapper,
        vtkRenderer,
        vtkRenderWindow,
        vtkWindowToImageFilter,
    )

    colors = np.vstack([np.full((1, 3), 0.66), parcel_colors(atlas)])
    pictures = []
    for c, coordinates in surfaces.items():
        faces = atlas.geometry[c].faces
        own = np.vstack([colors[:1], colors[1:][atlas.parcel_slices()[c]]])
        rgb = (255 * own[labels_at_vertices(atlas, c).astype(int)]).astype(np.uint8)
        points, cells, data = vtkPoints(), vtkCellArray(), vtkPolyData()
        points.SetData(numpy_to_vtk(np.ascontiguousarray(coordinates), deep=True))
        ends = np.arange(0, faces.size + 1, 3, dtype=np.int64)
        corners = np.ascontiguousarray(faces.reshape(-1), dtype=np.int64)
        cells.SetData(*(numpy_to_vtkIdTypeArray(part, deep=True) for part in (ends, corners)))
        data.SetPoints(points)
        data.SetPolys(cells)
        data.GetPointData().SetScalars(numpy_to_vtk(rgb, deep=True))
        mapper, actor, renderer = vtkPolyDataMapper(), vtkActor(), vtkRenderer()
        mapper.SetInputData(data)
        actor.SetMapper(mapper)
        renderer.AddActor(actor)
        window = vtkRenderWindow()
        window.OffScreenRenderingOn()
        window.SetSize(*PIXELS)
        window.AddRenderer(renderer)
        camera = renderer.GetActiveCamera()
        camera.ParallelProjectionOn()
        for side in (-1, 1):
            camera.SetPosition(500 * side, 0, 0)
            camera.SetFocalPoint(0, 0, 0)
            camera.SetViewUp(0, 0, 1)
            renderer.ResetCamera()
            window.Render()
            reader = vtkWindowToImageFilter()
            reader.SetInput(window)
            reader.Update()
            pictures.append(vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars()))
    return pictures


def main():
    rows = []
    for title, (name, options) in ATLASES.items():
        atlas = ai.load_atlas(name, **options)
        surfaces = opened(atlas)
        mine = median_seconds(lambda: ours(atlas), repeats=3)  # noqa: B023
        peers = {"nilearn plot_surf_roi": by_nilearn}
        if importlib.util.find_spec("vtkmodules") is not None:
            peers["VTK, pixels alone"] = by_vtk
        for peer, draw in peers.items():
            theirs = median_seconds(lambda: draw(atlas, surfaces), repeats=3)  # noqa: B023
            rows.append(row(f"four views, {title}, beside {peer}", mine, theirs))
    return rows


if __name__ == "__main__":
    report(main())
