"""A daemon's end of a real worker, as a process that can be stopped: `python -m tests.appliance.measuring.stalled_daemon`.

Says `ready`; takes one line of JSON, a list of tasks; says `handed over`; tells every piece of news in a line of JSON
as it comes, and ends when every task is accounted for.
"""

import json
import selectors
import sys

from appliance.measuring.worker import NS, Died, News, TaskConnected, TaskMeasured, Unanswered, Worker
from firmware.model.task import from_json, result_to_json
from firmware.net.loop import boottime_ns

STUCK_S = 3


def main() -> None:
    """Run until every task has been heard of."""
    with selectors.DefaultSelector() as selector:
        worker = Worker(selector, clock_ns=boottime_ns, stuck_ns=STUCK_S * NS)
        worker.start()
        try:
            while not worker.is_ready:
                _tick(worker, selector)
            print(f"ready {worker.pid}", flush=True)
            worker.submit([from_json(one) for one in json.loads(sys.stdin.readline())])
            _tick(worker, selector)
            print("handed over", flush=True)
            while worker.open_tasks:
                _tick(worker, selector)
            print(f"done {worker.pid}", flush=True)
        finally:
            worker.stop()


def _tick(worker: Worker, selector: selectors.BaseSelector) -> None:
    due_ns = worker.next_due_ns()
    selector.select(1.0 if due_ns is None else min(1.0, max(0.0, (due_ns - boottime_ns()) / NS)))
    for one in worker.tend():
        print(json.dumps(_told(one)), flush=True)


def _told(news: News) -> dict[str, object]:
    match news:
        case TaskMeasured(task=task, result=result):
            return {"measured": task.task_id, **result_to_json(result)}
        case TaskConnected(task=task):
            return {"news": "TaskConnected", "tasks": [task.task_id]}
        case Unanswered(reason=reason, tasks=tasks):
            return {"news": "Unanswered", "reason": reason.code, "tasks": [task.task_id for task in tasks]}
        case Died(reason=reason, tasks=tasks):
            return {"news": "Died", "reason": reason, "tasks": [task.task_id for task in tasks]}


if __name__ == "__main__":
    main()
