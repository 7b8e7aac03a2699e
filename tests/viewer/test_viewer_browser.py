"""The page of a view in a browser without a window, its WebGL computed by the CPU."""

import re

import numpy as np
import pytest
from helpers_browser import clear_logs, find, needs_browser, requests_of, start_browser
from helpers_report import blocks_atlas, cortex_atlas, hostile_atlas

import atlasinit as ai

pytestmark = needs_browser

FLAGS = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


@pytest.fixture(scope="module")
def browser():
    with start_browser(*FLAGS) as driver:
        # Small, as every pixel is computed; the whole picture is in sight.
        metrics = {"width": 500, "height": 640, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        yield driver


@pytest.fixture
def visit(browser, tmp_path):
    """Open the page of a view, and check afterwards that it was quiet and asked for nothing."""
    addresses = []

    def open_page(view):
        from selenium.webdriver.support.ui import WebDriverWait

        address = view.save_as_html(tmp_path / "view.html", overwrite=True).as_uri()
        addresses.append(address)
        clear_logs(browser)
        browser.get(address)
        script = "return document.documentElement.dataset.ready === 'yes'"
        WebDriverWait(browser, 240).until(lambda driver: driver.execute_script(script))
        return browser

    yield open_page
    assert browser.get_log("browser") == []
    own = ("data:", "about:", "blob:")
    elsewhere = {url for url in requests_of(browser) if not url.startswith(own)}
    assert elsewhere == set(addresses)


def choose(page, css, text):
    from selenium.webdriver.support.ui import Select

    Select(find(page, css)).select_by_visible_text(text)


def move(page, across, up):
    """Return the chain that moves to shares of the picture's size from its middle."""
    from selenium.webdriver import ActionChains

    canvas = find(page, "#picture")
    size = min(canvas.size["width"], canvas.size["height"])
    x, y = round(across * size), round(-up * size)
    return ActionChains(page).move_to_element_with_offset(canvas, x, y)


def click(page, across, up):
    """Click the picture; return what is said below it."""
    move(page, across, up).click().perform()
    return find(page, "#said").text


def check_pointing(page, across, up):
    """Point at a parcel: its name and value are shown, and nothing else moves; then click it."""
    from selenium.webdriver.support.ui import WebDriverWait

    state = "return [[...niivue.scene.crosshairPos].join(), document.querySelector('#said').textContent]"
    before = page.execute_script(state)
    move(page, across, up).perform()
    hover = find(page, "#hover")
    WebDriverWait(page, 60).until(lambda _: hover.is_displayed())
    shown = hover.text
    assert page.execute_script(state) == before
    said = click(page, across, up)
    assert not hover.is_displayed()
    name, _, value = shown.partition(": ")
    assert said.startswith(f"{name} key")
    assert f"t: {value};" in said


def press(page, css):
    # Wherever it lies on the page: a small window shows a part.
    page.execute_script("arguments[0].click()", find(page, css))


def numbers(text):
    return [float(n.replace("−", "-")) for n in re.search(r"at (.*) mm", text)[1].split(", ")]


def whole_atlas():
    """Return blocks of voxels between two hemispheres, as CIFTI files hold them."""
    cortex, blocks = cortex_atlas(), blocks_atlas()
    columns = ("compartment", "key", "name", "color", "hemisphere")
    rows = {c: [*cortex.table[c], *blocks.table[c]] for c in columns}
    rows["compartment"] = [c.replace("volume", "subcortex") for c in rows["compartment"]]
    return ai.Atlas(
        name="whole",
        space="test",
        maps={**cortex.maps, "subcortex": blocks.maps["volume"]},
        geometry={**cortex.geometry, "subcortex": blocks.geometry["volume"]},
        labels=ai.LabelTable(rows),
    )


def check_voxels(page, atlas, compartment):
    """Click slices, and compare what is said with the atlas at the place that is said."""
    rows = atlas.parcel_slices()[compartment]
    names = atlas.labels["name"][rows].tolist()
    press(page, f"#list li:nth-child({rows.start + 1}) button")  # to a slice through the blocks
    labels = np.asarray(atlas.maps[compartment].labels).reshape(8, 8, 8)
    for across, up in ((-0.15, 0.15), (0.15, 0.15), (-0.15, -0.15)):
        said = click(page, across, up)
        i, j, k = (round(x / 2) for x in numbers(said))
        # The left of the picture is the left of the world, and its upper side anterior.
        assert (i < 4, j >= 4) == (across < 0, up > 0)
        row = labels[i, j, k]
        assert said.startswith(f"{names[row]} key {row + 1}; {compartment}; ")
        assert find(page, "#list [aria-pressed=true]").text.startswith(names[row])


def check_vertices(page, atlas):
    """Click both hemispheres from their sides, and compare what is said with the atlas."""
    rows, names = atlas.parcel_slices(), atlas.labels["name"]
    for side, x in (("left", -110), ("right", 110)):
        compartment = f"cortex_{side[0].upper()}"
        choose(page, "#from", side)
        said = click(page, 0.05, 0.1)
        vertex = int(re.search(rf"vertex (\d+) of {compartment}", said)[1])
        place = atlas.geometry[compartment].anatomical[vertex]
        assert abs(place[0] - x) < 12
        # Anterior is on the left for who looks from the left.
        assert np.sign(place[1]) == (-1 if side == "left" else 1)
        assert place[2] > 0
        np.testing.assert_allclose(numbers(said), place, atol=0.051)
        row = np.asarray(atlas.maps[compartment].labels)[vertex]
        assert said.startswith(names[rows[compartment].start + row])


def test_a_click_names_the_parcel_of_the_vertex_or_the_voxel(visit):
    atlas = whole_atlas()
    page = visit(ai.view_atlas(atlas, {"t": np.arange(16.0)}, units="mm"))
    check_vertices(page, atlas)
    assert re.search(r"; t: \d mm; vertex", find(page, "#said").text)
    check_pointing(page, 0.1, -0.1)
    choose(page, "#layout", "axial")
    check_voxels(page, atlas, "subcortex")
    check_pointing(page, 0.15, -0.15)


@pytest.mark.sweep
def test_the_list_leads_to_the_parcel(visit):
    atlas = whole_atlas()
    page = visit(ai.view_atlas(atlas))
    names, keys, homes = (atlas.table[c] for c in ("name", "key", "compartment"))
    for row, (name, key, c) in enumerate(zip(names, keys, homes, strict=True)):
        press(page, f"#list li:nth-child({row + 1}) button")
        said = find(page, "#said").text
        assert said.startswith(f"{name} key {key}")
        mm = page.execute_script("return [...niivue.frac2mm(niivue.scene.crosshairPos)]")[:3]
        own = np.asarray(atlas.maps[c].labels) == row - atlas.parcel_slices()[c].start
        if c == "subcortex":
            assert own.reshape(8, 8, 8)[tuple(np.rint(np.array(mm) / 2).astype(int))]
        else:
            place = atlas.geometry[c].anatomical
            vertex = np.linalg.norm(place - mm, axis=1).argmin()
            assert own[vertex]
            assert f"vertex {vertex} of {c}" in said
    press(page, "#all")
    find(page, "#find").send_keys("cortex_r")
    shown = page.execute_script(
        "return [...document.querySelectorAll('#list li:not([hidden])')].map(e => e.textContent)"
    )
    assert shown == [n for n in names if "cortex_R" in n]


@pytest.mark.sweep
def test_pages_of_one_kind(visit):
    volume, cortex = blocks_atlas(), cortex_atlas()
    page = visit(ai.view_atlas(volume))
    choose(page, "#layout", "axial")
    check_voxels(page, volume, "volume")
    assert click(page, -0.45, 0.45).startswith("No parcel; at")
    page = visit(ai.view_atlas(cortex))
    choose(page, "#shape", "as it lies")
    check_vertices(page, cortex)


@pytest.mark.sweep
def test_hostile_names_are_shown_as_they_are(visit):
    atlas = hostile_atlas()
    page = visit(ai.view_atlas(atlas, {"</script><b>x": np.arange(8.0)}))
    shown = page.execute_script(
        "return [...document.querySelectorAll('#list button span:nth-child(2)')].map(e => e.textContent)"
    )
    assert shown == atlas.labels["name"].tolist()
    assert page.title == f"{atlas.name} – atlas view"
    press(page, "#list li:nth-child(2) button")
    assert find(page, "#said strong").text == " ".join(atlas.labels["name"][1].split())


@pytest.mark.sweep
@pytest.mark.parametrize("width", [390, 1200])
def test_long_names_leave_the_page_as_wide_as_the_window(visit, width):
    atlas = blocks_atlas()
    columns = {c: atlas.table[c] for c in atlas.table.columns}
    # Without a space to break at, and without one of a script that needs none.
    names = [f"{'very_long_' * 9}{i}" if i % 2 else f"{'左半球前頭前野' * 12}{i}" for i in range(8)]
    rows = ai.LabelTable(columns | {"name": names, "network": [name[:-1] for name in names]})
    atlas = atlas.replace(labels=rows, name="long_name_" * 20)
    view = ai.view_atlas(atlas, {"title " * 30: np.arange(8.0)}, units="unit " * 9, vmax=5)
    page = visit(view)
    metrics = {"width": width, "height": 640, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        press(page, "#list li:nth-child(2) button")
        wide, inner = page.execute_script(
            "return [document.documentElement.scrollWidth, innerWidth]"
        )
        assert wide <= inner == width
        # Names are read: a line of them has several letters.
        shown = page.execute_script(
            "return [...document.querySelectorAll('#list button span:nth-child(2)')].map(e => e.clientWidth)"
        )
        assert min(shown) > 100
    finally:
        page.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 500, "height": 640, "deviceScaleFactor": 1, "mobile": False},
        )


