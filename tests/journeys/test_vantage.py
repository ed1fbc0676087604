"""A device inside, a collector outside, and sites that are well, down or blocked: each is called what it is.

Four hosts: the device, its country's gateway, the net abroad where the sites stand, and the collector with its broker.
The gateway answers in the blocked site's place and resets what names it.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from appliance.state_file import read as read_state
from appliance.vantage import NAME as NEWS_FILE
from tests import namespaces
from tests.appliance.world import Device
from tests.collector.process import CollectorProcess
from tests.mosquitto import Mosquitto
from tests.servers.dns import DnsServer, zone
from tests.servers.http import http, page
from tests.servers.tcp import Behaviour, TcpServer, reset
from tests.servers.tls import Authority, over_tls
from tests.waiting import until

NEUTRAL: Final = 3
WELL, DOWN, BLOCKED = "10.0.5.1", "10.0.6.1", "10.0.7.1"
SITES: Final = {"well": WELL, "down": DOWN, "blocked": BLOCKED}
CENTRE: Final = "10.7.0.2"
QUIET: Final = "quiet.example.net"


def dislikes(name: str, otherwise: Behaviour) -> Behaviour:
    """Return a filter: a ClientHello that holds `name` is reset, any other served."""

    def behaviour(connection: socket.socket) -> None:
        if name.encode() in connection.recv(65536, socket.MSG_PEEK):
            reset(connection)
        else:
            otherwise(connection)

    return behaviour


class Country:
    """The four hosts with everything that runs on them, inside `tests.namespaces.call`."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._authority = Authority(folder)
        _wire()
        os.environ["SSL_CERT_FILE"] = str(self._authority.trusted)
        os.environ["SSL_CERT_DIR"] = str(folder / "nobody")
        names: dict[str, tuple[str, ...]] = {
            f"{name}.example.net": (address,) for name, address in SITES.items()
        }
        with namespaces.inside("gateway"):
            stack.enter_context(DnsServer(zone(names), address="10.9.0.1", port=53))
            self.serve(dislikes("blocked.example.net", self._tls(QUIET)), BLOCKED, 443)
        with namespaces.inside("abroad"):
            for number in range(1, NEUTRAL + 1):
                self.serve(http(lambda _request: page(status=204, content_type="")), f"10.0.{number}.1", 80)
            self.serve(self._site("well"), WELL, 443)
            self.serve(self._site("blocked"), BLOCKED, 443)
        plans = folder / "plans"
        plans.mkdir()
        (plans / "here.toml").write_text(_plan())
        with namespaces.inside("centre"):
            directory = folder / "mosquitto"
            directory.mkdir()
            self.broker = Mosquitto(directory, extra=[f"listener 1883 {CENTRE}"])
            self.broker.start()
            settings = folder / "collector.toml"
            settings.write_text(f'[vantage]\nenabled = true\nevery_s = 10\nplans = "{plans}"\n')
            self.collector = stack.enter_context(
                CollectorProcess(
                    folder / "collector", "--config", str(settings), "--broker", f"{CENTRE}:1883"
                )
            )
        stack.callback(self.broker.stop)
        (folder / "device.toml").write_text(
            f'data = "{folder / "data"}"\nplan = "{plans / "here.toml"}"\n'
            "[schedule]\ncalm_s = 2\ntransition_s = 2\n"
            f'[broker]\nhost = "{CENTRE}"\nport = 1883\nretry_max_s = 1\n'
        )

    def serve(self, behaviour: Behaviour, address: str, port: int) -> None:
        self._stack.enter_context(TcpServer(behaviour, address=address, port=port))

    def recover(self, name: str) -> None:
        """Let the site that is down be up."""
        with namespaces.inside("abroad"):
            self.serve(self._site(name), SITES[name], 443)

    def ask(self, path: str) -> Any:
        """Return what the collector's API answers, asked where it runs."""
        with namespaces.inside("centre"):
            return json.loads(self.collector.get(path))

    def judged(self, device: str, until: str = "") -> dict[str, dict[str, Any]]:
        told = self.ask(f"api/v1/devices/{device}/targets" + (f"?until={until}" if until else ""))
        return {one["target_name"]: one for one in told["targets"]}

    def own_word(self, device: str) -> dict[str, str]:
        """Return what the device itself said of each site in the last round that arrived."""
        rounds = self.ask(f"api/v1/devices/{device}/rounds?limit=1")["rounds"]
        since = f"api/v1/records?device={device}&test=ladder&limit=1000"
        records = [one["record"] for one in self.ask(since)["records"]]
        last = next(one for one in reversed(records) if one["round_id"] == rounds[-1]["round_id"])
        return {one["name"]: one["verdict"] for one in last["detail"].get("targets", [])}

    def await_(self, what: Callable[[], Any], said: str) -> None:
        until(what, lambda: f"{said}: {self.collector.errors}", pause_s=0.2)

    def await_device(self) -> str:
        """Wait for a device's first round and return its id."""
        self.await_(
            lambda: [one for one in self.ask("api/v1/devices")["devices"] if one["verdict"]], "a round"
        )
        found: str = self.ask("api/v1/devices")["devices"][0]["device"]
        return found

    def _tls(self, *names: str) -> Behaviour:
        return over_tls(
            self._authority.server_context(*names), http(lambda _request: page(b"<title>x</title>"))
        )

    def _site(self, name: str) -> Behaviour:
        return self._tls(f"{name}.example.net")


