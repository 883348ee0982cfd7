#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The disk of SQLite is full (gateway 11, F8): with a journal on another disk devices are
answered as ever; with the journal on the same disk they are not, and repeat their reports.
Charges can be stopped in both cases, and all heals when there is room again."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
from chargehost import main, wait_for  # noqa: E402
from ledger import Ledger, report  # noqa: E402
from walk import Walk  # noqa: E402

ENDS, STOPS = '82241218000001', '82241218000002'


class DiskFull(Walk):
    def site(self, **options):
        """The state directory is a small file system of its own."""
        if os.geteuid() != 0:
            self.skipTest('needs a file system of its own')
        self.state = os.path.join(self.folder, 'state')
        os.mkdir(self.state, 0o700)
        mounted = subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=24m,mode=0700', 'tmpfs', self.state],
            check=False, stderr=subprocess.DEVNULL)
        if mounted.returncode != 0:
            self.skipTest('may not mount')
        self.ends.insert(0, lambda: subprocess.run(['umount', '-l', self.state], check=False))
        self.filler = os.path.join(self.state, 'filler')
        self.reports = []
        self.one = self.world(ENDS, **options)
        self.two = self.connect(STOPS)
        self.charging('stops', device=self.two)

    def fill(self):
        with open(self.filler, 'wb', buffering=0) as file:
            try:
                while file.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass

    def make_room(self):
        os.unlink(self.filler)
        return time.monotonic()

    def say_end(self, number, seconds):
        """Whether the report was answered."""
        at = self.one.counts['end_ack']
        self.one.end(number, 5, 1)
        try:
            self.one.wait('end_ack', at + 1, seconds)
        except AssertionError:
            return False
        self.reports.append(report(ENDS, number, 5, 1))
        return True

    def use_up(self, is_full):
        """Reports until what the database's files have is used up."""
        for number in range(100, 4000):
            if is_full(self.say_end(number, 4)):
                return number
        return self.fail('the disk does not get full')

    def refused(self):
        answer = self.start('refused', 503, port=1, device=self.one)
        self.assertEqual(answer['code'], 50305)
        self.assertEqual(self.one.controls(), [])

    def stop_two(self):
        outlet = self.two.outlets[0, 0]
        outlet.energy, outlet.minutes = 30, 2
        self.number = outlet.number
        answer = self.stop('stops')
        self.assertIs(answer.get('stored'), False, answer)
        self.two.wait('control', 2, 10)

    def balance(self, what, since):
        self.until('stops', 'stopped', provisional=False, energy_wh=30)
        journal = self.host.check('journal')['details']
        wait_for(lambda: self.host.metric('chargehost_journal_waiting') == 0, 'an empty journal')
        print(f'\n# {what}: whole after {time.monotonic() - since:.2f} s, '
              f"{len(self.reports)} reports, journal {journal}", file=sys.stderr)
        self.reports.append(report(STOPS, self.number, 30, 2))
        ledger = Ledger(self.host)
        ledger.check_all(self.reports)
        self.assertEqual(ledger.faults, [])
        wait_for(lambda: self.host.get('/ready')[0] == 200, 'readiness', 15)

    def test_journal_elsewhere(self):
        self.site(journal__path=os.path.join(self.folder, 'journal'))
        self.fill()
        self.use_up(lambda answered: self.host.metric('chargehost_journal_records_total') > 0)
        self.refused()
        for number in range(5000, 5005):
            self.assertTrue(self.say_end(number, 10))
        self.stop_two()
        self.two.wait('end_ack', 1, 10)
        said = [line for line in self.host.process.lines if 'local order not stored' in line]
        self.assertEqual(len(said), 1, said)    # the same again a minute later
        since = self.make_room()
        self.balance('full, journal elsewhere', since)

    def test_journal_on_the_same_disk(self):
        self.site()
        self.fill()
        number = self.use_up(lambda answered: not answered)
        self.assertGreater(self.host.metric('chargehost_journal_refused_total'), 0)
        self.refused()
        self.stop_two()
        self.assertEqual(self.host.get('/live')[0], 200)
        self.assertEqual(self.two.counts['end_ack'], 0)
        since = self.make_room()
        self.assertTrue(self.say_end(number, 10))
        self.two.end(self.number, 30, 2, status=0x90)
        self.two.wait('end_ack', 1, 10)
        self.balance('full, journal too', since)


if __name__ == '__main__':
    main()
