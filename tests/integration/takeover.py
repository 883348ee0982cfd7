#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connections: the newest of a device wins, and what is no device disturbs nobody."""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
from bkv import Device, encode, heartbeat  # noqa: E402
from chargehost import main, wait_for  # noqa: E402
from walk import ID, Walk  # noqa: E402

MANY = {'takeover_limit': 10000, 'tcp__flapping__enabled': 'false'}
ROUNDS = int(os.environ.get('CHARGEHOST_TEST_ROUNDS', '1000'))


class Wire(Walk):
    def open(self):
        link = socket.create_connection(('127.0.0.1', self.host.device_port), timeout=30)
        self.ends.append(link.close)
        return link

    def connections(self):
        return self.host.metric('chargehost_tcp_connections_active')

    def gone(self, link):
        """Whether the server has closed; what it sent before does not count."""
        try:
            while link.recv(4096):
                pass
            return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


class Takeover(Wire):
    def test_alternating(self):
        """F15, TCP-40: after a thousand reconnects the newest session lives."""
        self.world(**MANY)
        old = self.device
        for _ in range(ROUNDS):
            new = Device(self.host.device_port, ID)
            new.connect()
            wait_for(lambda: old.closed, 'the end of the older connection')
            self.assertFalse(new.closed)
            old.close()
            old = new
        self.ends.append(old.close)
        self.device = old
        self.assertTrue(self.online())
        at = old.counts['heartbeat_ack']
        old.heartbeat()
        old.wait('heartbeat_ack', at + 1)
        self.charging('A')          # commands go to the newest
        old.finish(energy=1, minutes=1)
        self.until('A', 'completed')
        wait_for(lambda: self.connections() == 1, 'one connection')
        self.assertEqual(self.count('SELECT count(*) AS n FROM devices'), 1)
        self.check_rules()

    def test_old_one_goes_late(self):
        """The end of the old connection does not touch the new session."""
        self.world(**MANY)
        number = self.charging('A')
        new = self.connect()
        new.outlets[0, 0].charge(number, 1, 1)
        self.device.close()
        new.status()
        self.until('A', 'charging')
        self.assertTrue(self.online())
        new.finish(energy=2, minutes=1)
        self.until('A', 'completed')
        self.check_rules()

    def test_two_with_one_identity(self):
        """TCP-42: ping-pong raises the alarm, the older keeps the session."""
        self.world(monitor=True, takeover_limit=5, tcp__flapping__enabled='false')
        old, refused = self.device, None
        for _ in range(8):
            new = Device(self.host.device_port, ID)
            self.ends.append(new.close)
            new.connect(quiet=True)
            new.heartbeat()
            wait_for(lambda: old.closed or new.closed, 'the end of one of them')
            if new.closed:
                refused = new
                break
            old = new
        self.assertIsNotNone(refused, 'every newcomer was taken')
        alarm = self.monitor.wait('alarm.reported', code='duplicate_identity')
        self.assertIn('127.0.0.1', str(alarm))
        at = old.counts['heartbeat_ack']
        old.heartbeat()
        old.wait('heartbeat_ack', at + 1)
        self.assertFalse(old.closed)

    def test_flapping(self):
        """2.11: a device that comes and goes is banned for a while, others are not."""
        self.world(takeover_limit=10000)
        banned = None
        for _ in range(40):
            flapper = Device(self.host.device_port, '82241218000077')
            flapper.connect(quiet=True)
            flapper.heartbeat()
            wait_for(lambda: flapper.closed or flapper.counts['heartbeat_ack'],
                     'an answer or the end')
            if flapper.closed and not flapper.counts['heartbeat_ack']:
                banned = flapper
                break
            flapper.close()
        self.assertIsNotNone(banned, 'it was never banned')
        self.connect('82241218000078')
        self.assertTrue(self.online())

    def test_two_ids_on_one_connection(self):
        """TCP-14: both are on line, commands reach both, closing ends both."""
        self.world(monitor=True)
        other = '82241218000002'
        self.device.send(heartbeat(other))
        wait_for(lambda: self.host.get(f'/devices/{other}/online')[0] == 200,
                 'the second device')
        self.assertTrue(self.online())
        self.monitor.wait('alarm.reported', code='gateway_id_changed')
        self.device.close()
        for ident in (ID, other):
            wait_for(lambda: not self.host.get(f'/api/v1/sessions/{ident}')[1]['data']
                     ['connected'], 'the end of both')


