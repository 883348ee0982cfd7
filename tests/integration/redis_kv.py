#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon over Redis: its keys as redis-cli shows them, and a Redis that goes and comes."""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
os.environ['CHARGEHOST_TEST_KV'] = 'redis'
from chargehost import Daemon, TestCase, main, wait_for  # noqa: E402

FIRST = '82241218000001'
SIM = ['--first-id', FIRST, '--sockets', '0', '--plug', '1', '--log', 'none', '--seed', '1']
START = {'port_no': 0, 'charge_mode': 1, 'amount': 500, 'duration_minutes': 600}


class RedisKv(TestCase):
    def setUp(self):
        super().setUp()
        self.host = self.daemon(options={'server.id': 'gw-1', 'redis.key_prefix': 'ch:'})
        self.sim = self.simulator(self.host, 1, SIM + ['--time-scale', '30'])
        wait_for(lambda: self.host.online(FIRST), 'device on line')

    def charge(self, order_no):
        status, answer = self.host.post(f'/devices/{FIRST}/start_charge',
                                        dict(START, order_no=order_no))
        self.assertEqual(status, 202, answer)
        self.wait_order(self.host, order_no, ['charging'])

    def stop_charge(self, order_no):
        status, answer = self.host.post(f'/devices/{FIRST}/stop_charge', {'order_no': order_no})
        self.assertEqual(status, 202, answer)
        self.wait_order(self.host, order_no, ['stopped'])

    def session(self):
        text = self.redis.ask('GET', f'ch:session:device:{FIRST}')
        return json.loads(text) if text else None

    def test_keys(self):
        """Gateway 3.2 and 4.2, with the prefix before each."""
        session = wait_for(self.session, 'session')
        self.assertEqual(session['phy_id'], FIRST)
        self.assertEqual(session['server_id'], 'gw-1')
        self.assertEqual(session['protocol'], 'bkv')
        conn = session['conn_id']
        self.assertEqual(json.loads(self.redis.ask('GET', f'ch:session:conn:{conn}')), [FIRST])
        self.assertEqual(self.redis.ask('SMEMBERS', 'ch:session:server:gw-1:conns'), conn)
        self.assertEqual(self.redis.ask('ZRANGE', 'ch:session:online', '0', '-1'), FIRST)
        self.assertEqual(int(self.redis.ask('GET', f'ch:session:gen:{FIRST}')), session['gen'])
        self.assertEqual(self.redis.ask('ZRANGE', 'ch:servers', '0', '-1'), 'gw-1')
        self.assertEqual(self.redis.ask('TYPE', 'ch:server:gw-1'), 'hash')
        self.assertIn('chargehost_core', self.redis.ask('FUNCTION', 'LIST'))
        self.charge('R1')
        results = wait_for(lambda: self.redis.keys('ch:outbound:result:cmd_*'), 'results')
        self.assertEqual(self.redis.ask('TYPE', results[0]), 'string')
        self.assertEqual(self.redis.ask('ZCARD', 'ch:outbound:queue'), '0')
        self.stop_charge('R1')
        self.assertEqual([key for key in self.redis.keys() if not key.startswith('ch:')], [])

    def test_clean_stop(self):
        """What is written last arrives: the server takes its name out of the list."""
        wait_for(lambda: self.redis.ask('ZSCORE', 'ch:servers', 'gw-1'), 'registered')
        self.sim.stop()
        self.assertEqual(self.host.stop(), 0)
        self.assertEqual(self.redis.ask('ZSCORE', 'ch:servers', 'gw-1'), '')
        self.assertEqual(self.redis.ask('EXISTS', 'ch:server:gw-1'), '0')
        self.assertEqual(self.redis.ask('SMEMBERS', 'ch:session:server:gw-1:conns'), '')

    def test_restarted_empty(self):
        """F3: the sessions are there again, commands go on."""
        self.charge('E1')
        self.redis.kill()
        self.host.process.expect('the kv redis is down')
        begun = time.monotonic()
        self.redis.start()
        self.host.process.expect('the kv redis is up')
        print(f'# up {time.monotonic() - begun:.2f} s after Redis was started')
        wait_for(self.session, 'session written again', 15)
        self.assertIn('chargehost_core', self.redis.ask('FUNCTION', 'LIST'))
        self.stop_charge('E1')
        self.charge('E2')

    def test_lost(self):
        """F2: devices stay, commands for local devices go on, health says it."""
        self.charge('L1')
        self.redis.kill()
        self.host.process.expect('the kv redis is down')
        self.stop_charge('L1')
        self.assertTrue(self.host.online(FIRST))
        self.redis.start()
        wait_for(self.session, 'session written again', 15)
        self.charge('L2')

    def test_functions_flushed(self):
        self.charge('F1')
        self.redis.ask('FUNCTION', 'FLUSH')
        self.stop_charge('F1')
        self.assertIn('chargehost_core', self.redis.ask('FUNCTION', 'LIST'))

    def test_slow(self):
        """F4: it stands still; the loop does not."""
        self.charge('S1')
        self.redis.pause()
        wait_for(lambda: any('has not answered for' in line or 'is down' in line
                             for line in self.host.process.lines), 'breaker')
        begun = time.monotonic()
        self.assertEqual(self.host.get('/health/live')[0], 200)
        self.assertLess(time.monotonic() - begun, 2)
        self.redis.go_on()
        self.host.process.expect('the kv redis is up', start=len(self.host.process.lines) - 1)
        self.stop_charge('S1')


class NoRedis(TestCase):
    def test_required(self):
        """F1: one clear line, and the end."""
        daemon = Daemon(self.folder, options={
            'redis.url': 'redis://127.0.0.1:1', 'startup.retry_s': '1'})
        done = subprocess.run(daemon.command(), env=daemon.environment(), timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('the kv redis was not there within 1 s', done.stdout)

    def test_not_required(self):
        daemon = self.daemon(key=False, options={
            'redis.url': 'redis://127.0.0.1:1', 'startup.retry_s': '0',
            'redis.required': 'false'})
        self.assertEqual(daemon.get('/health/live')[0], 200)


if __name__ == '__main__':
    main()
