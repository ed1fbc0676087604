"""Every sentence the page says, in one place, so that a translation is one more table and nothing else.

Templates and views ask for a sentence by its key and hand in values; no other file of the page holds words
for a reader. Values are escaped unless they are markup already. It must never hold a number, a time or a
decision: those come in as values.
"""

from collections.abc import Mapping
from typing import Final

from markupsafe import Markup, escape

from firmware.model import failure_meanings
from firmware.model.failures import is_failure
from firmware.model.record import Rung

LANGUAGE: Final = "en"
DIRECTION: Final = "ltr"

ENGLISH: Final[Mapping[str, str]] = {
    # what this is
    "brand": "Tidegauge",
    "tagline": "A country’s Internet, measured from inside.",
    "what_this_is": (
        "Small devices in homes and offices climb the same ladder every few minutes, from their own cable to"
        " servers abroad, and report how far they got."
    ),
    "skip": "Skip to the content",
    "nav": "Pages",
    "nav_devices": "Devices",
    "nav_about": "What the words mean",
    "nav_api": "Data",
    # the summary
    "devices_one": "{n} device.",
    "devices_many": "{n} devices.",
    "heard_all_one": "It was heard from in the last {minutes} minutes.",
    "heard_all_many": "All were heard from in the last {minutes} minutes.",
    "heard_some": "{n} heard from in the last {minutes} minutes; {silent} silent.",
    "heard_none_one": "Not heard from in the last {minutes} minutes.",
    "heard_none_many": "None was heard from in the last {minutes} minutes.",
    "tally_title": "What they say",
    "tally_silent": "Silent, so unknown",
    "page_n_of_m": "Page {page} of {pages}",
    "page_previous": "Previous devices",
    "page_next": "Next devices",
    "scope_note": "Each device speaks for its own place and provider, not for the country.",
    "devices_title": "Each device",
    # a country
    "scope_nowhere": "Devices of no country",
    "scope_judged": "judged {duration} ago",
    "scope_stale": "Not judged for {duration}: what holds since then is unknown. The last that was said:",
    "scope_said_at": "said at {time}",
    "scope_rests": "Rests on",
    "scope_rests_on_one": "{n} device in {networks}: {well} well, {lost} lost, {silent} silent",
    "scope_rests_on_many": "{n} devices in {networks}: {well} well, {lost} lost, {silent} silent",
    "scope_networks_one": "{n} network",
    "scope_networks_many": "{n} networks",
    "scope_networks_none": "networks that nobody named",
    "scope_silent_lost": "the silent fell silent together and are counted as lost",
    "scope_silent_unknown": "what is silent is unknown",
    "scope_control": "Vantage outside",
    "scope_control_well": "Well: it reaches its own reference targets.",
    "scope_control_lost": (
        "It does not reach its own reference targets, so it says nothing of others, and silence is not counted as loss."
    ),
    "scope_control_off": (
        "Off, or it has not looked for {minutes} minutes: silence is not counted as loss, and no service as down."
    ),
    "scope_changes": "What was said, newest first",
    "scope_changes_all": "All of it, as JSON",
    "scope_revised_one": "Reconciled with the records of {n} device that arrived later",
    "scope_revised_many": "Reconciled with the records of {n} devices that arrived later",
    "scope_confirmed_one": "Confirmed by the records of {n} device that arrived later",
    "scope_confirmed_many": "Confirmed by the records of {n} devices that arrived later",
    "scope_too_few": "Unknown: too few devices to speak of the country",
    "scope_all_silent": "Unknown: {silent} of {devices} devices are silent",
    "scope_mixed": "Inconclusive: the evidence does not decide for the country",
    # nobody there yet
    "empty_title": "No device has reported yet",
    "empty_intro": "This collector is running and waits. To see a device here, do one of these:",
    "empty_run": "On this machine, start a broker, a collector and a device together:",
    "empty_device": "Or point a device at this collector’s broker and start it:",
    "empty_when": (
        "A device appears with its first delivery, within a minute of reaching the broker. This page looks"
        " again by itself."
    ),
    # a device's card
    "device": "Device {id}",
    "provenance_software": "software {software}",
    "since": "since {time}",
    "since_at_least": "since {time} or earlier",
    "rounds_in_run_one": "{n} round",
    "rounds_in_run_many": "{n} rounds in a row",
    "rounds_lasted_one": "{n} round, {duration}",
    "rounds_lasted_many": "{n} rounds in a row, for {duration}",
    "before": "The round that began at {time} said: {sentence}. The change came between the two.",
    "silent": "Not heard from for {duration}.",
    "last_word": "The last it said:",
    "silence_note": "Silence is unknown. By itself it is not evidence of an outage.",
    "no_verdict": "No verdict yet",
    "no_verdict_note": "It has been heard, and no completed round of it has arrived.",
    "evidence": "Evidence",
    "rule": "Rule",
    "evidence_seen": "What was seen",
    "evidence_more_one": "and {n} more line, on the device’s own page",
    "evidence_more_many": "and {n} more lines, on the device’s own page",
    "evidence_none": "The rule names no single observation.",
    "before_that": "Before that",
    "overturned_by": "What would overturn it",
    "clock": "Its clock",
    "last_heard": "Last heard",
    "ago": "{duration} ago",
    "completeness": "Records",
    "all_rounds": "More rounds, records and health of device {id}",
    "headline": "Told ahead of its records",
    "headline_turn": "{sentence}, since {time}",
    # completeness
    "complete": "seq {range}: all here",
    "complete_nothing": "none yet",
    "accounted": "seq {range}: all accounted for",
    "missing_one": "seq {range}: {n} missing ({gaps})",
    "missing_many": "seq {range}: {n} missing ({gaps})",
    "more_gaps": "{gaps} and {n} more gaps",
    "given_up_one": "{n} given up by the device, which said so",
    "given_up_many": "{n} given up by the device, which said so",
    "rejected_one": "{n} refused here as not valid",
    "rejected_many": "{n} refused here as not valid",
    "waiting_one": "{n} was waiting on the device when it last connected",
    "waiting_many": "{n} were waiting on the device when it last connected",
    "older_complete_one": "{n} earlier outbox database with {records} records: all accounted for",
    "older_complete_many": "{n} earlier outbox databases with {records} records: all accounted for",
    "older_missing_one": "{n} earlier outbox database with {records} records: {missing} missing",
    "unnamed_epochs_one": "{n} more earlier outbox database with records that are not here, not named yet",
    "unnamed_epochs_many": "{n} more earlier outbox databases with records that are not here, not named yet",
    "older_missing_many": "{n} earlier outbox databases with {records} records: {missing} missing",
    # times
    "moment": "{clock} UTC{error}, {day}",
    "error_within": "± {error}",
    "error_unknown": "(clock not synchronised, error unknown)",
    "error_unsynchronised": "± {error} (clock not synchronised, placed by what came before and after)",
    "error_holdover": "± {error}",
    "clock_holdover": "Synchronised earlier and drifting since; the error stands beside each time.",
    "clock_unsynchronised": (
        "Not synchronised: its times are its own belief and may be wrong by any amount."
    ),
    # the matrix
    "matrix_round": "Round began (UTC)",
    "matrix_label": "Ladder of device {id}, the latest {n} rounds",
    "matrix_empty": "No round yet.",
    "cell_reached": "reached {reached}/{tried}",
    "cell_partly": "partly {reached}/{tried}",
    "cell_failed": "failed {reached}/{tried}",
    "cell_unknown": "not measured",
    "cell_pending": "not in yet",
    "cell_title": "{rung} {what}: {failures}",
    "cell_title_bare": "{rung}: {what}",
    "timed": "{time} UTC. {what}",
    "and_more": "{shown} + {n} more",
    "round_title": "{time} UTC {error}. {verdict}",
    "gap_between": "No round here between {since} and {until} UTC ({duration}).",
    "gap_unknown": "unknown time",
    "gap_missed_one": "The device says that it missed {n} round: {reasons}.",
    "gap_missed_many": "The device says that it missed {n} rounds: {reasons}.",
    "gap_missing_one": "{n} record has not arrived.",
    "gap_missing_many": "{n} records have not arrived.",
    "gap_restarted": "The device restarted.",
    "gap_silent": "Nothing heard since {time} UTC, {day}.",
    "legend": "Key",
    "legend_reached": "reached",
    "legend_partly": "partly",
    "legend_failed": "failed",
    "legend_unknown": "not measured",
    "legend_pending": "not in yet",
    "legend_gap": "no round: missed or not arrived",
    # the device's page
    "rounds_title": "Rounds",
    "rounds_older": "Earlier rounds",
    "rounds_newest": "Back to the newest rounds",
    "rounds_until": "Rounds up to {time}. This address stays with them, so it can be cited.",
    "rounds_cite": "An address for these rounds, to cite",
    "targets_title": "Targets, judged with a vantage from outside",
    "targets_note": "The collector’s own verdicts on the last of these rounds.",
    "targets_none": "No platform was measured in this round.",
    "target_name": "Target",
    "target_verdict": "Verdict",
    "target_control": "Vantage",
    "target_control_age": "{duration} from the measurement",
    "target_control_unreachable": "the vantage reached nothing itself",
    "targets_all": "The same as JSON",
    "records_title": "Last records",
    "records_note": "Newest first. Point at a failure word for its meaning; all words are on",
    "record_time": "Began",
    "record_test": "Test",
    "record_target": "Target",
    "record_rung": "Rung",
    "record_result": "Result",
    "record_runtime": "Took",
    "record_ok": "worked",
    "record_failed_in": "{failure} in {operation}",
    "records_none": "No record has arrived.",
    "records_all": "All records of this device, as JSON",
    "records_all_ndjson": "as JSON Lines",
    "rejects_title": "Refused records",
    "rejects_note": "The collector will not store these, told the device why, and keeps them for inspection.",
    "rejects_none": "None.",
    "reject_when": "Refused",
    "reject_seq": "Seq",
    "reject_reason": "Why",
    "epochs_title": "Completeness, database by database",
    "epochs_note": (
        "A device numbers its records 1, 2, 3, … without a gap within one outbox database (an epoch). So what"
        " is missing is known exactly, never guessed."
    ),
    "epoch": "Epoch",
    "epoch_made": "Made",
    "epoch_here": "Here",
    "epoch_state": "State",
    "health_title": "The device’s own health, last round",
    "health_unknown": "not known",
    "yes": "yes",
    "no": "no",
    "health_none": "The last round carried no health figures.",
    # about
    "about_title": "What the words mean",
    "about_intro": (
        "Tidegauge claims no more than its evidence. A verdict is what one device can conclude at its own place;"
        " it is “inconclusive” rather than wrong, names the rule that made it, and says what would overturn it."
    ),
    "about_cells": "The cells of the ladder",
    "about_cells_intro": (
        "Each column is one round, each row one rung. A cell’s shape says the same as its colour; pointed at, it"
        " says how many targets were reached of how many tried, and what failed."
    ),
    "about_cell_reached": "Everything asked on this rung answered.",
    "about_cell_partly": "Some of what was asked answered, and some not.",
    "about_cell_failed": "Nothing that was asked on this rung answered.",
    "about_cell_unknown": "Nothing was asked here, or nothing that could be asked would tell.",
    "about_cell_pending": "The round is still going on.",
    "about_cell_gap": (
        "Between two rounds stands a time of which nothing is here: the device was off, missed its rounds, or"
        " their records have not arrived yet. How long it was stands in it. It is neither success nor failure."
    ),
    "about_rungs": "The rungs, lowest first",
    "about_verdicts": "Verdicts",
    "about_verdicts_intro": "What a device may say of its own place; some words need many devices, as marked.",
    "about_sentence": "In a sentence",
    "about_collector_only": "Only from many devices together.",
    "about_holds": "It holds when",
    "about_then": "Then",
    "about_rules": "The rules, in the order they are tried",
    "about_rules_intro": "Each round is judged by the first rule that holds.",
    "about_scope_rules": "The rules about many devices",
    "about_scope_rules_intro": (
        "The collector judges the devices of one country by the first of these that holds. Silence counts only where"
        " many fell silent together while the vantage outside was well."
    ),
    "about_failures": "Failure words",
    "about_failures_intro": (
        "OONI’s failure strings (data format df-007); those marked “ours” are additions in the same style."
    ),
    "about_ours": "ours",
    "about_times": "Times",
    "about_times_text": (
        "All times are UTC. “± 4 s” bounds the error of the device’s clock at that moment. A device without a"
        " synchronised clock says so, and then its times bound nothing. “Last heard” is the collector’s own clock."
    ),
    "about_silence": "Silence",
    "about_silence_text": (
        "A device that is not heard from may be unplugged, without power, or behind the cut it measures. Its"
        " records wait on the device and arrive later, with their own times: a gap in the ladder may still fill."
    ),
    "about_word": "Word",
    "about_meaning": "Meaning",
    # the API's page
    "api_title": "Data for programs",
    "api_intro": "Everything on these pages, as JSON. Read-only, no key needed. This page is made from the",
    "api_document": "OpenAPI document",
    "api_parameter": "Parameter",
    "api_type": "Type and range",
    "api_about": "About",
    "api_required": "required",
    "api_responses": "Answers",
    "api_field": "Field",
    "api_example": "Example",
    "api_models": "Objects",
    "api_none": "No parameters.",
    # the foot of every page
    "as_of": "As the collector knew it at {time}.",
    "refreshes": "This page looks again every {seconds} seconds.",
    "pause": "Pause",
    "paused": "Paused: this page stays as it is.",
    "resume": "Look again by itself",
    "software": "Tidegauge {version}",
    "licence": "Free software, GPL-3.0-or-later",
    # errors
    "not_found_title": "Not found",
    "not_found_text": "There is no page at this address.",
    "not_found_device": "No device {id} has ever reported here.",
    "bad_request_title": "This address cannot be read",
    "bad_request_text": "The request is not one that these pages answer.",
    "bad_parameter": "{parameter}: found “{found}”; allowed is: {allowed}",
    "no_parameter": "no parameter at all",
    "allowed_page": "a whole number from 1 to {pages}",
    "not_allowed_title": "Read-only",
    "not_allowed_text": "These pages are read-only: use GET or HEAD.",
    "error_title": "Something went wrong here",
    "error_text": (
        "The collector failed to make this page. What devices sent is not affected. The operator’s log has the"
        " details under the time below."
    ),
    "unavailable_title": "The collector’s database cannot be read",
    "unavailable_text": "Try again in a minute. If it lasts, the operator’s log has the details.",
    "not_storing_title": "The collector can store nothing at present",
    "not_storing_text": "What arrives waits at the devices, and nothing is acknowledged: {fault}.",
    "back": "Back to the devices",
}

