"""What a node makes of answers that are none."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from aeros_flower.http.status_codes import Askew, Ended, Lost, Unwelcome, refusal
from aeros_flower.security.clock_skew import apart, offset

HTML = {"content-type": "text/html; charset=utf-8"}


def date(**off):
    return {"date": format_datetime(datetime.now(UTC) + timedelta(**off), usegmt=True)}


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (401, {}, Unwelcome),
        (401, {"x-aeros-refused": "key"}, Unwelcome),
        (401, {"x-aeros-refused": "key", "off": {"hours": 3}}, Unwelcome),
        (401, {"x-aeros-refused": "clock"}, Askew),
        (401, {"off": {}}, Unwelcome),
        (401, {"off": {"minutes": 15}}, Askew),
        (401, {"off": {"minutes": -15}}, Askew),
        (401, {"off": {"seconds": -8}}, Askew),  # Flower allows five
        (401, {"date": "no date"}, Unwelcome),
        (401, HTML | {"off": {}}, Lost),
        (403, HTML | {"off": {"minutes": 15}}, Lost),
        (403, {}, Unwelcome),
        (404, {}, Lost),
        (412, {}, Lost),
        (500, {}, Ended),
        (502, HTML, Lost),
        (503, {}, Lost),
    ],
)
def test_what_a_refusal_means(status, headers, kind):
    said = {name: value for name, value in headers.items() if name != "off"}
    said |= date(**headers["off"]) if "off" in headers else {}
    found = refusal(httpx.Response(status, headers=said), "ActivateNode")
    assert type(found) is kind
    if kind is Unwelcome:
        assert found.key is ("x-aeros-refused" in headers)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (900, "15 min ahead of"), (-900, "15 min behind"), (8, "8 s ahead of"),
        (-3 * 3600, "3 h behind"), (86400 * 365, "365 days ahead of"), (0, "too far from"),
    ],
)  # fmt: skip
def test_how_far_two_clocks_are_apart(seconds, said):
    assert apart(seconds).startswith(f"this machine's clock is {said} the controller's")


@pytest.mark.parametrize("text", ["", "x", "Thu, 99 Foo 2026", "\u0661", "9" * 5000])
def test_a_date_that_is_none(text):
    assert offset(text) == 0.0


def test_another_with_the_same_key_is_named():
    assert "two at a time need two keys" in str(refusal(httpx.Response(412), "ActivateNode"))
    assert "keys" not in str(refusal(httpx.Response(412), "DeactivateNode"))


def test_a_page_in_the_controller_s_place_is_named():
    told = str(refusal(httpx.Response(502, headers=HTML), "PullMessages"))
    assert told == "a proxy answers 502: the controller behind it is away"
