"""A batch of one device's round that says how far it came with platforms, as the collector stores it."""

import json
import time

from collector.receive.record_rows import to_row
from collector.store.arrivals import BatchArrived
from firmware.judgement.target_judgement import TargetJudgement, to_json
from firmware.model import record as records
from firmware.model.jsontypes import JsonValue
from firmware.model.verdict_words import VerdictWord
from tests.collector.page import invented


def batch(
    *steps: tuple[str, str],
    verdict: str = "ok",
    late_ns: int = 20 * 1_000_000_000,
    detail: JsonValue = None,
    rule_id: str = "r",
    round_rule_id: str | None = None,
    families: tuple[int, ...] = (4,),
) -> BatchArrived:
    now_ns = time.time_ns()
    device = invented.Device(
        id="k3v9q2m7x1c8n5p4", epoch="9f1c04d27ab35e68", weather=invented.clear, booted_utc_ns=now_ns - 10**12
    )
    device.one_round(now_ns)
    rows = []
    for seq, one in enumerate(device.records, start=1):
        value = records.to_json(one)
        if one.test == "ladder":
            targets = [
                TargetJudgement(
                    name=name,
                    verdict=VerdictWord.OK,
                    rule_id=rule_id,
                    step=step,
                    confidence="high",
                    families=families,
                )
                for name, step in steps
            ]
            value["detail"] = {"targets": to_json(targets)} if detail is None else detail
            verdict_value = value["verdict"]
            assert isinstance(verdict_value, dict)
            verdict_value["verdict"] = verdict
            if round_rule_id is not None:
                verdict_value["rule_id"] = round_rule_id
        rows.append(to_row(seq, json.loads(json.dumps(value))))
    return BatchArrived(
        device=device.id, epoch=device.epoch, received_ns=now_ns + late_ns, topic="", rows=tuple(rows)
    )
