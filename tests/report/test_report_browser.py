"""The report in a browser without a window: it works, asks for nothing, and fits."""

import functools

import numpy as np
import pytest
from helpers_browser import clear_logs, find, needs_browser, requests_of, start_browser
from helpers_report import HOSTILE, blocks_atlas, cortex_atlas, hostile_atlas

import atlasinit as ai
from atlasinit.figures import atlas_views

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser():
    with start_browser("--disable-gpu") as driver:
        driver.implicitly_wait(5)
        yield driver


def name_at_length(atlas):
    """Return an atlas whose names have no space to break at, every other one in Japanese."""
    columns = {c: atlas.table[c] for c in atlas.table.columns}
    names = [f"{('very_long_', '左半球前頭前野')[i % 2] * 12}{i}" for i in range(8)]
    networks = [name[:-1] for name in names]
    rows = ai.LabelTable(columns | {"name": names, "network": networks})
    return atlas.replace(labels=rows, name="long_name_" * 20)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Write a few reports once; return their addresses."""
    folder = tmp_path_factory.mktemp("reports")
    rng = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        views = functools.partial(atlas_views, width=240, size=120)
        patch.setattr("atlasinit.report.pictures.atlas_views", views)
        cortex, blocks = cortex_atlas(), blocks_atlas()
        soft = ai.smooth(cortex, fwhm=30)
        weights = rng.random((8, 512)).astype(np.float32)
        soft_blocks = blocks.replace(maps={"volume": ai.DenseMaps(weights)})
        made = {
            "cortex": ai.generate_report(
                soft,
                before=cortex,
                series=rng.normal(size=(20, 8)),
                values={"thickness": [3, 10, -2, np.nan, 0.5, 200, 1, 1]},
            ),
            "volume": ai.generate_report(blocks, series=rng.normal(size=(1, 8))),
            "probabilistic": ai.generate_report(soft_blocks),
            "hostile": ai.generate_report(hostile_atlas(), title=HOSTILE),
            "long": ai.generate_report(name_at_length(blocks), values=np.arange(8.0)),
        }
    wrapped = f"<!doctype html><title>notebook</title>{made['cortex']._repr_html_()}"
    (folder / "notebook.html").write_text(wrapped, encoding="utf-8")
    paths = {name: report.save(folder / f"{name}.html") for name, report in made.items()}
    return {n: p.as_uri() for n, p in {**paths, "notebook": folder / "notebook.html"}.items()}


@pytest.fixture
def visit(browser, pages):
    """Open a page at a width, in a colour scheme, and check afterwards that it was quiet."""
    addresses = []

    def open_page(name, *, width=1200, scheme="light", media=""):
        browser.get("about:blank")
        clear_logs(browser)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"media": media, "features": features}
        )
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(pages[name])
        addresses.append(pages[name])
        return browser

    yield open_page
    assert browser.get_log("browser") == []
    elsewhere = [url for url in requests_of(browser) if not url.startswith(("data:", "about:"))]
    assert {url.partition("#")[0] for url in elsewhere} <= set(addresses)


def names(page):
    """Return the names of the rows that are shown, in their order."""
    script = "return [...document.querySelectorAll('#table tbody tr:not([hidden]) th')].map(c => c.textContent)"
    return page.execute_script(script)


def heading(page, title):
    return page.find_element(
        "xpath", f"//table[@id='table']/thead//button[starts-with(., '{title}')]"
    )


def press(page, *keys):
    from selenium.webdriver import ActionChains

    chain = ActionChains(page)
    for key in keys:
        chain.send_keys(key)
    chain.perform()


ROWS = [
    f"parcel cortex_{side} {key}" for side, keys in (("L", "1234"), ("R", "5678")) for key in keys
]
THICKNESS = [3, 10, -2, None, 0.5, 200, 1, 1]


def by_thickness(*, descending):
    known = [i for i, t in enumerate(THICKNESS) if t is not None]
    order = sorted(known, key=lambda i: -THICKNESS[i] if descending else THICKNESS[i])
    return [ROWS[i] for i in (*order, 3)]


def test_headings_sort_numbers_with_the_empty_last(visit):
    page = visit("cortex")
    assert names(page) == ROWS
    button = heading(page, "thickness")
    button.click()
    assert names(page) == by_thickness(descending=False)
    sorted_by = "return [...document.querySelectorAll('#table [aria-sort]')].map(h => [h.textContent, h.ariaSort])"
    assert page.execute_script(sorted_by) == [["thickness", "ascending"]]
    button.click()
    assert names(page) == by_thickness(descending=True)
    assert page.execute_script(sorted_by) == [["thickness", "descending"]]
    heading(page, "name").click()
    assert names(page) == ROWS
    assert page.execute_script(sorted_by) == [["name", "ascending"]]


def test_the_filter_keeps_rows_with_every_word_and_tells_how_many(visit):
    page = visit("cortex")
    field, count = find(page, "#filter"), find(page, "#count")
    assert (count.text, count.get_attribute("aria-live")) == ("8 of 8 parcels", "polite")
    field.send_keys("CORTEX_R 7")
    assert (names(page), count.text) == ([ROWS[6]], "1 of 8 parcels")
    field.send_keys(" nothing")
    assert (names(page), count.text) == ([], "No parcel holds all of these words")
    press(page, "\ue00c")  # escape
    assert (names(page), count.text) == (ROWS, "8 of 8 parcels")


def test_everything_works_by_keyboard(visit):
    page = visit("cortex")
    tab, enter, space = "\ue004", "\ue007", " "
    press(page, tab)
    active = page.switch_to.active_element
    assert active.text == "Skip to the table of parcels"
    assert active.rect["x"] >= 0
    press(page, enter)
    assert page.execute_script("return location.hash") == "#parcels"
    press(page, tab)
    assert page.switch_to.active_element.get_attribute("id") == "filter"
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert page.execute_script(outline) == "solid"
    # The table's frame takes the focus, so that arrow keys scroll it; then the headings do.
    press(page, tab)
    assert page.switch_to.active_element.get_attribute("role") == "region"
    press(page, tab, enter, enter)
    assert names(page) == ROWS[::-1]
    columns = len(page.find_elements("css selector", "#table thead th"))
    press(page, *[tab] * columns, space)
    assert page.switch_to.active_element.text == ROWS[-1]
    assert find(page, "#table [aria-pressed='true']").text == ROWS[-1]


def test_a_chosen_parcel_is_seen_alone(visit):
    page = visit("cortex")
    find(page, "#table tbody button").click()
    pictures = len(page.find_elements("css selector", "img[data-scene]"))
    find(page, ".canvas canvas")
    waiting = "return document.querySelectorAll('.canvas canvas').length"
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page, 10).until(lambda p: p.execute_script(waiting) == pictures)
    # What is left clear in the highlight is the parcel that the picture's own pixels show.
    clear, own = page.execute_async_script("""
        const done = arguments[0];
        const [highlight, scene] = [document.querySelector(".canvas canvas"), document.querySelector("#scenes img")];
        const image = new Image();
        image.onload = () => {
          const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
          canvas.getContext("2d").drawImage(image, 0, 0);
          const rows = canvas.getContext("2d").getImageData(0, 0, image.width, image.height).data;
          const shade = highlight.getContext("2d").getImageData(0, 0, image.width, image.height).data;
          let [clear, own] = [0, 0];
          for (let i = 0; i < rows.length; i += 4) {
            own += rows[i] === 1;
            clear += shade[i + 3] !== 190;
          }
          done([clear, own]);
        };
        image.src = scene.dataset.src;
    """)
    assert clear == own > 100
    find(page, "#table tbody button").click()
    WebDriverWait(page, 10).until(lambda p: p.execute_script(waiting) == 0)


def test_pointing_names_the_parcel(visit):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    page = visit("cortex")
    figure = find(page, ".views figure")
    picture, caption = (
        figure.find_element("css selector", "img"),
        figure.find_element("css selector", "figcaption"),
    )
    ActionChains(page).move_to_element(picture).perform()
    WebDriverWait(page, 10).until(lambda _: caption.text != "left hemisphere, lateral")
    title, _, name = caption.text.partition(": ")
    assert title == "left hemisphere, lateral"
    assert name in ROWS[:4]
    picture.click()
    pressed = find(page, "#table [aria-pressed='true']")
    assert pressed.get_attribute("textContent").strip() == name
    ActionChains(page).move_to_element(find(page, "h1")).perform()
    WebDriverWait(page, 10).until(lambda _: caption.text == "left hemisphere, lateral")


CONTRAST = """
const light = (text) => {
  const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((v) => {
    const x = v / 255;
    return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return colour;
  }
};
const worst = [];
for (const e of document.querySelectorAll("h1, h2, h3, p, a, dt, dd, li, td, th, button, caption, figcaption, label, output, input, svg text, code")) {
  if (!e.textContent.trim() || !e.getClientRects().length) continue;
  const style = getComputedStyle(e);
  const [a, b] = [light(e.closest("svg") ? style.fill : style.color), light(behind(e))].sort((x, y) => y - x);
  worst.push([(a + 0.05) / (b + 0.05), e.tagName + " " + e.textContent.slice(0, 20)]);
}
return [light(behind(document.body)), worst.sort((x, y) => x[0] - y[0])[0]];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_contrast_in_both_schemes(visit, scheme):
    page = visit("cortex", scheme=scheme)
    background, (contrast, where) = page.execute_script(CONTRAST)
    assert (background > 0.5) == (scheme == "light")
    assert contrast >= 4.5, where


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_stand_out_from_their_panel(visit, scheme):
    """The mean brightness of what is drawn differs from the panel's, for every picture."""
    page = visit("cortex", scheme=scheme)
    differences = page.execute_script("""
        const panel = getComputedStyle(document.querySelector(".views .canvas")).backgroundColor.match(/\\d+/g).map(Number);
        return [...document.querySelectorAll("img[data-scene]")].map((image) => {
          const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
          const context = canvas.getContext("2d");
          context.drawImage(image, 0, 0);
          const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
          let [seen, far] = [0, 0];
          for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] < 255) continue;
            seen += 1;
            far += Math.hypot(...panel.map((p, c) => p - data[i + c])) > 40;
          }
          return far / seen;
        });
    """)
    assert min(differences) > 0.8


@pytest.mark.parametrize("name", ["cortex", "volume", "probabilistic", "hostile", "long"])
@pytest.mark.parametrize("width", [375, 1200])
def test_the_page_never_scrolls_sideways(visit, name, width):
    page = visit(name, width=width)
    wide, inner = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= inner == width
    # Wide tables scroll within their frames, which the keyboard reaches.
    overflowing = page.execute_script("""
        return [...document.querySelectorAll("main *")].filter((e) => e.scrollWidth > e.clientWidth + 1
          && getComputedStyle(e).overflowX !== "visible" && e.tabIndex < 0 && !e.closest(".rows")).map((e) => e.outerHTML.slice(0, 80));
    """)
    assert overflowing == []
    # A table that is wider than its frame has a shadow where there is more; its names leave room.
    frames = page.execute_script("""
        return [...document.querySelectorAll(".scroll")].map((e) => {
          const name = e.querySelector("tbody th")?.getBoundingClientRect().width ?? 0;
          return [getComputedStyle(e).backgroundImage.split("gradient").length - 1, name / e.clientWidth];
        });
    """)
    assert all(shadows == 4 and share < 0.7 for shadows, share in frames)


def test_hostile_names_are_text(visit):
    page = visit("hostile")
    assert page.title.startswith(HOSTILE)
    assert find(page, "h1").text == HOSTILE
    assert page.execute_script("return document.scripts.length") == 1
    assert page.execute_script("return document.querySelectorAll('[onerror]').length") == 0
    find(page, "#table tbody button").click()
    find(page, ".canvas canvas")
    assert len(names(page)) == 8


@pytest.mark.parametrize("name", ["cortex", "volume"])
def test_what_a_screen_reader_gets_has_names(visit, name):
    page = visit(name)
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    seen = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    roles = [role for role, _ in seen]
    for landmark in ("banner", "navigation", "main", "contentinfo", "searchbox", "status"):
        assert roles.count(landmark) == 1, landmark
    for role in (
        "image",
        "button",
        "link",
        "table",
        "region",
        "searchbox",
        "heading",
        "columnheader",
    ):
        found = [text for other, text in seen if other == role]
        assert found, role
        nameless = [text for text in found if not text.strip()]
        assert len(nameless) <= (role == "columnheader"), role


def test_it_prints_without_its_tools(visit):
    page = visit("cortex", media="print")
    shown = "return [...document.querySelectorAll('nav, .tools')].some((e) => e.getClientRects().length)"
    assert not page.execute_script(shown)
    inner = (
        "const e = document.querySelector('.scroll.tall'); return e.scrollHeight - e.clientHeight"
    )
    assert page.execute_script(inner) <= 1


def test_motion_is_reduced_when_asked(visit):
    page = visit("cortex")
    assert (
        page.execute_script("return getComputedStyle(document.documentElement).scrollBehavior")
        == "auto"
    )


def test_it_works_within_a_notebook(visit):
    page = visit("notebook")
    page.switch_to.frame(find(page, "iframe"))
    find(page, "#filter").send_keys("cortex_r")
    assert names(page) == ROWS[4:]
    find(page, "#table tbody tr:not([hidden]) button").send_keys("\ue007")
    assert find(page, ".canvas canvas").get_attribute("aria-hidden") == "true"
    page.switch_to.default_content()


def test_names_stay_in_sight_when_the_table_scrolls(visit):
    page = visit("cortex", width=500)
    frame = find(page, ".scroll.tall")
    left = (
        "const c = document.querySelector('#table tbody th'); return c.getBoundingClientRect().left"
    )
    before = page.execute_script(left)
    page.execute_script("arguments[0].scrollLeft = 200", frame)
    assert page.execute_script("return arguments[0].scrollLeft", frame) > 50
    assert page.execute_script(left) == pytest.approx(before, abs=1)


def test_a_matrix_names_the_parcels_of_a_cell(visit):
    from selenium.webdriver import ActionChains

    page = visit("cortex")
    image = find(page, "#overlap figure[data-pairs] img")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", image)
    size = image.size
    # The middle of row 2, column 6 of 8; offsets count from the middle of the picture.
    x, y = (5.5 / 8 - 0.5) * size["width"], (1.5 / 8 - 0.5) * size["height"]
    ActionChains(page).move_to_element_with_offset(image, round(x), round(y)).perform()
    assert find(page, "#overlap figcaption").text == f"{ROWS[1]}, {ROWS[5]}"


def test_the_table_moves_to_a_picture_that_shows_the_parcel(visit):
    page = visit("volume")
    page.find_elements("css selector", "#table tbody button")[6].click()
    shown = find(page, "#pictures figure.shows")
    inside = "const b = arguments[0].getBoundingClientRect(); return b.top >= 0 && b.bottom <= innerHeight"
    assert page.execute_script(inside, shown)
    assert [e.text for e in shown.find_elements("css selector", ".end")] in (["P", "A"], ["L", "R"])
