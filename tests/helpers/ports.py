# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ports for servers that cannot choose one themselves."""
import socket


def free_port():
    """A port of the loopback interface that nobody has."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def free_ports(count):
    """The first of some free ports in a row."""
    while True:
        first = free_port()
        try:
            for port in range(first + 1, first + count):
                with socket.socket() as probe:
                    probe.bind(('127.0.0.1', port))
            return first
        except OSError:
            pass
