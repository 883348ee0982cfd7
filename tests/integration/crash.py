#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon is killed again and again while a fleet charges; nothing may be lost.

CHARGEHOST_TEST_KILLS says how often, CHARGEHOST_TEST_SEED repeats the choices of a run.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
from chargehost import main  # noqa: E402
from fleet import Fleet  # noqa: E402

KILLS = int(os.environ.get('CHARGEHOST_TEST_KILLS', '50'))


class Crash(Fleet):
    def test_kills(self):
        self.begin()
        for _ in range(KILLS):
            self.kill_once()
        self.finish()


if __name__ == '__main__':
    main()
