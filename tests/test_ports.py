"""That two test processes are never given the same port."""

import multiprocessing
import socket
from multiprocessing.connection import Connection

from tests import ports


def _take(told: Connection) -> None:
    told.send(ports.take(20))
    told.recv()  # it holds them until all have theirs


def test_processes_side_by_side_are_given_different_ports() -> None:
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe() for _ in range(4)]
    children = [context.Process(target=_take, args=(theirs,)) for _, theirs in pipes]
    for child in children:
        child.start()
    found = [port for ours, _ in pipes for port in ours.recv()] + ports.take(20)
    for ours, theirs in pipes:
        ours.send("go")
        theirs.close()
    for child, (ours, _) in zip(children, pipes, strict=True):
        child.join()
        ours.close()
    assert len(set(found)) == 5 * 20


def test_a_port_that_somebody_listens_on_is_passed_over() -> None:
    for _ in range(3):
        port = ports.take_one()
        with socket.create_server(("127.0.0.1", port)):
            assert port not in ports.take(ports.BLOCK - 10)
