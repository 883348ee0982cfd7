#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How charges start, stop and end: the transitions of gateway 1.5.4 one by one."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
from bkv import CUT, ON  # noqa: E402
from chargehost import main, wait_for  # noqa: E402
from walk import Walk  # noqa: E402


class Start(Walk):
    def test_refused(self):
        """T4"""
        device = self.world()
        device.control = device.refuse
        self.start('A')
        order = self.until('A', 'failed', failure_reason='device_rejected')
        self.assertFalse(order['provisional'])
        self.assertEqual(self.types('A'), ['order.created', 'order.confirmed', 'order.failed'])
        self.assertEqual(self.events('A', 'order.confirmed')[0]['result'], 'failed')
        self.start('B')             # the port is free again
        self.until('B', 'failed')
        self.check_rules()

    def test_unanswered_then_answered(self):
        """T6, then C4 by the answer, then T28."""
        device = self.world(monitor=True, pending_timeout_s=1)
        device.mute = {'control'}
        self.start('A')
        order = self.until('A', 'timeout', provisional=True)
        self.assertEqual(order['failure_reason'], 'no_ack')
        start = device.controls()[0]
        self.assertTrue(start.on)
        device.outlets[0, 0].charge(7)
        device.mute = set()
        device.answer(start, 1, 7)              # it had heard, and says so late
        wait_for(lambda: any(not c.on for c in device.controls()), 'the compensating stop')
        self.monitor.wait('alarm.reported', code='late_start_compensated')
        order = self.until('A', 'stopped', 'completed', provisional=False)
        self.assertEqual((order['settlement_rev'], order['wire_order']), (1, '00000007'))
        self.assertEqual(self.types('A').count('order.settlement_revised'), 1)
        self.assertEqual(sum(c.on for c in device.controls()), 1)
        self.check_rules()

    def test_unanswered_then_reported(self):
        """T6, then C4 by a status report."""
        device = self.world(pending_timeout_s=1)
        device.mute = {'control'}
        self.start('A')
        self.until('A', 'timeout', provisional=True)
        device.outlets[0, 0].charge(9, energy=1)
        device.mute = set()
        device.status()
        wait_for(lambda: any(not c.on for c in device.controls()), 'the compensating stop')
        order = self.until('A', 'stopped', 'completed', provisional=False)
        self.assertEqual((order['settlement_rev'], order['wire_order']), (1, '00000009'))
        self.check_rules()

    def test_answer_lost_but_reported(self):
        """T3 by a status report; the start is not sent again."""
        device = self.world()

        def execute(control):
            device.outlets[control.place].charge(3)
            device.status()
        device.control = execute
        self.start('A')
        self.until('A', 'charging', wire_order='00000003')
        device.finish(energy=10, minutes=2)
        self.until('A', 'completed', provisional=False)
        self.assertEqual(len(device.controls()), 1)
        self.check_rules()

    def test_end_before_the_answer(self):
        """T27, F18: the answer that comes afterwards makes no charge."""
        device = self.world()

        def execute(control):
            device.end(4, 1, 0, control.place)
            device.answer(control, 1, 4)
        device.control = execute
        self.start('A')
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['wire_order'], order['energy_wh']), ('00000004', 1))
        device.wait('end_ack')
        device.status()
        device.wait('status_ack', 2)
        self.assertEqual(self.types('A'), ['order.created', 'charging.started',
                                           'charging.ended', 'order.completed'])
        self.assertEqual(self.count(), 1)
        self.assertEqual(len(device.controls()), 1)
        self.check_rules()

    def test_many_at_once(self):
        """F39, check 9: of many starts of one port exactly one is taken."""
        device = self.world()
        answers, gate = [], threading.Barrier(8)

        def customer(n):
            gate.wait(30)
            for i in range(25):
                answers.append(self.ask(f'C{n}-{i}', amount=100))
        threads = [threading.Thread(target=customer, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        taken = [answer for status, answer in answers if status == 202]
        refused = [answer['code'] for status, answer in answers if status == 409]
        self.assertEqual((len(taken), len(refused)), (1, 199))
        self.assertEqual(set(refused), {40901})
        self.assertEqual(self.count(), 1)
        self.until(taken[0]['data']['order_no'], 'charging')
        self.assertEqual(len(device.controls()), 1)

    def test_same_number_from_many(self):
        """F38: a customer who asks again gets the same order."""
        device = self.world()
        answers = []

        def customer():
            answers.append(self.ask('SAME', amount=100))
        threads = [threading.Thread(target=customer) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual({answer['data']['order_no'] for status, answer in answers
                          if status in (200, 202)}, {'SAME'}, answers)
        self.assertEqual(len([1 for status, _ in answers if status in (200, 202)]), 10, answers)
        self.assertEqual(self.count(), 1)
        self.until('SAME', 'charging')
        self.assertEqual(len(device.controls()), 1)

    def test_two_sockets_same_port(self):
        """Check 14: the same port number on two sockets are two ports."""
        device = self.world(sockets=(1, 2))
        self.start('A', socket_no=1)
        self.start('B', socket_no=2)
        self.until('A', 'charging', wire_order='01000001')
        self.until('B', 'charging', wire_order='02000002')
        device.finish((1, 0), 5, 1)
        device.finish((2, 0), 6, 2)
        self.assertEqual(self.until('A', 'completed')['energy_wh'], 5)
        self.assertEqual(self.until('B', 'completed')['energy_wh'], 6)
        self.check_rules()

    def test_same_device_number_on_two_ports(self):
        """The number alone is no key (bkv 10.4)."""
        device = self.world()
        device.control = lambda control: (device.outlets[control.place].charge(5),
                                          device.answer(control, 1, 5))
        self.charging('A', 0)
        self.charging('B', 1)
        device.finish((0, 1), 7, 1)
        self.assertEqual(self.until('B', 'completed')['energy_wh'], 7)
        self.assertEqual(self.order('A')['status'], 'charging')
        device.finish((0, 0), 8, 1)
        self.assertEqual(self.until('A', 'completed')['energy_wh'], 8)
        self.check_rules()

    def test_counter_of_the_device_restarts(self):
        """The same number and figures again: a new charge (bkv 10.5)."""
        device = self.world()
        for order_no in ('A', 'B', 'C'):
            device.next_number = 1
            self.charging(order_no)
            device.finish(energy=12, minutes=3)
            order = self.until(order_no, 'completed', provisional=False)
            self.assertEqual((order['wire_order'], order['energy_wh']), ('00000001', 12))
        self.assertEqual(self.count(), 3)
        self.check_rules()


class Cancel(Walk):
    def test_before_it_is_written(self):
        """C1: taken out of the queue, the device never hears of it."""
        device = self.world()
        self.start_unanswered()             # holds the place in flight
        self.start('B', port=1)
        data = self.stop('B')
        self.assertEqual((data['action'], data['status']), ('cancel', 'cancelled'))
        self.assertFalse(self.until('B', 'cancelled')['provisional'])
        device.mute = set()
        device.obey(device.controls()[0])
        self.until('A', 'charging')
        device.finish()
        self.until('A', 'completed')
        self.assertEqual({c.port for c in device.controls()}, {0})
        self.check_rules()

    def test_while_unanswered(self):
        """F40: the start was written, had run, and leaves nothing running (T25)."""
        device = self.world()
        start = self.start_unanswered()
        data = self.stop('A')
        self.assertEqual((data['action'], data['status']), ('cancel', 'cancelling'))
        device.mute = set()
        device.obey(start)
        order = self.until('A', 'stopped', 'completed', provisional=False)
        self.assertEqual(order['wire_order'], '00000001')
        self.assertFalse(device.controls()[-1].on)
        self.assertEqual(self.count(), 1)
        self.start('B')                     # nothing blocks the port
        self.until('B', 'charging')
        self.check_rules()

    def test_of_a_start_that_did_not_run(self):
        """T24: the stop is refused because nothing runs."""
        device = self.world()
        self.start_unanswered()
        self.stop('A')
        device.mute = set()
        device.control = device.refuse
        self.until('A', 'cancelled', provisional=False)
        self.start('B')
        self.check_rules()

    def test_unanswered(self):
        """T24 by time, then the end report (T28)."""
        device = self.world(cancelling_timeout_s=1)
        start = self.start_unanswered()
        self.stop('A')
        self.until('A', 'cancelled', provisional=True)
        device.outlets[0, 0].charge(2)
        device.answer(start, 1, 2)
        self.until('A', 'cancelled', wire_order='00000002')
        device.finish(energy=3, minutes=1)
        order = self.until('A', 'stopped', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['settlement_rev']), (3, 1))
        self.check_rules()

    def test_refused_while_charging(self):
        self.world()
        self.charging('A')
        status, answer = self.host.post('/api/v1/third/orders/A/cancel')
        self.assertEqual((status, answer['code']), (400, 40001), answer)
        self.assertEqual(self.order('A')['status'], 'charging')


class Stop(Walk):
    def test_ended_by_itself_first(self):
        """T19: the device's word outranks the wish."""
        device = self.world()
        number = self.charging('A')
        device.mute = {'control'}
        self.stop('A')
        device.outlets[0, 0].idle()
        device.end(number, 20, 5, status=ON | 0x04)     # over-temperature
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual(order['end_reason'], 'over_temp')
        self.check_rules()

    def test_no_stop_after_the_end(self):
        """A stop whose order has ended does not end the next charge of the port."""
        device = self.world()
        number = self.charging('A')
        device.mute = {'control'}
        self.stop('A')
        device.wait('control', 2)
        device.outlets[0, 0].idle()
        device.end(number, 20, 5, status=ON)
        self.until('A', 'stopped')
        device.mute = set()
        self.charging('B')
        stops = [c for c in device.controls() if not c.on]
        # what is in flight may time out, but is not sent again
        wait_for(lambda: self.count("SELECT count(*) AS n FROM outbound_queue"
                                    " WHERE type = 'StopCharge' AND status IN (0, 1)") == 0,
                 'the end of the stop')
        self.assertEqual(len([c for c in device.controls() if not c.on]), len(stops))
        self.assertEqual(self.order('B')['status'], 'charging')
        self.check_rules()

    def test_answer_lost(self):
        """T21, the alarm, T22, and the late report (T28)."""
        device = self.world(monitor=True, stopping_timeout_s=1, stop_max_s=8)
        number = self.charging('A')
        device.mute = {'control'}
        self.stop('A')
        self.monitor.wait('alarm.reported', code='stop_not_executed')
        self.assertIn('stop_retry', self.history('A'))
        order = self.until('A', 'stopped', provisional=True)
        self.assertEqual(order['end_reason'], 'remote_stop')
        device.mute = set()
        device.outlets[0, 0].idle()
        device.end(number, 30, 6, status=ON)
        order = self.until('A', 'stopped', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['duration_s'], order['settlement_rev']),
                         (30, 360, 1))
        self.check_rules()

    def test_no_end_report(self):
        """T20: acknowledged, idle, but no report."""
        device = self.world(stop_wait_end_s=1)
        number = self.charging('A')

        def stop(control):
            device.outlets[control.place].idle()
            device.answer(control, 1, number)
            device.status()
        device.control = stop
        self.stop('A')
        self.until('A', 'stopped', provisional=True)
        device.end(number, 9, 1, status=ON)
        order = self.until('A', 'stopped', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['settlement_rev']), (9, 1))
        self.check_rules()

    def test_relay_is_stuck(self):
        """It says that it stopped, and charges on."""
        device = self.world(monitor=True, stopping_timeout_s=1, stop_max_s=60)
        number = self.charging('A')
        device.control = lambda control: (device.answer(control, 1, number), device.status())
        self.stop('A')
        self.monitor.wait('alarm.reported', code='stop_not_executed')
        self.assertGreater(len([c for c in device.controls() if not c.on]), 1)
        self.assertEqual(self.order('A')['status'], 'stopping')
        device.control = device.obey
        device.outlets[0, 0].idle()
        device.end(number, 9, 1, status=ON)
        self.until('A', 'stopped', provisional=False)
        self.check_rules()

    def test_twice(self):
        """The second stop hears of the first."""
        device = self.world()
        self.charging('A')
        device.mute = {'control'}
        first = self.stop('A')
        status, answer = self.host.post('/api/v1/third/orders/A/stop')
        self.assertIn(status, (200, 202))
        self.assertEqual(answer['data']['command_id'], first['command_id'])
        device.mute = set()
        device.obey(device.controls()[-1])
        self.until('A', 'stopped')
        answer = self.stop('A', 409)
        self.assertEqual(answer['code'], 40902)
        self.check_rules()

    def test_goes_before_what_waits(self):
        """Check 17: a stop passes a hundred commands; other devices are not delayed."""
        device = self.world(sockets=tuple(range(102)), min_spacing_ms=100)
        other = self.connect('82241218000002')
        self.charging('A', socket_no=0)
        device.mute = {'query'}     # the first of them holds the place in flight
        for i in range(1, 101):
            status, answer = self.host.post(
                f'/api/v1/third/devices/{device.ident}/query', {'socket_no': i})
            self.assertIn(status, (202, 429), answer)
        before = len(device.frames)
        self.stop('A')
        self.until('A', 'stopped')
        passed = [f.name for f in device.frames[before:]]
        self.assertLessEqual(passed.index('control'), 1, passed)
        self.charging('B', device=other)
        self.assertEqual(len([c for c in other.controls() if c.on]), 1)


