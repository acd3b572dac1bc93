"""A port that workers share: of this server alone, and of this user alone."""

import contextlib
import os
import socket
import subprocess
import sys

import pytest

from aeros_core.errors import ConfigError
from aeros_serving.workers import shared_port
from aeros_serving.workers.shared_port import SharedPort, check_platform

JOIN = """
import os, socket, sys
if sys.argv[2] != "0":
    os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
with socket.socket() as one:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(("127.0.0.1", int(sys.argv[1])))
    one.listen()
"""


def listener(port, share=True):
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(share))
    made.bind(("127.0.0.1", port))
    made.listen()
    return made


@pytest.fixture
def held():
    made = SharedPort("127.0.0.1", 0)
    yield made
    made.close()


def test_connections_go_to_those_that_listen_and_to_no_other(held):
    with listener(held.port) as one, listener(held.port) as other:
        clients = [socket.create_connection(("127.0.0.1", held.port)) for _ in range(64)]
        for each in (one, other):
            each.setblocking(False)
            with each.accept()[0]:
                pass
        for client in clients:
            client.close()


def test_nothing_answers_while_none_listens(held):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", held.port))


def test_a_port_that_another_server_shares_is_refused(held):
    for listens in (False, True):
        there = listener(held.port) if listens else contextlib.nullcontext()
        with there, pytest.raises(OSError, match="in use"):
            SharedPort("127.0.0.1", held.port)


def test_a_port_that_another_server_has_alone_is_refused():
    with listener(0, share=False) as other, pytest.raises(OSError, match="in use"):
        SharedPort("127.0.0.1", other.getsockname()[1])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user")
@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize(("user", "joins"), [(0, True), (65534, False)])
def test_another_user_cannot_join_the_port(held, user, joins, listens):
    with listener(held.port) if listens else contextlib.nullcontext():
        joined(held.port, user, joins)


def joined(port, user, joins):
    """Check whether a process of a user can join a port."""
    words = [sys.executable, "-c", JOIN, str(port), str(user)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0) is joins, done.stderr
    assert ("Address already in use" in done.stderr) is not joins


def test_all_addresses_of_a_name_have_one_port():
    held = SharedPort("localhost", 0)
    try:
        ports = {each.getsockname()[1] for each in held._held}
        assert ports == {held.port}
    finally:
        held.close()


def test_several_workers_need_linux(monkeypatch):
    check_platform(2)
    monkeypatch.setattr(shared_port.sys, "platform", "darwin")
    check_platform(1)
    with pytest.raises(ConfigError, match=r"serving\.workers=2 needs Linux.*this is darwin"):
        check_platform(2)


def former():
    """Return a port with connections that a server which did not share it has closed."""
    with listener(0, share=False) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            server.accept()[0].close()
            assert client.recv(1) == b""
    return port


def test_connections_of_a_former_server_do_not_keep_the_port_closed():
    held = SharedPort("127.0.0.1", former())
    try:
        if os.geteuid() == 0:
            joined(held.port, 65534, False)
        with listener(held.port):
            socket.create_connection(("127.0.0.1", held.port)).close()
    finally:
        held.close()


def test_once_those_are_gone_the_port_is_held_against_other_users(held):
    made = held._bound(socket.AF_INET, ("127.0.0.1", held.port), reuse=True)
    held._held.append(made)
    held._held.pop(0).close()
    held._open.append((socket.AF_INET, ("127.0.0.1", held.port)))
    held._held.pop(0).close()
    if os.geteuid() == 0:
        joined(held.port, 65534, True)
    assert held.tighten()
    if os.geteuid() == 0:
        joined(held.port, 65534, False)
