"""The log: one JSON object a line, whatever a caller sends, and never a credential."""

from __future__ import annotations

import errno
import io
import json
import logging

import structlog

from unbroken.server import logs
from unbroken.server.logs import RequestLog

SECRETS = (
    "unb_key_69236a2e5f3c1b0a",
    "unb_user_AAA-_b",
    "Basic YTpi",
    "Bearer abc.def-ghi",
    "authorization: basic eA==",
)


def test_whatever_looks_like_a_credential_is_hidden_everywhere(log_output):
    log = structlog.get_logger()
    for secret in SECRETS:
        log.warning(secret, one=secret, many=[{"deep": secret}], app_secret="plain", error=ValueError(secret))
    logging.getLogger("uvicorn.error").warning("library says %s", SECRETS[0])
    text = log_output.getvalue()
    for secret in ("unb_", "YTpi", "abc.def", "eA==", "plain"):
        assert secret not in text
    assert text.count("***") >= 4 * len(SECRETS)


def test_no_value_can_end_a_line(log_output):
    structlog.get_logger().error("a\nb\r\u2028c", value='"}\n{"forged": true}', **{"x\ny": "z"})
    line, rest = log_output.getvalue().split("\n", 1)
    assert rest == ""
    assert json.loads(line)["value"] == '"}\n{"forged": true}'


MISLEADING = "".join(
    map(
        chr,
        [
            *range(0x20),
            *range(0x7F, 0xA0),
            0x61C,
            0x200E,
            0x200F,
            *range(0x2028, 0x202F),
            *range(0x2066, 0x206A),
            0xFEFF,
        ],
    )
)
CANARY = f"\r\n\x1b]0;owned\x07\x9b2J{MISLEADING}canary "


def test_whatever_is_told_no_line_ends_no_terminal_obeys_and_no_text_runs_backwards(log_output):
    log = structlog.get_logger()
    for secret in SECRETS:
        told = f"{CANARY}{secret}"
        log.warning(told, **{told: told}, many=[told, {"deep": told}], error=ValueError(told), raw=told.encode())
        logging.getLogger("x").error("%s", told)
        try:
            int(told)
        except ValueError:
            log.exception(told)
            logging.getLogger("x").exception(told)
    text = log_output.getvalue()
    lines = text.split("\n")
    assert (len(lines), lines[-1]) == (4 * len(SECRETS) + 1, "")
    assert not set(text) & (set(MISLEADING) - {"\n"})
    assert "canary" in json.loads(lines[0])["event"]
    assert set(MISLEADING) <= set(json.loads(lines[0])["event"])
    assert not [hidden for hidden in ("unb_key", "unb_user", "YTpi", "abc.def", "eA==") if hidden in text]


def test_an_exception_of_a_library_is_one_line_too(log_output):
    try:
        int(SECRETS[0])
    except ValueError:
        logging.getLogger("x").exception("broken")
    (line,) = log_output.getvalue().splitlines()
    assert "Traceback" in json.loads(line)["exception"]
    assert "unb_key" not in line


def test_a_request_is_one_line_that_says_what_and_how_long():
    output = io.StringIO()
    RequestLog(output, lab=True).line("r", "GET /x/{id}", 200, 0.0123)
    line = json.loads(output.getvalue())
    assert (line["request_id"], line["route"], line["status"], line["ms"], line["lab"]) == (
        "r",
        "GET /x/{id}",
        200,
        12.3,
        True,
    )


def test_a_refusal_is_logged_with_its_code():
    output = io.StringIO()
    RequestLog(output).line("r", "GET /x", 404, 0.1, "NOT_FOUND")
    assert json.loads(output.getvalue())["code"] == "NOT_FOUND"


def test_a_reader_of_the_log_that_went_away_stops_nothing():
    class Gone(io.StringIO):
        def flush(self):
            raise BrokenPipeError

    log = RequestLog(Gone())
    log.line("r", "GET /x", 200, 0.1)
    log.line("r", "GET /x", 404, 0.1, "NOT_FOUND")


class FullAtFirst(io.StringIO):
    """Takes nothing until there is room."""

    has_room = False

    def write(self, text: str) -> int:
        if not self.has_room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_log_on_a_full_disk_stops_nothing_and_goes_on_when_there_is_room():
    output = FullAtFirst()
    requests = RequestLog(output)
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    logs.configure("info", lab=False, stream=output)
    try:
        structlog.get_logger().error("lost")
        logging.getLogger("x").error("lost")
        requests.line("lost", "GET /x", 200, 0.1)
        output.has_room = True
        structlog.get_logger().error("kept")
        requests.line("kept", "GET /x", 200, 0.1)
    finally:
        structlog.reset_defaults()
        root.handlers[:] = before
        root.setLevel(level)

    told = [json.loads(line) for line in output.getvalue().splitlines()]
    assert [(line["event"], line.get("request_id")) for line in told] == [("kept", None), ("request", "kept")]


def test_a_lab_says_so_in_every_line():
    output = io.StringIO()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    logs.configure("info", lab=True, stream=output)
    structlog.get_logger().info("x")
    logging.getLogger("y").warning("z")
    structlog.reset_defaults()
    root.handlers[:] = before
    root.setLevel(level)
    assert [json.loads(line)["lab"] for line in output.getvalue().splitlines()] == [True, True]
