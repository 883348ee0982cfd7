#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices and daemons that go away in the middle of a charge, and come back."""
import os
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
from bkv import ON  # noqa: E402
from chargehost import main, wait_for  # noqa: E402
from walk import Walk  # noqa: E402


class Lost(Walk):
    """The device goes."""

    def lose(self, order_no='A'):
        self.device.close()
        self.until(order_no, 'interrupted')

    def test_back_and_charging(self):
        """T13, T14: one order, the correct sum."""
        device = self.world()
        self.charging('A')
        for minutes in (10, 20, 30):
            self.lose()
            device.outlets[0, 0].energy, device.outlets[0, 0].minutes = minutes * 10, minutes
            device.connect()        # the query at the bind shows that it charges
            self.until('A', 'charging', energy_wh=minutes * 10)
        device.finish(energy=350, minutes=35)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['duration_s']), (350, 2100))
        self.assertEqual(self.types('A').count('order.recovered'), 3)
        self.assertEqual(self.count(), 1)
        self.check_rules()

    def test_ended_while_away(self):
        """T15: the stored report comes after the bind."""
        device = self.world()
        number = self.charging('A')
        self.lose()
        device.outlets[0, 0].idle()
        device.connect()
        device.end(number, 77, 20)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['settlement_rev']), (77, 0))
        self.check_rules()

    def test_stopped_by_the_customer_while_away(self):
        """T30: the stop is sent when the device is back."""
        device = self.world()
        self.charging('A')
        self.lose()
        data = self.stop('A')
        self.assertTrue(data['deferred'])
        self.assertEqual(sum(not c.on for c in device.controls()), 0)
        device.connect()
        order = self.until('A', 'stopped', provisional=False)
        self.assertEqual(order['end_reason'], 'remote_stop')
        self.assertEqual(sum(not c.on for c in device.controls()), 1)
        self.check_rules()

    def test_stopped_while_away_and_never_back(self):
        """T30, then T17 leads to stopped; then the report (T28)."""
        device = self.world(interrupted_max_s=2)
        number = self.charging('A')
        self.lose()
        self.stop('A')
        self.until('A', 'stopped', provisional=True)
        device.outlets[0, 0].idle()
        device.connect()
        device.end(number, 12, 3)
        order = self.until('A', 'stopped', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['settlement_rev']), (12, 1))
        self.check_rules()

    def test_back_and_idle(self):
        """T16 by time, then the report (T28)."""
        device = self.world(recover_wait_end_s=1, ports__settle_s=1)
        number = self.charging('A')
        self.lose()
        device.outlets[0, 0].idle()
        device.connect()
        wait_for(lambda: (device.status(), self.order('A')['status'] == 'failed')[1],
                 'the end of the wait')
        order = self.until('A', 'failed', provisional=True)
        self.assertEqual(order['failure_reason'], 'port_state_mismatch')
        device.end(number, 21, 7)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['settlement_rev']), (21, 1))
        self.assertIsNone(order['failure_reason'])
        self.check_rules()

    def test_back_and_idle_with_a_new_start(self):
        """R4: a missing end report blocks no port; the old order is settled later."""
        device = self.world(recover_wait_end_s=600, ports__settle_s=1)
        number = self.charging('A')
        self.lose()
        device.outlets[0, 0].idle()
        device.connect()

        def started():
            device.status()
            status, answer = self.ask('B', minutes=5, amount=1)
            self.assertIn(status, (202, 409), answer)
            return status == 202
        wait_for(started, 'the new start')
        self.until('B', 'charging')
        order = self.until('A', 'failed', provisional=True)
        self.assertEqual(order['failure_reason'], 'port_state_mismatch')
        device.end(number, 21, 7)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['settlement_rev']), (21, 1))
        self.assertEqual(self.order('B')['status'], 'charging')
        device.finish(energy=5, minutes=2)
        self.assertEqual(self.until('B', 'completed')['energy_wh'], 5)
        self.check_rules()

    def test_too_long_then_charging(self):
        """T17, T32: the customer keeps the charge."""
        device = self.world(interrupted_max_s=1)
        self.charging('A')
        device.outlets[0, 0].energy, device.outlets[0, 0].minutes = 10, 2
        device.status()
        self.until('A', 'charging', energy_wh=10)
        self.lose()
        order = self.until('A', 'failed', provisional=True)
        self.assertEqual((order['failure_reason'], order['energy_wh']),
                         ('device_offline_timeout', 10))
        device.outlets[0, 0].energy, device.outlets[0, 0].minutes = 90, 20
        device.connect()
        self.until('A', 'charging')
        device.status()
        self.until('A', 'charging', energy_wh=90)
        self.assertEqual(self.types('A').count('order.recovered'), 1)
        device.finish(energy=100, minutes=25)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['duration_s']), (100, 1500))
        self.assertEqual(sum(not c.on for c in device.controls()), 0)
        self.check_rules()

    def test_too_long_then_charging_while_another_has_the_port(self):
        """T32 refused: the port's new order keeps it."""
        device = self.world(interrupted_max_s=1)
        number = self.charging('A')
        self.lose()
        self.until('A', 'failed', provisional=True)
        device.outlets[0, 0].idle()
        device.connect()
        device.status()
        self.charging('B')
        device.end(number, 33, 9)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['settlement_rev']), (33, 1))
        self.assertEqual(self.order('B')['status'], 'charging')
        self.check_rules()

    def test_too_long_then_ended(self):
        """T17, T28: F41, charged once."""
        device = self.world(interrupted_max_s=1)
        number = self.charging('A')
        self.lose()
        self.until('A', 'failed', provisional=True)
        device.outlets[0, 0].idle()
        device.connect()
        for _ in range(3):
            device.end(number, 66, 11)
        device.wait('end_ack', 3)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['settlement_rev']), (66, 1))
        self.assertEqual(self.count(), 1)
        self.check_rules()

    def test_start_in_flight(self):
        """4.7: the port is asked before the start is sent again; it had run."""
        device = self.world()
        self.start_unanswered(mute=('control', 'query'))
        device.close()
        device.outlets[0, 0].charge(6)
        device.mute = set()
        device.connect()
        self.until('A', 'charging', wire_order='00000006')
        self.assertEqual(len(device.controls()), 1)
        device.finish(energy=1, minutes=1)
        self.until('A', 'completed')
        self.assertEqual(len(device.controls()), 1)
        self.check_rules()

    def test_start_in_flight_that_did_not_run(self):
        """4.7: idle and still valid: sent again, once."""
        device = self.world()
        first = self.start_unanswered()
        device.close()
        device.mute = set()
        device.connect()
        self.until('A', 'charging')
        controls = device.controls()
        self.assertEqual(len(controls), 2)
        self.assertEqual(controls[1].msg_id, first.msg_id)
        device.finish(energy=1, minutes=1)
        self.until('A', 'completed')
        self.check_rules()

    def test_start_in_flight_that_had_ended(self):
        """The charge was over before the device came back."""
        device = self.world()
        self.start_unanswered(mute=('control', 'query'))
        device.close()
        device.connect()
        device.end(6, 1, 0)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual(order['wire_order'], '00000006')
        device.mute = set()
        device.status()
        device.wait('status_ack', 2)
        self.charging('B')
        self.assertEqual([c.on for c in device.controls()], [True, True])
        self.check_rules()

    def test_half_open(self):
        """F14: a new connection of the device takes over; the charge goes on."""
        device = self.world()
        number = self.charging('A')
        again = self.connect()
        again.outlets[0, 0].charge(number, 5, 1)
        self.until('A', 'charging', 'interrupted')
        again.status()
        self.until('A', 'charging', energy_wh=5)
        wait_for(lambda: device.closed, 'the end of the old connection')
        again.finish(energy=9, minutes=3)
        self.assertEqual(self.until('A', 'completed')['energy_wh'], 9)
        self.check_rules()


