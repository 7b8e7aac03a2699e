"""Time to import atlasinit, and to list, beside that to import jax; each in a fresh process."""

from harness import process_seconds, report, row


def seconds(statement: str) -> float:
    """Return the median wall time of a fresh interpreter that runs `statement`."""
    return process_seconds("-c", statement)


def main() -> list[dict]:
    """Return the rows of the table."""
    empty = seconds("pass")
    jax = seconds("import jax") - empty
    used = seconds("import atlasinit; atlasinit.Atlas, atlasinit.AtlasLinear") - empty
    listed = seconds("from atlasinit.cli import app; app(['list'], standalone_mode=False)") - empty
    return [
        row("import atlasinit and use a layer, against import jax", used, jax, most=2.5),
        row("atlasinit list, against import jax", listed, jax, most=1.0),
    ]


if __name__ == "__main__":
    report(main())
