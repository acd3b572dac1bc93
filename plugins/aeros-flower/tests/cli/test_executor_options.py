"""What ``aeros executor`` and ``aeros up`` refuse before they do anything."""

import hashlib

import pytest

from aeros_core.cli import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["executor", "--name", ""], "--name '' is no name"),
        (["executor", "--name", "../edge"], "--name '../edge' is no name"),
        (["executor", "--name", ".."], "--name '..' is no name"),
        (["executor", "--wait", "-1"], "--wait -1 is no time"),
        (["executor", "--wait", "nan"], "--wait nan is no time"),
        (["executor", "--tier", "edge"], "--tier edge is no tier"),
        (["executor", "--label", "site"], "--label site says no value"),
        (["executor", "--set", "path"], "--set path says no value"),
        (["executor", "--metrics", "99999"], "metrics cannot be served on 127.0.0.1:99999"),
        (["executor", "nonsense"], "'nonsense' is no address of a SuperLink"),
        (["executor", "h.invalid:1", "--ca", "no.pem"], "the CA certificate no.pem cannot be read"),
        (["up", "--nodes", "0"], "--nodes 0 is below 1"),
        (["up", "--port", "0"], "--port 0 is no port"),
        (["up", "--port", "99999"], "--port 99999 is no port"),
        (["up", "--metrics", "0"], "--metrics 0 is no port"),
        (["up", "--nodes", "3", "--metrics", "65534"], "--metrics 65534 is no port, or has too"),
    ],
)
def test_one_clear_message(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"aeros: {said}")
    assert "next: " in err
    assert "Traceback" not in err
    assert not [*tmp_path.iterdir()]


PLUGIN = "open('ran', 'w').close()\nfrom aeros_core import hookimpl\n" + (
    "@hookimpl\ndef aeros_callbacks():\n    return {}\n"
)


@pytest.fixture
def allowing(tmp_path, monkeypatch, capsys):
    """Run an executor with a plugin's file and a policy; return its message and whether it ran."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_rule.py").write_text(PLUGIN)

    def run(text):
        (tmp_path / "policy.yaml").write_text(text)
        words = ["executor", "--policy", "policy.yaml", "--plugin", "own_rule.py"]
        main.main([*words, "--check", "experiment=null", "transformer=[iris,iid]"])
        return capsys.readouterr().err, (tmp_path / "ran").exists()

    return run


def test_a_policy_that_does_not_name_the_file_of_a_plugin_refuses_it(allowing):
    version = f"sha256:{hashlib.sha256(PLUGIN.encode()).hexdigest()}"
    other = f"plugin_files: ['sha256:{64 * '0'}']"
    for text in ("least_rows: 3", other):
        said, ran = allowing(text)
        assert said.startswith(
            "aeros: --plugin own_rule.py is not allowed by the policy of this executor\n"
        )
        assert said.endswith(f"  next: plugin_files: ['{version}'] in policy.yaml\n")
        assert not ran


def test_a_policy_that_names_its_digest_allows_it(allowing):
    said, ran = allowing(f"plugin_files: ['sha256:{hashlib.sha256(PLUGIN.encode()).hexdigest()}']")
    assert ran
    assert "own_rule.py registers nothing" in said