ALLOWED: Final[Mapping[str, str]] = {
    "device": "16 letters (a–z) and digits",
    "country": "two small letters, such as ir",
    "limit": "a whole number from 1, as far as the path’s page at /api says",
    "cursor": "a whole number from 0",
    "test": "a test’s name: a–z, 0–9 and _",
    "rung": ", ".join(Rung),
    "failure": "a failure word, as at /about#failures",
    "since": "a time in ISO 8601 with its zone, such as 2026-11-15T16:00:00Z",
    "until": "a time in ISO 8601 with its zone, such as 2026-11-15T16:00:00Z; for rounds, epoch:seq",
    "format": "json or ndjson",
}
"""Parameter → what it may be, for the error that refuses it."""

COUNTRIES: Final[Mapping[str, str]] = {"ir": "Iran"}
"""A country's letters → its name; one that is not here is shown by its letters."""

SCOPES: Final[Mapping[str, str]] = {
    "ok": "Connected: devices reach servers abroad",
    "international_cut": "The international link is cut, the national network works",
    "total_shutdown": "Total shutdown: the networks went dark together",
    "isp_outage": "The provider {where} is out, the others work",
    "regional_shutdown": "The region {where} is shut down, the others work",
    "mobile_shutdown": "Mobile networks are shut down, fixed lines work",
    "transit_fault": "A fault on the way abroad, which other countries share",
    "service_maintenance": "{where} is down for everyone, outside the country too",
    "collector_fault": "The collector is at fault: it says nothing of the country",
}
"""A verdict on a country → the sentence a person would say; `{where}`: which network, region or service."""