@pytest.mark.sweep
def test_grey_parcels_are_striped_in_slices(visit):
    atlas = blocks_atlas()
    columns = {c: atlas.table[c] for c in atlas.table.columns}
    colors = ["#9a9a9a"] * 4 + ["#d03020"] * 4
    atlas = atlas.replace(labels=ai.LabelTable(columns | {"color": colors}))
    page = visit(ai.view_atlas(atlas))
    choose(page, "#layout", "axial")
    script = """
        const [nv, out] = [niivue, []];
        nv.opts.crosshairWidth = 0;
        for (const voxel of arguments[0]) {
          const mm = voxel.map((v) => 2 * v);
          nv.scene.crosshairPos = nv.mm2frac(mm);
          nv.drawScene();
          const [left, top, width, height] = nv.screenSlices[0].leftTopWidthHeight;
          const [x, y] = nv.mm2frac(mm);
          const pixel = new Uint8Array(4);
          const { gl } = nv;
          gl.readPixels(left + x * width, gl.canvas.height - (top + (1 - y) * height), 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
          out.push([...pixel.slice(0, 3)]);
        }
        return out;
    """
    labels = np.asarray(atlas.maps["volume"].labels).reshape(8, 8, 8)
    voxels = [[i, j, 2] for i in range(8) for j in range(1, 3)]
    shown = np.array(page.execute_script(script, voxels))
    grey = np.array([labels[tuple(v)] < 4 for v in voxels])
    assert grey.any()
    assert not grey.all()
    assert np.ptp(shown[grey], axis=0).min() > 60
    np.testing.assert_allclose(shown[~grey], [[0xD0, 0x30, 0x20]] * (~grey).sum(), atol=3)


