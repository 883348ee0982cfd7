#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Three instances, 300 devices that wander between them, commands to any of them, and one
killed every few seconds: every command has one end, every acknowledged charge end is
stored once. CHARGEHOST_TEST_SECONDS is how long that goes on."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
import fleet  # noqa: E402
import several  # noqa: E402
from chargehost import Simulator, main  # noqa: E402
from crowd import Crowd  # noqa: E402
from several import Anyone, Balancer  # noqa: E402

GATEWAYS = int(os.environ.get('CHARGEHOST_TEST_GATEWAYS', '300'))
SOME = 60       # for what is not left to chance
SECONDS = float(os.environ.get('CHARGEHOST_TEST_SECONDS', '25'))
OPTIONS = {**fleet.OPTIONS, 'proto-bkv.takeover_limit': '10000',
           'tcp.flapping.enabled': 'false', 'http.max_connections': '2000'}


class Wandering(Crowd):
    def begin(self, count, gateways):
        self.draw()
        self.several(count, OPTIONS)
        self.front = Balancer(self.hosts, self.seed)
        self.ends.append(self.front.stop)
        self.sim = Simulator(self.folder, self.front.port, gateways, self.sim_options,
                             self.log)
        self.ends.append(self.sim.process.kill)
        self.anyone = Anyone(self.hosts, self.seed)
        self.drive(self.anyone, gateways, 'KL')

    def disturb(self):
        """One is killed and comes again; meanwhile devices wander."""
        victim = self.random.choice(self.hosts)
        self.pause.wait(self.random.uniform(1, 3))
        self.front.move(0.1)
        victim.kill()
        self.pause.wait(self.random.uniform(0.2, 3))
        victim.start()
        self.check_drivers()

    def test_wandering(self):
        self.begin(3, GATEWAYS)
        kills = 0
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.disturb()
            kills += 1
        print(f'# {kills} killed, {self.front.moved} connections cut', flush=True)
        self.finish()
        self.check_all()

    def test_rolling(self):
        """One after the other is stopped and started while devices charge and customers
        come: no command, no event and no report is lost, none happens twice."""
        self.begin(2, SOME)
        for host in self.hosts:
            self.busy(10)
            self.assertEqual(host.stop(), 0)
            self.busy(5)
            host.start()
        self.busy(10)
        self.finish()
        self.check_all()

    def test_servers_lost(self):
        """Redis is killed and comes empty, then the postmaster is killed: devices are
        answered meanwhile, and nothing acknowledged is lost."""
        self.begin(2, SOME)
        self.busy(10)
        self.redis.kill()
        self.busy(5)
        self.redis.start()
        self.busy(10)
        self.base.kill()
        self.busy(5)
        self.base.start()
        self.busy(10)
        self.finish()
        self.check_all()


if __name__ == '__main__':
    if not several.are_there():
        print('PostgreSQL, Redis or their plugins are missing')
        sys.exit(several.SKIP)
    main()
