"""Credentials in what is typed are refused before anything is written, and not repeated."""

import pytest

from aeros_core.cli import main
from aeros_core.cli.credentials import refuse_credentials
from aeros_core.errors import ConfigError

BAD = [
    "repository.endpoint=http://me:hunter2@127.0.0.1:9000",
    "repository.endpoint=https://hunter2@minio.example.org",
    "repository.endpoint=https://me%40x:hunter2@minio.example.org/",
    "+repository.endpoint='https://me:hunter2@minio.example.org'",
    "repository.endpoint=https://a.org,https://me:hunter2@b.org",
    "repository.endpoint=https://a.org/?X-Amz-Credential=me&X-Amz-Signature=hunter2",
    "repository={endpoint: 'https://me:hunter2@a.org'}",
    "inferencer.url=https://me:hunter2@a.org/v2",
]


@pytest.mark.parametrize("word", BAD)
@pytest.mark.parametrize("verb", [["run"], ["models", "list"], ["results"]])
def test_credentials_end_in_no_file_and_no_message(tmp_path, monkeypatch, capsys, verb, word):
    monkeypatch.chdir(tmp_path)
    assert main.main([*verb, "repository=s3", word]) == 2
    said = capsys.readouterr()
    assert "the address has credentials" in said.err
    assert "hunter2" not in said.out + said.err
    assert not list(tmp_path.iterdir())


def test_the_advice_is_the_same_without_them():
    with pytest.raises(ConfigError) as caught:
        refuse_credentials([BAD[0]])
    assert caught.value.hint == "repository.endpoint=http://127.0.0.1:9000"
    refuse_credentials([caught.value.hint])


@pytest.mark.parametrize(
    "word",
    [
        "repository.endpoint=https://minio.example.org:9000", "repository.path=a@b",
        "transformer.table.path=file:///data/a@b.csv", "task.name=x", "mail=me@example.org",
    ],
)  # fmt: skip
def test_other_words_pass(word):
    refuse_credentials([word])
