"""The policy file: what it may hold, and what is refused in it."""

import os

import pytest

from aeros_core.errors import ConfigError
from aeros_core.roles.disclosure import Disclosure
from aeros_flower.site.policy.controllers import ControllerRule
from aeros_flower.site.policy.policy import _READERS, Policy, permissive, read

DIGEST = "ab" * 32


@pytest.fixture
def policy(tmp_path):
    """A function that reads a policy of this text."""

    def reading(text, mode=0o600):
        path = tmp_path / "policy.yaml"
        path.write_text(text)
        path.chmod(mode)
        return read(path)

    return reading


def test_the_defaults_train_and_evaluate_and_let_no_value_of_a_row_leave():
    found = Policy()
    assert found.tasks == ("train", "evaluate")
    assert not found.predictions
    assert not found.explanations
    assert found.remote_inferencers == found.signers == found.categories == ()
    assert found.plugin_files == ()
    values = {"extremes", "categories", "predictions", "explanations", "rows", "undeclared"}
    assert found.disclosures == set(Disclosure) - values


def test_an_empty_file_is_the_defaults(policy, tmp_path):
    assert policy("# nothing yet\n") == Policy(path=tmp_path / "policy.yaml")


def test_every_key_is_read(policy, tmp_path):
    found = policy(
        f"""
        data_root: data
        data: {{transformer.table.path: ward.csv, trainer.lr: 0.1, transformer.table.header: true}}
        controllers:
          - certificate: sha256:{DIGEST}
          - key: {":".join(DIGEST[i : i + 2] for i in range(0, 64, 2)).upper()}
          - ca: {DIGEST}
          - address: 127.0.0.1:9292
        tasks: [train, infer]
        trainers: [torch]
        models: [mlp, "cnn*"]
        transformers: [table]
        inferencers: [torch]
        codecs: [int8]
        plugin_files: ["sha256:12*"]
        signers: [owner]
        predictions: true
        explanations: no
        remote_inferencers: ["https://cloud.example:8443"]
        disclosures: [counts, histogram]
        categories: [kind]
        smallest_count: 10
        least_rows: 100
        most_rounds: 50
        most_seconds: 3600.5
        limits_hours: 12
        most_memory_mb: 2048
        log: /var/log/aeros.jsonl
        """
    )
    assert found.data_root == tmp_path / "data"
    assert found.settings == (
        "transformer.table.path=ward.csv", "trainer.lr=0.1", "transformer.table.header=true",
    )  # fmt: skip
    kinds = ("certificate", "key", "ca")
    assert found.controllers[:3] == tuple(ControllerRule(kind, DIGEST) for kind in kinds)
    assert found.controllers[3] == ControllerRule("address", "127.0.0.1:9292")
    assert (found.predictions, found.explanations) == (True, False)
    assert found.names("models", "cnn_small")
    assert not found.names("models", "lstm")
    assert found.disclosures == {Disclosure.counts, Disclosure.histogram}
    assert (found.most_rounds, found.most_seconds, found.limits_hours) == (50, 3600.5, 12.0)
    assert str(found.log) == "/var/log/aeros.jsonl"


@pytest.mark.parametrize("key", _READERS)
def test_a_value_of_another_type_is_refused_and_its_key_named(policy, key):
    with pytest.raises(ConfigError) as refused:
        policy(f"{key}: {{1: [null]}}\n")
    assert f"{key} must be" in refused.value.asked or f"{key}: " in refused.value.asked
    assert refused.value.hint


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("trainer: [torch]", "'trainer' is not a key of a policy", "trainers: VALUE"),
        ("most_round: 3", "'most_round' is not a key", "most_rounds: VALUE"),
        ("path: x", "'path' is not a key", ""),
        ("permissive: true", "'permissive' is not a key", ""),
        ("3: x", "'3' is not a key", ""),
        ("most_rounds: 0", "most_rounds must be a whole number of at least 1, got 0", "100"),
        ("most_rounds: true", "must be a whole number of at least 1, got True", ""),
        ("most_rounds: 2.5", "got 2.5", ""),
        ("most_seconds: -1", "most_seconds must be a number above 0, got -1", "3600"),
        ("most_seconds: .nan", "most_seconds must be a number above 0", ""),
        ("most_seconds: .inf", "most_seconds must be a number above 0", ""),
        ("limits_hours: 0", "limits_hours must be a number above 0", ""),
        ("most_memory_mb: '4096'", "most_memory_mb must be a whole number", ""),
        ("least_rows: null", "least_rows must be a whole number", ""),
        ("predictions: 'yes'", "predictions must be true or false, got 'yes'", ""),
        ("tasks: train", "tasks must be a list of names, got 'train'", "[train]"),
        ("tasks: [trian]", "got 'trian'", "tasks: [train]"),
        ("tasks: [serve]", "tasks must name some of what exists, got 'serve'", ""),
        ("disclosures: [sum]", "got 'sum'", "disclosures: [sums]"),
        ("trainers: [torch, 3]", "trainers must be a list of names", ""),
        ("data: {path: x}", "data must be a mapping of options", ""),
        ("data_root: ''", "data_root must be a path", ""),
        ("controllers: []", "controllers must be a list", ""),
        ("controllers: [{name: x}]", "'name' is not a way to name a controller", ""),
        ("controllers: [{key: abc}]", "key must be a SHA-256, 64 hexadecimal digits", ""),
        ("controllers: [{address: host}]", "no address of a SuperLink", ""),
        ("controllers: [edge]", "an entry must have one key and its value", ""),
        ("tasks: [train]\ntasks: [infer]", "the key 'tasks' comes twice", ""),
        ("data: {a.b: 1, a.b: 2}", "the key 'a.b' comes twice", ""),
        ("[train]", "must hold keys and values, got list", ""),
        ("tasks: [train", "is not a YAML file", ""),
        ("tasks: !!python/object/apply:os.system [id]", "is not a YAML file", ""),
        ("tasks:\t[train]\n\tx: 1", "is not a YAML file", ""),
    ],
)
def test_what_is_mistyped_is_refused(policy, text, said, hint):
    with pytest.raises(ConfigError) as refused:
        policy(text)
    assert said in refused.value.asked
    assert hint in refused.value.hint


@pytest.mark.parametrize("mode", [0o660, 0o606, 0o666, 0o620])
def test_one_that_others_may_write_is_refused(policy, mode):
    with pytest.raises(ConfigError, match="others may write") as refused:
        policy("", mode)
    assert "chmod go-w" in refused.value.hint


def test_one_in_a_folder_that_anybody_may_write_is_refused(policy, tmp_path):
    tmp_path.chmod(0o777)
    try:
        with pytest.raises(ConfigError, match="anybody may exchange"):
            policy("")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_one_of_another_user_is_refused(policy, tmp_path):
    policy("")
    os.chown(tmp_path / "policy.yaml", 12345, -1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        read(tmp_path / "policy.yaml")


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, said in ((tmp_path / "pipe", "regular file"), (tmp_path, "regular file"),
                       (tmp_path / "none", "was not read")):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            read(path)


def test_a_large_file_and_one_of_other_bytes_are_refused(policy, tmp_path):
    with pytest.raises(ConfigError, match="at most 1048576 bytes"):
        policy("#" * 2**20 + "\n")
    (tmp_path / "policy.yaml").write_bytes(b"tasks: [\xff]")
    with pytest.raises(ConfigError, match="UTF-8"):
        read(tmp_path / "policy.yaml")


def test_the_policy_of_ones_own_controller_allows_everything():
    found = permissive()
    assert found.disclosures == set(Disclosure)
    assert found.predictions
    assert found.permissive
