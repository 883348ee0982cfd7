#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""chargehostctl as people and programs use it: every command, its answers, its ends."""
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
from chargehost import CTL, SOURCE, Process, TestCase, main, wait_for  # noqa: E402

DEVICE, OTHER = '82241218000001', '82241218000002'
SIM = ['--first-id', DEVICE, '--sockets', '0', '--plug', '1', '--log', 'none', '--seed', '1',
       '--time-scale', '30']
VECTORS = os.path.join(SOURCE, 'plugins', 'proto-bkv', 'tests', 'vectors.json')
OK, FAILED, USAGE, NO_HOST, DENIED = range(5)
NOWHERE = 'unix:path=/nonexistent/bus'


def environment(**more):
    env = {name: value for name, value in os.environ.items()
           if not name.startswith('CHARGEHOST_') and name not in ('LC_ALL', 'LANG')}
    return {**env, **more}


class CtlCase(TestCase):
    """Runs the tool."""
    bus_address = NOWHERE

    def ctl(self, *words, status=OK, **more):
        """The output of a run that ends with STATUS."""
        done = subprocess.run([CTL, *words],
                              env=environment(**{'CHARGEHOST_BUS': self.bus_address, **more}),
                              text=True, capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, status, f'{words}: {done.stdout}{done.stderr}')
        if status == OK:
            self.assertEqual(done.stderr, '', words)
        else:
            self.assertTrue(done.stderr.startswith('chargehostctl'), done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stdout if status == OK else done.stderr

    def json(self, *words):
        return json.loads(self.ctl(*words, '--json'))

    def stream(self, *words):
        child = subprocess.Popen([CTL, *words],
                                 env=environment(CHARGEHOST_BUS=self.bus_address),
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.ends.append(lambda: self._end(child))
        return child

    @staticmethod
    def _end(child):
        if child.poll() is None:
            child.kill()
        child.wait()
        for pipe in (child.stdout, child.stderr):
            pipe.close()


class Alone(CtlCase):
    """What needs no daemon."""

    def test_help(self):
        overview = self.ctl('--help')
        self.assertEqual(self.ctl('help'), overview)
        self.assertRegex(self.ctl('--version'), r'^chargehostctl \d+\.\d+\.\d+\n$')
        for line in overview.splitlines():
            self.assertLessEqual(len(line), 90, line)
        commands = ['status', 'devices list', 'devices show', 'devices watch', 'devices reboot',
                    'devices send', 'devices frames', 'devices kick', 'devices params', 'devices stop-port',
                    'devices register', 'devices change', 'devices import', 'devices retire',
                    'charge start',
                    'charge stop', 'orders list', 'orders show', 'orders events',
                    'orders timeline', 'orders stop', 'orders cancel', 'orders force-settle',
                    'orders force-fail', 'monitor', 'plugins list', 'plugins show',
                    'plugins start', 'plugins stop', 'plugins reload', 'key create', 'key list',
                    'key revoke', 'connections list', 'connections show', 'connections close',
                    'bans list', 'bans add', 'bans lift', 'breakers list', 'breakers reset',
                    'queue list', 'queue cancel', 'queue dead', 'queue resend', 'queue forget',
                    'servers list', 'audit list', 'config change', 'config show', 'reload', 'log-level', 'store status', 'store migrate',
                    'store backup', 'store copy', 'kv status', 'backup', 'drain', 'shutdown',
                    'decode']
        for command in commands:
            self.assertIn(f'  {command}', overview)
            text = self.ctl(*command.split(), '--help', LC_ALL='C.UTF-8')
            self.assertTrue(text.startswith(f'Usage:\n  chargehostctl {command} [OPTION…]'),
                            text)
            self.assertIn('--json, --bus BUS and --instance ID', text)
        self.assertIn('orders force-fail', self.ctl('orders', '--help'))
        self.assertNotIn('devices list [', self.ctl('orders', '--help'))
        done = subprocess.run([CTL], env=environment(), text=True, capture_output=True,
                              check=False)
        self.assertEqual((done.returncode, done.stdout), (USAGE, overview))

    def test_wrong_use(self):
        for words, message in (
                (('nix',), "no command 'nix'"), (('devices', 'nix'), "no command 'devices nix'"),
                (('--nix',), "unknown option '--nix'"), (('status', 'x'), 'too many words'),
                (('devices', 'show'), 'DEVICE is missing'),
                (('devices', 'show', 'a', 'b'), 'too many words'),
                (('devices', 'list', '--nix'), 'Unknown option --nix'),
                (('devices', 'send', 'a'), 'COMMAND is missing'),
                (('devices', 'send', 'a', 'b', '--wait', '-1'), '--wait'),
                (('charge', 'start', 'a', '--port', '0'), 'one of --minutes'),
                (('charge', 'start', 'a', '--minutes', '5'), '--port is required'),
                (('charge', 'start', 'a', '--port', 'x', '--full'), 'x'),
                (('charge', 'start', 'a', '--port', '0', '--full', '--energy', '5'), 'only one'),
                (('charge', 'stop',), 'ORDER|DEVICE is missing'),
                (('devices', 'stop-port', 'a'), '--port is required'),
                (('devices', 'change', 'a', '--tag', 'x'), 'NAME=VALUE'),
                (('orders', 'list', '--limit', '0'), '--limit'),
                (('orders', 'force-fail', 'a'), '--comment is required'),
                (('orders', 'force-settle', 'a', '--comment', ''), '--comment is required'),
                (('key', 'create'), 'NAME is missing'), (('backup',), 'FILE is missing'),
                (('devices', 'frames', 'a', '--seconds', '0'), '--seconds is 1'),
                (('queue', 'resend', 'x'), 'no number'), (('config', 'change', 'x'), 'KEY=VALUE'),
                (('log-level',), 'LEVEL is missing'), (('drain', 'maybe'), 'neither on nor off'),
                (('decode', 'bkv'), 'HEX'), (('decode', 'bkv', 'xyz'), 'hexadecimal'),
                (('decode', 'bkv', 'fcf'), 'hexadecimal'), (('decode', 'nix', 'fc'), 'only: bkv')):
            self.assertIn(message, self.ctl(*words, status=USAGE), words)

    def test_no_daemon(self):
        for words in (('status',), ('devices', 'list'), ('devices', 'show', DEVICE),
                      ('devices', 'watch'), ('charge', 'stop', 'A'), ('orders',), ('plugins',),
                      ('monitor',), ('config', 'show'), ('key', 'create', 'a'), ('shutdown',)):
            self.assertIn('no message bus', self.ctl(*words, status=NO_HOST), words)
        self.bus_address = self.bus().address
        for words in (('status',), ('monitor',), ('plugins', 'stop', 'proto-bkv')):
            self.assertIn('is it running?', self.ctl(*words, status=NO_HOST), words)

    def test_decode(self):
        with open(VECTORS, encoding='utf-8') as file:
            vectors = json.load(file)
        self.assertGreater(len(vectors), 50)
        for vector in [v for v in vectors if 'segments' not in v][::7]:
            self.decode_one(vector)
        text = 'FCFE00190015 69:21:C2:BC 01 82241218000382 0005070101000009A3FCEE'
        shown = json.loads(self.ctl('decode', 'bkv', *text.split()))
        self.assertEqual((shown['name'], shown['gateway_id'], shown['fields']['business_no']),
                         ('control_ack', '82241218000382', 9))

    def decode_one(self, vector):
        done = subprocess.run([CTL, 'decode', 'bkv', vector['hex']], env=environment(), text=True,
                              capture_output=True, timeout=60, check=False)
        shown = json.loads(done.stdout)
        self.assertEqual(done.returncode, FAILED if 'error' in shown else OK, done.stderr)
        if vector['valid']:
            self.assertEqual(shown, vector['decoded'], vector['name'])
        else:
            self.assertIn('error', shown, vector['name'])


class WithDaemon(CtlCase):
    """A daemon with two devices."""

    def setUp(self):
        super().setUp()
        bus = self.bus()
        self.host = self.daemon(bus, {'app.name': '充电站'})
        self.sim = self.simulator(self.host, 2, SIM)
        self.bus_address = bus.address
        wait_for(lambda: self.host.get('/api/v1/stats')[1]['data']['devices']['online'] == 2,
                 'both devices on line')

    def start(self, *more):
        answer = self.json('charge', 'start', DEVICE, '--port', '0', '--minutes', '600', *more)
        self.assertEqual(answer['status'], 'charging', answer)
        return answer['order_no']

    def test_status(self):
        shown = wait_for(lambda: self._status_with(2), 'the status')
        self.assertEqual((shown['state'], shown['statistics']['devices']['online']),
                         ('running', 2))
        self.assertEqual(shown['rest_url'].rstrip('/'), self.host.url)
        text = self.ctl('status')
        self.assertRegex(text, r'(?m)^state +running$')
        self.assertRegex(text, r'(?m)^device_addresses +127\.0\.0\.1:\d+$')
        self.assertEqual(self.ctl('--bus', self.bus_address, 'status', CHARGEHOST_BUS=NOWHERE)
                         .splitlines()[0], text.splitlines()[0])

    def _status_with(self, devices):
        shown = self.json('status')
        return shown if shown['devices'] == devices else None

    def test_devices(self):
        lines = self.ctl('devices').splitlines()
        self.assertEqual(lines[0].split()[:3], ['DEVICE', 'PROTOCOL', 'PRESENCE'])
        self.assertEqual([line.split()[0] for line in lines[1:]], [DEVICE, OTHER])
        self.assertIn('0/0 idle', lines[1])
        self.assertEqual([d['device_phy_id'] for d in self.json('devices', 'list', '--search',
                                                                '0002')], [OTHER])
        self.assertEqual(len(self.json('devices', '--online')), 2)
        self.assertEqual(self.json('devices', 'list', '--presence', 'offline'), [])
        self.assertEqual(self.json('devices', 'list', '--protocol', 'x', '--tag', 'y'), [])
        self.assertIn('presence is', self.ctl('devices', 'list', '--presence', 'x',
                                              status=FAILED))
        self.assertEqual(self.json('devices', 'show', DEVICE)['device_phy_id'], DEVICE)
        self.assertRegex(self.ctl('devices', 'show', DEVICE), r'(?m)^protocol +bkv$')
        for words in (('show',), ('reboot',), ('kick',), ('send',)):
            more = ['QueryPortStatus'] if words == ('send',) else []
            self.assertIn("there is no device 'a b'",
                          self.ctl('devices', *words, 'a b', *more, status=FAILED))
        sent = self.json('devices', 'send', DEVICE, 'QueryPortStatus', '--wait', '9000')
        self.assertEqual(sent['state'], 'acked')
        self.assertIn('no JSON object', self.ctl('devices', 'send', DEVICE, 'SetParams', '[',
                                                 status=FAILED))
        self.assertIn('UnsupportedByDevice', self.ctl('devices', 'reboot', DEVICE, '--force',
                                                      status=FAILED))
        self.assertEqual(self.ctl('devices', 'kick', OTHER), '')
        wait_for(lambda: self.json('devices', 'show', OTHER)['presence'] != 'offline',
                 'it comes back')

    def test_charges_and_orders(self):
        order = self.start('--order', 'CTL-1', '--price', '100', '--fee', '0')
        self.assertEqual(order, 'CTL-1')
        self.assertIn('current order CTL-1', self.ctl(
            'charge', 'start', DEVICE, '--port', '0', '--full', status=FAILED))
        self.assertIn('duration_minutes must be', self.ctl(
            'charge', 'start', DEVICE, '--port', '1', '--minutes', '-5', status=FAILED))
        lines = self.ctl('orders', 'list').splitlines()
        self.assertEqual(lines[1].split()[:4], ['CTL-1', DEVICE, '0/0', 'charging'])
        self.assertEqual(self.json('orders', '--status', 'completed'), [])
        self.assertEqual(self.json('orders', '--from', '2020-01-01T00:00:00Z', '--to',
                                   '2020-01-02T00:00:00Z', '--device', DEVICE), [])
        self.assertIn("no state 'x'", self.ctl('orders', '--status', 'x', status=FAILED))
        self.assertEqual(self.json('orders', 'show', order)['price_per_kwh_cent'], 100)
        self.assertRegex(self.ctl('orders', 'show', order), r'(?m)^status +charging$')
        self.assertIn('OrderIsCharging', self.ctl('orders', 'cancel', order, status=FAILED))
        answer = self.json('charge', 'stop', order, '--reason', 'done')
        self.assertEqual(answer['action'], 'stop')
        self.wait_order(self.host, order, ['stopped'])
        self.assertIn('OrderFinished', self.ctl('charge', 'stop', order, status=FAILED))
        self.assertIn('OrderNotFound', self.ctl('orders', 'show', 'NIX', status=FAILED))
        self.assertIn('OrderNotFound', self.ctl('charge', 'stop', DEVICE, '--port', '1',
                                                status=FAILED))
        for port, name in (('0', 'CTL-2'), ('1', 'CTL-3')):
            wait_for(lambda: self._free(port), 'a free port')
            self.json('charge', 'start', DEVICE, '--port', port, '--energy', '1000', '--order',
                      name)
        self.assertIn('no such order', self.ctl('orders', 'stop', 'no order', status=FAILED))
        self.ctl('charge', 'stop', DEVICE, '--port', '0', '--socket', '0')
        self.assertRegex(self.ctl('orders', 'stop', 'CTL-3'), r'(?m)^action +stop$')
        self.wait_order(self.host, 'CTL-2', ['stopped'])
        self.wait_order(self.host, 'CTL-3', ['stopped'])

    def _free(self, port):
        return self.json('devices', 'show', DEVICE)['ports'][int(port)]['can_charge']

    def test_orders_by_hand(self):
        first = self.start()
        shown = self.json('orders', 'force-settle', first, '--comment', 'meter read', '--energy',
                          '1500', '--duration', '90', '--end-reason', 'normal')
        self.assertIn('order.completed', self.ctl('orders', 'events', first))
        self.assertEqual(self.json('orders', 'timeline', first)['timeline']['order_no'], first)
        lines = self.ctl('orders', 'timeline', first).splitlines()
        self.assertEqual(lines[0].split(), ['TIME', 'SOURCE', 'TYPE', 'WHAT'])
        self.assertIn('completed', [line.split()[-1] for line in lines])
        self.assertEqual((shown['status'], shown['energy_wh'], shown['duration_s'],
                          shown['end_reason']), ('completed', 1500, 90, 'normal'))
        second = self.json('charge', 'start', OTHER, '--port', '0', '--full')['order_no']
        self.assertRegex(self.ctl('orders', 'force-fail', second, '--comment', 'burnt'),
                         r'(?m)^status +failed$')
        self.assertIn('OrderFinished', self.ctl('orders', 'force-fail', second, '--comment', 'x',
                                                status=FAILED))

    def test_devices_by_hand(self):
        made = self.json('devices', 'register', 'new-1', '--model', 'x', '--tag', 'site=北',
                         '--protocol', 'bkv', '--ports', '2', '--iccid', '1', '--imei', '2')
        self.assertEqual((made['device_phy_id'], made['tags']), ('new-1', {'site': '北'}))
        changed = self.json('devices', 'change', 'new-1', '--lifecycle', 'maintenance', '--tag',
                            'site=', '--enrolment', 'registered')
        self.assertEqual((changed['lifecycle'], changed.get('tags', {})), ('maintenance', {}))
        self.assertIn('lifecycle (enum)', self.ctl('devices', 'change', 'new-1', '--lifecycle', 'x',
                                                   status=FAILED))
        self.assertEqual(self.json('devices', 'params', 'new-1')['params'], [])
        self.assertTrue(self.json('devices', 'retire', 'new-1')['deleted'])
        self.assertIn("no device 'new-1'", self.ctl('devices', 'retire', 'new-1', status=FAILED))
        answer = self.json('devices', 'stop-port', DEVICE, '--port', '1', '--comment', 'smoke')
        self.assertIn('order_no', answer)

    def test_plugins(self):
        self.assertEqual([p['name'] for p in self.json('plugins')],
                         ['kv-memory', 'proto-bkv', 'store-sqlite'])
        self.assertRegex(self.ctl('plugins', 'list'), r'(?m)^proto-bkv +\S+ +running ')
        self.ctl('plugins', 'stop', 'proto-bkv')
        self.assertEqual(self.json('plugins', 'show', 'proto-bkv')['state'], 'stopped')
        self.assertEqual(self.json('plugins', 'start', 'proto-bkv'), {})
        self.ctl('plugins', 'reload', 'proto-bkv')
        self.assertRegex(self.ctl('plugins', 'show', 'proto-bkv'), r'(?m)^state +running$')
        self.assertIn("no plugin 'nix'", self.ctl('plugins', 'stop', 'nix', status=FAILED))
        self.assertIn('PluginFailed', self.ctl('plugins', 'stop', 'store-sqlite', status=FAILED))

    def test_configuration(self):
        table = self.ctl('config', 'show').splitlines()
        name = next(line for line in table if line.startswith('app.name '))
        other = next(line for line in table if line.startswith('app.env '))
        self.assertTrue(name.endswith('command line'), name)
        # Wide characters take two columns: with them counted, what follows is below.
        self.assertEqual(name.index('command line') + len('充电站'), other.index('default'))
        self.assertEqual(self.json('config', 'show', 'app.name')['app.name']['value'], '充电站')
        self.assertIn('充电站', self.ctl('config', 'show', 'app', LC_ALL='C'))
        changed = self.json('config', 'show', '--changed')
        self.assertIn('dbus.bus', changed)
        self.assertNotIn('app.env', changed)
        self.assertTrue(all(key.startswith('http.') for key in self.json('config', 'show', 'http')))
        self.assertIn("no key or section 'nix'", self.ctl('config', 'show', 'nix', status=FAILED))
        self.assertEqual(self.ctl('reload'), '')
        self.assertEqual(self.ctl('log-level', 'debug', 'core'), '')
        self.assertEqual(self.ctl('log-level', 'default', 'core'), '')
        self.assertEqual(self.json('log-level', 'default'), {})
        self.assertIn('a level is', self.ctl('log-level', 'loud', status=FAILED))

    def test_frames(self):
        path = os.path.join(self.folder, 'frames.txt')
        child = self.stream('devices', 'frames', DEVICE, '--record', path)
        head = child.stdout.readline()
        self.assertRegex(head, r'^\d{4}-\S+Z [<>] fcf[ef]\w+fcee$')
        self.assertRegex(child.stdout.readline(), r'^    [a-z_]+ \{')
        # It stays with the device when that connects anew.
        self.ctl('devices', 'kick', DEVICE)
        seen = set()
        while len(seen) < 2:
            line = child.stdout.readline()
            self.assertTrue(line)
            seen |= {word for word in ('heartbeat ', 'heartbeat_ack ') if f'    {word}' in line}
        child.send_signal(signal.SIGINT)
        child.stdout.read()
        self.assertEqual(child.wait(30), OK)
        with open(path, encoding='utf-8') as file:
            lines = file.read().splitlines()
        self.assertEqual(lines[0], f'# {DEVICE}')
        for line in lines[1:]:
            self.assertRegex(line, r'^\d+\.\d{6} [<>] fcf[ef]\w+fcee$')
        last = self.ctl('devices', 'frames', DEVICE, '--seconds', '3', '--json').splitlines()[-1]
        self.assertEqual(json.loads(last)['decoded']['gateway_id'], DEVICE)
        self.assertIn("no device 'nix'", self.ctl('devices', 'frames', 'nix', status=FAILED))
        self.assertIn('No such file', self.ctl('devices', 'frames', DEVICE, '--record',
                                               '/nonexistent/x', status=FAILED))

    def test_frames_by_rest(self):
        url = f'{self.host.url}/api/v1/admin/devices/{DEVICE}/frames'
        head = {'X-Internal-API-Key': self.host.key}
        with urllib.request.urlopen(urllib.request.Request(f'{url}?seconds=4', headers=head),
                                    timeout=30) as answer:
            self.assertEqual(answer.headers['Content-Type'], 'application/x-ndjson')
            frames = [json.loads(line) for line in answer]
        self.assertIn(('out', 'heartbeat_ack'), [(f['direction'], f['decoded']['name'])
                                                 for f in frames])
        for frame in frames:
            self.assertEqual(bytes.fromhex(frame['hex'])[-2:], b'\xfc\xee')
        self.assertEqual(self.host.get('/api/v1/admin/devices/nix/frames')[0], 404)
        # More look than may, then all leave.
        looking = [urllib.request.urlopen(urllib.request.Request(url, headers=head), timeout=30)
                   for _ in range(16)]
        self.assertEqual(self.host.get(f'/api/v1/admin/devices/{DEVICE}/frames')[0], 503)
        for answer in looking[1:]:
            answer.close()
        wait_for(lambda: self._one_more(url, head), 'room for another')
        rows = self.host.rows("SELECT object FROM audit_log WHERE action LIKE '%/frames'")
        self.assertEqual({row['object'] for row in rows}, {DEVICE})
        self.assertEqual(self.host.stop(), 0)  # with one that still looks
        looking[0].close()

    def _one_more(self, url, head):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=head), timeout=30):
                return True
        except urllib.error.HTTPError:
            return False

    def test_administration(self):
        made = self.json('key', 'create', 'boss', '--scopes', 'read, admin', '--from',
                         '127.0.0.1', '--expires', '2090-01-01T00:00:00Z', '--rate', '900')
        shown = next(key for key in self.json('key', 'list') if key['name'] == 'boss')
        self.assertEqual((shown['scopes'], shown['ip_allow'], shown['rate_per_min']),
                         (['read', 'admin'], ['127.0.0.1'], 900))
        self.assertRegex(self.ctl('key'), r'(?m)^key_\S+ +boss +chk_\*{4}\S{4} +read, admin ')
        self.assertEqual(self.ctl('key', 'revoke', made['key_id']), '')
        self.assertIn('NotFound', self.ctl('key', 'revoke', 'nix', status=FAILED))
        self.assertEqual(len(self.ctl('key', 'create', 'a', '--hmac').splitlines()), 2)
        lines = self.ctl('connections', '--limit', '1').splitlines()
        self.assertEqual((lines[0].split()[:4], lines[2]),
                         (['CONNECTION', 'REMOTE', 'PROTOCOL', 'DEVICES'],
                          '(1 of 2; --limit shows more)'))
        conn = self.json('connections')[0]
        self.assertRegex(self.ctl('connections', 'show', conn['conn_id']), r'(?m)^ +protocol +bkv$')
        self.assertEqual(self.ctl('connections', 'close', conn['conn_id']), '')
        self.assertEqual(self.json('bans', 'add', '10.9.0.0/16', '--minutes', '5')['kind'],
                         'address')
        self.assertEqual(self.json('bans', 'add', '10.9.0.1', '--device', '--reason', 'x')['kind'],
                         'device')
        self.assertEqual(len(self.ctl('bans').splitlines()), 3)
        self.ctl('bans', 'lift', '10.9.0.0/16')
        self.assertEqual([ban['subject'] for ban in self.json('bans')], ['10.9.0.1'])
        self.assertEqual(self.ctl('breakers').splitlines()[1].split(), ['tcp', 'closed', '0'])
        self.assertIn('closed', self.ctl('breakers', 'reset', 'tcp'))
        self.assertEqual(self.json('queue', '--device', DEVICE), [])
        self.assertEqual(self.json('queue', 'dead', '--limit', '5'), [])
        self.assertIn('CommandNotFound', self.ctl('queue', 'cancel', 'cmd_x', status=FAILED))
        self.assertIn('CommandNotFound', self.ctl('queue', 'resend', '7', status=FAILED))
        self.assertIn('before (type)', self.ctl('queue', 'forget', 'noon', status=FAILED))
        self.assertEqual(self.json('queue', 'forget', '2020-01-01T00:00:00Z'), {'deleted': 0})
        self.assertEqual([server['alive'] for server in self.json('servers')], [True])
        path = os.path.join(self.folder, 'some.csv')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('device_id,model\nimp-1,x\n')
        self.assertRegex(self.ctl('devices', 'import', path), r'(?m)^dry_run +true$')
        self.assertEqual(self.json('devices', 'import', path, '--apply')['new'], 1)
        self.assertIn('No such file', self.ctl('devices', 'import', path + 'x', status=FAILED))
        changed = self.json('config', 'change', 'orders.max_duration_minutes=600',
                            'logging.level=debug')
        self.assertEqual(changed['config'], {'orders.max_duration_minutes': 600,
                                             'logging.level': 'debug'})
        self.assertIn('unknown key', self.ctl('config', 'change', 'x.y=1', status=FAILED))
        done = self.json('audit', '--action', 'Admin1', '--actor', f'uid:{os.getuid()}')
        self.assertEqual(done[0]['action'], 'dbus Admin1.ChangeConfig')
        older = self.json('audit', '--after', str(done[0]['id']), '--limit', '1')
        self.assertLess(older[0]['id'], done[0]['id'])

    def test_key_backup_drain_shutdown(self):
        key = self.ctl('key', 'create', 'shop').strip()
        self.assertEqual(self.host.get('/api/v1/devices', key=key)[0], 200)
        made = self.json('key', 'create', 'boss', '--scopes', 'read, admin')
        self.assertEqual(self.host.get('/api/v1/admin/connections', key=made['key'])[0], 200)
        self.ctl('key', 'create', 'x', '--scopes', 'fly', status=FAILED)
        copy = os.path.join(self.folder, 'copy.db')
        self.assertEqual(self.ctl('backup', copy).strip(), copy)
        self.assertEqual(self.json('backup', copy + '2'), {'path': copy + '2'})
        self.ctl('backup', copy, status=FAILED)
        self.assertEqual(self.ctl('store', 'backup', copy + '3').strip(), copy + '3')
        store = self.json('store', 'status')
        self.assertEqual((store['driver'], store['up']), ('store-sqlite', True))
        self.assertRegex(store['migrations'], r'core \d+, http \d+')
        self.assertLessEqual(0, store['busy'])
        self.assertEqual(self.json('kv', 'status')['driver'], 'memory')
        self.assertIn('pending', self.ctl('kv', 'status'))
        self.ctl('store', 'migrate', '--json', status=USAGE)
        self.ctl('drain', 'on')
        self.assertEqual(self.json('status')['state'], 'draining')
        self.assertIn('StartingOrDraining', self.ctl('charge', 'start', DEVICE, '--port', '0',
                                                     '--full', status=FAILED))
        self.ctl('drain', 'off')
        self.ctl('shutdown')
        self.assertEqual(self.host.process.child.wait(30), 0)
        self.assertIn('is it running?', self.ctl('status', status=NO_HOST))

    def test_text_in_any_locale(self):
        order = self.start()
        shown = self.json('orders', 'force-fail', order, '--comment', '烧坏了')
        self.assertEqual(shown['status'], 'failed')
        self.ctl('orders', 'list', '--device', '\udcff', status=USAGE)

    def test_streams(self):
        monitor = self.stream('monitor', '--json', 'order.*', 'command.finished')
        human = self.stream('monitor', '--device', DEVICE)
        watch = self.stream('devices', 'watch', DEVICE)
        order = self.start()
        line = json.loads(monitor.stdout.readline())
        self.assertIn(line['topic'].split('.')[0], ('order', 'command'))
        self.assertEqual(line['device_id'], DEVICE)
        self.assertRegex(human.stdout.readline(), rf'^\d\d:\d\d:\d\d  \S+ +{DEVICE} ')
        self.assertRegex(watch.stdout.readline(), r'port\.changed')
        for child, number in ((monitor, signal.SIGINT), (human, signal.SIGTERM),
                              (watch, signal.SIGINT)):
            child.send_signal(number)
            self.assertEqual(child.wait(30), OK)
            self.assertEqual(child.stderr.read(), '')
        self.ctl('orders', 'stop', order)
        self.assertIn('InvalidParameter', self.ctl('monitor', 'order*', status=FAILED))

    def test_the_reader_goes(self):
        child = self.stream('monitor')      # nothing happens: only the pipe tells
        child.stdout.close()
        self.assertEqual(child.wait(30), OK)
        self.assertEqual(child.stderr.read(), '')
        status = os.path.join(self.folder, 'status')
        subprocess.run(['sh', '-c', '{ "$0" config show --json; echo $? >"$1"; } | head -c 1',
                        CTL, status], env=environment(CHARGEHOST_BUS=self.bus_address),
                       stdout=subprocess.DEVNULL, timeout=60, check=True)
        with open(status, encoding='utf-8') as file:
            self.assertEqual(file.read().strip(), '0')
        with open('/dev/full', 'w', encoding='utf-8') as full:
            done = subprocess.run([CTL, 'status'], stdout=full, stderr=subprocess.PIPE, text=True,
                                  env=environment(CHARGEHOST_BUS=self.bus_address), check=False)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn('cannot write', done.stderr)

    def test_the_daemon_goes(self):
        child = self.stream('monitor')
        self.start()
        child.stdout.readline()
        self.host.stop()
        self.assertEqual(child.wait(30), NO_HOST)
        self.assertIn('has left the bus', child.stderr.read())


