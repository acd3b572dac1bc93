"""``aeros executor --check`` says what a task would be allowed at a site."""

from __future__ import annotations

import contextlib

import pytest

pytest.importorskip("flwr")

CHECK = ("executor", "--name", "ward", "--policy", "policy.yaml", "--check")


@pytest.fixture
def policy(aeros):
    path = aeros.folder / "policy.yaml"
    path.write_text("most_rounds: 2\nmodels: [mlp]\n")
    path.chmod(0o600)


@pytest.mark.usefixtures("policy")
def test_a_task_within_the_policy_is_allowed_rule_by_rule(aeros):
    said = aeros(*CHECK, "experiment=digits", "task.rounds=2")
    assert said.splitlines()[-1] == "ward takes part in digits"
    assert "most_rounds         allowed  2 rounds: at most 2" in said
    assert "refused" not in said


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    ("word", "rule", "line"),
    [("task.rounds=5", "most_rounds", "most_rounds: 5"),
     ("trainer/model=softmax", "models", "models: [mlp, softmax]")],
)  # fmt: skip
def test_a_refused_task_is_told_with_the_line_that_would_allow_it(aeros, word, rule, line):
    with contextlib.chdir(aeros.folder):
        found, out, _ = aeros.here((*CHECK, "experiment=digits", "task.rounds=1", word))
    assert found == 1
    [row] = [row for row in out.splitlines() if row.startswith(f"{rule} ")]
    assert row.split()[1] == "refused"
    assert row.endswith(line)
    assert f"ward takes no part in digits: {rule}" in out


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("words", [["experiment=digitz"], ["task=inference", "task.start=digits"]])
def test_what_is_mistyped_is_code_2(aeros, words):
    assert "next: " in aeros(*CHECK, *words, code=2)
