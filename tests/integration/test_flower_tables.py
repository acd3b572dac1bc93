"""Sites whose tables differ, in real processes: the result is that of the pooled table."""

import json

import numpy as np
import pytest
from forked_python import python

pytest.importorskip("aeros_flower")
pd = pytest.importorskip("pandas")

STEPS = "transformer=[table,by_group,standardise,one_hot,stack]"
BASE = (
    "experiment=null", "transformer.table.label=y", "transformer.table.group=site",
    "transformer.by_group.column=site", "transformer.table.path=pooled.csv",
    "transformer.table.test_path=test.csv", "transformer.table.test_fraction=0",
    "trainer/model=mlp", "trainer.engine=sequential", "trainer.lr=0.1", "task.rounds=3",
    "task.name=t",
)  # fmt: skip


def rows(seed, kinds, count=60):
    rng = np.random.default_rng(seed)
    kind = rng.choice(kinds, count)
    a, b = rng.normal(5, 3, count).round(3), rng.normal(-2, 9, count).round(3)
    y = ((a - 5) / 3 + (b + 2) / 9 + 2.0 * (kind == kinds[0]) > 0.5).astype(int)
    return pd.DataFrame({"a": a, "b": b, "kind": kind, "y": y})


def result(aeros):
    found = max(aeros.folder.glob("outputs/*/*/result.json"), key=lambda p: p.stat().st_mtime)
    return json.loads(found.read_text())


@pytest.fixture
def sites(aeros, port):
    """A function that runs a task on executors with tables of their own."""
    running = []

    def run(names, *words, code=0, more=()):
        for name in names:
            path = next(aeros.folder.glob(f"{name}.*"))
            told = ["-m", "aeros_core.cli.main", "executor", f"127.0.0.1:{port}", "--name", name,
                    "--own", "--set", f"transformer.table.path={path.name}", *more]  # fmt: skip
            with (aeros.folder / f"log-{name}.txt").open("w") as log:
                running.append(python(told, cwd=aeros.folder, stdout=log, stderr=log))
        where = ("deployment=flower", f"controller.port={port}",
                 f"controller.nodes={len(names)}", "controller.wait=300")  # fmt: skip
        return aeros.apart("run", *where, *words, code=code)

    yield run
    for process in running:
        process.kill()
        process.wait(300)


def pooled(aeros, frames, test=None):
    """Write the pooled table, and the one that is measured on."""
    whole = pd.concat([frame.assign(site=name) for name, frame in frames.items()])
    whole.to_csv(aeros.folder / "pooled.csv", index=False)
    measured = pd.concat(list(frames.values())) if test is None else test
    measured.assign(site=next(iter(frames))).to_csv(aeros.folder / "test.csv", index=False)


def same(first, second):
    """Hold two results against one another: to the bit, or to the order of sums."""
    assert first["metrics"] == pytest.approx(second["metrics"], rel=1e-4)


def test_columns_in_another_order_and_categories_of_which_each_site_lacks_one(aeros, sites):
    frames = {"s1": rows(1, ["green", "red"]), "s2": rows(2, ["blue", "red"])}
    pooled(aeros, frames)
    frames["s1"][["y", "kind", "b", "a"]].to_csv(aeros.folder / "s1.csv", index=False)
    frames["s2"].assign(extra=1).to_csv(aeros.folder / "s2.csv", index=False)
    aeros.apart("run", STEPS, *BASE)
    alone = result(aeros)
    sites(frames, STEPS, *BASE)
    same(result(aeros), alone)
    assert (
        "leaves out columns that the task does not use: extra"
        in (aeros.folder / "log-s2.txt").read_text()
    )


def one_class(frames):
    return {"s1": frames["s1"].assign(y=1), "s2": frames["s2"]}


def constant(frames):
    return {"s1": frames["s1"].assign(a=7.5), "s2": frames["s2"]}


@pytest.mark.parametrize("change", [pytest.param(one_class, marks=pytest.mark.soak), constant])
@pytest.mark.parametrize("step", ["standardise", pytest.param("min_max", marks=pytest.mark.soak)])
def test_a_site_with_one_class_or_a_constant_column_takes_part(aeros, sites, change, step):
    kinds = ["blue", "green", "red"]
    frames = change({"s1": rows(1, kinds), "s2": rows(2, kinds)})
    pooled(aeros, frames)
    for name, frame in frames.items():
        frame.to_csv(aeros.folder / f"{name}.csv", index=False)
    steps = STEPS.replace("standardise", step)
    aeros.apart("run", steps, *BASE)
    alone = result(aeros)
    sites(frames, steps, *BASE, more=["--same-user"])
    same(result(aeros), alone)


