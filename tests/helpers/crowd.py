# SPDX-License-Identifier: LGPL-2.1-or-later
"""A fleet that charges at several instances, and the count of what is left afterwards:
every command has one end, every acknowledged report is stored once."""
import collections

import fleet
from chargehost import wait_for
from ledger import OPEN
from several import Several


class Crowd(fleet.Load, Several):
    """`sim` are the devices, `anyone` is whoever answers customers, `hosts` what is stopped
    at the end."""

    def busy(self, reports):
        """Traffic goes on: some more charges end."""
        done = len(self.sim.acknowledged())
        wait_for(lambda: len(self.sim.acknowledged()) >= done + reports, 'charges', 60)
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
        for kind in ('inflight', 'processing', 'dev'):
            keys += self.redis.keys(f'outbound:{kind}:*')
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
        print(f'# {len(book.orders)} orders ({local} local), {len(reports)} reports',
              flush=True)
        self.assertEqual(book.faults, [], '\n' + '\n'.join(book.faults[:40]))
        self.assertGreater(len(reports), 0)
