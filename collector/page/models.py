"""The API's objects: what each field is, with its unit. The OpenAPI document and its page are made from these.

Times are text in ISO 8601, UTC, to the nanosecond, since a JSON number cannot hold them in every reader. A
field that was released keeps its name and meaning; a new meaning is a new field.
"""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from firmware.judgement.ladder import RungProgress
from firmware.model.record import ClockQuality, Rung

DEVICE_FORM = "[a-z0-9]{16}"
EPOCH_FORM = "[0-9a-f]{16}"
_TIME = "2026-11-15T16:32:07.123456789Z"
_DEVICE = "k3v9q2m7x1c8n5p4"
_EPOCH = "9f1c04d27ab35e68"

DeviceId = Annotated[
    str, Field(description="The device’s random id: 16 letters and digits.", examples=[_DEVICE])
]
EpochId = Annotated[
    str,
    Field(description="The outbox database the seq belongs to: 16 hexadecimal digits.", examples=[_EPOCH]),
]
Seq = Annotated[int, Field(description="Number within the epoch, from 1 without a gap.", examples=[4211])]


Probability = Annotated[
    float | None,
    Field(
        description="How likely what is said is so, 0 to 1; null: it claims nothing, or older software said it. What is "
        "suspected and not likely enough to be said stands in `evidence`, as `suspected`.",
        examples=[0.9962],
    ),
]


class ApiModel(BaseModel):
    """What all objects share: they are made once and never changed."""

    model_config = ConfigDict(frozen=True)


class StatementOut(ApiModel):
    """One thing that is said, as data, and as an English sentence."""

    code: str = Field(
        description="Which statement; `prose` for what older software wrote as a sentence.",
        examples=["rung-networks-best"],
    )
    parameters: dict[str, Any] = Field(
        description="Its values, the unit in the name.",
        examples=[{"rung": "domestic", "reached": 3, "tried": 3, "networks": 3, "best_ns": 12345678}],
    )
    sentence: str = Field(
        description="The same for a person, in English.",
        examples=["domestic: 3 of 3 reached in 3 networks, best 12.3 ms"],
    )


class VerdictOut(ApiModel):
    """What a rule concluded of one round, at the device’s own place. Never a claim about the country."""

    verdict: str = Field(
        description="The verdict’s word; see /about#verdicts.", examples=["international_cut"]
    )
    sentence: str = Field(description="The same as a person would say it, in English.")
    rule_id: str = Field(
        description="The rule that decided; see /about#rules.", examples=["international-cut"]
    )
    probability: Probability
    evidence: list[StatementOut] = Field(description="What was seen.")
    overturned_by: str = Field(description="What would make the verdict wrong, in English.")


class MomentOut(ApiModel):
    """A moment at a device, by all that is known now: its clock’s word, or what its sync points and boots say."""

    utc: str = Field(description="UTC, ISO 8601.", examples=[_TIME])
    error_s: float | None = Field(
        description="Bound of the clock’s error, in seconds; null: nothing bounds it.", examples=[4.0]
    )
    clock: ClockQuality = Field(description="What was known of the clock then.")


class SinceOut(ApiModel):
    """How long the present verdict has held."""

    first_round: MomentOut = Field(description="When the first round with it began.")
    rounds: int = Field(description="How many rounds in a row, that one included.")
    exact: bool = Field(
        description="Whether the round before, with another verdict, is here; if not it may have begun earlier."
    )
    before: MomentOut | None = Field(
        description="When the round before began: the change came between the two."
    )
    verdict_before: str | None = Field(description="What that round said.")


class EpochOut(ApiModel):
    """The account of one outbox database: stored + tombstoned + rejected + missing = produced."""

    epoch: EpochId
    produced: int = Field(description="How many records the device made, as far as it has told.")
    stored: int = Field(description="How many are here.")
    tombstoned: int = Field(description="How many the device gave up, and said so.")
    rejected: int = Field(description="How many arrived and were not valid.")
    missing: int = Field(description="How many nothing is known of: still on the device, or lost.")
    gaps: list[tuple[int, int]] = Field(
        description="The missing seqs as inclusive ranges [low, high].", examples=[[[17, 17], [1203, 1210]]]
    )


class CompletenessOut(ApiModel):
    """A device’s account over all its epochs, the oldest first."""

    device: DeviceId
    produced: int = Field(description="Sum over the epochs.")
    stored: int = Field(description="Sum over the epochs.")
    tombstoned: int = Field(description="Sum over the epochs.")
    rejected: int = Field(description="Sum over the epochs.")
    missing: int = Field(description="Sum over the epochs.")
    share: float = Field(description="The accounted part, 0 to 1.", ge=0, le=1)
    epochs: list[EpochOut] = Field(description="One account for each epoch.")
    unnamed_epochs: int = Field(
        description="How many more epochs the device says it holds records of and has not named yet."
        " They are in none of the figures."
    )