class Strangers(Wire):
    def test_opened_and_closed(self):
        """Check 1: a thousand connections of peers that go: nothing is left."""
        self.world()
        for _ in range(ROUNDS):
            link = socket.create_connection(('127.0.0.1', self.host.device_port), timeout=30)
            link.close()
        wait_for(lambda: self.connections() == 1, 'the end of all')
        self.assertTrue(self.online())
        self.charging('A')

    def test_silent(self):
        """TCP-12: who says nothing is closed after the time to identify."""
        self.world()
        began = time.monotonic()
        link = self.open()
        self.assertTrue(self.gone(link))
        self.assertGreater(time.monotonic() - began, 4)
        self.assertTrue(self.online())

    def test_foreign_protocols(self):
        """TCP-11: no protocol claims it, or the one that does never learns who it is."""
        self.world(bind_timeout_s=2)
        for hello in (b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'\x16\x03\x01\x02\x00\x01\x00',
                      b'SSH-2.0-OpenSSH_9.2\r\n', bytes(64), b'\xFC\xFF' + bytes(60)):
            link = self.open()
            link.sendall(hello)
            self.assertTrue(self.gone(link), hello)
        self.assertTrue(self.online())

    def test_one_byte_at_a_time(self):
        self.world()
        link = self.open()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in heartbeat('82241218000009'):
            link.sendall(bytes([byte]))
        self.assertTrue(link.recv(100).startswith(b'\xFC\xFF'))

    def test_garbage_between_frames(self):
        """F35: the stream is found again."""
        device = self.world()
        good = heartbeat(ID)
        broken = bytearray(good)
        broken[-3] ^= 0x55
        at = device.counts['heartbeat_ack']
        device.send(b'garbage' + good + bytes(broken) + b'\xFC\xFE\x00\x2E' + good + good[:20])
        device.send(good[20:])
        device.wait('heartbeat_ack', at + 3)
        self.assertTrue(self.online())

    def test_crowd(self):
        """Idle, half-open, garbage and good ones at a time: the good ones are served."""
        self.world(bind_timeout_s=3)
        port = self.host.device_port
        idle = [self.open() for _ in range(50)]
        for n, link in enumerate(idle):
            if n % 3 == 1:
                link.sendall(b'\xFC\xFE\x00')           # the beginning of a frame
            elif n % 3 == 2:
                link.sendall(encode(f'822412190{n:05d}', 0, bytes(29))[:-4])
        good = [Device(port, f'82241220{n:06d}') for n in range(30)]
        for device in good:
            self.ends.append(device.close)
            device.connect()
            device.status()
        for device in good:
            self.start(f'O{device.ident}', device=device)
        for device in good:
            self.until(f'O{device.ident}', 'charging')
            device.finish(energy=4, minutes=1)
        for device in good:
            self.until(f'O{device.ident}', 'completed')
        for link in idle:
            self.assertTrue(self.gone(link))
        for device in good:
            self.assertFalse(device.closed)
        self.check_rules()

    def test_flood(self):
        """F12: one device floods, another is served, and the flooder after it."""
        self.world()
        other = self.connect('82241218000002')
        frames = heartbeat(ID) * 50
        for _ in range(40):
            try:
                self.device.link.settimeout(2)
                self.device.send(frames)
            except (TimeoutError, OSError):
                break               # not read any more, or closed
        self.charging('A', device=other)
        other.finish(energy=1, minutes=1)
        self.until('A', 'completed')


if __name__ == '__main__':
    main()
