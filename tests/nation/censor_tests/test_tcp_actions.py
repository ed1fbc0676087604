"""Resets, pages, filters and silence between real kernels' TCP: by name, Host, payload and address."""

import contextlib
import itertools
import select
import socket
import ssl
import struct
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests import namespaces
from tests.nation.censor_tests import lab
from tests.servers.http import once, page
from tests.servers.tcp import TcpServer, say, stay_silent
from tests.servers.tls import Authority, over_tls
from tests.waiting import until

pytestmark = pytest.mark.namespace

BOTH = (lab.SERVER4, lab.SERVER6)
GREETING = b"welcome"


def handshake(address: str, name: str) -> str:
    """Shake hands by TLS; return `ok` or what ended it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with lab.connect(address, 443) as raw, context.wrap_socket(raw, server_hostname=name) as secured:
            return "ok" if secured.version() else "?"
    except OSError as error:
        return type(error).__name__


def by_name(extra: str) -> list[Any]:
    lab.street()
    rules = f'[[rule]]\nname = "no x.com"\nmatch = {{ sni = "*.x.com", port = 443 }}\ndo = "reset"\n{extra}'
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        context = Authority(folder).server_context("x.com")
        with namespaces.inside(lab.SERVER):
            for address in BOTH:
                stack.enter_context(TcpServer(over_tls(context), address=address, port=443))
        censor = stack.enter_context(lab.censored(rules))
        ends = [handshake(to, name) for to in BOTH for name in ("www.x.com", "x.com", "y.com")]
        # A hello that the kernel sent again before its reset came draws another.
        said = [[event["sni"], event["to"]] for event in lab.did(censor.events(), "reset")]
    return [ends, [one for one, _ in itertools.groupby(said)]]


def test_a_name_in_the_hello_draws_a_reset() -> None:
    ends, said = namespaces.call(by_name, "")
    assert ends == ["ConnectionResetError", "ConnectionResetError", "ok"] * 2
    assert said == [[name, to] for to in BOTH for name in ("www.x.com", "x.com")]


def answers(rules: str, request: str, pieces: int = 1) -> list[Any]:
    """Send a request to each address, in so many segments; return how each ended, and what the server saw."""
    lab.street()
    found: list[Any] = []
    data = request.encode()
    cuts = [len(data) * number // pieces for number in range(pieces + 1)]
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            servers = [stack.enter_context(TcpServer(_greet, address=address, port=80)) for address in BOTH]
        stack.enter_context(lab.censored(rules))
        for address in BOTH:
            with lab.connect(address, 80) as one:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                found.append(_told(one, [data[begin:end] for begin, end in itertools.pairwise(cuts)]))
        found.append([server.connections for server in servers])
    return found


def _told(one: socket.socket, pieces: list[bytes]) -> str:
    """Send the pieces, a segment each; return the whole answer, or the name of the error."""
    try:
        for piece in pieces:
            one.sendall(piece)
            time.sleep(0.02)
    except OSError as error:
        return type(error).__name__
    got = lab.read(one)
    return got if isinstance(got, str) else got.decode()


def _greet(connection: socket.socket) -> None:
    """Greet once the whole request is there."""
    heard = b""
    while not heard.endswith((b"\r\n\r\n", b"word")):
        piece = connection.recv(1000)
        if not piece:
            return  # it went before it had asked
        heard += piece
    connection.sendall(GREETING)


GET = "GET / HTTP/1.1\r\nHost: www.x.com\r\nConnection: close\r\n\r\n"
OTHER = GET.replace("x.com", "y.com")
NO_HOST = '[[rule]]\nmatch = { host = "*.x.com" }\n'


def test_a_host_draws_the_page_of_iran() -> None:
    *pages, connections = namespaces.call(answers, NO_HOST + 'do = "page"', GET)
    assert connections == [1, 1]
    for got in pages:
        assert got.startswith("HTTP/1.1 403 Forbidden\r\n")
        assert '<iframe src="http://10.10.34.34?' in got
        assert got.endswith("</html>\r\n\r\n")
    assert namespaces.call(answers, NO_HOST + 'do = "page"', OTHER)[:2] == [GREETING.decode()] * 2


def test_a_page_longer_than_a_segment_arrives_whole() -> None:
    body = "blocked " * 1000
    *pages, _ = namespaces.call(answers, NO_HOST + f'do = "page"\nstatus = 451\nbody = "{body}"', GET)
    assert [got.partition("\r\n\r\n")[2] for got in pages] == [body] * 2


def test_a_redirect() -> None:
    *got, _ = namespaces.call(answers, NO_HOST + 'do = "redirect"\nlocation = "http://10.10.34.34/"', GET)
    assert all("HTTP/1.1 302 Found\r\nLocation: http://10.10.34.34/\r\n" in text for text in got)


def test_a_split_request_is_found_only_by_reassembly() -> None:
    rule = '[[rule]]\nmatch = {{ host = "www.x.com", reassemble = {0} }}\ndo = "reset"'
    assert namespaces.call(answers, rule.format("true"), GET, 10)[:2] == ["ConnectionResetError"] * 2
    assert namespaces.call(answers, rule.format("false"), GET, 10)[:2] == [GREETING.decode()] * 2


def test_text_and_bytes_in_the_payload() -> None:
    for match in ('payload = "secret"', 'payload_hex = "736563 726574"'):
        rule = f'[[rule]]\nmatch = {{ {match} }}\ndo = "reset"'
        assert namespaces.call(answers, rule, "a secret word")[:2] == ["ConnectionResetError"] * 2
        assert namespaces.call(answers, rule, "a public word")[:2] == [GREETING.decode()] * 2


def test_forward_shields_from_later_rules() -> None:
    rules = '[[rule]]\nmatch = { host = "www.x.com" }\ndo = "forward"\n[[rule]]\nmatch = { payload = "Host" }\ndo = "reset"'
    assert namespaces.call(answers, rules, GET)[:2] == [GREETING.decode()] * 2
    assert namespaces.call(answers, rules, OTHER)[:2] == ["ConnectionResetError"] * 2


def resets_in_a_row() -> list[Any]:
    """Count the resets that reach the client, with their distance from the first."""
    lab.street()
    rules = '[[rule]]\nmatch = { payload = "secret" }\ndo = "reset"\ntimes = 5\nends = "inside"'
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            server = stack.enter_context(TcpServer(stay_silent, address=lab.SERVER4, port=80))
        stack.enter_context(lab.censored(rules))
        raw = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
        with lab.connect(lab.SERVER4, 80) as one:
            one.sendall(b"secret")
            ended = lab.read(one)
        found = []
        while select.select([raw], [], [], 1)[0]:
            packet = raw.recv(2000)
            header = (packet[0] & 15) * 4
            if packet[header + 13] & 4:
                found.append(struct.unpack_from(">I", packet, header + 4)[0])
        with namespaces.inside(lab.SERVER):
            kept = socket_count("ESTAB" if server.connections else "")
    return [ended, [number - found[0] for number in found], kept]


def socket_count(state: str) -> int:
    """Return how many TCP connections of this namespace are in a state (/proc/net/tcp: 01 is established)."""
    rows = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
    return sum(row.split()[3] == "01" for row in rows if state)


def test_five_resets_in_a_row_to_one_side() -> None:
    ended, steps, kept = namespaces.call(resets_in_a_row)
    assert ended == "ConnectionResetError"
    assert steps == [0, 1460, 2920, 4380, 5840]
    assert kept == 1  # the server was told nothing


def late_reset(match: str, after_s: float) -> list[Any]:
    lab.street()
    rules = f'[[rule]]\nmatch = {{ {match} }}\ndo = "reset"\nafter_s = {after_s}'
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            stack.enter_context(TcpServer(say(GREETING), address=lab.SERVER4, port=80))
        stack.enter_context(lab.censored(rules))
        begin = time.monotonic()
        try:
            with lab.connect(lab.SERVER4, 80) as one:
                one.sendall(b"secret")
                ended = lab.read(one)
        except OSError as error:
            ended = type(error).__name__
        return [str(ended), time.monotonic() - begin]


@pytest.mark.parametrize(
    ("match", "error"),
    [('payload = "secret"', "ConnectionResetError"), ("port = 80", "ConnectionRefusedError")],
)
def test_a_late_reset_comes_so_long_after_the_syn(match: str, error: str) -> None:
    ended, after_s = namespaces.call(late_reset, match, 1.2)
    assert ended == error
    assert after_s >= 1.2


@pytest.mark.long
def test_the_reset_after_12_2_seconds() -> None:
    ended, after_s = namespaces.call(late_reset, "port = 80", 12.2)
    assert ended == "ConnectionRefusedError"
    assert after_s >= 12.2


def both_ends(rules: str) -> list[Any]:
    """Return what the client got, what the server heard after the handshake, and what the client's kernel keeps."""
    lab.street()
    heard: list[str] = []

    def listens(connection: socket.socket) -> None:
        try:
            heard.append(connection.recv(100).decode())
        except OSError as error:
            heard.append(type(error).__name__)

    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            server = TcpServer(listens, address=lab.SERVER4, port=80)
        stack.enter_context(server)
        stack.enter_context(lab.censored(rules))
        got = lab.ask(lab.SERVER4, 80, GET.encode())
        until(lambda: bool(heard), "the server heard of it")
        until(lambda: not _unclosed(), "the client's connection is closed")
        return [got.partition("\r\n")[0], heard]


