#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two instances and the loss of what they share (gateway 11: F2, F3, F4, F5, F31): charges
go on, nothing is executed twice, nothing acknowledged is lost, and all heals by itself."""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
import fleet  # noqa: E402
import several  # noqa: E402
from bkv import Device  # noqa: E402
from chargehost import main, wait_for  # noqa: E402
from ledger import Ledger  # noqa: E402
from proxy import Proxy  # noqa: E402
from several import QUICK, Instances  # noqa: E402

CHARGING, COMPLETED, STOPPED = 2, 3, 7
NOT_CHARGED = (4, 5, 6)     # timeout, cancelled, failed
SPLIT_S = 10
A1, A2, B1, B2 = (f'822412180000{n}' for n in ('11', '12', '21', '22'))


class Outage(Instances):
    """A device that charges and one that is free at each of two instances."""

    def site(self, **options):
        self.proxies = {}

        def each(number):
            proxy = self.proxies[number] = Proxy(self.redis.port)
            self.ends.append(proxy.free)
            return {'redis.url': f'redis://127.0.0.1:{proxy.port}'}
        self.a, self.b = self.several(2, {**fleet.OPTIONS, **QUICK, **options}, each=each)
        self.reports = []
        self.devices = {ident: self.come(host, ident)
                        for host, ident in ((self.a, A1), (self.a, A2),
                                            (self.b, B1), (self.b, B2))}
        self.know()
        for host, ident in ((self.a, A1), (self.b, B1)):
            self.start(host, f'run-{ident}', ident=ident)
            self.wait_state(f'run-{ident}', CHARGING)

    def know(self, owner=None):
        """Each instance knows where every device is."""
        owner = owner or {A1: self.a, A2: self.a, B1: self.b, B2: self.b}
        for host in (self.a, self.b):
            for ident, holder in owner.items():
                self.owner_at(host, ident, holder)

    def owner_at(self, host, ident, holder):
        wait_for(lambda: self.session(host, ident).get('server_id') == holder.id,
                 f'{host.id} to know that {ident} is at {holder.id}', 20)

    def end(self, ident, energy=20, minutes=2, copies=1):
        """A charge ends; its report is acknowledged, and so is every copy."""
        device = self.devices[ident]
        acked = device.counts['end_ack']
        number = device.finish(energy=energy, minutes=minutes)
        device.wait('end_ack', acked + 1)
        for n in range(1, copies):
            device.end(number, energy, minutes)
            device.wait('end_ack', acked + 1 + n)
        self.reports.append({'gateway': ident, 'socket': 0, 'port': 0, 'energy_wh': energy,
                             'business_no': number, 'duration_min': minutes})
        return number

    def alive(self):
        for device in self.devices.values():
            acked = device.counts['heartbeat_ack']
            device.heartbeat()
            device.wait('heartbeat_ack', acked + 1)

    def starts(self, ident):
        return sum(control.on for control in self.devices[ident].controls())

    def stops(self, ident):
        return sum(not control.on for control in self.devices[ident].controls())

    def settle(self, order_no, ident):
        """A start of which nobody knows whether it was executed."""
        wait_for(lambda: self.state_of(order_no)['status'] in NOT_CHARGED
                 or self.starts(ident) > 0, f'what becomes of {order_no}')
        if self.starts(ident) > 0:
            self.wait_state(order_no, CHARGING)
            self.end(ident)
            self.wait_state(order_no, COMPLETED)

    def answer(self, call):
        """The code of an answer, 0 for success."""
        status, answer = call
        return 0 if status in (200, 202) else answer['code']

    def balance(self):
        """Every order and every command has one end; no port was started twice."""
        wait_for(lambda: self.query('SELECT count(*) AS n FROM outbound_queue '
                                    'WHERE status IN (0, 1)')[0]['n'] == 0,
                 'the end of every command', 60)
        ledger = Ledger(self.a)
        ledger.check_all(self.reports)
        ledger.check_sources()
        self.assertEqual(ledger.faults, [])
        for row in self.query('SELECT command_id, type, status, result FROM outbound_queue'):
            self.assertIn(row['status'], (2, 3), row)
            self.assertTrue(row['result'], row)
        for ident in self.devices:
            # those that were accepted and never charged may have ended before they were sent
            charged = self.query("SELECT count(*) AS n FROM orders o JOIN devices d ON d.id = "
                                 f"o.device_id WHERE d.phy_id = '{ident}' "
                                 "AND o.wire_order IS NOT NULL")[0]['n']
            self.assertEqual(self.starts(ident), charged, ident)

    def whole(self, tag):
        """All is as before: any instance reaches any device."""
        orders = {f'{tag}-{A2}': (self.b, A2), f'{tag}-{B2}': (self.a, B2)}
        for order_no, (host, ident) in orders.items():
            wait_for(lambda: self.answer(self.start(host, order_no, ident=ident)) == 0, order_no)
        for order_no, (host, ident) in orders.items():
            self.wait_state(order_no, CHARGING)
            self.end(ident)
            self.wait_state(order_no, COMPLETED)


class Redis(Outage):
    def session_in_redis(self, ident):
        text = self.redis.ask('GET', f'session:device:{ident}')
        return json.loads(text)['server_id'] if text else None

    def test_restarted_empty(self):
        """F2, F3: nobody knows of the other; then everything is registered again."""
        self.site()
        self.redis.kill()
        wait_for(lambda: self.answer(self.start(self.b, 'nowhere', ident=A2)) == 50305,
                 '503 for a device that is elsewhere')
        self.alive()
        self.assertEqual(self.answer(self.start(self.a, 'local', ident=A2)), 0)
        self.wait_state('local', CHARGING)
        self.end(A1)
        self.wait_state(f'run-{A1}', COMPLETED)
        self.assertEqual(self.answer(self.stop(self.b, f'run-{B1}', B1)), 0)
        self.wait_state(f'run-{B1}', STOPPED)
        self.redis.start()
        since = time.monotonic()
        for ident, host in ((A1, self.a), (A2, self.a), (B1, self.b), (B2, self.b)):
            wait_for(lambda: self.session_in_redis(ident) == host.id, f'{ident} in Redis', 10)
        print(f'\n# sessions in Redis after {time.monotonic() - since:.2f} s', file=sys.stderr)
        self.know()
        self.end(A2)
        self.wait_state('local', COMPLETED)
        self.whole('after')
        self.balance()

    def test_asleep(self):
        """F4: it answers nobody, then everybody at once: what was asked for meanwhile
        happens once, or not at all."""
        self.site()
        self.redis.pause()
        answers = {}

        def customer(host, ident, order_no):
            answers[order_no] = self.answer(self.start(host, order_no, ident=ident))
        crowd = [threading.Thread(target=customer, args=(host, ident, f'{host.id}-{ident}'))
                 for host in (self.a, self.b) for ident in (A2, B2)]
        for one in crowd:
            one.start()
        self.alive()
        self.end(A1, copies=2)
        self.end(B1, copies=2)
        for order_no in (f'run-{A1}', f'run-{B1}'):
            self.wait_state(order_no, COMPLETED)
        for one in crowd:
            one.join()
        self.redis.go_on()
        self.know()
        print(f'\n# {answers}', file=sys.stderr)
        self.assertTrue(set(answers.values()) <= {0, 40901, 50305}, answers)
        for ident in (A2, B2):
            taken = [no for no, code in answers.items() if code == 0 and no.endswith(ident)]
            self.assertLessEqual(len(taken), 1, answers)
            if taken:
                self.settle(taken[0], ident)
        self.whole('after')
        self.balance()

    def test_cut_off(self):
        """F31: one instance is alone for long. It answers frames, but sends no commands;
        the other goes on, and may take its devices. No command is sent twice."""
        self.site()
        self.proxies[1].cut()
        self.alive()
        self.assertEqual(self.answer(self.start(self.b, 'others', ident=B2)), 0)
        self.wait_state('others', CHARGING)
        wait_for(lambda: self.a.get('/ready')[0] == 503, 'gw-1 not ready', SPLIT_S + 10)
        self.stop(self.a, f'run-{A1}', A1)          # heard by nobody
        self.start(self.a, 'late', ident=A2)
        self.alive()
        self.end(B2)
        self.wait_state('others', COMPLETED)
        self.assertEqual((self.stops(A1), self.starts(A2)), (0, 0))
        old = self.devices[A1]
        new = self.devices[A1] = Device(self.b.device_port, A1)
        self.ends.append(new.close)                 # the old connection stays half open
        new.outlets, new.next_number = old.outlets, old.next_number
        self.come(self.b, A1, new)
        wait_for(lambda: self.answer(self.stop(self.b, f'run-{A1}', A1)) == 0, 'the stop')
        self.wait_state(f'run-{A1}', STOPPED)
        self.proxies[1].mend()
        self.know({A1: self.b, A2: self.a, B1: self.b, B2: self.b})
        self.settle('late', A2)
        self.end(B1)
        self.wait_state(f'run-{B1}', COMPLETED)
        wait_for(lambda: old.closed, 'the end of the old connection')
        self.assertEqual([len(old.controls()), self.stops(A1)], [1, 1])
        new.frames[:0] = old.frames                 # one device, for the balance
        self.assertLessEqual(self.starts(A2), 1)
        self.whole('after')
        self.balance()


class Postgres(Outage):
    def journal(self, host):
        path = os.path.join(host.state, 'journal.log')
        return os.path.getsize(path) if os.path.exists(path) else 0

    def test_away(self):
        """F5: each keeps a journal; the same report in both is stored once."""
        self.site(**{'database.statement_timeout': '1500ms'})
        self.base.stop()
        for host in (self.a, self.b):
            wait_for(lambda: host.get('/api/v1/orders/unknown')[0] == 503, '503')
            status, answer = self.start(host, f'refused-{host.id}', ident=B2)
            self.assertEqual((status, answer['code']), (503, 50305), answer)
        number = self.end(A1, copies=2)
        self.assertGreater(self.journal(self.a), 0)
        twin = Device(self.b.device_port, A1)       # it heard nothing, and goes elsewhere
        self.ends.append(twin.close)
        twin.connect()
        twin.end(number, 20, 2)
        twin.wait('end_ack')
        self.assertGreater(self.journal(self.b), 0)
        self.assertEqual(self.answer(self.stop(self.b, f'run-{B1}', B1)), 0)
        wait_for(lambda: self.stops(B1) == 1, 'the stop')
        wait_for(lambda: self.devices[B1].counts['end_ack'] >= 1, 'its acknowledgement')
        self.base.start()
        self.wait_state(f'run-{A1}', COMPLETED)
        self.wait_state(f'run-{B1}', STOPPED)
        for host in (self.a, self.b):
            wait_for(lambda: self.journal(host) == 0, f'an empty journal of {host.id}')
        self.owner_at(self.a, A1, self.b)
        self.whole('after')
        self.assertEqual(self.starts(B2), 1)
        self.balance()


if __name__ == '__main__':
    if not several.are_there():
        print('PostgreSQL, Redis or their plugins are missing')
        sys.exit(several.SKIP)
    main()
