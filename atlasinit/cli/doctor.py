"""The command that looks at the installation: doctor."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlasinit.cli.options import AsJson
from atlasinit.cli.output import print_heading, print_json

if TYPE_CHECKING:
    from atlasinit.cli.diagnosis import Section

commands = typer.Typer()


@commands.command(epilog="Example: atlasinit doctor --offline")
def doctor(
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Do not try the network.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what is installed, what the machine has and what would help.

    The exit status is 1 if something necessary is broken.
    """
    from atlasinit.cli.diagnosis import diagnose

    sections = diagnose(offline=offline)
    broken = [sentence for section in sections for sentence in section.broken]
    advice = [sentence for section in sections for sentence in section.advice]
    if as_json:
        facts = {section.title: dict(section.facts) for section in sections}
        print_json({"usable": not broken, **facts, "broken": broken, "advice": advice})
    else:
        _print(sections)
        _print_sentences("broken", broken)
        _print_sentences("what would help", advice)
        if not broken:
            print("\nAll that is needed is here.")
    # Advice alone is no failure: scripts ask whether the package can be used.
    if broken:
        raise typer.Exit(1)


def _print(sections: Sequence["Section"]) -> None:
    width = max(len(name) for section in sections for name in section.facts)
    for number, section in enumerate(sections):
        print_heading(section.title, first=number == 0)
        for name, value in section.facts.items():
            shown = _text(name, value)
            # "cache_bytes" is in bytes for programs, but "cache space" in MiB for people.
            print(f"  {name.replace('_bytes', '_space').replace('_', ' '):{width}}  {shown}")


def _print_sentences(title: str, sentences: Sequence[str]) -> None:
    if sentences:
        print_heading(title)
    for sentence in sentences:
        print(f"  - {sentence}")


def _text(name: str, value: Any) -> str:
    if name.endswith("_bytes"):
        return f"{value / 2**20:,.0f} MiB"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return f"{len(value)}: {', '.join(value)}" if len(value) > 3 else ", ".join(value) or "none"
    return str(value)