@unittest.skipUnless(os.getuid() == 0, 'needs another user')
class Denied(CtlCase):
    """What others may not do ends with status 4."""

    def test_others(self):
        os.chmod(self.folder, 0o711)
        bus = self.bus()
        config = os.path.join(self.folder, 'bus.conf')
        with open(config, encoding='utf-8') as file:
            text = file.read().replace('<allow own="*"/>', '<allow own="*"/><allow user="*"/>')
        with open(config, 'w', encoding='utf-8') as file:
            file.write(text)
        bus.process.kill()      # begin again, with these rules
        if os.path.exists(bus.socket):
            os.unlink(bus.socket)
        bus.process = Process(['dbus-daemon', f'--config-file={config}', '--nofork',
                               '--print-address'])
        bus.process.expect('unix:path')
        self.daemon(bus)
        tool = os.path.join(self.folder, 'ctl')
        shutil.copy(CTL, tool)
        os.chmod(tool, 0o755)
        nobody = pwd.getpwnam('nobody')

        def run(*words):
            return subprocess.run(['setpriv', f'--reuid={nobody.pw_uid}',
                                   f'--regid={nobody.pw_gid}', '--clear-groups', tool, *words],
                                  env=environment(CHARGEHOST_BUS=bus.address), text=True,
                                  capture_output=True, timeout=60, check=False)
        wait_for(lambda: run('status').returncode == OK, 'the bus lets others in')
        for words in (('orders',), ('orders', 'show', 'A'), ('config', 'show'), ('shutdown',),
                      ('monitor',), ('key', 'create', 'x'), ('plugins', 'stop', 'proto-bkv'),
                      ('charge', 'stop', 'A')):
            done = run(*words)
            self.assertEqual(done.returncode, DENIED, f'{words} {done.stdout} {done.stderr}')
            self.assertIn('not allowed: only for root', done.stderr)
        for words in (('devices',), ('plugins',), ('status',)):
            self.assertEqual(run(*words).returncode, OK, words)


if __name__ == '__main__':
    main()
