#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""As crash.py, but what was not synced to the disk is lost with the process.

SQLite runs over a file layer that keeps unsynced writes in the memory of the daemon.
CHARGEHOST_TEST_KILLS says how often the power goes.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
from chargehost import BUILD, main  # noqa: E402
from fleet import Fleet  # noqa: E402

CUTS = int(os.environ.get('CHARGEHOST_TEST_KILLS', '8'))
MODULE = os.path.join(BUILD, 'plugins', 'store-sqlite', 'tests', 'powerloss-vfs.so')


class PowerLoss(Fleet):
    def run_with(self, layer, cuts, **more):
        self.begin(**{'store-sqlite.vfs': layer, 'store-sqlite.vfs_module': MODULE,
                      'store-sqlite.integrity_check': 'full', **more})
        for _ in range(cuts):
            self.kill_once()

    def test_unsynced_is_lost(self):
        self.run_with('powerloss', CUTS)
        self.finish()

    def test_unsynced_is_torn(self):
        """A random part of it reaches the disk, in any order."""
        self.run_with('powerloss-torn', CUTS)
        self.finish()

    def test_it_would_be_seen(self):
        """Without syncs the same count finds what is missing: the test can fail."""
        self.run_with('powerloss', 3, **{'store-sqlite.synchronous': 'normal'})
        self.end_drivers()
        self.host.kill()
        self.sim.stop()
        # what was left in the memory is gone; the database can be read again
        self.host.options.pop('store-sqlite.vfs')
        self.host.start()
        self.host.stop()
        book, _ = self.count(self.host)
        self.assertTrue([fault for fault in book.faults if 'not in the store' in fault
                         or fault.startswith('0 orders of the acknowledged')], book.faults)


if __name__ == '__main__':
    main()