UNITS: Final[Mapping[str, str]] = {
    "_percent": "%",
    "_bytes": "bytes",
    "_c": "°C",
    "_mhz": "MHz",
    "_dbm": "dBm",
    "_s": "s",
    "_ms": "ms",
}
"""How the name of a health figure ends → its unit."""

RUNGS: Final[Mapping[Rung, tuple[str, str]]] = {
    Rung.LINK: ("Link", "The device’s own cable or Wi-Fi is up."),
    Rung.ADDRESS: ("Address", "The network gave the device an address."),
    Rung.GATEWAY: ("Gateway", "The router of the home or office answers."),
    Rung.RESOLVER: ("Resolver", "The provider’s name servers answer."),
    Rung.DOMESTIC: ("Domestic", "Sites hosted inside the country, in unrelated networks, answer."),
    Rung.INTERNATIONAL: ("International", "Neutral sites abroad, that nobody has a reason to block, answer."),
    Rung.PLATFORMS: ("Platforms", "Widely used foreign services answer."),
}
"""Rung → (its name, what reaching it means)."""

VERDICTS: Final[Mapping[str, str]] = {
    "ok": "The Internet abroad is reached",
    "local_fault": "Fault at the device’s own place",
    "captive_portal": "A login page stands in front of the Internet",
    "isp_or_wider_outage": "Nothing answers beyond the local network",
    "international_cut": "International link cut, national network works",
    "protocol_filtering": "Some protocols are filtered",
    "blocked_dns": "Sites blocked by false name answers (DNS)",
    "blocked_tcp": "Sites blocked by address (TCP)",
    "blocked_tls": "Sites blocked by name in the TLS handshake",
    "blocked_http": "Sites blocked by a page put in their place (HTTP)",
    "throttled_targeted": "Some services are slowed down on purpose",
    "throttled_general": "The whole line is slowed down",
    "congestion": "The line is congested",
    "service_down": "A service is down for everyone",
    "inconclusive": "Inconclusive: the evidence does not decide",
    "isp_outage": "The provider is out",
    "total_shutdown": "Total shutdown",
    "mobile_shutdown": "Mobile networks are shut down",
    "regional_shutdown": "A region is shut down",
    "transit_fault": "A fault on the way abroad, not an order",
    "service_maintenance": "A service is under maintenance",
    "collector_fault": "The collector itself is at fault",
}
"""Verdict → the sentence a person would say."""


