#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""PostgreSQL goes, and what then goes on (gateway 11, F5 to F8): devices are answered,
charges can be stopped, nothing acknowledged is lost, and all heals by itself.

CHARGEHOST_TEST_OUTAGES=N repeats the loaded ones N times.
"""
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
os.environ['CHARGEHOST_TEST_STORE'] = 'pgsql'
from chargehost import BUILD, main, wait_for  # noqa: E402
from driver import Driver, FIRST  # noqa: E402
from ledger import OPEN, Ledger, report  # noqa: E402
from postgres import Postgres, program  # noqa: E402
from proxy import Proxy  # noqa: E402
from walk import Walk  # noqa: E402

ROUNDS = int(os.environ.get('CHARGEHOST_TEST_OUTAGES', '1'))
ENDS, STOPS, FREE = '82241218000001', '82241218000002', '82241218000003'
WHOLE_S = 2.0
FULL_DISK = os.path.join(BUILD, 'tests', 'integration', 'full-disk.so')


class Outage(Walk):
    """A device whose charge ends, one whose charge is stopped, and one that is free."""

    def site(self, proxied=False, **options):
        database = self.database()
        more = {'database__statement_timeout': '1500ms'}
        if proxied:
            self.proxy = Proxy(database.port)
            self.ends.append(self.proxy.free)
            more['database__dsn'] = (f'host=127.0.0.1 port={self.proxy.port} '
                                     'dbname=postgres user=chargehost sslmode=disable')
        self.reports = []
        self.one = self.world(ENDS, **dict(more, **options))
        self.two, self.three = self.connect(STOPS), self.connect(FREE)
        self.charging('ends', device=self.one)
        self.charging('stops', device=self.two)

    def wait_refused(self, seconds=10):
        """Reads of what memory does not have, and new orders, are told to come again."""
        def look():
            status, answer = self.host.get('/api/v1/orders/unknown')
            return status == 503 and answer['code'] == 50305
        wait_for(look, '503 50305 for a read', seconds)
        self.assertEqual(self.start('refused', 503, device=self.three)['code'], 50305)
        self.assertEqual(self.three.controls(), [])

    def end_one(self, seconds=10):
        """The report is answered although nobody can store it, and so is a copy."""
        number = self.one.finish(energy=70, minutes=3)
        self.one.wait('end_ack', 1, seconds)
        self.one.end(number, 70, 3)
        self.one.wait('end_ack', 2, seconds)
        self.reports.append(report(self.one.ident, number, 70, 3))

    def stop_two(self, seconds=10):
        number = self.two.outlets[0, 0].number
        self.two.outlets[0, 0].energy, self.two.outlets[0, 0].minutes = 30, 2
        answer = self.stop('stops')
        self.two.wait('control', 2, seconds)
        self.two.wait('end_ack', 1, seconds)
        self.reports.append(report(self.two.ident, number, 30, 2))
        return answer

    def away(self):
        """What goes on without the store."""
        self.wait_refused()
        self.end_one()
        answer = self.stop_two()
        self.assertIs(answer.get('stored'), False, answer)
        self.assertGreater(self.host.journal(), 0)
        self.one.heartbeat()
        self.one.wait('heartbeat_ack', 2)
        self.assertEqual(self.host.get('/live')[0], 200)
        wait_for(lambda: self.host.check('journal')['status'] == 'degraded', 'a journal in use')
        self.assertGreaterEqual(self.host.check('journal')['details']['waiting'], 2)
        self.assertGreaterEqual(self.host.metric('chargehost_journal_records_total'), 2)

    def heal(self, what, since, whole=WHOLE_S):
        """Everything is as if nothing had been, and soon."""
        wait_for(lambda: self.ask('after', device=self.three)[0] in (200, 202), 'a new order')
        started = time.monotonic() - since
        self.until('ends', 'completed', provisional=False, energy_wh=70)
        self.until('stops', 'stopped', provisional=False, energy_wh=30)
        took = time.monotonic() - since
        print(f'\n# {what}: new orders after {started:.2f} s, whole after {took:.2f} s',
              file=sys.stderr)
        self.until('after', 'charging')
        self.three.finish(energy=1, minutes=1)
        self.three.wait('end_ack')
        self.until('after', 'completed')
        wait_for(lambda: self.host.journal() == 0, 'an empty journal')
        wait_for(lambda: self.host.get('/ready')[0] == 200, 'readiness', 15)
        self.balance()
        self.assertLess(took, whole)

    def balance(self):
        ledger = Ledger(self.host)
        ledger.check_all(self.reports)
        ledger.check_sources()
        self.assertEqual(ledger.faults, [])
        self.assertEqual(self.host.journal('journal.rejected'), 0)


class Stopped(Outage):
    def test_stopped(self):
        """F5: stopped in order, away for long, started again."""
        self.site()
        gone = time.monotonic()
        self.postgres.stop()
        self.away()
        wait_for(lambda: self.host.check('database')['status'] == 'unhealthy', 'bad health')
        self.assertEqual(self.host.get('/health')[0], 503)
        self.assertIn(self.host.get('/ready')[0], (200, 503))

        def unready():
            status, answer = self.host.get('/ready')
            return status == 503 and answer['reasons'] == ['database']
        wait_for(unready, 'not ready', 25)
        self.assertGreater(time.monotonic() - gone, 10)
        self.postgres.start()
        self.heal('stopped and started', time.monotonic())

    def test_killed_with_a_full_journal(self):
        """The daemon dies, too, and finds its journal."""
        self.site()
        self.postgres.stop()
        self.away()
        self.host.kill()
        wait_for(lambda: self.one.closed and self.two.closed and self.three.closed,
                 'the end of the connections')
        kept = self.host.journal()
        self.assertGreater(kept, 0)
        self.host.process = None
        starting = threading.Thread(target=self.host.start)
        starting.start()            # it waits for its store, and keeps what it has
        wait_for(lambda: self.host.process is not None, 'the process')
        self.host.process.expect('the store is not there yet', 20)
        self.assertEqual(self.host.journal(), kept)
        self.postgres.start()
        starting.join()
        since = time.monotonic()
        for device in (self.one, self.two, self.three):
            device.connect()
        self.heal('killed with a full journal', since)

    def test_stopped_with_a_charge_at_the_device(self):
        """What begins and ends while nobody stores is one order afterwards."""
        self.site()
        self.postgres.stop()
        self.wait_refused()
        self.three.end(77, 12, 5)
        self.three.wait('end_ack')
        self.postgres.start()
        wait_for(lambda: self.count("SELECT count(*) AS n FROM orders WHERE "
                                    "source = 'local'") == 1, 'the order')
        row = self.host.rows("SELECT * FROM orders WHERE source = 'local'")[0]
        self.assertEqual((row['energy_wh'], row['duration_s']), (12, 300))


class Network(Outage):
    def test_cut(self):
        self.site(proxied=True)
        self.proxy.cut()
        self.away()
        self.proxy.mend()
        self.heal('cut', time.monotonic())

    def test_dropped(self):
        """Nobody says that the bytes go nowhere: the deadline does."""
        self.site(proxied=True)
        self.proxy.drop()
        self.away()
        self.proxy.mend()
        self.heal('dropped', time.monotonic())

    def test_delayed(self):
        """Slow is not away: everything goes on."""
        self.site(proxied=True)
        self.proxy.delay = 0.1
        self.end_one()
        self.stop_two()
        self.until('ends', 'completed', energy_wh=70)
        self.until('stops', 'stopped', energy_wh=30)
        self.assertEqual(self.host.journal(), 0)
        self.proxy.mend()
        self.heal('delayed', time.monotonic())


class Session:
    """A session of somebody else, kept open."""

    def __init__(self, postgres, *statements):
        self.process = subprocess.Popen(
            [program('psql'), '-X', '-q', '-A', '-t', '-d', postgres.dsn],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.say('SET search_path = chargehost;', *statements, '\\echo ready')
        while self.process.stdout.readline().strip() != 'ready':
            pass

    def say(self, *lines):
        self.process.stdin.write('\n'.join(lines) + '\n')
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class Server(Outage):
    def test_lock_held(self):
        """A table that nobody may touch: as if the store was away, for what needs it."""
        self.site(database__lock_timeout='500ms')
        other = Session(self.postgres, 'BEGIN;',
                        'LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;')
        self.ends.append(other.close)
        self.end_one(30)
        self.stop_two(30)
        self.assertGreater(self.host.journal(), 0)
        other.close()
        self.heal('lock held', time.monotonic(), 4)

    def test_terminated_in_mid_transaction(self):
        """The backends are ended while the report's transaction waits in one of them."""
        self.site(database__lock_timeout='2s', database__statement_timeout='5s')
        other = Session(self.postgres, 'BEGIN;', "SELECT FROM orders WHERE order_no = 'ends'"
                        ' FOR UPDATE;')
        self.ends.append(other.close)
        number = self.one.finish(energy=70, minutes=3)
        self.reports.append(report(self.one.ident, number, 70, 3))
        waiting = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_for(lambda: self.count(waiting) > 0, 'a transaction that waits')
        self.postgres.ask("SELECT count(pg_terminate_backend (pid)) FROM pg_stat_activity"
                          " WHERE wait_event_type = 'Lock'")
        self.one.wait('end_ack', 1, 20)
        other.close()
        since = time.monotonic()
        self.stop_two()
        self.heal('terminated', since)


