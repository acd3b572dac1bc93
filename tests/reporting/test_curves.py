import pytest
from matplotlib import image

from aeros_core.reporting import curves
from aeros_core.results import Round


def rounds(*metrics):
    return [
        Round(number, figures, {}, {}, {}, {}, {}, 0, 0)
        for number, figures in enumerate(metrics, start=1)
    ]


TWO = rounds({"loss": 1.0, "accuracy": 0.5}, {"loss": 0.5, "accuracy": 0.8})


def drawn(path):
    """Return the picture's width, height and channels, having read it as a PNG."""
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    return image.imread(path).shape


@pytest.mark.parametrize(
    ("runs", "panels"),
    [
        ({"a": TWO}, 2),
        ({"a": TWO, "b": TWO[:1]}, 2),
        ({"a": rounds({"loss": 1.0}, {}, {"loss": 0.2})}, 1),
        ({"a": rounds({}, {})}, 1),
        ({}, 1),
    ],
    ids=["one", "several", "thinned", "unmeasured", "none"],
)
def test_a_png_with_a_panel_for_each_metric_is_written(tmp_path, runs, panels):
    curves.draw(runs, tmp_path / "curve.png", "digits")
    height, width, _ = drawn(tmp_path / "curve.png")
    assert (height, width) == (432, 600 * panels)


def test_accuracy_is_the_first_panel():
    assert curves._names({"a": TWO, "b": rounds({"auc": 1.0})}) == ["accuracy", "auc", "loss"]


def test_other_figures_look_different_and_any_file_name_will_do(tmp_path):
    """A picture that ignored its rounds would look the same."""
    for name, last in (("one", 0.5), ("other.curve", 0.9)):
        curves.draw({"a": rounds({"loss": 1.0}, {"loss": last})}, tmp_path / name, "digits")
    one, other = (image.imread(path, format="png") for path in sorted(tmp_path.iterdir()))
    assert (one != other).any()
