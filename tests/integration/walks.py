#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rarer transitions of gateway 1.5.4 over the wire: faults, limits, ends by hand,
charges that nobody ordered. Those of every day are in orders.py and recovery.py."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
from bkv import IDLE, ON  # noqa: E402
from chargehost import main, wait_for  # noqa: E402
from walk import Walk  # noqa: E402

HOT = 0x84          # idle, over-temperature
RUNNING = ['order.created', 'order.confirmed', 'charging.started']


class Rare(Walk):
    def progress(self, order_no, energy, minutes, place=(0, 0)):
        """The device reports these figures, and the order has them."""
        outlet = self.device.outlets[place]
        outlet.energy, outlet.minutes = energy, minutes
        self.device.status(place[0])
        self.until(order_no, 'charging', 'stopping', energy_wh=energy)

    def test_never_written(self):
        """T5: the device goes before the start is written, and the order dies with it."""
        device = self.world(min_spacing_ms=600000)
        self.host.post(f'/api/v1/third/devices/{device.ident}/query', {'socket_no': 0})
        device.wait('query')
        self.start('A')
        device.close()
        order = self.until('A', 'failed', failure_reason='device_offline')
        self.assertEqual((order['energy_wh'], order['amount_cent']), (0, None))
        self.assertEqual(self.types('A'), ['order.created', 'order.failed'])
        self.assertEqual(self.history('A')[-1], 'device_offline')
        self.assertEqual(device.controls(), [])

    def test_limit_of_time(self):
        """T9 by the watchdog: five minutes more than were paid for."""
        device = self.world(monitor=True)
        self.charging('A', minutes=10)
        self.progress('A', 300, 16)
        wait_for(lambda: any(not c.on for c in device.controls()), 'the stop', 60)
        order = self.until('A', 'stopped')
        self.assertEqual((order['energy_wh'], order['amount_cent']), (300, 16))
        asked = self.events('A', 'order.stopping')[0]
        self.assertEqual((asked['reason'], asked['by']), ('limit_reached', 'timer'))
        self.assertIn('limit_reached', self.history('A'))
        self.assertEqual(self.types('A'), RUNNING + [
            'order.stopping', 'charging.ended', 'order.stopped'])
        self.start('B')
        self.until('B', 'charging')
        self.check_rules()

    def test_fault_while_stopping(self):
        """T23, then the late report (T28)."""
        device = self.world(orders__fault_wait_end_s=1)
        number = self.charging('A')
        self.progress('A', 40, 5)
        device.mute = {'control'}
        self.stop('A')
        device.outlets[0, 0].idle(HOT)
        device.status()
        order = self.until('A', 'failed', provisional=True, failure_reason='port_fault')
        self.assertEqual((order['energy_wh'], order['duration_s']), (40, 300))
        self.assertEqual(self.types('A'), RUNNING + ['order.stopping', 'order.failed'])
        device.end(number, 44, 6, status=0x94)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['settlement_rev']), (44, 1))
        self.check_rules()

    def test_fault_while_cancelling(self):
        """T26"""
        device = self.world()
        self.start_unanswered()
        self.stop('A')
        self.until('A', 'cancelling')
        device.outlets[0, 0].idle(HOT)
        device.status()
        order = self.until('A', 'failed', provisional=True, failure_reason='port_fault')
        self.assertEqual(order['energy_wh'], 0)
        self.assertEqual(self.types('A'), [
            'order.created', 'order.cancelling', 'order.failed'])
        self.start('B', expect=503)     # 50304
        device.outlets[0, 0].idle()
        device.mute = set()
        device.status()
        wait_for(lambda: self.host.rows('SELECT status FROM ports WHERE port_no = 0')
                 [0]['status'] == 1, 'the port without fault')
        self.start('B')
        self.until('B', 'charging')
        self.check_rules()

    def test_abandoned(self):
        """T33: connected, but not a word of the order."""
        device = self.world(abandoned_s=3)
        number = self.charging('A')
        device.mute = {'query', 'control'}
        order = self.until('A', 'failed', failure_reason='abandoned', provisional=True)
        self.assertEqual(self.types('A'), RUNNING + ['charging.ended', 'order.failed'])
        port, = self.host.rows('SELECT status FROM ports WHERE port_no = 0')
        self.assertEqual(port['status'], 2)     # PORT-01
        device.end(number, 80, 10)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['settlement_rev']), (80, 1))
        self.check_rules()

    def test_closed_by_hand(self):
        """T31: final; the figures that the device tells later are kept beside it."""
        device = self.world(monitor=True)
        number = self.charging('A')
        self.progress('A', 40, 5)
        status, answer = self.host.post('/api/v1/admin/orders/A/force-fail',
                                        {'comment': 'cable was cut'})
        self.assertEqual(status, 200, answer)
        order = self.order('A')
        self.assertEqual((order['status'], order['provisional'], order['energy_wh']),
                         ('failed', False, 40))
        wait_for(lambda: any(not c.on for c in device.controls()), 'the stop')     # C2
        device.end(number, 55, 6)   # beside the one that the stop made it send
        kept = wait_for(lambda: self.host.rows(
            'SELECT * FROM order_reports WHERE energy_wh = 55'), 'the report')
        wait_for(lambda: device.counts['end_echo'] + device.counts['end_ack'] >= 2,
                 'both answers')
        self.monitor.wait('alarm.reported', code='end_report_conflict', active=True)
        self.assertEqual([(row['order_no'], row['duration_s']) for row in kept],
                         [('A', 360)])
        order = self.order('A')
        self.assertEqual((order['status'], order['energy_wh']), ('failed', 40))
        self.assertIn(55, [report['energy_wh'] for report in order['end_reports']])

    def test_stop_without_order(self):
        """PORT-03 and C8: a stuck socket, its alarm, and its end."""
        device = self.world(monitor=True, ports__unsolicited_confirm_s=5)
        device.outlets[0, 0].charge(77, 10, 1)

        def alarmed():
            device.status()
            return [e for e in self.monitor.events('alarm.reported')
                    if e['code'] == 'charging_without_order']
        wait_for(alarmed, 'the alarm', 30)
        status, answer = self.host.post(
            f'/api/v1/admin/devices/{device.ident}/ports/0/0/stop', {'comment': 'stuck'})
        self.assertIn(status, (200, 202), answer)
        wait_for(lambda: any(not c.on for c in device.controls()), 'the stop')
        wait_for(lambda: device.outlets[0, 0].status == IDLE, 'the relay')
        device.status()
        self.monitor.wait('alarm.reported', code='charging_without_order', active=False)
        rows = self.host.rows("SELECT * FROM orders WHERE failure_reason ="
                              " 'fallback_stop_without_order'")
        self.assertEqual(len(rows), 1)

    def test_alarm_of_a_stop_ends(self):
        """T21: the relay does not obey, then it does."""
        device = self.world(monitor=True, stopping_timeout_s=1, orders__stop_rounds=1)
        number = self.charging('A')
        device.mute = {'control'}
        self.stop('A')
        self.monitor.wait('alarm.reported', code='stop_not_executed', active=True)
        device.outlets[0, 0].idle()
        device.end(number, 30, 6, status=ON)
        self.until('A', 'stopped')
        self.monitor.wait('alarm.reported', code='stop_not_executed', active=False)
        self.check_rules()

    def test_no_socket_of_its_own(self):
        """A gateway without socket 0 is asked for it in vain, and is on line all the same."""
        self.world(sockets=(3,))
        quiet = self.connect('82241218000009', sockets=(5,))
        quiet.wait('query')
        for _ in range(14):
            self.assertTrue(self.online(quiet))
            quiet.changed.acquire()
            quiet.changed.wait(0.5)
            quiet.changed.release()


if __name__ == '__main__':
    main()
