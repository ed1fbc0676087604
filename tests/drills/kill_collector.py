"""The collector of the kill drill: the real one, with the steps at which it may be killed.

    python -m tests.drills.kill_collector ORDERS OPTION…      (the options of `tidegauge collector`)

Only its waits before it connects to a broker again are shortened.
"""

import sys
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client

from collector.command import collector
from collector.receive.inbox import Inbox
from collector.receive.mqtt import subscriber
from collector.store.database import Store
from tests.drills.orders import Orders, after, watch_sql

SQL = {
    "INSERT INTO record": "=records",
    "INSERT INTO envelope": "collector: in its transaction",
    "COMMIT": "records|collector: before its commit",
}


def main() -> None:
    """Run it."""
    orders = Orders(Path(sys.argv[1]))
    watch_sql(SQL, orders)
    after(Inbox, "put", lambda *_: orders.step("collector: message received"))
    after(Store, "commit", lambda *_: orders.step("collector: after its commit, before the ack"))

    class Telling(Client):
        def publish(self, *arguments: Any, **options: Any) -> Any:
            told = super().publish(*arguments, **options)
            orders.step("collector: ack sent")
            return told

    assert "Client" in vars(subscriber)
    vars(subscriber)["Client"] = Telling
    for name, value in (("FIRST_RETRY_S", 0.05), ("LONGEST_RETRY_S", 0.2)):
        assert hasattr(subscriber, name), name
        setattr(subscriber, name, value)
    collector.main(args=sys.argv[2:], prog_name="collector")


if __name__ == "__main__":
    main()
