#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Redis goes, is slow, forgets everything or may not be written (gateway 11, F2 to F4):
devices of this instance go on as if nothing had been, and all heals by itself."""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
os.environ['CHARGEHOST_TEST_KV'] = 'redis'
from chargehost import main, wait_for  # noqa: E402
from ledger import Ledger, report  # noqa: E402
from proxy import Proxy  # noqa: E402
from redis import Redis  # noqa: E402
from walk import ID, Walk  # noqa: E402

WHOLE_S = 2.0


class Outage(Walk):
    def site(self, **options):
        """Always through the proxy, so that every kind of trouble can come."""
        self.proxy = Proxy(self.kv().port)
        self.ends.append(self.proxy.free)
        self.reports, self.number = [], 0
        self.device = self.world(ID, server__id='gw-1', redis__key_prefix='ch:',
                                 redis__url=f'redis://127.0.0.1:{self.proxy.port}', **options)
        self.charge('before')

    def charge(self, order_no):
        """From the order to the acknowledged end."""
        device = self.device
        acked = device.counts['end_ack']
        self.start(order_no)
        self.until(order_no, 'charging')
        number = device.finish(energy=20, minutes=2)
        device.wait('end_ack', acked + 1)
        self.until(order_no, 'completed', provisional=False, energy_wh=20)
        self.reports.append(report(ID, number, 20, 2))

    def stopped_charge(self, order_no):
        device = self.device
        acked = device.counts['end_ack']
        self.start(order_no)
        self.until(order_no, 'charging')
        self.stop(order_no)
        device.wait('end_ack', acked + 1)
        self.until(order_no, 'stopped')

    def away(self):
        """Local devices are served whole: commands by the queue of the process."""
        self.charge('away')
        self.stopped_charge('stopped')
        at = self.device.counts['heartbeat_ack']
        self.device.heartbeat()
        self.device.wait('heartbeat_ack', at + 1)
        self.assertFalse(self.device.closed)
        self.assertEqual(self.host.get('/live')[0], 200)

    def session(self):
        text = self.redis.ask('GET', f'ch:session:device:{ID}')
        return json.loads(text) if text else None

    def heal(self, what, since, whole=WHOLE_S):
        def known():
            session = self.session()
            return session is not None and session['server_id'] == 'gw-1'
        wait_for(known, 'the session in Redis')
        took = time.monotonic() - since
        print(f'\n# {what}: session in Redis after {took:.2f} s', file=sys.stderr)
        self.charge('after')
        self.assertIn('chargehost_core', self.redis.ask('FUNCTION', 'LIST'))
        wait_for(lambda: self.host.check('redis')['status'] == 'healthy', 'good health', 15)
        wait_for(lambda: self.host.get('/ready')[0] == 200, 'readiness', 15)
        controls = [control.on for control in self.device.controls()]
        self.assertEqual(controls.count(True), len(set(
            row['order_no'] for row in self.host.rows('SELECT order_no FROM orders'))))
        ledger = Ledger(self.host)
        ledger.check_terminal()
        ledger.check_events()
        ledger.check_sources()
        ledger.check_reports(self.reports)
        self.assertEqual(ledger.faults, [])
        self.assertLess(took, whole)


class Gone(Outage):
    def test_stopped(self):
        """F2: stopped for long, and started again empty (F3)."""
        self.site()
        self.redis.kill()
        self.away()
        wait_for(lambda: self.host.check('redis')['status'] == 'unhealthy', 'bad health', 15)

        def unready():
            status, answer = self.host.get('/ready')
            return status == 503 and answer['reasons'] == ['redis']
        wait_for(unready, 'not ready', 25)
        self.redis.start()
        self.heal('stopped and started', time.monotonic())

    def test_restarted_empty(self):
        """F3, in the middle of a charge: nothing is started twice."""
        self.site()
        self.charging('running')
        self.redis.kill()
        self.redis.start()
        since = time.monotonic()
        self.device.finish(energy=9, minutes=1)
        self.until('running', 'completed', energy_wh=9)
        self.heal('restarted empty', since)

    def test_cut(self):
        self.site()
        self.proxy.cut()
        self.away()
        self.proxy.mend()
        self.heal('cut', time.monotonic())

    def test_dropped(self):
        """F4, F31: nobody says that the bytes go nowhere."""
        self.site()
        self.proxy.drop()
        self.away()
        self.proxy.mend()
        self.heal('dropped', time.monotonic())


class Slow(Outage):
    def test_delayed(self):
        """F4: slower than anybody should wait; the loop does not wait."""
        self.site()
        self.proxy.delay = 1.5
        since = time.monotonic()
        for _ in range(20):
            self.assertEqual(self.host.get('/live')[0], 200)
        self.assertLess(time.monotonic() - since, 5)
        self.away()
        self.proxy.mend()
        self.heal('delayed', time.monotonic(), 5)

    def test_asleep(self):
        """The server itself stands still, then answers everything at once."""
        self.site(startup__retry_s='10')
        sleeper = threading.Thread(target=self.redis.ask, args=('CLIENT', 'PAUSE', '4000'))
        sleeper.start()
        self.away()
        sleeper.join()
        self.redis.ask('CLIENT', 'UNPAUSE')
        self.heal('paused', time.monotonic())

    def test_read_only(self):
        """A replica: reads work, writes are refused. Its primary does not let us in."""
        self.site()
        master = Redis()
        self.ends.append(master.free)
        master.ask('CONFIG', 'SET', 'requirepass', 'theirs')
        self.redis.ask('CONFIG', 'SET', 'masterauth', 'theirs')
        self.redis.ask('REPLICAOF', '127.0.0.1', str(master.port))
        wait_for(lambda: 'master_link_status:up' in self.redis.ask('INFO', 'replication'),
                 'the replica')
        self.away()
        self.redis.ask('REPLICAOF', 'NO', 'ONE')
        self.heal('read-only', time.monotonic(), 12)


if __name__ == '__main__':
    main()