class Killed(Walk):
    """The daemon goes."""

    def kill(self, back=True):
        self.host.kill()
        wait_for(lambda: self.device.closed, 'the end of the connection')
        self.host.start()
        if back:
            self.device.connect()

    def test_while_charging(self):
        """F26"""
        device = self.world()
        self.charging('A')
        device.outlets[0, 0].energy = 40
        device.status()
        self.until('A', 'charging', energy_wh=40)
        for energy in (50, 60):
            self.kill(back=False)
            self.until('A', 'interrupted')
            device.outlets[0, 0].energy = energy
            device.connect()
            self.until('A', 'charging', energy_wh=energy)
        device.finish(energy=70, minutes=9)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['settlement_rev']), (70, 0))
        self.assertEqual([c.on for c in device.controls()], [True])
        self.check_rules()

    def test_before_the_answer(self):
        """F25: it had run; nothing is sent twice."""
        device = self.world()
        self.start_unanswered()
        device.outlets[0, 0].charge(8)
        device.mute = set()
        self.kill()
        self.until('A', 'charging', wire_order='00000008')
        device.finish(energy=3, minutes=1)
        self.assertEqual(self.until('A', 'completed', provisional=False)['energy_wh'], 3)
        self.assertEqual([c.on for c in device.controls()], [True])
        self.check_rules()

    def test_before_the_answer_and_it_had_ended(self):
        device = self.world()
        self.start_unanswered()
        self.kill()
        device.mute = set()
        device.end(8, 3, 0)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['wire_order'], order['energy_wh']), ('00000008', 3))
        self.assertEqual(self.count(), 1)
        self.check_rules()

    def test_before_the_answer_and_it_did_not_run(self):
        device = self.world()
        self.start_unanswered()
        device.mute = set()
        self.kill()
        self.until('A', 'charging')         # the port was asked: idle
        names = [frame.name for frame in device.frames]
        self.assertEqual(names.count('control'), 2)
        self.assertIn('query', names[names.index('control'):])
        device.finish(energy=3, minutes=1)
        self.until('A', 'completed')
        self.check_rules()

    def test_too_late_for_the_start(self):
        """F24: what has expired while nobody ran is never sent; the order times out."""
        device = self.world(pending_timeout_s=2)
        self.start_unanswered()
        self.host.kill()
        # The eighteen seconds of the start pass while the daemon is away.
        rows = self.edit('UPDATE outbound_queue SET message = json_set(message, '
                         "'$.created_at', '2020-01-01T00:00:00.000Z', "
                         "'$.expires_at', '2020-01-01T00:00:18.000Z')")
        self.assertEqual(rows, 1)
        device.mute = set()
        wait_for(lambda: device.closed, 'the end of the connection')
        self.host.start()
        device.connect()
        self.until('A', 'timeout', 'failed')
        self.assertEqual(len(device.controls()), 1)
        self.start('B')
        self.until('B', 'charging')
        self.check_rules()

    def edit(self, sql):
        path = os.path.join(self.host.state, 'chargehost.db')
        with sqlite3.connect(path, timeout=10) as base:
            return base.execute(sql).rowcount

    def test_after_the_start_is_stored(self):
        """F24: what was stored and not sent is sent after the start, once."""
        device = self.world()
        self.start_unanswered()             # holds the place in flight
        self.start('B', port=1)             # stored, not written
        device.mute = set()
        self.kill()
        self.until('B', 'charging')
        self.until('A', 'charging')
        self.assertEqual(sum(c.on and c.port == 1 for c in device.controls()), 1)
        self.check_rules()

    def test_while_stopping(self):
        """The stop was acknowledged; the report comes after the restart."""
        device = self.world()
        number = self.charging('A')

        def stop(control):
            device.outlets[control.place].idle()
            device.answer(control, 1, number)
        device.control = stop
        self.stop('A')
        device.wait('control', 2)
        wait_for(lambda: self.count("SELECT count(*) AS n FROM outbound_queue WHERE"
                                    " type = 'StopCharge' AND status = 2"), 'the answer')
        self.kill()
        device.end(number, 11, 2, status=ON)
        order = self.until('A', 'stopped', provisional=False)
        self.assertEqual((order['energy_wh'], order['end_reason']), (11, 'remote_stop'))
        self.check_rules()

    def test_while_a_stop_is_unanswered(self):
        """The stop is sent again after the restart."""
        device = self.world()
        self.charging('A')
        device.mute = {'control'}
        self.stop('A')
        device.wait('control', 2)
        device.mute = set()
        self.kill()
        order = self.until('A', 'stopped', provisional=False)
        self.assertEqual(order['end_reason'], 'remote_stop')
        self.check_rules()

    def test_while_cancelling(self):
        device = self.world()
        start = self.start_unanswered()
        self.stop('A')
        device.mute = set()
        device.outlets[0, 0].charge(4, 1, 1)
        self.kill()
        device.answer(start, 1, 4)
        device.status()
        order = self.until('A', 'stopped', 'completed', provisional=False)
        self.assertEqual(order['wire_order'], '00000004')
        self.assertFalse(device.controls()[-1].on)
        self.check_rules()

    def test_before_the_report_is_acknowledged(self):
        """The device repeats what was not acknowledged; it counts once."""
        device = self.world()
        number = self.charging('A')
        device.outlets[0, 0].idle()
        device.end(number, 19, 4)
        self.kill()
        device.end(number, 19, 4)
        device.wait('end_ack')
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual(order['energy_wh'], 19)
        self.assertEqual(self.types('A').count('charging.ended'), 1)
        self.assertEqual(self.count(), 1)
        self.check_rules()

    def test_interrupted_waits_from_the_restart(self):
        """T17 counts from the restart: no order fails because the daemon was away."""
        device = self.world(interrupted_max_s=4)
        self.charging('A')
        device.close()
        self.until('A', 'interrupted')
        self.edit("UPDATE orders SET interrupted_at = interrupted_at - 86400000, "
                  "updated_at = updated_at - 86400000")
        self.host.kill()
        self.host.start()
        self.assertEqual(self.order('A')['status'], 'interrupted')
        device.port = self.host.device_port
        device.connect()
        self.until('A', 'charging')
        self.check_rules()

    def test_ordered_stop_of_the_daemon(self):
        """SIGTERM in mid-charge: the same as a crash for the customer."""
        device = self.world()
        self.charging('A')
        self.assertEqual(self.host.stop(), 0)
        wait_for(lambda: device.closed, 'the end of the connection')
        self.host.start()
        device.connect()
        self.until('A', 'charging')
        device.finish(energy=2, minutes=1)
        self.until('A', 'completed', provisional=False)
        self.check_rules()


if __name__ == '__main__':
    main()
