"""Options that name files or addresses are the site's to decide, under a former name as well."""

from dataclasses import dataclass

import pytest

from aeros_core.errors import AccessError
from aeros_core.files.data_files import ANYWHERE, below
from aeros_core.options.metadata import address_option, file_option
from aeros_core.parameters import Parameters
from aeros_core.plugins.registry import Option, Plugin, Registry
from aeros_core.records import Model
from aeros_core.schema import Schema
from aeros_flower.site.policy.addresses import named_by
from aeros_flower.site.policy.options import SiteOptions
from aeros_flower.site.policy.parts import parts_of

PLUGIN = Plugin("lib", "lib", "1.0", "lib")


@dataclass
class Table:
    _target_: str = "lib.Table"
    path: str = file_option("", former="file")
    url: str = address_option("", former="host")


REGISTRY = Registry(
    (PLUGIN,), {("transformer", "table"): Option("transformer", "table", Table, PLUGIN)}
)


def task(**options):
    named = {"_role_": "transformer", "_option_": "table"}
    return {"transformer": {"table": {**named, **options}}}


def settled(asked, *settings, **site):
    """Return the options of the table as a site has them."""
    made = SiteOptions(REGISTRY, settings, **site).configured(asked)["transformer"]["table"]
    return {key: value for key, value in made.items() if not key.startswith("_")}


@pytest.mark.parametrize(
    "options",
    [{"path": "/etc/passwd"}, {"file": "/etc/passwd"},
     {"file": "/etc/passwd", "path": ""}, {"path": "", "file": "/etc/passwd"}],
)  # fmt: skip
def test_a_controllers_path_is_not_taken_under_either_name(options, tmp_path):
    asked = task(**options)
    made = settled(asked, own=True)
    assert (made.pop("path"), made.pop("url"), made) == ("", "", {})
    assert settled(asked, "transformer.table.path=mine.csv", own=True)["path"] == "mine.csv"
    assert asked == task(**options), "the message is not changed"


@pytest.mark.parametrize("name", ["path", "file"])
def test_where_the_data_are_the_tasks_a_path_is_granted_or_refused(name, tmp_path):
    (tmp_path / "x.csv").touch()
    made = settled(task(**{name: "x.csv"}), files=below(tmp_path))
    assert str(made["path"]) == str(tmp_path / "x.csv")
    with pytest.raises(AccessError):
        settled(task(**{name: "/etc/passwd"}), files=below(tmp_path))


@pytest.mark.parametrize("name", ["url", "host"])
def test_an_address_is_taken_where_the_site_allows_it(name):
    asked = task(**{name: "https://elsewhere"})
    assert settled(asked, allowed=lambda address: True)["url"] == "https://elsewhere"
    with pytest.raises(AccessError, match=r"the task sets transformer\.table\.url"):
        settled(asked)
    assert [named_by(REGISTRY, part) for part in parts_of(REGISTRY, asked)] == [
        ["https://elsewhere"]
    ]


@pytest.mark.parametrize("name", ["path", "file"])
def test_a_step_of_a_delivered_model_reads_no_file(name, tmp_path):
    steps = task(**{name: "/etc/passwd"})["transformer"]
    model = Model("m", Parameters.of({}), Schema((), None), transformers=steps)
    made = SiteOptions(REGISTRY, own=True).delivered(model)
    assert "/etc/passwd" not in str(made.transformers)
    assert made.transformers["table"]["path"] == ""
    with pytest.raises(AccessError):
        SiteOptions(REGISTRY, files=below(tmp_path)).delivered(model)
    free = SiteOptions(REGISTRY, files=ANYWHERE).delivered(model)
    assert free.transformers["table"]["path"] == "/etc/passwd"
