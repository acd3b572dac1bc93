"""What ``aeros executor`` and ``aeros up`` refuse before they do anything."""

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