class End(Walk):
    def test_fifty_times(self):
        """F17, check 13: one settlement, one event, fifty acknowledgements."""
        device = self.world()
        number = self.charging('A')
        device.outlets[0, 0].idle()
        for _ in range(50):
            device.end(number, 123, 45)
        device.wait('end_ack', 50)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['duration_s']), (123, 2700))
        self.assertEqual(order['settlement_rev'], 0)
        self.assertEqual(self.types('A').count('charging.ended'), 1)
        self.assertEqual(self.types('A').count('order.completed'), 1)
        for _ in range(10):         # and after a restart
            self.host.stop()
            self.host.start()
            device.close()
            device.port = self.host.device_port
            at = device.counts['end_ack']
            device.connect()
            device.end(number, 123, 45)
            device.wait('end_ack', at + 1)
            break
        self.assertEqual(self.count(), 1)
        self.assertEqual(self.order('A')['settlement_rev'], 0)
        self.assertGreaterEqual(
            self.host.metric('chargehost_duplicate_report_total{type="end"}'), 1)
        self.check_rules()

    def test_other_figures_afterwards(self):
        """A contradiction is an alarm, the order stays (bkv 10.5)."""
        device = self.world(monitor=True)
        number = self.charging('A')
        device.finish(energy=100, minutes=10)
        self.until('A', 'completed')
        device.wait('end_ack')
        device.end(number, 999, 10)
        device.wait('end_ack', 2)
        self.monitor.wait('alarm.reported', code='end_report_conflict')
        self.assertEqual(self.order('A')['energy_wh'], 100)
        self.assertEqual(self.count(), 1)
        self.check_rules()

    def test_of_an_unknown_charge(self):
        """F20: acknowledged, stored as a local order, alarm; copies are copies."""
        device = self.world(monitor=True)
        for _ in range(3):
            device.end(77, 40, 30)
        device.wait('end_ack', 3)
        self.monitor.wait('alarm.reported', code='no_matching_order')
        rows = self.host.rows('SELECT * FROM orders')
        self.assertEqual(len(rows), 1)
        self.assertEqual((rows[0]['source'], rows[0]['status'], rows[0]['energy_wh'],
                          rows[0]['failure_reason']), ('local', 3, 40, 'no_matching_order'))
        self.check_rules(local='any')

    def test_of_an_earlier_charge(self):
        """A report of another charge does not end the one that runs."""
        device = self.world()
        device.next_number = 20
        self.charging('A')
        device.end(19, 11, 3)
        device.wait('end_ack')
        self.assertEqual(self.order('A')['status'], 'charging')
        device.finish(energy=50, minutes=9)
        self.assertEqual(self.until('A', 'completed')['energy_wh'], 50)
        self.assertEqual(self.count("SELECT count(*) AS n FROM orders WHERE source = 'local'"),
                         1)
        self.check_rules(local='any')

    def test_counters_restart_in_mid_charge(self):
        """F21: figures never decrease."""
        device = self.world()
        self.charging('A')
        device.outlets[0, 0].energy, device.outlets[0, 0].minutes = 100, 30
        device.status()
        self.until('A', 'charging', energy_wh=100)
        device.outlets[0, 0].energy, device.outlets[0, 0].minutes = 5, 1
        device.status()
        self.until('A', 'charging', energy_wh=105)
        device.finish(energy=20, minutes=4)
        order = self.until('A', 'completed')
        self.assertEqual((order['energy_wh'], order['failure_reason']), (120, 'counter_reset'))
        self.assertGreaterEqual(order['duration_s'], 1800)
        self.check_rules()

    def test_progress_after_the_end(self):
        """F18: a stale report changes nothing."""
        device = self.world()
        number = self.charging('A')
        device.finish(energy=60, minutes=10)
        self.until('A', 'completed')
        device.outlets[0, 0].charge(number, 30, 5)
        device.status()
        device.outlets[0, 0].idle()
        device.status()
        device.wait('status_ack', 4)
        self.assertEqual(self.order('A')['energy_wh'], 60)
        self.assertEqual([c.on for c in device.controls()], [True])
        self.start('B')
        self.until('B', 'charging')
        self.check_rules()

    def test_report_that_never_comes(self):
        """bkv 10.7: asked, inferred, provisional; the late report corrects it."""
        device = self.world(monitor=True, missing_end_wait_s=1)
        number = self.charging('A')
        device.outlets[0, 0].energy, device.outlets[0, 0].minutes = 40, 12
        device.status()
        self.until('A', 'charging', energy_wh=40)
        device.outlets[0, 0].idle()
        device.status()
        order = self.until('A', 'completed', provisional=True)
        self.assertEqual((order['energy_wh'], order['end_reason']), (40, 'unknown'))
        self.monitor.wait('alarm.reported', code='end_report_missing')
        device.end(number, 44, 13)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['settlement_rev']), (44, 1))
        self.check_rules()

    def test_fault(self):
        """T12: faulty and no report; the late report corrects it."""
        device = self.world(orders__fault_wait_end_s=1)
        number = self.charging('A')
        device.outlets[0, 0].idle(0x84)
        device.status()
        order = self.until('A', 'failed', provisional=True)
        self.assertEqual(order['failure_reason'], 'port_fault')
        device.end(number, 5, 1, status=0x94)
        order = self.until('A', 'completed', provisional=False)
        self.assertEqual((order['energy_wh'], order['end_reason']), (5, 'over_temp'))
        self.check_rules()

    def test_power_cut(self):
        device = self.world()
        number = self.charging('A')
        device.outlets[0, 0].idle()
        device.end(number, 5, 1, status=CUT)
        self.assertEqual(self.until('A', 'completed')['end_reason'], 'power_off')
        self.check_rules()


if __name__ == '__main__':
    main()
