"""Numbers as a reader sees them."""


def format_number(value: int | float, form: str = ".3g") -> str:
    """Return a number with a minus sign, in place of an exponent with thousands set apart."""
    if value != value:  # NaN
        return "\N{EN DASH}"
    # Of 12345.6 ".3g" makes 1.23e+04; beyond 7 digits the exponent is easier to read.
    if form == ".3g" and 1000 <= abs(value) < 1e7:
        text = f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    else:
        text = f"{value:{form}}"
    # What rounds to zero has no sign: "-0.00" is "0.00".
    text = text.removeprefix("-") if not text.strip("-0.") else text
    return text.replace("-", "\N{MINUS SIGN}")