class Full(Outage):
    """F8: there is no room for what PostgreSQL writes; the journal has some."""

    def on_full_disk(self, below, **more):
        self.postgres = Postgres(preload=(FULL_DISK, below), **more)
        self.ends.append(self.postgres.free)
        self.site()

    def fill_pages(self, size):
        """Rows go where there is room: until the pages that the table has are full."""
        for _ in range(500):
            try:
                self.postgres.ask(
                    'INSERT INTO events (event_id, phy_id, sequence_no, event_type, event_data, occurred_at,'
                    " created_at) SELECT 'evt_' || gen_random_uuid (), 'filler', 1, 'filler',"
                    f" json_build_object ('x', repeat ('x', {size})), now (), now ()")
            except AssertionError as error:
                self.assertIn('No space left', str(error))
                return
        self.fail('the disk does not get full')

    def use_tables(self):
        """Reports are kept aside, new orders are refused, health tells; reads go on."""
        self.fill_pages(1000)
        self.fill_pages(10)
        number = self.one.finish(energy=70, minutes=3)
        self.one.wait('end_ack', 1, 10)
        self.reports.append(report(self.one.ident, number, 70, 3))
        self.stop_two()
        self.assertEqual(self.start('refused', 503, device=self.three)['code'], 50305)
        self.assertGreater(self.host.journal(), 0)
        self.assertEqual(self.host.get('/api/v1/orders/unknown')[0], 404)
        wait_for(lambda: self.host.check('database')['message'] == 'writes fail',
                 'health that tells', 15)

    def test_tables_full(self):
        self.on_full_disk('base')
        self.postgres.fill()
        self.use_tables()
        self.postgres.make_room()
        self.heal('tables full', time.monotonic())
        for order in ('ends', 'stops'):     # however often it was tried
            told = [line for line in self.host.process.lines
                    if 'charge ended' in line and f'order_no={order} ' in line]
            self.assertEqual(len(told), 1, told)

    def test_tables_full_mounted(self):
        """The same on a file system of its own, where one may be mounted."""
        if os.geteuid() != 0:
            self.skipTest('needs a file system of its own')
        self.site()
        place = os.path.join(self.postgres.folder, 'small')
        os.mkdir(place)
        mount = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', place],
                               check=False, stderr=subprocess.DEVNULL)
        if mount.returncode != 0:
            self.skipTest('may not mount')
        self.ends.insert(0, lambda: subprocess.run(['umount', '-l', place], check=False))
        os.chown(place, self.postgres.who['user'], self.postgres.who['group'])
        self.postgres.ask(f"CREATE TABLESPACE small LOCATION '{place}'", schema='public')
        self.postgres.ask('ALTER TABLE orders SET TABLESPACE small')
        self.postgres.ask('ALTER TABLE events SET TABLESPACE small')
        wait_for(lambda: self.host.get('/api/v1/orders/ends')[0] == 200, 'the tables')
        filler = os.path.join(place, 'filler')
        with open(filler, 'wb', buffering=0) as file:
            try:
                while file.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass
        self.use_tables()
        os.truncate(filler, 0)
        self.postgres.ask("DELETE FROM events WHERE phy_id = 'filler'")
        self.heal('disk full', time.monotonic())

    def test_log_full(self):
        """Without room for its log PostgreSQL ends all sessions, and then itself, when
        something keeps the log's old files; somebody starts it when there is room."""
        self.on_full_disk('pg_wal', initdb=('--wal-segsize=1',),
                          settings=['min_wal_size = 2MB', 'max_wal_size = 2MB'])
        self.postgres.ask("SELECT pg_create_physical_replication_slot('away', true)")
        self.postgres.fill()
        self.use_up_log()
        self.away()
        wait_for(lambda: self.host.check('database')['status'] == 'unhealthy', 'bad health', 15)
        self.postgres.make_room()
        self.postgres.start()
        self.heal('log full', time.monotonic())

    def use_up_log(self):
        """After each crash it comes up again, as long as there is a little room."""
        size = 1000000

        def ended():
            nonlocal size
            try:
                self.postgres.ask(
                    f"SELECT pg_logical_emit_message(false, 'filler', repeat('x', {size}))")
            except AssertionError:
                size = max(size // 2, 10)
            return self.postgres.process.poll() is not None
        wait_for(ended, 'the end of the server', 60)


class Loaded(Outage):
    def test_killed_under_load(self):
        """kill -9 of the postmaster while a fleet charges: nothing acknowledged is lost."""
        self.postgres = Postgres(fsync=True)
        self.ends.append(self.postgres.free)
        self.host = self.daemon(options={'proto-bkv.min_spacing_ms': '10',
                                         'orders.fault_wait_end_s': '5'})
        gateways = 20
        fleet = self.simulator(self.host, gateways, [
            '--first-id', str(FIRST), '--sockets', '0', '--time-scale', '30', '--seed', '7',
            '--log', 'none'])
        wait_for(lambda: self.host.get('/ready')[1].get('online_devices') == gateways
                 or self.host.metric('chargehost_devices_connected') >= gateways, 'the fleet', 60)
        driver = Driver(self.host, 7, gateways)
        driver.begin()
        for turn in range(2 * ROUNDS):
            done = len(fleet.acknowledged())
            wait_for(lambda: len(fleet.acknowledged()) >= done + 15, 'charges', 60)
            self.postgres.kill()
            done = len(fleet.acknowledged())
            wait_for(lambda: len(fleet.acknowledged()) > done, 'answers without a store', 30)
            self.postgres.start()
            since = time.monotonic()
            wait_for(lambda: self.host.get('/api/v1/orders/unknown')[0] == 404, 'reads')
            wait_for(lambda: self.host.journal() == 0, 'an empty journal')
            print(f'\n# killed under load, round {turn}: whole after '
                  f'{time.monotonic() - since:.2f} s', file=sys.stderr)
        driver.end()
        self.assertIsNone(driver.failure)
        wait_for(lambda: self.count(OPEN) == 0, 'the end of all charges', 120)
        self.reports = fleet.acknowledged()
        ledger = Ledger(self.host)
        ledger.check_all(self.reports)
        self.assertEqual(ledger.faults, [])
        stored = {order['order_no'] for order in ledger.orders}
        self.assertEqual(driver.accepted - stored, set())
        self.assertEqual(self.host.journal('journal.rejected'), 0)
        print(f'\n# {len(self.reports)} acknowledged ends, {len(driver.accepted)} orders',
              file=sys.stderr)


if __name__ == '__main__':
    main()
