# SPDX-License-Identifier: LGPL-2.1-or-later
"""Walks of orders through a real daemon: a device that does what the test says, and a
monitor that hears every event."""
import json
import os

from bkv import Control, Device
from chargehost import CTL, Process, TestCase, wait_for
from ledger import Ledger, show

ID = '82241218000001'
# Commands may follow each other at once; every window is the test's to shorten.
QUICK = {'proto-bkv.min_spacing_ms': '10'}


class Monitor:
    """Every event of the bus as chargehostctl shows it."""

    def __init__(self, bus, env=None):
        self.process = Process([CTL, '--bus', bus.address, '--json', 'monitor', '*'],
                               env=env)

    def events(self, topic):
        found = []
        for line in list(self.process.lines):
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event['topic'] == topic:
                found.append(event['fields'])
        return found

    def wait(self, topic, count=1, seconds=30, **fields):
        """Waits for COUNT events with these fields; the last of them."""
        def look():
            found = [event for event in self.events(topic)
                     if all(event.get(k) == v for k, v in fields.items())]
            return found[count - 1] if len(found) >= count else None
        return wait_for(look, f'{count} {topic} {fields}', seconds)


class Walk(TestCase):
    def world(self, ident=ID, sockets=(0,), monitor=False, **properties):
        """A daemon with these properties of the protocol, and a device that is on line."""
        options = dict(QUICK)
        for name, value in properties.items():
            key = name.replace('__', '.') if '__' in name else f'proto-bkv.{name}'
            options[key] = str(value)
        self.host = self.daemon(self.bus() if monitor else None, options)
        self.monitor = None
        if monitor:
            self.host.process.expect('management interface .* on the bus')
            self.monitor = Monitor(self.host.bus, dict(os.environ))
            self.ends.append(self.monitor.process.kill)
            self.wait_monitor()
        self.device = self.connect(ident, sockets)
        return self.device

    def wait_monitor(self):
        """The monitor says nothing until it hears something."""
        probes = iter(range(1, 10000))

        def heard():
            self.connect(f'8224999900{next(probes):04d}').close()
            return self.monitor.events('device.registered')
        wait_for(heard, 'the monitor')

    def connect(self, ident=ID, sockets=(0,)):
        device = Device(self.host.device_port, ident, sockets)
        self.ends.append(device.close)
        device.connect()
        for number, socket in enumerate(sockets[:3]):
            device.status(socket)       # so that its ports are known
            device.wait('status_ack', number + 1)
        return device

    # ---- what a customer does ----

    def ask(self, order_no, port=0, minutes=60, device=None, **more):
        """Asks for a charge: status and answer."""
        body = {'port_no': port, 'charge_mode': 1, 'amount': 500, 'order_no': order_no,
                'duration_minutes': minutes, **more}
        return self.host.post(f'/devices/{(device or self.device).ident}/start_charge', body)

    def start(self, order_no, expect=202, **more):
        status, answer = self.ask(order_no, **more)
        self.assertEqual(status, expect, answer)
        return answer

    def start_unanswered(self, order_no='A', mute=('control',)):
        """The device hears the start and is silent from now on; what it heard."""
        self.device.mute = set(mute)
        self.start(order_no)
        return Control(self.device.wait('control'))

    def stop(self, order_no, expect=202, **more):
        status, answer = self.host.post(f'/api/v1/third/orders/{order_no}/stop', more)
        self.assertEqual(status, expect, answer)
        return answer['data'] if status < 300 else answer

    def charging(self, order_no='A', port=0, device=None, **more):
        """A charge that runs; its number."""
        device = device or self.device
        self.start(order_no, port=port, device=device, **more)
        self.until(order_no, 'charging')
        return device.outlets[more.get('socket_no', 0), port].number

    # ---- what the server says ----

    def order(self, order_no):
        return self.host.data(f'/api/v1/orders/{order_no}')

    def row(self, order_no):
        return self.host.rows('SELECT * FROM orders WHERE order_no = ?', order_no)[0]

    def until(self, order_no, *states, seconds=30, **fields):
        """The order when it is in one of the states and has these fields."""
        last = {}

        def look():
            status, answer = self.host.get(f'/api/v1/orders/{order_no}')
            if status != 200:
                return None
            last.clear()
            last.update(answer['data'])
            if last['status'] not in states:
                return None
            return dict(last) if all(last.get(k) == v for k, v in fields.items()) else None
        try:
            return wait_for(look, f'order {order_no} {states} {fields}', seconds)
        except AssertionError as error:
            raise AssertionError(f'{error}; it is {last}') from None

    def types(self, order_no):
        return [row['event_type'] for row in self.host.rows(
            'SELECT event_type FROM events WHERE order_no = ? ORDER BY sequence_no', order_no)]

    def events(self, order_no, event_type):
        return [json.loads(row['event_data']) for row in self.host.rows(
            'SELECT event_data FROM events WHERE order_no = ? AND event_type = ?'
            ' ORDER BY sequence_no', order_no, event_type)]

    def history(self, order_no):
        """The reasons of all transitions."""
        return [entry['reason'] for entry in json.loads(self.row(order_no)['status_history'])]

    def count(self, sql='SELECT count(*) AS n FROM orders', *parameters):
        return self.host.rows(sql, *parameters)[0]['n']

    def online(self, device=None):
        return self.host.online((device or self.device).ident)

    # ---- rules that hold at the end of every walk ----

    def check_rules(self, local=()):
        book = Ledger(self.host)
        book.check_amounts()
        book.check_events()
        for order in book.orders:
            if order['source'] == 'local' and order['order_no'] not in local and local != 'any':
                book.fault(f'a charge that nobody ordered: {show(order)}')
        self.assertEqual(book.faults, [], '\n' + '\n'.join(book.faults))
