#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Three instances, 300 devices that wander between them, commands to any of them, and one
killed every few seconds: every command has one end, every acknowledged charge end is
stored once. CHARGEHOST_TEST_SECONDS is how long that goes on."""
import collections
import os
import sys
import time

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
import fleet  # noqa: E402
import several  # noqa: E402
from chargehost import Simulator, main, wait_for  # noqa: E402
from ledger import OPEN  # noqa: E402
from several import Anyone, Balancer, Several  # noqa: E402

GATEWAYS = int(os.environ.get('CHARGEHOST_TEST_GATEWAYS', '300'))
SOME = 60       # for what is not left to chance
SECONDS = float(os.environ.get('CHARGEHOST_TEST_SECONDS', '25'))
OPTIONS = {**fleet.OPTIONS, 'proto-bkv.takeover_limit': '10000',
           'tcp.flapping.enabled': 'false', 'http.max_connections': '2000'}


class Wandering(fleet.Load, Several):
    def begin(self, count, gateways):
        self.draw()
        self.several(count, OPTIONS)
        self.front = Balancer(self.hosts, self.seed)
        self.ends.append(self.front.stop)
        self.sim = Simulator(self.folder, self.front.port, gateways, self.sim_options,
                             self.log)
        self.ends.append(self.sim.process.kill)
        self.anyone = Anyone(self.hosts, self.seed)
        self.drive(self.anyone, gateways, 'KL')

    def busy(self, reports):
        """Traffic goes on: some more charges end."""
        done = len(self.sim.acknowledged())
        wait_for(lambda: len(self.sim.acknowledged()) >= done + reports, 'charges', 60)
        self.check_drivers()

    def disturb(self):
        """One is killed and comes again; meanwhile devices wander."""
        victim = self.random.choice(self.hosts)
        self.pause.wait(self.random.uniform(1, 3))
        self.front.move(0.1)
        victim.kill()
        self.pause.wait(self.random.uniform(0.2, 3))
        victim.start()
        self.check_drivers()

    def open_commands(self):
        return self.query('SELECT count(*) AS n FROM outbound_queue '
                          'WHERE status IN (0,1)')[0]['n']

    def finish(self):
        self.end_drivers()
        wait_for(lambda: self.query(OPEN)[0]['n'] == 0, 'the end of every order', 240)
        wait_for(self.sim.quiet, 'the last report', 90)
        wait_for(lambda: self.open_commands() == 0, 'the end of every command', 180)
        wait_for(lambda: not self.left_in_kv(), 'nothing left in the kv', 60)
        for host in self.hosts:
            self.assertEqual(host.stop(), 0)
        self.sim.stop()

    def left_in_kv(self):
        keys = ['outbound:queue', 'outbound:delayed']
        keys += [f'outbound:inflight:{host.id}' for host in self.hosts]
        keys += self.redis.keys('outbound:processing:*') + self.redis.keys('outbound:dev:*')
        return [key for key in keys if self.redis.ask('EXISTS', key) == '1'
                and not self.only_queries(key)]

    def only_queries(self, key):
        """Periodic queries come and go."""
        kind = self.redis.ask('TYPE', key)
        ids = self.redis.ask(*(('HKEYS', key) if kind == 'hash'
                               else ('ZRANGE', key, '0', '-1'))).split()
        known = self.query("SELECT command_id FROM outbound_queue")
        return not {row['command_id'] for row in known} & set(ids)

    def check_commands(self, book):
        """Every command has one end, and the kv tells the same one as the row."""
        ends = collections.Counter(
            row['message_id'] for row in self.query('SELECT message_id '
                                                    'FROM outbound_dead_letters'))
        for command, count in ends.items():
            if count > 1:
                book.fault(f'{count} dead letters of {command}')
        for row in self.query('SELECT command_id, type, status, result '
                              'FROM outbound_queue'):
            if row['status'] not in (2, 3) or not row['result']:
                book.fault(f'no end: {row}')

    def check_all(self):
        book, reports = self.count(self.anyone)
        self.check_commands(book)
        local = sum(order['source'] == 'local' for order in book.orders)
        print(f'# {len(book.orders)} orders ({local} local), {len(reports)} reports, '
              f'{self.front.moved} connections cut', flush=True)
        self.assertEqual(book.faults, [], '\n' + '\n'.join(book.faults[:40]))
        self.assertGreater(len(reports), 0)

    def test_wandering(self):
        self.begin(3, GATEWAYS)
        kills = 0
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.disturb()
            kills += 1
        print(f'# {kills} killed', flush=True)
        self.finish()
        self.check_all()

    def test_rolling(self):
        """One after the other is stopped and started while devices charge and customers
        come: no command, no event and no report is lost, none happens twice."""
        self.begin(2, SOME)
        for host in self.hosts:
            self.busy(10)
            self.assertEqual(host.stop(), 0)
            self.busy(5)
            host.start()
        self.busy(10)
        self.finish()
        self.check_all()

    def test_servers_lost(self):
        """Redis is killed and comes empty, then the postmaster is killed: devices are
        answered meanwhile, and nothing acknowledged is lost."""
        self.begin(2, SOME)
        self.busy(10)
        self.redis.kill()
        self.busy(5)
        self.redis.start()
        self.busy(10)
        self.base.kill()
        self.busy(5)
        self.base.start()
        self.busy(10)
        self.finish()
        self.check_all()


if __name__ == '__main__':
    if not several.are_there():
        print('PostgreSQL, Redis or their plugins are missing')
        sys.exit(several.SKIP)
    main()
