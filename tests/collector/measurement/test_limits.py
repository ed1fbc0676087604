"""The limits: whatever comes in whatever order, none is exceeded, and what was not used is to be had again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.measurement import limits as module
from collector.measurement.limits import HOUR_S, Allowances, Bounds, Lease
from collector.measurement.refusals import RefusedError

BOUNDS = Bounds(transfers_per_device=2, transfers=3, bytes_per_device_per_day=1000, bytes_per_day=1500)
STEP = st.tuples(
    st.sampled_from("abc"),  # who
    st.integers(1, 900),  # how much is asked for
    st.integers(0, 1100),  # how much is used at the end
    st.floats(0.0, 30 * HOUR_S),  # how long after the last step
    st.booleans(),  # whether the oldest transfer ends first
)


@given(steps=st.lists(STEP, max_size=60))
def test_no_limit_is_ever_exceeded(steps: list[tuple[str, int, int, float, bool]]) -> None:
    allowances = Allowances(BOUNDS)
    now_s = 0.0
    under_way: list[tuple[Lease, float, int]] = []
    waits_s: list[int] = []
    let_in: list[tuple[str, float, list[int]]] = []  # who, when, what it took
    for number, (who, count, used, later_s, ends) in enumerate(steps):
        now_s += later_s
        if ends and under_way:
            lease, _, at = under_way.pop(0)
            allowances.release(lease, used)
            let_in[at][2][0] = min(used, lease.set_aside)
        try:
            lease = allowances.admit(who, str(number), count, now_s=now_s)
        except RefusedError as error:
            waits_s.append(error.refusal.retry_after_s or 0)
        else:
            under_way.append((lease, now_s, len(let_in)))
            let_in.append((who, now_s, [count]))
        in_a_day = [(name, took[0]) for name, when, took in let_in if when > now_s - 24 * HOUR_S]
        assert sum(took for _, took in in_a_day) <= BOUNDS.bytes_per_day
        assert len(under_way) <= BOUNDS.transfers
        assert allowances.under_way == len(under_way)
        for name in "abc":
            assert sum(took for whose, took in in_a_day if whose == name) <= BOUNDS.bytes_per_device_per_day
            assert sum(lease.who == name for lease, _, _ in under_way) <= BOUNDS.transfers_per_device
    assert min(waits_s, default=1) > 0


def test_waiting_as_long_as_one_is_told_helps() -> None:
    allowances = Allowances(BOUNDS)
    allowances.release(allowances.admit("a", "1", 1000, now_s=100.0), 1000)
    with pytest.raises(RefusedError) as caught:
        allowances.admit("a", "2", 1, now_s=7300.0)
    wait_s = caught.value.refusal.retry_after_s
    assert wait_s is not None
    with pytest.raises(RefusedError):
        allowances.admit("a", "3", 1, now_s=7300.0 + wait_s - 60)
    allowances.admit("a", "4", 1000, now_s=7300.0 + wait_s)


def test_what_was_refused_may_come_again_under_its_nonce() -> None:
    allowances = Allowances(BOUNDS)
    with pytest.raises(RefusedError):
        allowances.admit("a", "1", 1001, now_s=0.0)
    allowances.admit("a", "1", 1, now_s=0.0)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 3)
    allowances = Allowances(BOUNDS)
    for number in range(10):
        allowances.release(allowances.admit(f"d{number}", "n", 10, now_s=number * 30 * HOUR_S), 10)
    held = [allowances.admit(f"e{number}", "n", 10, now_s=1000 * HOUR_S) for number in range(3)]
    with pytest.raises(RefusedError, match="too many"):
        allowances.admit("f", "n", 10, now_s=1000 * HOUR_S)
    allowances.release(held[0], 0)
    allowances.admit("f", "n", 10, now_s=1000 * HOUR_S)
