"""Which cases of an exhaustive sweep a quick run takes."""


def select_cover(cases):
    """Return the positions of few cases that hold every value of every parameter.

    Each case is a mapping from a parameter to what tells its value from others. Cases are taken
    along the diagonal of the table of all cases first, so that values meet in pairs that differ.
    """
    seen, taken = set(), []
    # A case of new values alone, and then one with any new value.
    for enough in (all, any):
        for i, case in enumerate(cases):
            if i not in taken and enough(value not in seen for value in case.items()):
                taken.append(i)
                seen.update(case.items())
    return sorted(taken)


def values_of(item):
    """Return the case of a collected test, as `select_cover` takes it.

    Names that one ``parametrize`` gives together are one parameter.
    """
    params, case = dict(item.callspec.params), {}
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0]
        names = tuple(names.replace(" ", "").split(",") if isinstance(names, str) else names)
        case[names] = tuple(id(params.pop(name)) for name in names)
    return case | {name: id(value) for name, value in params.items()}