@pytest.mark.soak
def test_the_same_columns_in_other_dtypes(aeros, sites):
    frames = {"s1": rows(1, ["0", "1"]), "s2": rows(2, ["0", "1"])}
    for frame in frames.values():
        frame["flag"] = (frame["b"] > 0).astype(int)
    pooled(aeros, {name: frame.assign(kind="k" + frame["kind"]) for name, frame in frames.items()})
    first, second = frames["s1"], frames["s2"]
    first.assign(kind="k" + first["kind"], flag=first["flag"].astype(bool)).to_parquet(
        aeros.folder / "s1.parquet"
    )
    other = {"kind": "k" + second["kind"], "y": second["y"] * 1.0, "a": second["a"].astype(str)}
    columns = ["flag", "y", "a", "b", "kind"]
    second.assign(**other)[columns].to_parquet(aeros.folder / "s2.parquet")
    aeros.apart("run", STEPS, *BASE)
    alone = result(aeros)
    sites(frames, STEPS, *BASE)
    same(result(aeros), alone)


def test_an_unknown_category_is_refused_with_what_to_type(aeros, sites):
    frames = {"s1": rows(1, ["green", "red"]), "s2": rows(2, ["hunter2", "red"])}
    pooled(aeros, {"s1": frames["s1"]})
    for name, frame in frames.items():
        frame.to_csv(aeros.folder / f"{name}.csv", index=False)
    said = sites(frames, STEPS, *BASE, code=2)
    assert "s2: column 'kind' holds 1 category that the task does not know" in said
    assert "'transformer.table.categories={kind: [green, red, …]}'" in said
    assert "hunter2" not in said
    assert "hunter2" in (aeros.folder / "log-s2.txt").read_text()


@pytest.mark.parametrize(
    "way",
    [
        "published",
        *(pytest.param(w, marks=pytest.mark.soak) for w in ("declared", "zeros", "other")),
    ],
)
def test_categories_that_the_tasks_own_table_lacks(aeros, sites, way):
    frames = {"s1": rows(1, ["green", "red"]), "s2": rows(2, ["blue", "red"])}
    declared = "transformer.table.categories={kind: [blue, green, red], y: [0, 1]}"
    words = {"declared": [declared], "published": []}.get(way, [f"transformer.table.unknown={way}"])
    pooled(aeros, frames)
    aeros.apart("run", STEPS, *BASE, *words)
    alone = result(aeros)
    pooled(aeros, {"s1": frames["s1"]}, test=pd.concat(list(frames.values()))
           if way in ("declared", "zeros", "other") else None)  # fmt: skip
    for name, frame in frames.items():
        frame.to_csv(aeros.folder / f"{name}.csv", index=False)
    more = []
    if way == "published":
        (aeros.folder / "policy.yaml").write_text("categories: [kind]\n")
        (aeros.folder / "policy.yaml").chmod(0o600)
        more = ["--policy", "policy.yaml"]
    sites(frames, STEPS, *BASE, *words, more=more)
    found = result(aeros)
    if way in ("declared", "published"):
        assert found["model"]["digest"] == alone["model"]["digest"]
    assert found["rounds"] == 3


def test_a_missing_column_is_named_and_values_are_not(aeros, sites):
    frames = {"s1": rows(1, ["green", "red"]), "s2": rows(2, ["green", "red"])}
    pooled(aeros, frames)
    frames["s1"].to_csv(aeros.folder / "s1.csv", index=False)
    frames["s2"].rename(columns={"b": "secret"}).to_csv(aeros.folder / "s2.csv", index=False)
    said = sites(frames, STEPS, *BASE, code=2)
    assert "s2: column 'b' is missing" in said
    assert "secret" not in said


def test_a_task_that_goes_on_has_the_same_schema_and_states(aeros, sites, port):
    frames = {"s1": rows(1, ["green", "red"]), "s2": rows(2, ["blue", "red"])}
    pooled(aeros, frames)
    for name, frame in frames.items():
        frame.to_csv(aeros.folder / f"{name}.csv", index=False)
    sites(frames, STEPS, *BASE)
    whole = result(aeros)
    words = ["deployment=flower", "task.name=u", "controller.wait=300"]
    where = [f"controller.port={port}", "controller.nodes=2"]
    base = [w for w in BASE if not w.startswith(("task.rounds", "task.name"))]
    aeros.apart("run", STEPS, *base, *words, *where, "task.rounds=1")
    aeros.apart("run", STEPS, *base, *words, *where, "task.rounds=3", "task.resume=true")
    assert result(aeros)["metrics"] == whole["metrics"]