class TransitionOut(ApiModel):
    """A transition of a device’s verdict, as it said on connecting, ahead of the records that tell it in full."""

    verdict: str = Field(description="The verdict’s word.", examples=["international_cut"])
    rule_id: str = Field(description="The rule that decided it; see /about.")
    since: MomentOut = Field(description="When it was first reached, by the device’s clock at the time.")


class DeviceOut(ApiModel):
    """A device and what it last said."""

    device: DeviceId
    country: str = Field(
        description="ISO 3166-1 code from the device’s plan; zz: none in particular; empty: not told.",
        examples=["ir"],
    )
    software: str = Field(description="Version of the device’s software; empty: not told.")
    first_heard: str = Field(description="UTC by the collector’s clock, ISO 8601.", examples=[_TIME])
    last_heard: str = Field(description="UTC by the collector’s clock, ISO 8601.", examples=[_TIME])
    lately: bool = Field(
        description="Whether it was heard from in the last 15 minutes. If not, its verdict is of then, not of now."
    )
    online: bool | None = Field(
        description="What the broker last said of its connection; null: it never did."
    )
    waiting: int | None = Field(
        description="Records that waited on the device when it last connected; null: not told."
    )
    last_round: MomentOut | None = Field(description="When its last round began; null: no round has arrived.")
    verdict: VerdictOut | None = Field(
        description="What that round concluded; null: nothing, or no round has arrived."
    )
    since: SinceOut | None = Field(description="How long that verdict has held.")
    headline: list[TransitionOut] = Field(
        description="What it said on its last connecting of its verdict’s last transitions, newest first; its own word, told"
        " ahead of the records, which may not have arrived."
    )
    completeness: CompletenessOut


class DevicesOut(ApiModel):
    """All devices."""

    as_of: str = Field(description="When this was asked, UTC by the collector’s clock.", examples=[_TIME])
    devices: list[DeviceOut] = Field(description="Every device ever heard, the one heard last first.")


class CellOut(ApiModel):
    """One rung in one round."""

    rung: Rung = Field(description="Which rung.")
    state: RungProgress = Field(description="How far it was climbed; see /about#cells.")
    reached: int = Field(description="How many of its targets answered.")
    tried: int = Field(description="How many could be measured.")
    best_ns: int | None = Field(
        description="The shortest time of those reached, in ns; null: none, or not kept."
    )
    failures: list[str] = Field(
        description="`target: what failed` of the others.",
        examples=[["example-anchor: generic_timeout_error"]],
    )


class RoundOut(ApiModel):
    """One round of the ladder."""

    epoch: EpochId
    seq: Seq
    boot_id: str = Field(
        description="The device’s boot; within one boot `boottime_ns` orders and spaces rounds exactly."
    )
    round_id: int | None = Field(
        description="The round’s number on the device; its measurements carry the same."
    )
    boottime_ns: int = Field(description="CLOCK_BOOTTIME when the round began, in ns.")
    start: MomentOut = Field(description="When the round began.")
    verdict: str | None = Field(
        description="What it concluded; null: nothing.", examples=["international_cut"]
    )
    rule_id: str | None = Field(description="By which rule.")
    cells: list[CellOut] = Field(description="The rungs, lowest first.")


class MissedOut(ApiModel):
    """Rounds the device says that it did not measure."""

    epoch: EpochId
    seq: Seq
    due: str = Field(
        description="When the first was due, UTC by the device’s clock, ISO 8601.", examples=[_TIME]
    )
    moment: MomentOut = Field(description="The same by all that is known now, with its error.")
    count: int = Field(description="How many.", examples=[3])
    reason: StatementOut = Field(description="Why.")


class RoundsOut(ApiModel):
    """A device’s ladder over time."""

    device: DeviceId
    rounds: list[RoundOut] = Field(
        description="Oldest first. What is between two of them is not here: see `missed`."
    )
    missed: list[MissedOut] = Field(description="The rounds missed since the first of these.")
    older: str | None = Field(
        description="`until` of the rounds before these; null: there are none.", examples=[f"{_EPOCH}:4186"]
    )


class RecordOut(ApiModel):
    """One record as the device made it, and its identity: (device, epoch, seq)."""

    cursor: int = Field(description="Its place in the order of arrival.", examples=[91824])
    device: DeviceId
    epoch: EpochId
    seq: Seq
    received: str = Field(description="When it arrived, UTC by the collector’s clock.", examples=[_TIME])
    start: MomentOut = Field(
        description="When it was measured, by all that is known now; the record’s own `start_utc_ns` is what the device’s"
        " clock said. Later arrivals may make it surer."
    )
    record: dict[str, Any] = Field(description="The record itself, in the record’s own schema; times in ns.")
    verdict: VerdictOut | None = Field(
        default=None, description="The record’s verdict with its sentences; not there where it has none."
    )


class RecordsOut(ApiModel):
    """Some records in order of arrival."""

    records: list[RecordOut] = Field(description="At most `limit`.")
    next_cursor: int | None = Field(
        description="Ask again with `cursor` set to this for more; null: these are the last at present."
    )