def _unclosed() -> list[str]:
    """Return the states of this namespace's TCP connections that wait for the other end (06 is TIME_WAIT)."""
    rows = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
    return [row.split()[3] for row in rows if row.split()[3] != "06"]


@pytest.mark.parametrize(
    ("action", "got"),
    [
        ('do = "reset"', "ConnectionResetError"),
        ('do = "page"', "HTTP/1.1 403 Forbidden"),
        ('do = "redirect"\nlocation = "http://10.10.34.34/"', "HTTP/1.1 302 Found"),
    ],
)
def test_the_server_is_reset_and_the_client_may_close(action: str, got: str) -> None:
    assert namespaces.call(both_ends, NO_HOST + action) == [got, ["ConnectionResetError"]]


def beside_the_wire() -> list[Any]:
    """Inject resets without swallowing, for a server that is told of it."""
    lab.street()
    rules = '[[rule]]\nmatch = { payload = "secret" }\ndo = "reset"\nswallow = false\nends = "outside"'
    heard: list[bytes | str] = []

    def listens(connection: socket.socket) -> None:
        try:
            while data := connection.recv(100):
                heard.append(data.decode())
        except OSError as error:
            heard.append(type(error).__name__)

    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            server = TcpServer(listens, address=lab.SERVER4, port=80)
        stack.enter_context(server)
        stack.enter_context(lab.censored(rules))
        with lab.connect(lab.SERVER4, 80) as one:
            one.sendall(b"secret")
            until(lambda: "ConnectionResetError" in heard, "reset")
    return heard


