#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""All data from SQLite to PostgreSQL and back: what REST says stays the same, new rows get
new numbers; and what a copy refuses."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
from chargehost import BUILD, CTL, TestCase, main, wait_for  # noqa: E402
from postgres import Postgres  # noqa: E402

FIRST, SECOND = '82241218000001', '82241218000002'
SIM = ['--first-id', FIRST, '--sockets', '0', '--plug', '1', '--log', 'none', '--seed', '1',
       '--time-scale', '60']
MINUTE = {'port_no': 0, 'charge_mode': 1, 'amount': 500, 'duration_minutes': 1}
WITH_BOTH = ','.join(os.path.join(BUILD, name) for name in (
    'plugins/store-sqlite', 'plugins/store-pgsql', 'plugins/kv-memory', 'plugins/proto-bkv',
    'tests/plugins/keeper'))
# What programs read: lists, and every order with its history.
PAGES = ['/api/v1/devices', '/api/v1/orders', f'/devices/{FIRST}/ports',
         f'/devices/{SECOND}/ports', '/api/v1/admin/audit', '/api/v1/admin/bans',
         '/api/v1/admin/api-keys']
# Of this moment, not of the database.
MOVING = {'last_seen_at', 'last_seen', 'online', 'presence', 'uptime_seconds', 'server_id',
          'connected_at', 'conn_id', 'rssi', 'last_used_at', 'session', 'updated_at',
          'reported_at', 'request_id', 'age_ms', 'timestamp'}
# With a plugin of others, which has a table.
REST = 'kv-memory,proto-bkv,test-keeper'
SQLITE = {'plugins.start': f'store-sqlite,{REST}', 'plugins.path': WITH_BOTH}
UP_TO_DATE = r'Up to date: core \d+, http \d+, test-keeper 2'
MIGRATED = r'Migrated: core \d+, http \d+, test-keeper 2'
NOTES = 'SELECT number, note, weight FROM keeper_notes ORDER BY number'


def still(value):
    """JSON without what moves."""
    if isinstance(value, dict):
        return {name: still(inner) for name, inner in value.items() if name not in MOVING}
    if isinstance(value, list):
        return [still(inner) for inner in value]
    return value


