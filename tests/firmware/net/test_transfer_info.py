"""TCP_INFO of a transfer: what a kernel returned, by a real connection, and what an older one leaves out."""

import socket

from firmware.net.kernel import TCP_INFO_BYTES
from firmware.net.transfer_info import parse_transfer_info


def raw_info(sock: socket.socket) -> bytes:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)


def test_a_real_connection_is_told_by_its_bytes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    with near, far:
        near.sendall(b"x" * 5000)
        assert far.recv(5000, socket.MSG_WAITALL) == b"x" * 5000
        far.sendall(b"y" * 300)
        assert near.recv(300, socket.MSG_WAITALL) == b"y" * 300
        info = parse_transfer_info(raw_info(near))
    assert (info.bytes_sent, info.bytes_acked, info.bytes_received) == (5000, 5001, 300)  # the SYN is one
    assert (info.retransmissions, info.bytes_retransmitted, info.rwnd_limited_ns) == (0, 0, 0)
    assert info.min_rtt_ns is not None
    assert info.rtt_ns is not None
    assert 0 < info.min_rtt_ns <= info.rtt_ns
    segments = (info.segments_out or 0) + (info.segments_in or 0)
    assert segments >= 4
    assert info.wire_bytes(4) == 5300 + 52 * segments
    assert info.wire_bytes(6) == 5300 + 72 * segments


def test_what_a_kernel_does_not_return_is_not_made_up() -> None:
    old = parse_transfer_info(bytes(104))
    assert (old.rtt_ns, old.retransmissions) == (0, 0)
    assert {old.bytes_acked, old.bytes_sent, old.busy_ns, old.min_rtt_ns, old.segments_in} == {None}
    assert old.wire_bytes(4) is None
    assert old.to_json(4)["wire_bytes"] is None