def test_a_censor_beside_the_wire_lets_the_packet_pass() -> None:
    assert namespaces.call(beside_the_wire) == ["secret", "ConnectionResetError"]


def remembered() -> list[Any]:
    lab.street()
    rules = '[[rule]]\nmatch = { payload = "secret" }\ndo = "reset"\nremember_s = 60'
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            stack.enter_context(TcpServer(say(GREETING), address=lab.SERVER4, port=80))
        stack.enter_context(lab.censored(rules))
        return [lab.ask(lab.SERVER4, 80, word) for word in (b"innocent", b"secret", b"innocent")]


def test_what_was_censored_once_stays_so_for_a_while() -> None:
    assert namespaces.call(remembered) == ["welcome", "ConnectionResetError", "ConnectionRefusedError"]


def filtered() -> list[Any]:
    """Speak on port 80, in order, and once more after the memory has gone; `None` is silence."""
    lab.street()
    rules = '[[rule]]\nname = "filter"\ndo = "protocol_filter"\nmemory_s = 2'
    found: list[Any] = []
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            for port in (80, 81):
                stack.enter_context(TcpServer(_echo, address=lab.SERVER4, port=port))
        censor = stack.enter_context(lab.censored(rules))
        for port, words in (
            (80, [b"GET / HTTP/1.1\r\n", b"odd", b"odder"]),
            (80, [b"odd", b"GET / HTTP/1.1\r\n", b"odder"]),
            (81, [b"odd", b"odder", b"oddest"]),
            (80, [b"odd", b"dropped"]),
        ):
            with lab.connect(lab.SERVER4, port) as one:
                heard = [_exchange(one, word, silent=word == b"dropped") for word in words]
                if (
                    heard[-1] is None
                ):  # the kernel sends it again, and after the memory it counts as the first
                    heard.append(one.recv(100).decode())
                found.append(heard)
        found.append(len(lab.did(censor.events(), "dropped")))
    return found


