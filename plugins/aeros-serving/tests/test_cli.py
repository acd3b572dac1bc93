"""What ``aeros serve`` tells without serving: its help, and its configuration."""

from dataclasses import fields

import pytest
import yaml

from aeros_core.cli.main import main
from aeros_serving.config import Serving


def test_help_says_every_option_with_its_default(capsys):
    assert main(["serve", "--help"]) == 0
    told = capsys.readouterr().out
    for each in fields(Serving):
        if each.name == "models":
            assert "+serving.models.NAME.delay=0.002" in told
        elif not each.name.startswith("_"):
            assert f"\n  serving.{each.name}=" in told
    assert "serving.http_port=8080        Port of the REST protocol; 0: any that is free" in told
    assert "serving.control=true          Whether clients may load" in told
    assert "serving.where=auto            Where models compute; auto: a model" in told
    assert "aeros serve model=digits:production" in told


def test_an_option_that_is_not_there_says_where_to_look(capsys):
    assert main(["serve", "serving.delay=0.1"]) == 2
    assert "aeros serve --help" in capsys.readouterr().err


@pytest.mark.parametrize("models", [[], ["model=digits"]])
def test_the_configuration_is_shown_and_nothing_served(capsys, models):
    pytest.importorskip("aeros_zarr")
    pytest.importorskip("aeros_torch")
    words = ["serving.delay=0.5", "+serving.models.digits.max_batch=7", "--cfg", "job"]
    assert main(["serve", *models, *words]) == 0
    told = yaml.safe_load(capsys.readouterr().out)
    assert (told["serving"]["delay"], told["serving"]["poll"]) == (0.5, 5.0)
    assert told["serving"]["models"] == {"digits": {"max_batch": 7}}
    assert told["repository"]["path"] == "aeros-repository"
