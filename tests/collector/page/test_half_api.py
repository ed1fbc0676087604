"""The API about measurement servers' halves, over a socket: filters, pages, the join, and what is missing."""

import json
from typing import Any

import pytest

from collector.store.database import Store
from collector.store.server_halves import HalfStore
from tests.collector.halves_of import LOG, SERVER, account_of, nonce_of, signed_half
from tests.collector.page.conftest import Served
from tests.collector.rows_of import arrived
from tests.collector.scripted_device import DEVICE, EPOCH

OTHER = "wxyz0123efgh4567"
NOW_NS = 1_795_000_000_000_000_000


def filled(store: Store) -> int:
    store.commit([arrived([n], detail={"nonce": nonce_of(n)}, target=f"t{n}") for n in (1, 2, 3)])
    return NOW_NS


@pytest.fixture
def served(serve: Any) -> Served:
    running: Served = serve(filled)
    halves = HalfStore.open(running.database)
    given = [signed_half(1), signed_half(2, device=OTHER), signed_half(4), signed_half(5, server=SERVER)]
    halves.add(SERVER, account_of(9, evicted=1), given, received_ns=NOW_NS)
    halves.close()
    return running


def told(served: Served, path: str) -> Any:
    answer = served.get(path)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def numbers(found: Any) -> list[int]:
    return [one["number"] for one in found["halves"]]


def test_halves_with_their_records_by_filter_and_page(served: Served) -> None:
    every = told(served, "/api/v1/server-halves")
    assert numbers(every) == [1, 2, 4, 5]
    assert every["next_cursor"] is None
    first, *others = every["halves"]
    assert first["record"] == {"device": DEVICE, "epoch": EPOCH, "seq": 1}
    assert [one["record"] for one in others] == [None, None, None]
    assert (first["server"], first["epoch"], first["half"]["end"]) == (SERVER, LOG, "done")
    assert numbers(told(served, f"/api/v1/server-halves?device={OTHER}")) == [2]
    assert numbers(told(served, f"/api/v1/server-halves?nonce={nonce_of(4)}")) == [4]
    assert numbers(told(served, "/api/v1/server-halves?server=another")) == []
    assert numbers(told(served, "/api/v1/server-halves?has_record=true")) == [1]
    assert numbers(told(served, "/api/v1/server-halves?has_record=false")) == [2, 4, 5]
    page = told(served, "/api/v1/server-halves?limit=3")
    assert numbers(page) == [1, 2, 4]
    assert numbers(told(served, f"/api/v1/server-halves?limit=3&cursor={page['next_cursor']}")) == [5]


def test_records_without_a_half_page_by_page(served: Served) -> None:
    first = told(served, "/api/v1/records-without-server-half?limit=1")
    (one,) = first["records"]
    assert (one["device"], one["seq"], one["nonce"], one["target"]) == (DEVICE, 2, nonce_of(2), "t2")
    second = told(served, f"/api/v1/records-without-server-half?limit=1&cursor={first['next_cursor']}")
    assert [one["seq"] for one in second["records"]] == [3]
    assert second["next_cursor"] is None
    assert told(served, f"/api/v1/records-without-server-half?device={OTHER}")["records"] == []


def test_how_far_a_server_was_heard_and_what_it_kept_back(served: Served) -> None:
    (log,) = told(served, "/api/v1/measurement-servers")["logs"]
    assert (log["server"], log["epoch"], log["asked"]) == (SERVER, LOG, "2026-11-18T11:06:40.000000000Z")
    assert (log["collected_upto"], log["last"], log["stored"], log["evicted"]) == (5, 9, 4, 1)
    assert log["missing"] == 0  # number 3 is the one that was evicted


@pytest.mark.parametrize(
    "query",
    ["nonce=xyz", "device=short", "limit=0", "limit=501", "cursor=-1", "has_record=perhaps", "more=1"],
)
def test_what_is_asked_wrongly_is_refused(served: Served, query: str) -> None:
    assert served.get(f"/api/v1/server-halves?{query}").status == 422