def _exchange(sock: socket.socket, word: bytes, *, silent: bool = False) -> str | None:
    """Say a word and return the answer; None where silence is expected and there is none for a while."""
    sock.sendall(word)
    sock.settimeout(0.7 if silent else 30)
    try:
        return sock.recv(100).decode()
    except TimeoutError:
        return None
    finally:
        sock.settimeout(30)


def _echo(connection: socket.socket) -> None:
    while data := connection.recv(100):
        connection.sendall(data)


def test_the_protocol_filter_remembers_a_flow() -> None:
    get = "GET / HTTP/1.1\r\n"
    assert namespaces.call(filtered) == [
        [get, "odd", "odder"],
        ["odd", get, "odder"],
        ["odd", "odder", "oddest"],
        ["odd", None, "dropped"],
        1,
    ]


def one_direction(direction: str) -> list[Any]:
    """Drop one direction of what follows a word; return what the server heard and what the client heard."""
    lab.street()
    rules = f'[[rule]]\nmatch = {{ payload = "secret", direction = "{direction}" }}\ndo = "drop"'
    with contextlib.ExitStack() as stack:
        heard: list[str] = []

        def behaviour(connection: socket.socket) -> None:
            heard.append(connection.recv(100).decode())
            connection.sendall(b"answer")

        with namespaces.inside(lab.SERVER):
            stack.enter_context(TcpServer(behaviour, address=lab.SERVER4, port=80))
        stack.enter_context(lab.censored(rules))
        with lab.connect(lab.SERVER4, 80) as one:
            answer = _exchange(one, b"secret", silent=True)
            if direction == "down":
                until(lambda: bool(heard), "the server hears")
            return [answer, list(heard)]


def test_a_drop_is_one_sided_or_both() -> None:
    assert namespaces.call(one_direction, "up") == [None, []]
    assert namespaces.call(one_direction, "down") == [None, ["secret"]]
    assert namespaces.call(one_direction, "both") == [None, []]


def test_a_real_site_is_untouched_by_rules_for_others() -> None:
    assert namespaces.call(site_behind, NO_HOST + 'do = "page"') == "HTTP/1.1 200 X"


def site_behind(rules: str) -> str:
    lab.street()
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            stack.enter_context(TcpServer(once(lambda _: page(b"ok")), address=lab.SERVER4, port=80))
        stack.enter_context(lab.censored(rules))
        return lab.ask(lab.SERVER4, 80, OTHER.encode()).partition("\r\n")[0]
