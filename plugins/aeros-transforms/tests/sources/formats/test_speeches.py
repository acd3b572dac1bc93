from hypothesis import given
from hypothesis import strategies as st

from aeros_transforms.sources.formats.speeches import speeches

PLAY = """First Citizen:
Before we proceed any further, hear me speak.

All:
Speak, speak.

First Citizen:
You are all resolved:
rather to die?

A stage direction without a speaker.

MARIUS:
"""


def test_speeches_by_speaker():
    assert speeches(PLAY) == {
        "First Citizen": (
            "Before we proceed any further, hear me speak.\nYou are all resolved:\nrather to die?"
        ),
        "All": "Speak, speak.",
    }


lines = st.text("abc :", min_size=1).filter(str.strip)
parts = st.lists(st.tuples(st.sampled_from("XYZ"), lines), max_size=20)


@given(parts)
def test_every_line_is_kept_in_order(said):
    play = "".join(f"{name}:\n{line}\n\n" for name, line in said)
    wanted = {}
    for name, line in said:
        wanted.setdefault(name, []).append(line)
    assert speeches(play) == {name: "\n".join(found) for name, found in wanted.items()}