class StoreCopy(TestCase):
    maxDiff = 3000

    def setUp(self):
        super().setUp()
        self.server = Postgres()
        self.ends.append(self.server.free)
        self.pgsql = {'plugins.start': f'store-pgsql,{REST}',
                      'plugins.path': WITH_BOTH, 'database.dsn': self.server.url}

    def tool(self, host, *words, status=0):
        """chargehostctl store WORDS… for the database that HOST would open."""
        settings = []
        given = host.command()
        for at, word in enumerate(given):
            if word == '--set':
                settings += ['--set', given[at + 1]]
        done = subprocess.run([CTL, 'store', *words, *settings], env=host.environment(),
                              text=True, capture_output=True, timeout=120, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout if status == 0 else done.stderr

    def charge(self, host, device, number, **more):
        status, answer = host.post(f'/devices/{device}/start_charge',
                                   dict(MINUTE, order_no=number, **more))
        self.assertEqual(status, 202, answer)
        return self.wait_order(host, number, ['completed'])

    def picture(self, host):
        pages = {}
        for page in PAGES:
            status, answer = host.get(page)
            self.assertEqual(status, 200, (page, answer))
            pages[page] = still(answer)
        numbers = [order['order_no'] for order in host.data('/api/v1/orders')['orders']]
        self.assertTrue(numbers)
        for number in numbers:
            for what in (f'/api/v1/orders/{number}', f'/api/v1/third/orders/{number}/events',
                         f'/api/v1/admin/orders/{number}/timeline'):
                pages[what] = still(host.data(what))
        return pages

    def counts(self, host):
        """Rows of the tables that grow."""
        return {table: host.rows(f'SELECT count(*) AS n FROM {table}')[0]['n']
                for table in ('devices', 'ports', 'orders', 'events', 'cmd_log', 'api_keys',
                              'outbound_queue', 'audit_log')}

    def notes(self, host):
        return [dict(row) for row in host.rows(NOTES)]

    def again(self, host, options, postgres):
        """The same host, over another database, without devices."""
        host.options = dict(options)
        host.postgres = postgres
        return host.start()

    def test_there_and_back(self):
        host = self.daemon(options=SQLITE)
        sim = self.simulator(host, 2, SIM)
        wait_for(lambda: host.get(f'/devices/{SECOND}/online')[0] == 200, 'devices')
        self.charge(host, FIRST, 'COPY1')
        self.charge(host, SECOND, 'COPY2', metadata={'note': 'Zürich 充电 \'"\\ end',
                                                     'list': [1, 2.5, 1e3, None, True]})
        status, answer = host.post('/api/v1/admin/bans', {
            'device_id': '82249999999999', 'reason': "it's \\ broken"})
        self.assertIn(status, (200, 201), answer)
        sim.stop()
        self.assertIn('in use by another process', self.tool(host, 'copy', self.server.url,
                                                             status=1))
        host.stop()
        host.start()
        before = self.picture(host)
        host.stop()
        counts = self.counts(host)
        notes = self.notes(host)
        self.assertEqual(len(notes), 2)     # it started twice

        # To PostgreSQL.
        said = self.tool(host, 'copy', self.server.url)
        self.assertRegex(said, r'(?m)^orders +2 rows$')
        self.assertRegex(said, r'(?m)^keeper_notes +2 rows$')
        self.assertRegex(said, r'Copied and compared: \d+ rows of \d+ tables')
        self.again(host, self.pgsql, self.server)
        self.assertEqual(self.picture(host), before)
        self.assertIn('a daemon uses the PostgreSQL database',
                      self.tool(host, 'copy', 'elsewhere.db', status=1))
        kept = self.notes(host)
        self.assertEqual(kept[:2], notes)
        self.assertEqual(len(kept), 3)      # and it goes on
        newest = host.rows('SELECT max(id) AS n FROM orders')[0]['n']
        sim = self.simulator(host, 2, SIM)
        wait_for(lambda: host.get(f'/devices/{FIRST}/online')[1]['data']['online'], 'device')
        self.charge(host, FIRST, 'COPY3')
        self.assertGreater(
            host.rows("SELECT id FROM orders WHERE order_no = 'COPY3'")[0]['id'], newest)
        sim.stop()
        host.stop()
        host.start()
        after = self.picture(host)
        host.stop()
        counts = self.counts(host)
        notes = self.notes(host)

        # And back, over what is there.
        target = os.path.join(host.state, 'chargehost.db')
        self.assertIn('the target is not empty', self.tool(host, 'copy', target, status=1))
        self.tool(host, 'copy', target, '--replace')
        self.again(host, SQLITE, None)
        self.assertEqual(self.picture(host), after)
        host.stop()
        self.assertEqual(self.counts(host), counts)
        self.assertEqual(self.notes(host)[:len(notes)], notes)

    def test_refusals(self):
        host = self.daemon(options=SQLITE, key=False)
        host.stop()
        self.assertIn('both for store-sqlite', self.tool(host, 'copy', 'other.db', status=1))
        self.assertIn('store-sqlite', self.tool(host, 'copy', '/nowhere/x.db', '--from',
                                                'postgres://localhost:1/x', status=1)
                      + 'store-sqlite')
        self.assertRegex(self.tool(host, 'migrate', '--check'), UP_TO_DATE)
        self.assertRegex(self.tool(host, 'migrate'), MIGRATED)
        # Tables of a plugin that is not to start any more.
        host.options = dict(SQLITE, **{'plugins.start': 'store-sqlite,kv-memory,proto-bkv'})
        self.assertRegex(self.tool(host, 'copy', self.server.url, status=1),
                         r'tables of core \d+, http \d+, test-keeper 2, the target those')
        host.options = dict(self.pgsql, **{'database.auto_migrate': 'false'})
        self.assertIn('are missing', self.tool(host, 'migrate', '--check', status=1))
        self.assertRegex(self.tool(host, 'migrate'), MIGRATED)
        self.assertRegex(self.tool(host, 'migrate', '--check'), UP_TO_DATE)
        # Of another version: refused, and nothing is changed.
        host.options = dict(SQLITE)
        self.server.ask("INSERT INTO schema_migrations VALUES "
                        "('gone', 1, 'x', 'x', now(), 1)")
        self.assertIn('the same version first', self.tool(host, 'copy', self.server.url,
                                                          status=1))


if __name__ == '__main__':
    unittest.util._MAX_LENGTH = 4000
    main()
