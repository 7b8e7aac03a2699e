"""Numbers as a reader sees them."""


def shown(value: int | float, form: str = ".3g") -> str:
    """Return a number with a minus sign, in place of an exponent with thousands set apart."""
    if value != value:
        return "\N{EN DASH}"
    if form == ".3g" and 1000 <= abs(value) < 1e7:
        text = f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    else:
        text = f"{value:{form}}"
    text = text.removeprefix("-") if not text.strip("-0.") else text
    return text.replace("-", "\N{MINUS SIGN}")