class RejectOut(ApiModel):
    """Something that arrived and was not accepted."""

    device: str = Field(description="Whose it was by its topic; empty: nobody’s.")
    epoch: str | None = Field(description="The epoch it named; null: none could be read.")
    seq: int | None = Field(description="The record refused; null: the payload as a whole.")
    reason: str = Field(
        description="What was wrong, as the device was told.",
        examples=["record: zone: found 'mars'; allowed is …"],
    )
    received: str = Field(description="When, UTC by the collector’s clock.", examples=[_TIME])
    topic: str = Field(description="Where it arrived.")
    payload_bytes: int = Field(description="How much of it is kept at the collector, in bytes.")


class RejectsOut(ApiModel):
    """What was refused, the newest first."""

    rejects: list[RejectOut]


class HealthOut(ApiModel):
    """Whether the page can read the store, and how much is in it."""

    status: Literal["ok"] = Field(
        description="`ok`; when the store cannot be read, or nothing can be stored, the answer is 503."
    )
    version: str = Field(description="The collector’s software.")
    devices: int = Field(description="Devices ever heard.")
    records: int = Field(description="Records stored.")
    rejects: int = Field(description="Records and payloads refused.")


class DigestOut(ApiModel):
    """The end of the digest chain over all that was received and said: keep it elsewhere, and hold an audit against it."""

    number: int = Field(description="How many entries there are; an entry for each transaction.")
    digest: str = Field(
        description="SHA-256 of the last entry, over the one before it: 64 hexadecimal digits."
    )
    head: str = Field(
        description="Both, as `tidegauge collector audit --digest` takes them.",
        examples=[f"17:{'0' * 64}"],
    )
    at_ns: int = Field(
        description="When the last entry was made, by the collector’s clock: ns since 1970, UTC."
    )


class ErrorDetail(ApiModel):
    """What was wrong with a request."""

    message: str = Field(description="One sentence.")
    parameter: str | None = Field(default=None, description="The parameter at fault, when it was one.")
    found: str | None = Field(default=None, description="What it was.")
    allowed: str | None = Field(default=None, description="What it may be.")


class ErrorOut(ApiModel):
    """The body of every error."""

    error: ErrorDetail


class NoParameters(BaseModel):
    """A request that takes no parameters; any that is given is an error."""

    model_config = ConfigDict(extra="forbid")


class RoundsQuery(BaseModel):
    """Which rounds."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(
        default=48, ge=1, le=500, description="How many rounds at most: a whole number from 1 to 500."
    )
    until: str | None = Field(
        default=None,
        pattern=f"^{EPOCH_FORM}:[1-9][0-9]{{0,18}}$",
        description="The last round wanted, as `epoch:seq`; without it, the newest.",
        examples=[f"{_EPOCH}:4186"],
    )


class RejectsQuery(BaseModel):
    """Which refusals."""

    model_config = ConfigDict(extra="forbid")

    device: str | None = Field(
        default=None, pattern=f"^{DEVICE_FORM}$", description="Only of this device: its 16-character id."
    )
    limit: int = Field(
        default=100, ge=1, le=1000, description="How many at most: a whole number from 1 to 1000."
    )


class RecordsQuery(BaseModel):
    """Which records, and in what form."""

    model_config = ConfigDict(extra="forbid")

    device: str | None = Field(
        default=None, pattern=f"^{DEVICE_FORM}$", description="Only of this device: its 16-character id."
    )
    test: str | None = Field(
        default=None,
        pattern="^[a-z0-9_]{1,40}$",
        description="Only of this test: its name, such as `tls` or `ladder`.",
        examples=["tls"],
    )
    rung: Rung | None = Field(default=None, description="Only on this rung of the ladder.")
    failure: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Only with exactly this failure word; see /about#failures.",
        examples=["generic_timeout_error"],
    )
    since: AwareDatetime | None = Field(
        default=None,
        description="Only begun at or after this by the device’s own clock: ISO 8601 with its zone, such as 2026-11-15T16:00:00Z.",
        examples=["2026-11-15T16:00:00Z"],
    )
    until: AwareDatetime | None = Field(
        default=None,
        description="Only begun before this by the device’s own clock: ISO 8601 with its zone, such as 2026-11-15T18:00:00Z.",
        examples=["2026-11-15T18:00:00Z"],
    )
    cursor: int = Field(
        default=0,
        ge=0,
        lt=2**63,
        description="Only what arrived after the record with this cursor: a whole number from 0.",
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="How many at most, a whole number from 1. As JSON: 100 without it, and never more than"
        " 1000. As JSON Lines: everything without it.",
    )
    format: Literal["json", "ndjson"] | None = Field(
        default=None,
        description="`json` or `ndjson` (JSON Lines, streamed). Without it, what the Accept header prefers;"
        " `application/x-ndjson` there asks for JSON Lines.",
    )
    surroundings: bool = Field(
        default=False,
        description="In JSON Lines: also how each record’s round was (`round`), what is said by now of its country at that"
        " time (`country`) and what the vantage saw of its target (`control`), as `tidegauge collector export` writes them"
        " and `tidegauge explain` reads them. It takes some 25 ms a round.",
    )
