#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A charge from beginning to end, and how it is stopped, refused, interrupted."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
from chargehost import TestCase, main, wait_for  # noqa: E402

FIRST = '82241218000001'
SIM = ['--first-id', FIRST, '--sockets', '0', '--plug', '1', '--log', 'none', '--seed', '1']
MINUTE = {'port_no': 0, 'charge_mode': 1, 'amount': 500, 'duration_minutes': 2}


class FirstCharge(TestCase):
    def setUp(self):
        super().setUp()
        self.host = self.daemon()
        self.sim = self.simulator(self.host, 1, SIM + ['--time-scale', '30'])
        wait_for(lambda: self.host.online(FIRST), 'device on line')

    def start(self, body, **more):
        return self.host.post(f'/devices/{FIRST}/start_charge', dict(MINUTE, **body), **more)

    def test_by_time(self):
        status, answer = self.start({'order_no': 'ORD20250106001', 'wait_ms': 5000})
        self.assertIn(status, (200, 202), answer)
        self.assertEqual(answer['data']['order_no'], 'ORD20250106001')
        order = self.wait_order(self.host, 'ORD20250106001', ['charging', 'completed'])
        order = self.wait_order(self.host, 'ORD20250106001', ['completed'])
        self.assertEqual(order['duration_s'], 120)
        self.assertGreater(order['energy_wh'], 0)
        self.assertEqual(order['end_reason'], 'normal')
        self.assertFalse(order['provisional'])
        price = (order['energy_wh'] * 50 + 500) // 1000
        self.assertEqual(order['amount_cent'], price + (price * 50 + 500) // 1000)
        types = [row['event_type'] for row in self.host.rows(
            'SELECT event_type FROM events WHERE order_no = ? ORDER BY sequence_no',
            'ORD20250106001')]
        self.assertEqual(types, ['order.created', 'order.confirmed', 'charging.started',
                                 'charging.ended', 'order.completed'])

    def test_stop(self):
        status, answer = self.start({'order_no': 'STOP1', 'duration_minutes': 600})
        self.assertEqual(status, 202, answer)
        self.wait_order(self.host, 'STOP1', ['charging'])
        wait_for(lambda: self.host.metric('charge_report_power_watts') > 0, 'its power')
        status, answer = self.host.post(f'/devices/{FIRST}/stop_charge', {'order_no': 'STOP1'})
        self.assertEqual(status, 202, answer)
        self.assertEqual(answer['data']['action'], 'stop')
        order = self.wait_order(self.host, 'STOP1', ['stopped'])
        self.assertEqual(order['end_reason'], 'remote_stop')

    def test_same_number_is_the_same_order(self):
        self.assertEqual(self.start({'order_no': 'SAME', 'duration_minutes': 600})[0], 202)
        status, answer = self.start({'order_no': 'SAME', 'duration_minutes': 600})
        self.assertEqual(status, 200, answer)
        self.assertTrue(answer['data']['duplicate'])
        status, answer = self.start({'order_no': 'SAME', 'duration_minutes': 5})
        self.assertEqual((status, answer['code']), (409, 40904))
        status, answer = self.start({'order_no': 'OTHER', 'duration_minutes': 600})
        self.assertEqual((status, answer['code']), (409, 40901))
        self.assertEqual(answer['data']['current_order'], 'SAME')

    def test_refusals(self):
        status, answer = self.start({'charge_mode': 9})
        self.assertEqual((status, answer['code']), (400, 40010))
        status, answer = self.host.post(f'/devices/{FIRST}/start_charge',
                                        {'charge_mode': 1, 'amount': 1, 'duration_minutes': 1})
        self.assertEqual((status, answer['code']), (400, 40010))
        status, answer = self.host.post('/devices/82249999999999/start_charge', MINUTE)
        self.assertEqual((status, answer['code']), (404, 40401))
        self.assertEqual(self.host.get('/devices/82249999999999')[0], 404)
        wait_for(lambda: self.host.rows('SELECT count(*) AS n FROM devices')[0]['n'] == 1,
                 'the device is stored')
        self.assertEqual(self.host.rows('SELECT phy_id FROM devices')[0]['phy_id'], FIRST)

    def test_restart_in_mid_charge(self):
        self.start({'order_no': 'LONG', 'duration_minutes': 20})
        self.wait_order(self.host, 'LONG', ['charging'])
        self.host.kill()
        self.host.start()
        order = self.wait_order(self.host, 'LONG', ['charging', 'completed'])
        order = self.wait_order(self.host, 'LONG', ['completed'], 90)
        self.assertEqual(order['duration_s'], 1200)
        self.assertFalse(order['provisional'])

    def test_clean_stop_keeps_the_data(self):
        self.start({'order_no': 'KEEP', 'duration_minutes': 1})
        self.wait_order(self.host, 'KEEP', ['completed'])
        self.assertEqual(self.host.stop(), 0)
        self.host.start()
        self.assertEqual(self.host.data('/orders/KEEP')['status'], 'completed')


if __name__ == '__main__':
    main()
