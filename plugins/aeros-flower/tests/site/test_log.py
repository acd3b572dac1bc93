"""The log of a site: appended to, whole lines alone, and nothing leaves without it."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aeros_core.errors import ConfigError
from aeros_flower.site import log
from aeros_flower.site.log import LogError, SiteLog


def lines(path):
    return list(log.read(path))


def test_a_line_holds_what_is_known_and_the_file_is_its_owners(tmp_path):
    path = tmp_path / "state" / "site-log.jsonl"
    before = os.umask(0)
    try:
        made = SiteLog(path, executor="edge")
        made.write("sent", kind="update", bytes=12, rule=None)
    finally:
        os.umask(before)
    [line] = lines(path)
    assert line.pop("time").endswith("+00:00")
    assert line == {"event": "sent", "executor": "edge", "kind": "update", "bytes": 12}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_appended_to_by_several_at_once(tmp_path):
    path = tmp_path / "log"

    def write(name):
        made = SiteLog(path, executor=name)
        for number in range(50):
            made.write("sent", number=number, text="x" * 5000)

    threads = [threading.Thread(target=write, args=(f"edge-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = lines(path)
    assert len(found) == 200
    assert None not in found


def test_a_line_that_was_cut_short_is_left_out_and_the_next_is_whole(tmp_path):
    path = tmp_path / "log"
    made = SiteLog(path)
    made.write("sent")
    with path.open("ab") as file:
        file.write(b'{"time": "2026-01-01T00:00:00+00:00", "event": "se')
    assert lines(path)[1] is None
    made.write("refused")
    assert [line and line["event"] for line in lines(path)] == ["sent", None, "refused"]


def test_what_was_logged_survives_a_kill(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from aeros_flower.site.log import SiteLog\n"
        "made = SiteLog(Path(sys.argv[1]))\n"
        "for number in range(10):\n"
        "    made.write('sent', number=number)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "log")], timeout=120)
    assert [line["number"] for line in lines(tmp_path / "log")] == [*range(10)]


def test_a_full_disk_is_an_error_and_not_a_gap():
    made = SiteLog(Path("/dev/full"))
    with pytest.raises((LogError, ConfigError)):
        made.write("sent")


def test_a_write_that_a_full_disk_cuts_short_is_an_error(tmp_path, monkeypatch):
    made = SiteLog(tmp_path / "log")
    made.write("sent")
    write = os.write
    monkeypatch.setattr(log.os, "write", lambda file, data: write(file, data[:10]))
    with pytest.raises(LogError, match="10 of"):
        made.write("sent")
    monkeypatch.undo()
    made.write("refused")
    assert [line and line["event"] for line in lines(tmp_path / "log")] == ["sent", None, "refused"]


def test_a_log_that_others_may_read_that_is_a_link_or_no_file_is_refused(tmp_path):
    (tmp_path / "open").touch(mode=0o644)
    with pytest.raises(ConfigError, match="others may read or write"):
        SiteLog(tmp_path / "open").write("sent")
    (tmp_path / "own").touch(mode=0o600)
    (tmp_path / "link").symlink_to(tmp_path / "own")
    with pytest.raises(LogError):
        SiteLog(tmp_path / "link").write("sent")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="regular file"):
        SiteLog(tmp_path / "pipe").write("sent")
    assert (tmp_path / "own").read_bytes() == b""


def test_one_that_was_moved_away_is_begun_anew(tmp_path):
    made = SiteLog(tmp_path / "log")
    made.write("sent")
    (tmp_path / "log").rename(tmp_path / "log.1")
    made.write("refused")
    assert [line["event"] for line in lines(tmp_path / "log")] == ["refused"]
    assert json.loads((tmp_path / "log.1").read_text())["event"] == "sent"


def test_a_log_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="was not read"):
        lines(tmp_path / "none")
