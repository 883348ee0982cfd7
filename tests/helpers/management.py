# SPDX-License-Identifier: LGPL-2.1-or-later
"""The management interface as busctl sees it, and a bus with the rules of the system's."""
import json
import os
import pwd
import re
import subprocess

from chargehost import BUILD, SOURCE, Bus, Process, TestCase, wait_for

FIRST = 82241218000001
DEVICE = str(FIRST)
NAME = 'org.chargehost.Host1'
ROOT = '/org/chargehost'
CLIENT = os.path.join(BUILD, 'tests', 'integration', 'dbus-client')
POLICY = os.path.join(SOURCE, 'data', 'dbus', f'{NAME}.conf')
INSIDER, OUTSIDER, GROUP = 'daemon', 'nobody', 'daemon'
SIM = ['--first-id', DEVICE, '--sockets', '0', '--plug', '1', '--log', 'none', '--seed', '1']
HOUR = ('amount', 'u', '500', 'duration_minutes', 'u', '600', 'wait_ms', 'u', '5000')


class SystemBus(Bus):
    """A bus with the rules of the system's one and the policy that is installed."""

    def __init__(self, folder):
        with open(POLICY, encoding='utf-8') as file:
            policy = file.read()
        policy = policy.replace('group="chargehost"', f'group="{GROUP}"')
        policy = policy.replace('user="chargehost"', f'user="{INSIDER}"')
        shipped = os.path.join(folder, 'policy.conf')
        with open(shipped, 'w', encoding='utf-8') as file:
            file.write(policy)
        self.socket = os.path.join(folder, 'bus')
        config = os.path.join(folder, 'bus.conf')
        with open(config, 'w', encoding='utf-8') as file:
            file.write(f'''<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path={self.socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><deny own="*"/><deny send_type="method_call"/>
<allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/>
<allow send_requested_reply="true" send_type="error"/><allow receive_type="method_call"/>
<allow receive_type="method_return"/><allow receive_type="error"/>
<allow receive_type="signal"/><allow send_destination="org.freedesktop.DBus"/></policy>
<include>{shipped}</include></busconfig>''')
        self.process = Process(['dbus-daemon', f'--config-file={config}', '--nofork',
                                '--print-address'])
        self.process.expect('unix:path')
        self.address = f'unix:path={self.socket}'


def path_of(kind, name):
    """The path of an object, escaped as the daemon does."""
    return f'{ROOT}/{kind}/' + re.sub('[^A-Za-z0-9]', lambda m: f'_{ord(m[0]):02x}', name)


class DBusCase(TestCase):
    """Commands on the test's bus."""
    address = None

    def run_tool(self, command, user=None):
        env = {name: value for name, value in os.environ.items() if name != 'LD_PRELOAD'}
        if user:
            entry = pwd.getpwnam(user)
            command = ['setpriv', f'--reuid={entry.pw_uid}', f'--regid={entry.pw_gid}',
                       '--clear-groups', *command]
        return subprocess.run(command, env=env, text=True, capture_output=True, timeout=60,
                              check=False)

    def busctl(self, *words, user=None):
        return self.run_tool(['busctl', f'--address={self.address}', '--json=short', *words],
                             user)

    def answer(self, *words, user=None):
        """What a busctl command that succeeds prints, as JSON."""
        done = self.busctl(*words, user=user)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def call(self, path, interface, method, *words, user=None):
        answer = self.answer('call', NAME, path, f'org.chargehost.{interface}', method, *words,
                             user=user)
        return answer['data'] if answer else None

    def call_json(self, *words, user=None):
        return json.loads(self.call(*words, user=user)[0])

    def refused(self, *words, user=None):
        """The message of a call that fails."""
        path, interface, *rest = words
        done = self.busctl('call', NAME, path, f'org.chargehost.{interface}', *rest, user=user)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stderr.strip()

    def prop(self, path, interface, name):
        return self.answer('get-property', NAME, path, f'org.chargehost.{interface}',
                           name)['data']

    def device(self, method, *words, **more):
        return self.call(path_of('device', DEVICE), 'Device1', method, *words, **more)

    def start_charge(self, port=0, order=None):
        """Begins a long charge; the order's number."""
        more = ('order_no', 's', order) if order else ()
        count = str((len(HOUR) + len(more)) // 3)
        answer = json.loads(self.device('StartCharge', 'iiua{sv}', '--', '-1', str(port), '1',
                                        count, *HOUR, *more)[0])
        self.assertEqual(answer['status'], 'charging', answer)
        return answer['order_no']

    def begin(self, bus, gateways=3, options=None):
        self.address = bus.address
        host = self.daemon(bus, options)
        simulator = self.simulator(host, gateways, SIM + ['--time-scale', '30'])
        wait_for(lambda: host.get('/api/v1/stats')[1]['data']['devices']['online'] == gateways,
                 'all devices on line', 60)
        return host, simulator

    def on_bus(self):
        """Not `busctl status`, which wants the control groups of the bus."""
        done = self.busctl('call', 'org.freedesktop.DBus', '/org/freedesktop/DBus',
                           'org.freedesktop.DBus', 'NameHasOwner', 's', NAME)
        return done.returncode == 0 and json.loads(done.stdout)['data'] == [True]
