"""What fuzzers do to plain data and to files: for hypothesis."""

import copy

from hypothesis import strategies as st

DEEP = [[]]
for _ in range(150):
    DEEP = [DEEP]

JUNK = st.sampled_from(
    [None, True, False, -1, 0, 1, 7, 2**31, 2**40, 2**63, 10**30, 0.5, -1e308, float("inf"), "",
     "x", "float32", "9" * 5000, "\ud800", "../../etc/passwd", "a" * 64, [], [[]], [0], {}, DEEP,
     {"": {}}, {"$blob": "b" * 64}]
)  # fmt: skip


def places(value, at=()):
    """Return where the parts of plain data lie, as tuples of keys and positions."""
    found = [at]
    inside = value.items() if isinstance(value, dict) else []
    inside = enumerate(value) if isinstance(value, list) else inside
    for key, part in inside:
        found += places(part, (*at, key))
    return found


def part(value, at):
    for key in at:
        value = value[key]
    return value


def _is_short(value):
    """Whether a hundred of it are no memory to speak of."""
    number = isinstance(value, int | float) and abs(value) < 2**70
    return number or (isinstance(value, str | list) and len(repr(value)) < 1000)


@st.composite
def changed(draw, whole):
    """Plain data, some parts of which are junk, gone, or elsewhere."""
    found = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from(places(found)[1:] or [()]))
        if not at:
            return draw(JUNK)
        holder, how = part(found, at[:-1]), draw(st.sampled_from(["junk", "gone", "moved", "more"]))
        if how == "gone":
            del holder[at[-1]]
        elif how == "moved":
            holder[at[-1]] = copy.deepcopy(part(found, draw(st.sampled_from(places(found)))))
        elif how == "more" and _is_short(holder[at[-1]]):
            holder[at[-1]] = holder[at[-1]] * draw(st.sampled_from([2, 3, 100]))
        else:
            holder[at[-1]] = copy.deepcopy(draw(JUNK))
    return found


@st.composite
def damaged(draw, data, other=b""):
    """A file cut off, with bits flipped, or with a part of another one, or of itself, in it."""
    found = bytearray(data)
    at = draw(st.integers(0, max(0, len(found) - 1)))
    how = draw(st.sampled_from(["cut", "flip", "splice", "repeat", "insert"]))
    if how == "cut":
        del found[at:]
    elif how == "flip":
        for place in {at, draw(st.integers(0, len(found) - 1))}:
            found[place] ^= 1 << draw(st.integers(0, 7))
    elif how == "splice":
        found[at:] = other[draw(st.integers(0, len(other))) :]
    elif how == "repeat":
        found[at:at] = found[: draw(st.integers(0, len(found)))]
    else:
        found[at:at] = draw(st.binary(min_size=1, max_size=20))
    return bytes(found)