def say(key: str, **values: object) -> Markup:
    """Return the sentence `key` as markup, with `values` in it: what is not markup is escaped.

    Raises `KeyError` for a key that is not in the table.
    """
    return escape(ENGLISH[key]).format(**values)


def plain(key: str, **values: object) -> str:
    """Return the sentence `key` as plain text, with `values` in it as they are."""
    return ENGLISH[key].format(**values)


def count(key: str, n: int, **values: object) -> str:
    """Return the sentence `key` for `n` things as plain text: `key_one` for one, `key_many` otherwise."""
    return plain(f"{key}_one" if n == 1 else f"{key}_many", n=number(n), **values)


def number(n: int) -> str:
    """Return `n` with separators: `4,211`."""
    return f"{n:,}"


def verdict_sentence(verdict: str) -> str:
    """Return what a person would say for `verdict`; a word this version does not know stands for itself."""
    return VERDICTS.get(verdict, verdict.replace("_", " "))


def scope_sentence(verdict: str, where: str) -> str:
    """Return what a person would say for a verdict on a country."""
    return SCOPES[verdict].format(where=where) if verdict in SCOPES else verdict_sentence(verdict)


def failure_meaning(word: str) -> str:
    """Return what a failure word means; "" for a word this version does not know."""
    return failure_meanings.meaning(word) if is_failure(word) else ""


def allowed(parameter: str, otherwise: str) -> str:
    """Return what `parameter` may be, for an error; `otherwise` for one that has no sentence of its own."""
    return ALLOWED.get(parameter, otherwise)
