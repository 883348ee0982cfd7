#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""PostgreSQL is away while devices move between instances: the report that one instance
kept is stored by it, although the device and its order are with another one by then."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
import several  # noqa: E402
from bkv import Device  # noqa: E402
from chargehost import main, wait_for  # noqa: E402
from several import Several  # noqa: E402

ID = '82241218000001'
CHARGING, COMPLETED = 2, 3
OPTIONS = {'proto-bkv.min_spacing_ms': '10', 'tcp.flapping.enabled': 'false',
           'database.statement_timeout': '1500ms'}


class Moved(Several):
    def two(self):
        hosts = self.several(2, OPTIONS)
        self.device = Device(hosts[0].device_port, ID)
        self.ends.append(self.device.close)
        return hosts

    def come(self, host):
        self.device.close()
        self.device.port = host.device_port
        self.device.connect()
        self.device.status()
        wait_for(lambda: self.session(host).get('server_id') == host.id, f'{ID} at {host.id}')

    def session(self, host):
        status, answer = host.get(f'/api/v1/sessions/{ID}')
        return answer['data'] if status == 200 else {}

    def start(self, host, order_no):
        return host.post(f'/devices/{ID}/start_charge', {
            'port_no': 0, 'amount': 500, 'charge_mode': 1, 'duration_minutes': 10,
            'order_no': order_no})[0]

    def status(self, host, order_no):
        status, answer = host.get(f'/api/v1/orders/{order_no}')
        return answer['data']['status'] if status == 200 else None

    def charging(self, host, order_no):
        wait_for(lambda: self.start(host, order_no) in (200, 202), f'the start of {order_no}')
        self.wait_state(order_no, CHARGING)

    def whole(self, hosts, since, what):
        self.wait_state('A1', COMPLETED)
        print(f'\n# {what}: stored after {time.monotonic() - since:.2f} s', file=sys.stderr)
        row = self.query("SELECT * FROM orders WHERE order_no = 'A1'")[0]
        self.assertEqual((row['energy_wh'], row['provisional'], row['settlement_rev']),
                         (120, False, 0))
        ended = self.query("SELECT count(*) AS n FROM events WHERE order_no = 'A1' AND "
                           "event_type = 'charging.ended'")
        self.assertEqual(ended[0]['n'], 1)
        for host in hosts:
            wait_for(lambda: host.journal() == 0, f'an empty journal of {host.id}')
            wait_for(lambda: self.status(host, 'A1') == 'completed', f'the end at {host.id}')
        self.charging(hosts[1], 'A2')
        acked = self.device.counts['end_ack']
        self.device.finish(energy=7, minutes=1)
        self.device.wait('end_ack', acked + 1)
        self.wait_state('A2', COMPLETED)
        self.assertEqual(self.query('SELECT count(*) AS n FROM orders')[0]['n'], 2)

    def test_moved(self):
        """Answered by the first, which stores it; the order lives at the second."""
        a, b = self.two()
        self.come(a)
        self.charging(a, 'A1')
        self.base.stop()
        self.device.finish(energy=120, minutes=3)
        self.device.wait('end_ack')
        self.assertGreater(a.journal(), 0)
        self.come(b)
        self.base.start()
        self.whole((a, b), time.monotonic(), 'moved')

    def test_kept_twice(self):
        """The answer of the first was lost: the second keeps the same report, too."""
        a, b = self.two()
        self.come(a)
        self.charging(a, 'A1')
        self.base.stop()
        number = self.device.finish(energy=120, minutes=3)
        self.device.wait('end_ack')
        self.come(b)
        self.device.end(number, 120, 3)
        self.device.wait('end_ack', 2)
        self.assertGreater(min(a.journal(), b.journal()), 0)
        self.base.start()
        self.whole((a, b), time.monotonic(), 'kept twice')


if __name__ == '__main__':
    if not several.are_there():
        sys.exit(several.SKIP)
    main()
