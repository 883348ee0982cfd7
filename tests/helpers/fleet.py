# SPDX-License-Identifier: LGPL-2.1-or-later
"""A fleet that charges while the daemon is killed again and again, and the count of what
is left afterwards."""
import os
import random
import threading
import time

from chargehost import Process, TestCase, wait_for
from driver import Driver
from ledger import Ledger

GATEWAYS = 40
SIM = ['--sockets', '0', '--log', 'none', '--time-scale', '10', '--power-w', '600']
# The windows of the protocol, as short as the time of the devices.
OPTIONS = {
    'proto-bkv.min_spacing_ms': '50',
    'proto-bkv.stopping_timeout_s': '4',
    'proto-bkv.stop_wait_end_s': '4',
    'proto-bkv.stop_max_s': '15',
    'proto-bkv.recover_wait_end_s': '6',
    'proto-bkv.interrupted_max_s': '60',
    'proto-bkv.missing_end_wait_s': '9',
}


class Fleet(TestCase):
    """CHARGEHOST_TEST_SEED repeats the choices of a run, though not its moments."""

    def begin(self, **options):
        self.seed = int(os.environ.get('CHARGEHOST_TEST_SEED', time.time_ns() % 1000000))
        self.random = random.Random(self.seed)
        self.pause = threading.Event()
        self.host = self.daemon(options={**OPTIONS, **options})
        self.sim = self.simulator(self.host, GATEWAYS, SIM + ['--seed', str(self.seed)])
        self.driver = Driver(self.host, self.random.random(), GATEWAYS)
        self.driver.begin()
        self.ends.append(self.driver.end)
        print(f'# seed {self.seed}', flush=True)
        self.pause.wait(3)

    def kill_once(self):
        """One life of the daemon: some are so short that it was never ready."""
        if self.random.random() < 0.2:
            self.host.kill()
            self.host.process = Process(self.host.command(), env=self.host.environment(),
                                        log=self.log)
            self.ends.append(self.host.process.kill)
            self.pause.wait(self.random.uniform(0.05, 0.6))
        self.host.kill()
        self.host.start()
        self.pause.wait(self.random.uniform(0.2, 3.5))
        if self.driver.failure:
            raise self.driver.failure

    def drained(self):
        """No order is open any more."""
        rows = self.host.rows('SELECT count(*) AS n FROM orders WHERE status IN (0,1,2,8,9,10)')
        return rows[0]['n'] == 0

    def quiet(self):
        """Every report that was made is acknowledged."""
        start = len(self.sim.process.lines)
        self.sim.tell('status')
        line = self.sim.process.expect(r'ends (\d+) made, (\d+) acknowledged', start=start)
        return line.group(1) == line.group(2)

    def finish(self):
        """Lets everything end, stops all, and looks whether all is there."""
        self.driver.end()
        wait_for(self.drained, 'the end of every order', 120)
        wait_for(self.quiet, 'the last report', 60)
        self.assertEqual(self.host.stop(), 0)
        self.sim.stop()
        book, reports = self.count()
        print(f'# {len(book.orders)} orders, {len(reports)} reports, '
              f'{self.driver.repeated} starts asked again', flush=True)
        self.assertEqual(book.faults, [], '\n' + '\n'.join(book.faults[:50]))

    def count(self):
        """What is wrong, and the reports."""
        book = Ledger(self.host)
        reports = self.sim.acknowledged()
        book.check_terminal()
        book.check_amounts()
        book.check_events()
        book.check_sources()
        book.check_reports([report for report in reports if report['acknowledged']])
        known = {order['order_no'] for order in book.orders}
        for order_no in self.driver.accepted - known:
            book.fault(f'accepted, but not in the store: {order_no}')
        for report in reports:
            if not report['acknowledged']:
                book.fault(f'never acknowledged: {report}')
        self.log.seek(0)
        for line in self.log:
            if 'Sanitizer' in line or 'runtime error' in line or 'CRITICAL' in line:
                book.fault(line.strip())
        return book, reports
