#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many instances on one PostgreSQL and one Redis: who holds a device, who sends, and what
is left when one of them dies."""
import os
import signal
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
import several  # noqa: E402
from bkv import Device  # noqa: E402
from chargehost import Process, main, wait_for  # noqa: E402
from several import ID, QUICK, Instances, Several  # noqa: E402
from walk import Monitor  # noqa: E402

ROUNDS = int(os.environ.get('CHARGEHOST_TEST_ROUNDS', '1000'))
CHARGING, COMPLETED, FAILED, STOPPED, INTERRUPTED = 2, 3, 6, 7, 10


class Tables(Several):
    def refused(self, host, text):
        """It does not start, says what to do, and changes nothing."""
        process = Process(host.command(), env=host.environment(), log=self.log)
        self.ends.append(process.kill)
        process.expect(f'{text}.*chargehostctl store migrate', 20)
        self.assertEqual(process.child.wait(20), 1)

    def test_not_by_themselves(self):
        """With profile production tables are made and changed by the operator only."""
        self.several(0)
        host = several.Instance(1, self.folder, self.base, self.redis, log=self.log)
        schemas = "SELECT nspname FROM pg_namespace WHERE nspname = 'chargehost'"
        self.refused(host, 'migrations of core: .* from version 1 ')
        self.assertEqual(self.query(schemas), [])
        host.migrate()
        self.base.ask("CREATE TABLE kept AS SELECT * FROM schema_migrations")
        self.base.ask("DELETE FROM schema_migrations WHERE component = 'core' AND version > 1")
        self.refused(host, 'migrations of core: .* from version 2 ')
        self.base.ask("INSERT INTO schema_migrations SELECT * FROM kept ON CONFLICT DO NOTHING")
        host.start()
        self.ends.append(host.kill)


class Routing(Instances):
    def test_start_elsewhere(self):
        """SES-11: accepted by one, sent once by the other."""
        a, b = self.two()
        device = self.come(a)
        wait_for(lambda: self.session(b).get('server_id') == a.id, 'gw-2 to know')
        status, answer = self.start(b, 'A1', wait_ms=5000)
        self.assertIn(status, (200, 202), answer)
        self.wait_state('A1', CHARGING)
        self.assertEqual(len(device.controls()), 1)
        for host in (a, b):     # read anywhere
            order = host.data('/api/v1/orders/A1')
            self.assertEqual(order['status'], 'charging')
            ports = host.data(f'/api/v1/devices/{ID}/ports')['ports']
            self.assertEqual(ports[0]['order_no'], 'A1', host.id)
            self.assertEqual(host.data('/api/v1/devices')['devices'],
                             [a.data(f'/api/v1/devices/{ID}')], host.id)
        self.assertEqual(self.start(b, 'A1')[1]['data']['duplicate'], True)
        status, answer = self.start(b, 'A2')
        self.assertEqual((status, answer['code']), (409, 40901), answer)
        status, answer = self.stop(b, 'A1')
        self.assertEqual(status, 202, answer)
        self.wait_state('A1', STOPPED)
        self.assertEqual(len(device.controls()), 2)
        a.process.signal(signal.SIGSTOP)    # last: it would be overloaded
        shown = b.data('/api/v1/devices')['devices'][0]
        a.process.signal(signal.SIGCONT)
        self.assertEqual((shown['device_phy_id'], shown['presence']), (ID, 'online'))

    def test_query_elsewhere(self):
        a, b = self.two()
        self.come(a)
        status, answer = b.post(f'/api/v1/third/devices/{ID}/query',
                                {'socket_no': 0, 'wait_ms': 5000})
        self.assertEqual(status, 200, answer)

    def test_events_elsewhere(self):
        """Shared topics: who watches one hears what happens at the other, once."""
        bus = self.bus()
        _, b = self.several(2, QUICK, bus)      # the name on the bus is the first one's
        monitor = Monitor(bus, dict(os.environ))
        self.ends.append(monitor.process.kill)
        probes = iter(range(1, 10000))

        def heard():
            device = Device(b.device_port, f'8224999900{next(probes):04d}')
            device.connect()
            device.close()
            return monitor.events('device.registered')
        wait_for(heard, 'the monitor')
        device = self.come(b)
        self.start(b, 'A1')
        monitor.wait('order.started', order_no='A1')
        device.finish(energy=12, minutes=1)
        monitor.wait('order.ended', order_no='A1')
        self.wait_state('A1', COMPLETED)
        for topic in ('order.started', 'order.ended'):
            self.assertEqual(len([event for event in monitor.events(topic)
                                  if event['order_no'] == 'A1']), 1, topic)

    def test_end_after_move(self):
        """An order begins at one instance and ends at the other."""
        a, b = self.two()
        device = self.come(a)
        self.start(a, 'A1')
        self.wait_state('A1', CHARGING)
        device.close()
        self.come(b, device=device)
        self.wait_state('A1', CHARGING)
        device.finish(energy=120, minutes=3)
        device.wait('end_ack')
        self.wait_state('A1', COMPLETED)
        self.assertEqual(self.state_of('A1')['energy_wh'], 120)
        wait_for(lambda: a.data('/api/v1/orders/A1')['status'] == 'completed', 'gw-1 too')

    def listed(self, host, ident):
        devices = host.data(f'/api/v1/devices?q={ident}')['devices']
        return next((d for d in devices if d['device_phy_id'] == ident), None)

    def test_by_hand_elsewhere(self):
        """What is registered, changed and deleted at one is so in the lists of the other."""
        a, b = self.two()
        self.assertEqual(a.post('/api/v1/admin/devices', {'device_id': 'shed-1'})[0], 201)
        wait_for(lambda: self.listed(b, 'shed-1'), 'gw-2 to list it')
        for host, lifecycle in ((b, 'maintenance'), (a, 'active')):
            self.assertEqual(host.request('PATCH', '/api/v1/admin/devices/shed-1',
                                          {'lifecycle': lifecycle})[0], 200)
            for other in (a, b):
                wait_for(lambda: self.listed(other, 'shed-1')['lifecycle'] == lifecycle,
                         f'{lifecycle} at {other.id}')
        status, answer = b.request('DELETE', '/api/v1/admin/devices/shed-1')
        self.assertEqual((status, answer['data']['deleted']), (200, True))
        for host in (a, b):
            wait_for(lambda: self.listed(host, 'shed-1') is None, f'it is gone at {host.id}')
            self.assertEqual(host.get('/api/v1/devices/shed-1')[0], 404)

    def test_one_order(self):
        """F39: a thousand starts of one port at two instances make one order."""
        a, b = self.two()
        self.come(a)
        wait_for(lambda: self.session(b).get('server_id') == a.id, 'gw-2 to know')
        results, lock, number = [], threading.Lock(), iter(range(ROUNDS))

        def customer(host):
            while True:
                with lock:
                    n = next(number, None)
                if n is None:
                    return
                status, answer = self.start(host, f'S{n:05d}')
                with lock:
                    results.append((status, answer['code']))
        crowd = [threading.Thread(target=customer, args=((a, b)[i % 2],)) for i in range(16)]
        for one in crowd:
            one.start()
        for one in crowd:
            one.join()
        good = [r for r in results if r[0] in (200, 202)]
        bad = {r for r in results if r[0] not in (200, 202)}
        self.assertEqual(len(results), ROUNDS)
        self.assertEqual(len(good), 1, bad)
        self.assertEqual(bad, {(409, 40901)})
        self.assertEqual(self.query('SELECT count(*) AS n FROM orders')[0]['n'], 1)

    def test_alternating(self):
        """TCP-40, F15: reconnects that alternate between two instances; the newest lives."""
        hosts = self.two()
        old = None
        for n in range(ROUNDS):
            new = Device(hosts[n % 2].device_port, ID)
            new.connect()
            if old is not None:
                wait_for(lambda: old.closed, f'the end of connection {n - 1}')
                old.close()
            self.assertFalse(new.closed)
            old = new
        self.ends.append(old.close)
        last = hosts[(ROUNDS - 1) % 2]
        old.status()
        self.owner(last)
        status, answer = self.start(hosts[ROUNDS % 2], 'A1')
        self.assertEqual(status, 202, answer)
        self.wait_state('A1', CHARGING)
        self.assertEqual(len(old.controls()), 1)

    def test_end_twice(self):
        """Acceptance 13: an end report repeated, and said at two instances at once."""
        a, b = self.two()
        device = self.come(a)
        self.start(a, 'A1')
        self.wait_state('A1', CHARGING)
        twin = Device(b.device_port, ID)
        self.ends.append(twin.close)
        number = device.outlets[0, 0].number
        twin.connect(quiet=True)
        twin.heartbeat()
        for _ in range(25):
            for one in (device, twin):
                try:
                    one.end(number, 200, 4)
                except OSError:
                    pass
        twin.wait('end_ack', 20)
        self.wait_state('A1', COMPLETED)
        events = self.query(
            "SELECT event_type FROM events WHERE order_no = 'A1' "
            "AND event_type IN ('charging.ended', 'order.completed')")
        self.assertEqual(sorted(e['event_type'] for e in events),
                         ['charging.ended', 'order.completed'])
        self.assertEqual(self.query('SELECT count(*) AS n FROM orders')[0]['n'], 1)


class Deaths(Instances):
    def test_killed_before_ack(self):
        """F25, F30: the one that sent dies; the start is not executed twice."""
        a, b = self.two(**{'proto-bkv.pending_timeout_s': '60'})
        device = self.come(a)
        wait_for(lambda: self.session(b).get('server_id') == a.id, 'gw-2 to know')
        began = []

        def begin(control):     # it charges, and its answer is lost
            device.outlets[control.place].charge(7)
            began.append(control)
        device.control = begin
        status, answer = self.start(b, 'A1')
        self.assertEqual(status, 202, answer)
        wait_for(lambda: began, 'the start')
        a.kill()
        device.close()
        self.come(b, device=device)
        self.wait_state('A1', CHARGING)
        self.assertEqual(len(began), 1)
        wait_for(lambda: all(c['status'] in (2, 3) for c in self.commands('A1')),
                 'the end of the start')
        a.start()
        device.end(7, 30, 1)
        device.wait('end_ack')
        self.wait_state('A1', COMPLETED)

    def test_killed_before_execution(self):
        """The same, but the device never executed it: it is sent again, once."""
        a, b = self.two(**{'proto-bkv.pending_timeout_s': '60'})
        device = self.come(a)
        device.mute.add('control')
        self.start(b, 'A1')
        device.wait('control')
        a.kill()
        device.close()
        device.mute.clear()
        self.come(b, device=device)
        self.wait_state('A1', CHARGING)
        self.assertEqual(len(device.controls()), 2)

    def test_orders_of_a_dead_one(self):
        """SES-14: nobody comes back; the survivor keeps the orders and ends them."""
        a, b = self.two(**{'proto-bkv.interrupted_max_s': '20',
                           'orders.interrupted_grace_s': '5'})
        device = self.come(a)
        self.start(a, 'A1')
        self.wait_state('A1', CHARGING)
        a.kill()
        device.close()
        self.wait_state('A1', INTERRUPTED, seconds=90)
        self.wait_state('A1', FAILED, seconds=90)
        self.assertEqual(self.redis.ask('ZSCORE', 'servers', 'gw-1'), '')
        self.assertEqual(self.redis.keys('session:server:gw-1:conns'), [])
        b.data('/api/v1/orders/A1')

    def test_rolling(self):
        """One after the other is stopped and started: nothing is lost."""
        hosts = self.two()
        device = self.come(hosts[0])
        self.start(hosts[0], 'A1')
        self.wait_state('A1', CHARGING)
        for leaving, staying in ((0, 1), (1, 0)):
            self.assertEqual(hosts[leaving].stop(), 0)
            device.close()
            self.come(hosts[staying], device=device)
            self.wait_state('A1', CHARGING)
            hosts[leaving].start()
        device.finish(energy=55, minutes=5)
        self.wait_state('A1', COMPLETED)
        self.assertEqual(self.state_of('A1')['energy_wh'], 55)
        self.assertEqual(len(device.controls()), 1)


class Lease(Instances):
    """A server id has one holder (gateway 3.7)."""

    def twin(self, host):
        """Another one with the same id, and a state directory of its own."""
        twin = several.Instance(2, self.folder, self.base, self.redis, None,
                                {**QUICK, 'server.id': host.id}, self.log)
        twin.id, twin.key = host.id, host.key
        self.ends.append(twin.kill)
        return twin

    def holder(self, host):
        return int(self.redis.ask('HGET', f'server:{host.id}', 'pid') or 0)

    def test_second_refuses(self):
        a, = self.several(1, QUICK)
        device = self.come(a)
        twin = self.twin(a)
        second = Process(twin.command(), env=twin.environment(), log=self.log)
        self.ends.append(second.kill)
        pid = a.process.child.pid
        second.expect(f'a server with the id gw-1 runs already, process {pid} on '
                      f'{socket.gethostname()}')
        self.assertEqual(second.child.wait(30), 1)
        self.assertEqual(self.holder(a), pid)
        self.owner(a)
        self.start(a, 'A1')
        self.wait_state('A1', CHARGING)
        self.assertEqual(len(device.controls()), 1)

    def test_back_after_a_crash(self):
        """At once where its process is known to be gone, else after its lease."""
        a, = self.several(1, QUICK)
        a.kill()
        a.start()
        self.assertFalse([line for line in a.process.lines if 'is taken by' in line])
        a.kill()
        self.redis.ask('HSET', 'server:gw-1', 'place', 'another machine')
        self.redis.ask('EXPIRE', 'server:gw-1', '3')    # the rest of its 15 s
        a.start()
        a.process.expect('the id gw-1 is taken by process')
        self.assertEqual(self.holder(a), a.process.child.pid)

    def test_stood_still(self):
        """Its lease runs out while it is stopped, another takes the id: it gives way."""
        a, = self.several(1, QUICK)
        device = self.come(a)
        self.start(a, 'A1')
        self.wait_state('A1', CHARGING)
        a.process.signal(signal.SIGSTOP)
        self.redis.ask('DEL', 'server:gw-1')            # what 15 s do
        twin = self.twin(a)
        twin.start()
        a.process.signal(signal.SIGCONT)
        a.process.expect('the id gw-1 was taken by process')
        self.assertEqual(a.process.child.wait(60), 1)
        self.assertEqual(self.holder(twin), twin.process.child.pid)
        wait_for(lambda: device.closed, 'the end of the connection')
        device.close()
        self.come(twin, device=device)
        self.wait_state('A1', CHARGING)
        device.finish(energy=20, minutes=2)
        self.wait_state('A1', COMPLETED)
        self.assertEqual(len(device.controls()), 1)


if __name__ == '__main__':
    if not several.are_there():
        print('PostgreSQL, Redis or their plugins are missing')
        sys.exit(several.SKIP)
    main()