@pytest.mark.sweep
def test_a_notebook_shows_it_in_a_frame(visit, tmp_path):
    from selenium.webdriver.support.ui import WebDriverWait

    class Notebook:
        def save_as_html(self, path, *, overwrite):
            frame = ai.view_atlas(cortex_atlas())._repr_html_()
            script = "<script>document.documentElement.dataset.ready = 'yes'</script>"
            path.write_text(f"<!doctype html><link rel=icon href=data:,>{frame}{script}", "utf-8")
            return path

    page = visit(Notebook())
    page.switch_to.frame(find(page, "iframe"))
    WebDriverWait(page, 240).until(lambda driver: find(driver, "#said").text.startswith("Point at"))
    choose(page, "#from", "left")
    assert "cortex_L" in click(page, 0, 0)
    page.switch_to.default_content()


@pytest.mark.sweep
def test_more_than_256_parcels_keep_their_colours(visit):
    # NiiVue looks up what is no label in 256 steps, in which neighbours of 600 run together.
    grid = ai.VolumeGrid((10, 10, 10), np.eye(4))
    labels = np.where(np.arange(1000) < 600, np.arange(1000), -1).astype(np.int32)
    rng = np.random.default_rng(0)
    colors = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in rng.integers(60, 256, (600, 3))]
    atlas = ai.Atlas(
        name="many",
        space="test",
        maps={"volume": ai.HardMaps(labels, 600)},
        geometry={"volume": grid},
        labels=ai.LabelTable(
            {
                "compartment": ["volume"] * 600,
                "key": range(1, 601),
                "name": [f"p{i}" for i in range(600)],
                "color": colors,
                "hemisphere": [""] * 600,
            }
        ),
    )
    page = visit(ai.view_atlas(atlas, background=False))
    choose(page, "#layout", "axial")
    script = """
        const [nv, out] = [niivue, []];
        nv.opts.crosshairWidth = 0;
        for (const row of arguments[0]) {
          const mm = [Math.floor(row / 100), Math.floor(row / 10) % 10, row % 10];
          nv.scene.crosshairPos = nv.mm2frac(mm);
          nv.drawScene();
          const [left, top, width, height] = nv.screenSlices[0].leftTopWidthHeight;
          const [x, y] = nv.mm2frac(mm);
          const pixel = new Uint8Array(4);
          const { gl } = nv;
          gl.readPixels(left + x * width, gl.canvas.height - (top + (1 - y) * height), 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
          out.push([...pixel.slice(0, 3)]);
        }
        return out;
    """
    # Voxels in the middle of the labelled part, of which the neighbours are labelled too; and none.
    rows = [155, 244, 266, 355, 433, 444]
    shown = page.execute_script(script, [*rows, 855])
    expected = [[int(colors[r][i : i + 2], 16) for i in (1, 3, 5)] for r in rows]
    np.testing.assert_allclose(shown[:-1], expected, atol=3)
    assert max(shown[-1]) < 10


@pytest.mark.sweep
def test_what_faces_the_viewer_on_a_mesh_has_the_colour_of_the_list(visit):
    page = visit(ai.view_atlas(cortex_atlas(), {"t": np.full(8, 2.0)}, vmin=-9, vmax=9))
    choose(page, "#from", "left")
    script = """
        const [nv, side] = [niivue, 81];
        nv.opts.show3Dcrosshair = false;
        nv.drawScene();
        const { gl } = nv;
        const [x, y] = [gl.canvas.width, gl.canvas.height].map((size) => (size - side) / 2);
        const pixels = new Uint8Array(4 * side * side);
        gl.readPixels(x, y, side, side, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
        const swatch = document.querySelector("#list li button > *");
        return [[...pixels], getComputedStyle(swatch).backgroundColor];
    """
    pixels, listed = page.execute_script(script)
    expected = [int(n) for n in re.findall(r"\d+", listed)[:3]]
    assert max(expected) > 200  # Pale: what brightens it makes it paler.
    shown = np.reshape(pixels, (-1, 4))[:, :3]
    np.testing.assert_allclose(shown.max(axis=0), expected, atol=3)
