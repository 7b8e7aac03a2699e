"""Colours of labels."""

from helpers import table

from atlasinit.io.colors import colors_of, from_hex, to_hex


def test_colours():
    for color in ("#000000", "#ffffff", "#123456", "#80ff01"):
        assert to_hex(from_hex(color)) == color
    assert to_hex((0.5, 2.0, -1.0, 0.0)) == "#80ff00"
    assert to_hex((None, None, None, None)) == ""


def test_new_colours_are_distinct():
    n = 3000
    labels = table(["volume"] * n)
    columns = {name: labels[name] for name in labels.columns}
    given = ["#ABCDEF", *[""] * (n - 1)]
    colors = colors_of(type(labels)({**columns, "color": given}))
    assert colors[0] == "#abcdef"
    assert len(set(colors)) == n
    assert "#000000" not in colors