def _wire() -> None:
    for name in ("gateway", "abroad", "centre"):
        namespaces.node(name)
    namespaces.wire("eth0", "gateway", near="10.9.0.2/24", far="10.9.0.1/24")
    namespaces.wire("eth1", "abroad", near="10.8.0.1/24", far="10.8.0.2/24", near_node="gateway")
    namespaces.wire(
        "eth1", "centre", near="10.7.0.1/24", far="10.7.0.2/24", near_node="abroad", far_interface="eth0"
    )
    namespaces.ip("route add default via 10.9.0.1")
    namespaces.ip("route add default via 10.8.0.2", node="gateway")
    namespaces.ip("route add 10.9.0.0/24 via 10.8.0.1", node="abroad")
    namespaces.ip("route add default via 10.7.0.1", node="centre")
    for number in (*range(1, NEUTRAL + 1), 5, 6, 7):
        namespaces.ip(f"addr add 10.0.{number}.1/32 dev lo", node="abroad")
    namespaces.ip(f"addr add {BLOCKED}/32 dev lo", node="gateway")
    for name in ("gateway", "abroad"):
        with namespaces.inside(name):
            namespaces.sysctl("net.ipv4.ip_forward", 1)
    # What timesyncd leaves when it has set the clock: the device then knows its time to half a second.
    mark = Path("/run/systemd/timesync/synchronized")
    mark.parent.mkdir(parents=True)
    mark.touch()
    namespaces.open_ping()
    namespaces.write_file("/etc/resolv.conf", "nameserver 10.9.0.1\n")


def _plan() -> str:
    near = "".join(
        f'[[target]]\nname = "{rung}"\nrung = "{rung}"\nzone = "local"\ntest = "{test}"\ntarget = "{target}"\n'
        f'{options}source = "made"\nwhy = "made"\n'
        for rung, test, target, options in (
            ("link", "link", "@uplink", ""),
            ("address", "address", "@host", ""),
            ("gateway", "ping", "@gateway", ""),
            ("resolver", "dns", "well.example.net", 'options = { resolver = "@isp" }\n'),
        )
    )
    neutral = "".join(
        f'[[target]]\nname = "neutral-{number}"\nrung = "international"\nzone = "international"\ntest = "http"\n'
        f'target = "http://10.0.{number}.1/"\noptions = {{ expect_status = 204, body_cap = 1024 }}\n'
        f'network = {{ asn = {64500 + number}, name = "N{number}" }}\nsource = "made"\nwhy = "made"\n'
        for number in range(1, NEUTRAL + 1)
    )
    sites = "".join(
        f'[[target]]\nname = "{name}"\nrung = "platforms"\nzone = "international"\ntest = "web_connectivity"\n'
        f'target = "https://{name}.example.net/"\n'
        f'options = {{ resolver = "none", control_sni = "{QUIET}", addresses = 1, body_cap = 4096, window_ms = 0 }}\n'
        f'network = {{ asn = {64600 + number}, name = "S{number}" }}\nsource = "made"\nwhy = "made"\n'
        for number, name in enumerate(SITES)
    )
    return (
        'schema = 1\ncountry = "zz"\nname = "Small country"\nrevised = 2026-01-01\n'
        "[cadence]\ncalm_s = 120\ntransition_s = 30\nbudget_bytes_per_day = 100_000_000_000\n"
        f"[round]\nstagger_ms = 5\n{near}{neutral}{sites}"
    )


@contextmanager
def country(folder: str) -> Iterator[Country]:
    with ExitStack() as stack:
        yield Country(Path(folder), stack)


