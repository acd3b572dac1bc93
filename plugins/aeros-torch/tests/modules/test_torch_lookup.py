import pytest

from aeros_core.errors import ConfigError
from aeros_torch.modules.torch_lookup import call, check_options, find, option_names

KNOWN = {"StepLR": 1, "CosineAnnealingLR": 2}


@pytest.mark.parametrize("name", ["StepLR", "steplr", "step_lr", "STEPLR"])
def test_finds_whatever_the_case(name):
    assert find("trainer.scheduler", name, KNOWN) == 1


def test_unknown_name_says_what_exists_and_what_is_close():
    with pytest.raises(ConfigError) as caught:
        find("trainer.scheduler", "StepsLR", KNOWN)
    text = str(caught.value)
    assert "trainer.scheduler=StepsLR does not exist" in text
    assert "exists: CosineAnnealingLR, StepLR" in text
    assert "provider: torch " in text
    assert "next: trainer.scheduler=StepLR" in text


def test_unknown_option_says_which_exist():
    with pytest.raises(ConfigError) as caught:
        check_options("trainer.optimizer_options", "Adam", {"beta": 1}, ["betas", "eps"])
    assert "trainer.optimizer_options.beta is not an option of Adam" in str(caught.value)
    assert "exists: betas, eps" in str(caught.value)


def test_lists_become_tuples():
    assert check_options("o", "Adam", {"betas": [0.1, 0.2], "a": "xy"}, ["betas", "a"]) == {
        "betas": (0.1, 0.2),
        "a": "xy",
    }


def test_option_names_leaves_out():
    def function(a, b, *, c=1):
        return a, b, c

    assert option_names(function, ("b",)) == ["a", "c"]


def test_call_gives_the_reason():
    with pytest.raises(ConfigError, match=r"trainer.loss=x cannot be made with base=1: .*base"):
        call("trainer.loss=x", int, "z", base=1)
