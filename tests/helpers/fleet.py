# SPDX-License-Identifier: LGPL-2.1-or-later
"""A fleet that charges while the daemon is killed again and again, and the count of what
is left afterwards."""
import os
import random
import threading
import time

from chargehost import Process, TestCase, wait_for
from driver import Driver
from ledger import OPEN, Ledger

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


class Load(TestCase):
    """Customers who charge at simulated devices meanwhile. CHARGEHOST_TEST_SEED repeats the
    choices of a run, though not its moments."""

    def draw(self):
        self.seed = int(os.environ.get('CHARGEHOST_TEST_SEED', time.time_ns() % 1000000))
        print(f'# seed {self.seed}', flush=True)
        self.random = random.Random(self.seed)
        self.pause = threading.Event()
        self.sim_options = SIM + ['--seed', str(self.seed)]

    def drive(self, host, gateways, names='K'):
        """A customer for each of the letters."""
        self.drivers = [Driver(host, self.random.random(), gateways, name=name)
                        for name in names]
        for driver in self.drivers:
            driver.begin()
            self.ends.append(driver.end)

    def check_drivers(self):
        for driver in self.drivers:
            if driver.failure:
                raise driver.failure

    def end_drivers(self):
        for driver in self.drivers:
            driver.end()
        self.check_drivers()

    def count(self, host):
        """What is wrong, and the reports."""
        book = Ledger(host)
        reports = self.sim.acknowledged()
        book.check_all([report for report in reports if report['acknowledged']])
        known = {order['order_no'] for order in book.orders}
        for driver in self.drivers:
            for order_no in driver.accepted - known:
                book.fault(f'accepted, but not in the store: {order_no}')
        for report in reports:
            if not report['acknowledged']:
                book.fault(f'never acknowledged: {report}')
        self.log.seek(0)
        for line in self.log:
            if 'Sanitizer' in line or 'runtime error' in line or 'CRITICAL' in line:
                book.fault(line.strip())
        return book, reports


class Fleet(Load):
    def begin(self, **options):
        self.draw()
        self.host = self.daemon(options={**OPTIONS, **options})
        self.sim = self.simulator(self.host, GATEWAYS, self.sim_options)
        self.drive(self.host, GATEWAYS)
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
        self.check_drivers()

    def finish(self):
        """Lets everything end, stops all, and looks whether all is there."""
        self.end_drivers()
        wait_for(lambda: self.host.rows(OPEN)[0]['n'] == 0, 'the end of every order', 120)
        wait_for(self.sim.quiet, 'the last report', 60)
        self.assertEqual(self.host.stop(), 0)
        self.sim.stop()
        book, reports = self.count(self.host)
        print(f'# {len(book.orders)} orders, {len(reports)} reports, '
              f'{self.drivers[0].repeated} starts asked again', flush=True)
        self.assertEqual(book.faults, [], '\n' + '\n'.join(book.faults[:50]))

    def count(self, host):
        book, reports = super().count(host)
        book.check_sources()
        return book, reports