def down_or_blocked(folder: str) -> dict[str, Any]:
    """Let a device measure sites that are well, down and blocked; return what the collector and the device say."""
    with country(folder) as there, Device(there.folder / "device.toml") as device:
        name = there.await_device()
        there.await_(lambda: there.ask("api/v1/vantage")["targets"], "a sweep of the vantage")
        judged: dict[str, Any] = {}

        def is_judged() -> bool:
            """Take one round's verdicts: of the next the vantage may not have looked on both sides yet."""
            judged.update(there.judged(name))
            decided = all(judged[one]["verdict"] != "inconclusive" for one in ("down", "blocked"))
            return decided and all(judged[one]["vantage"] is not None for one in SITES)

        there.await_(is_judged, "judged with the vantage")
        there.await_((device.data / NEWS_FILE).exists, "news at the device")
        there.await_(lambda: there.own_word(name).get("down") == "service_down", "said by the device too")
        own = there.own_word(name)
        return {
            "own": own,
            "verdicts": {one: judged[one]["verdict"] for one in SITES},
            "rules": {one: judged[one]["rule_id"] for one in SITES},
            "ages": [judged[one]["vantage"]["age_s"] for one in SITES],
            "refused_news": "news of the vantage was refused" in device.errors,
        }


@pytest.mark.namespace
def test_down_for_everyone_is_down_and_down_here_alone_is_blocked(tmp_path: Path) -> None:
    found = namespaces.call(down_or_blocked, str(tmp_path), limit_s=300)
    assert found["verdicts"]["well"] == "ok"
    assert found["verdicts"]["down"] == "service_down", found
    assert found["verdicts"]["blocked"] == "blocked_tls", found
    assert found["own"]["well"] == "ok"
    assert found["own"]["down"] == "service_down"
    assert found["own"]["blocked"] in ("blocked_tls", "inconclusive"), found
    assert max(found["ages"]) < 60
    assert not found["refused_news"]


def late_and_unreachable(folder: str) -> dict[str, Any]:
    """Cut the vantage off, then the device; return what is said of the failing site at each of those times."""
    with country(folder) as there, Device(there.folder / "device.toml") as device:
        name = there.await_device()

        def down() -> dict[str, Any]:
            return there.judged(name)["down"]

        def rounds_measured(count: int) -> Callable[[], bool]:
            state = read_state(device.data)
            wanted = count + (0 if state is None else state.round_id)
            return lambda: (now := read_state(device.data)) is not None and now.round_id >= wanted

        there.await_(lambda: down()["verdict"] == "service_down", "down for everyone")
        # The collector loses the net abroad, neutral sites and all, and hears its device still.
        namespaces.ip("route add unreachable 10.0.0.0/16", node="centre")
        there.await_(
            lambda: down()["vantage"] is not None and not down()["vantage"]["reachable"], "a vantage cut off"
        )
        blind = down()
        namespaces.ip("route del unreachable 10.0.0.0/16", node="centre")
        there.await_(lambda: down()["verdict"] == "service_down", "down for everyone again")
        # The device is cut off from the collector, which goes on looking; then the site comes back.
        there.broker.stop()
        stopped = read_state(device.data)
        assert stopped is not None
        there.await_(rounds_measured(8), "rounds that nobody hears of")
        there.recover("down")
        there.await_(
            lambda: [
                one
                for one in there.ask("api/v1/vantage")["targets"]
                if one["target_name"] == "down" and one["failure"] is None and one["samples"] > 1
            ],
            "up again for the vantage",
        )
        there.await_(rounds_measured(2), "rounds with the site up")
        with namespaces.inside("centre"):
            there.broker.start()
        there.await_(lambda: down()["failure"] is None, "the last round")
        there.await_(lambda: there.ask(f"api/v1/devices/{name}/completeness")["missing"] == 0, "every record")
        rounds = there.ask(f"api/v1/devices/{name}/rounds?limit=500")["rounds"]
        past = []
        for one in rounds:
            site = there.judged(name, f"{one['epoch']}:{one['seq']}").get("down")
            if site is not None:
                is_late = one["round_id"] > stopped.round_id
                past.append((is_late, site["failure"], site["verdict"], site["no_vantage"]))
        return {"blind": [blind["verdict"], blind["failure"]], "past": past, "last": down()["verdict"]}


@pytest.mark.long
@pytest.mark.namespace
def test_what_comes_late_is_judged_by_the_vantage_of_its_time_and_a_blind_vantage_accuses_nobody(
    tmp_path: Path,
) -> None:
    found = namespaces.call(late_and_unreachable, str(tmp_path), limit_s=400)
    assert found["blind"] == ["inconclusive", "connection_refused"]
    assert found["last"] == "ok"
    failed = [(is_late, verdict) for is_late, failure, verdict, _ in found["past"] if failure is not None]
    assert {verdict for _, verdict in failed} <= {"service_down", "inconclusive"}, found
    assert failed.count((True, "service_down")) >= 3, found
    assert {verdict for _, failure, verdict, _ in found["past"] if failure is None} == {"ok"}, found
