#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The management interface on a private bus, seen with busctl, gdbus and generated code."""
import json
import os
import pwd
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
from chargehost import CTL, Bus, Process, Simulator, main, wait_for  # noqa: E402
from management import (CLIENT, DEVICE, FIRST, HOUR, INSIDER, NAME, OUTSIDER, ROOT,  # noqa: E402
                        SIM, DBusCase, SystemBus, path_of)


class Objects(DBusCase):
    """One daemon with three devices on a bus that allows everything."""

    def setUp(self):
        super().setUp()
        self.host, self.sim = self.begin(self.bus())

    def monitor(self):
        process = Process(['busctl', f'--address={self.address}', '--json=short', 'monitor',
                           NAME])
        self.ends.append(process.kill)
        process.expect('Monitoring bus message stream')
        return process

    def test_tree_and_introspection(self):
        tree = self.busctl('tree', NAME).stdout
        for path in (path_of('device', DEVICE), path_of('plugin', 'proto-bkv'),
                     path_of('plugin', 'store-sqlite'), path_of('plugin', 'kv-memory')):
            self.assertIn(path, tree)
        wanted = {
            (ROOT, 'Host1'): ['ReloadConfig', 'SetLogLevel', 'Drain', 'Shutdown',
                              'ListDevices', 'ListOrders', 'Subscribe', 'Version', 'Event'],
            (path_of('plugin', 'proto-bkv'), 'Plugin1'): ['Start', 'Stop', 'Reload', 'State'],
            (path_of('device', DEVICE), 'Device1'): ['StartCharge', 'StopCharge', 'Reboot',
                                                     'Send', 'Get', 'Kick', 'Ports'],
            (path_of('order', 'ANY-1'), 'Order1'): ['Get', 'Stop', 'Cancel', 'ForceSettle',
                                                    'ForceFail'],
        }
        for (path, interface), members in wanted.items():
            shown = self.busctl('introspect', NAME, path,
                                f'org.chargehost.{interface}').stdout
            for member in members:
                self.assertIn(f'.{member} ', shown, path)

    def test_properties(self):
        self.assertRegex(self.prop(ROOT, 'Host1', 'Version'), r'^\d+\.\d+\.\d+$')
        wait_for(lambda: self.prop(ROOT, 'Host1', 'State') == 'running', 'running')
        wait_for(lambda: self.prop(ROOT, 'Host1', 'Devices') == 3, 'three devices')
        path = path_of('device', DEVICE)
        self.assertEqual(self.prop(path, 'Device1', 'Id'), DEVICE)
        self.assertIs(self.prop(path, 'Device1', 'Online'), True)
        ports = wait_for(lambda: self.prop(path, 'Device1', 'Ports'), 'ports')
        self.assertEqual(ports[0][:4], [0, 0, 1, 'idle'])
        done = self.busctl('set-property', NAME, path, 'org.chargehost.Device1', 'Id', 's', 'x')
        self.assertNotEqual(done.returncode, 0)

    def test_gdbus(self):
        common = ['--address', self.address, '--dest', NAME, '--object-path', ROOT]
        shown = self.run_tool(['gdbus', 'introspect', *common]).stdout
        self.assertIn('interface org.chargehost.Host1', shown)
        done = self.run_tool(['gdbus', 'call', *common, '--method', f'{NAME}.GetStatistics'])
        self.assertIn('"online":3', done.stdout, done.stderr)

    def test_a_charge_with_its_signals(self):
        follower = Process([CTL, '--bus', self.address, '--json', 'monitor'],
                           env=self.host.environment())
        self.ends.append(follower.kill)
        monitor = self.monitor()
        wait_for(lambda: any('"Subscribe"' in line for line in monitor.lines)
                 or follower.lines, 'the subscription')
        order = self.start_charge(order='DBUS-1')
        self.assertEqual(order, 'DBUS-1')
        path = path_of('device', DEVICE)
        wait_for(lambda: self.prop(path, 'Device1', 'Ports')[0][5], 'the port is held')
        follower.expect('"order.started".*DBUS-1')
        monitor.expect(r'"member":"Event".*order\.started.*DBUS-1')
        shown = self.call_json(path_of('order', order), 'Order1', 'Get')
        self.assertEqual((shown['status'], shown['source']), ('charging', 'admin'))
        self.assertEqual(self.call_json(ROOT, 'Host1', 'GetOrder', 's', order)['order_no'],
                         order)
        self.assertIn('current order DBUS-1', self.refused(
            path, 'Device1', 'StartCharge', 'iiua{sv}', '--', '-1', '0', '1', '2', *HOUR[:6]))
        answer = json.loads(self.device('StopCharge', 'iia{sv}', '--', '-1', '0', '1', 'wait_ms',
                                        'u', '5000')[0])
        self.assertEqual(answer['order_no'], order)
        self.wait_order(self.host, order, ['stopped'])
        monitor.expect(r'"member":"Event".*order\.ended.*DBUS-1')
        page = self.call(ROOT, 'Host1', 'ListOrders', 'a{sv}uu', '1', 'device', 's', DEVICE,
                         '0', '10')
        self.assertEqual([json.loads(text)['order_no'] for text in page[0]], [order])
        self.assertEqual(page[1], 1)

    def test_orders_by_hand(self):
        first, second, third = (self.start_charge(0), self.start_charge(1, 'ODD_NAME-1'), None)
        self.assertIn('comment', self.refused(path_of('order', first), 'Order1', 'ForceSettle',
                                              'a{sv}s', '0', ''))
        self.assertIn('energy_wh must be', self.refused(
            path_of('order', first), 'Order1', 'ForceSettle', 'a{sv}s', '1', 'energy_wh', 'i',
            '--', '-5', 'why'))
        self.assertIn('no end reason', self.refused(
            path_of('order', first), 'Order1', 'ForceSettle', 'a{sv}s', '1', 'end_reason', 's',
            'boredom', 'why'))
        settled = self.call_json(path_of('order', first), 'Order1', 'ForceSettle', 'a{sv}s', '3',
                                 'energy_wh', 'u', '1200', 'duration_s', 'u', '90', 'end_reason',
                                 's', 'normal', 'meter read')
        self.assertEqual((settled['status'], settled['energy_wh'], settled['duration_s'],
                          settled['end_reason'], settled['old_status']),
                         ('completed', 1200, 90, 'normal', 'charging'))
        events = self.call_json(path_of('order', first), 'Order1', 'GetEvents')['events']
        self.assertIn('order.completed', [event['event_type'] for event in events])
        line = self.call_json(path_of('order', first), 'Order1', 'GetTimeline')['timeline']
        self.assertEqual(line['order_no'], first)
        failed = self.call_json(path_of('order', second), 'Order1', 'ForceFail', 's', 'burnt')
        self.assertEqual(failed['status'], 'failed')
        self.assertIn('has ended', self.refused(path_of('order', second), 'Order1', 'Stop', 's',
                                                'late'))
        self.assertIn('no such order', self.refused(path_of('order', 'NIX'), 'Order1', 'Get'))
        third = wait_for(lambda: self._try_start(), 'the port is free again')
        stopped = self.call_json(path_of('order', third), 'Order1', 'Stop', 's', 'by hand')
        self.assertEqual(stopped['action'], 'stop')
        rows = wait_for(lambda: [row for row in self.host.rows(
            'SELECT actor, action, object FROM audit_log ORDER BY id')
            if 'Force' in row['action']][1:] and self.host.rows(
                "SELECT actor, action, object FROM audit_log WHERE action LIKE '%Force%'"
                ' ORDER BY id'), 'audit')
        self.assertEqual([tuple(row) for row in rows],
                         [(f'uid:{os.getuid()}', 'dbus Order1.ForceSettle', first),
                          (f'uid:{os.getuid()}', 'dbus Order1.ForceFail', second)])

    def _try_start(self):
        done = self.busctl('call', NAME, path_of('device', DEVICE), 'org.chargehost.Device1',
                           'StartCharge', 'iiua{sv}', '--', '-1', '0', '1', '3', *HOUR)
        if done.returncode != 0:
            return None
        return json.loads(json.loads(done.stdout)['data'][0])['order_no']

    def test_plugins(self):
        monitor = self.monitor()
        path = path_of('plugin', 'proto-bkv')
        objects = self.answer('call', NAME, f'{ROOT}/plugin',
                              'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects')
        self.assertEqual(sorted(objects['data'][0]), sorted(
            path_of('plugin', name) for name in ('proto-bkv', 'kv-memory', 'store-sqlite')))
        self.call(path, 'Plugin1', 'Stop')
        wait_for(lambda: self.prop(path, 'Plugin1', 'State') == 'stopped', 'stopped')
        monitor.expect('PropertiesChanged.*Plugin1.*stopped')
        self.call(path, 'Plugin1', 'Start')
        wait_for(lambda: self.prop(path, 'Plugin1', 'State') == 'running', 'running')
        before = self.prop(path, 'Plugin1', 'Generation')
        self.call(path, 'Plugin1', 'Reload')
        wait_for(lambda: self.prop(path, 'Plugin1', 'Generation') == before + 1, 'new generation')
        self.assertEqual(self.prop(path, 'Plugin1', 'State'), 'running')
        self.refused(path_of('plugin', 'store-sqlite'), 'Plugin1', 'Stop')
        # A device that has just been away counts as unstable for a while.
        wait_for(lambda: self.prop(path_of('device', DEVICE), 'Device1', 'Presence')
                 in ('online', 'unstable'), 'the devices come back')

    def test_devices_by_hand(self):
        made = self.call_json(ROOT, 'Host1', 'RegisterDevice', 's', json.dumps(
            {'device_id': 'shed_7-b', 'model': 'x', 'tags': {'site': '北'}}))
        self.assertEqual((made['device_phy_id'], made['presence']), ('shed_7-b', 'offline'))
        path = path_of('device', 'shed_7-b')
        self.assertIn(path, self.busctl('tree', NAME).stdout)
        changed = self.call_json(path, 'Device1', 'Change', 's', '{"lifecycle":"maintenance"}')
        self.assertEqual(changed['lifecycle'], 'maintenance')
        self.assertIn('lifecycle (enum)', self.refused(path, 'Device1', 'Change', 's',
                                                       '{"lifecycle":"gone"}'))
        self.assertIn('JSON object', self.refused(path, 'Device1', 'Change', 's', '[]'))
        self.assertIn('device_id (required)', self.refused(ROOT, 'Host1', 'RegisterDevice', 's',
                                                           '{}'))
        self.assertEqual(self.call_json(path, 'Device1', 'GetParams')['params'], [])
        self.assertIn('not connected', self.refused(path, 'Device1', 'Kick'))
        self.assertTrue(self.call_json(path, 'Device1', 'Retire')['deleted'])
        self.refused(path, 'Device1', 'Get')
        self.assertNotIn(path, self.busctl('tree', NAME).stdout)
        row = wait_for(lambda: self.host.rows(
            "SELECT before, object FROM audit_log WHERE action = 'dbus Device1.Retire'"), 'audit')
        self.assertEqual(row[0]['object'], 'shed_7-b')
        self.assertEqual(json.loads(row[0]['before'])['lifecycle'], 'maintenance')
        self.refused(path_of('device', DEVICE), 'Device1', 'StopPort', 'iisu', '--', '0', '99', '',
                     '0')
        stopped = self.call_json(path_of('device', DEVICE), 'Device1', 'StopPort', 'iisu', '0', '1',
                                 'smoke', '5000')
        self.assertIn('order_no', stopped)

    def test_malformed_calls(self):
        device = path_of('device', DEVICE)
        for words, message in (
                ((device, 'Device1', 'StartCharge', 'iiua{sv}', '--', '-1', '0', '1', '1', 'amoun',
                  'u', '5'), "no option 'amoun'"),
                ((device, 'Device1', 'StartCharge', 'iiua{sv}', '--', '-1', '0', '1', '1', 'amount',
                  's', '5'), 'amount must be an integer'),
                ((device, 'Device1', 'StartCharge', 'iiua{sv}', '--', '-1', '0', '1', '1', 'amount',
                  'u', '0'), 'amount must be 1 to 10000000'),
                ((device, 'Device1', 'StartCharge', 'iiua{sv}', '--', '-1', '0', '9', '1', 'amount',
                  'u', '5'), 'charge_mode'),
                ((device, 'Device1', 'StartCharge', 'iiua{sv}', '--', '-1', '99', '4', '1',
                  'amount', 'u', '5'), 'port_no'),
                ((device, 'Device1', 'StartCharge', 'iiua{sv}', '--', '-1', '0', '4', '2', 'amount',
                  'u', '5', 'metadata', 's', '[1]'), 'JSON object'),
                ((device, 'Device1', 'Send', 'siisu', '--', 'StartCharge', '0', '-1', '', '0'),
                 'methods of their own'),
                ((device, 'Device1', 'Send', 'siisu', '--', 'SetParams', '0', '-1', '{', '0'),
                 'no JSON object'),
                ((device, 'Device1', 'Send', 'siisu', '--', 'SetParams', '999', '-1', '', '0'),
                 'socket_no'),
                ((device, 'Device1', 'Reboot', 'a{sv}', '1', 'target', 's', 'moon'), 'target'),
                ((ROOT, 'Host1', 'ListDevices', 'a{sv}su', '1', 'presence', 's', 'gone', '', '1'),
                 'presence is'),
                ((ROOT, 'Host1', 'ListDevices', 'a{sv}su', '1', 'order', 's', 'x', '', '1'),
                 'no option'),
                ((ROOT, 'Host1', 'ListOrders', 'a{sv}uu', '1', 'status', 's', 'nix', '0', '1'),
                 "no state 'nix'"),
                ((ROOT, 'Host1', 'ListOrders', 'a{sv}uu', '1', 'from', 's', 'noon', '0', '1'),
                 'must be a time'),
                ((ROOT, 'Host1', 'Subscribe', 'ss', 'order*', ''), 'pattern'),
                ((ROOT, 'Host1', 'Subscribe', 'ss', 'order.*', 'a/b'), 'device id'),
                ((ROOT, 'Host1', 'SetLogLevel', 'ss', '', 'loud'), 'a level is'),
                ((ROOT, 'Host1', 'BackupStore', 's', 'here.db'), 'absolute'),
                ((ROOT, 'Host1', 'GetCommand', 's', 'cmd_nix'), ''),
                ((ROOT, 'Admin1', 'CreateApiKey', 'sasa{sv}', 'x', '1', 'fly', '0'),
                 "'fly' is not a scope"),
                ((device, 'Device1', 'Trace', 'u', '601'), '0 to 600'),
                ((ROOT, 'Admin1', 'ListBans', 'a{sv}', '1', 'limt', 'u', '5'),
                 "no option 'limt', only: page"),
                ((ROOT, 'Admin1', 'ListBans', 'a{sv}', '1', 'limit', 'u', '0'), 'limit (min)'),
                ((ROOT, 'Admin1', 'ListBans', 'a{sv}', '1', 'limit', 'ay', '1', '1'),
                 'cannot be of type ay'),
                ((ROOT, 'Admin1', 'LiftBan', 's', '10.9.0.0/16'), 'no such ban'),
                ((ROOT, 'Admin1', 'LiftBan', 's', ''), 'nothing of that name'),
                ((ROOT, 'Admin1', 'AddBan', 'a{sv}', '1', 'minutes', 's', 'x'), 'minutes (type)'),
                ((ROOT, 'Admin1', 'GetConnection', 's', 'nix'), 'no such connection'),
                ((ROOT, 'Admin1', 'ResetBreaker', 's', 'nix'), 'no such breaker'),
                ((ROOT, 'Admin1', 'ListQueue', 'a{sv}', '1', 'device_id', 's', 'nix'),
                 'no such device'),
                ((ROOT, 'Admin1', 'CancelCommand', 's', 'cmd_nix'), 'no such command'),
                ((ROOT, 'Admin1', 'ResendDeadLetter', 'x', '7'), 'no dead letter'),
                ((ROOT, 'Admin1', 'DeleteDeadLetters', 's', 'noon'), 'before (type)'),
                ((ROOT, 'Admin1', 'ImportDevices', 'ssb', 'xml', '', 'true'), 'csv or jsonl'),
                ((ROOT, 'Admin1', 'ImportDevices', 'ssb', 'csv', 'fly\n1\n', 'true'),
                 'fly (column)'),
                ((ROOT, 'Admin1', 'ChangeConfig', 's', '['), 'config (type)'),
                ((ROOT, 'Admin1', 'ChangeConfig', 's', '{"a.b":1}'), "unknown key 'a.b'"),
                ((path_of('order', 'A B'), 'Order1', 'Get'), 'no such order')):
            self.assertIn(message, self.refused(*words), words)
        # What GDBus itself refuses.
        for words in ((path_of('device', '1'), 'Device1', 'Get'),
                      (f'{ROOT}/device/_38{DEVICE[1:]}', 'Device1', 'Get'),
                      (device, 'Device1', 'Fly'),
                      (device, 'Device1', 'Get', 's', 'too much'),
                      (f'{ROOT}/device', 'Device1', 'Get')):
            self.refused(*words)
        self.assertEqual(self.host.get('/health')[0], 200)

    def admin(self, method, *words, **more):
        return self.call_json(ROOT, 'Admin1', method, *words, **more)

    def test_administration(self):
        made = self.admin('CreateApiKey', 'sasa{sv}', 'shop', '1', 'read', '2', 'ip_allow', 'as',
                          '1', '127.0.0.1', 'hmac', 'b', 'true')
        self.assertEqual(self.host.get('/api/v1/devices', key=made['key'])[0], 200)
        self.assertIn('hmac_secret', made)
        keys = self.admin('ListApiKeys', 'a{sv}', '0')
        self.assertEqual(sorted(key['name'] for key in keys['keys']), ['shop', 'test'])
        self.assertNotIn(made['key'], json.dumps(keys))
        self.assertEqual(self.admin('RevokeApiKey', 's', made['key_id']), {})
        self.assertEqual(self.host.get('/api/v1/devices', key=made['key'])[0], 401)
        page = self.admin('ListConnections', 'a{sv}', '2', 'limit', 'u', '1', 'offset', 'u', '1')
        self.assertEqual((len(page['connections']), page['total']), (1, 3))
        conn = page['connections'][0]
        shown = self.admin('GetConnection', 's', conn['conn_id'])['connection']
        self.assertEqual(shown['devices'], conn['devices'])
        self.assertEqual(self.admin('CloseConnection', 's', conn['conn_id']), {})
        self.refused(ROOT, 'Admin1', 'GetConnection', 's', conn['conn_id'])
        ban = self.admin('AddBan', 'a{sv}', '3', 'address', 's', '10.9.0.0/16', 'reason', 's',
                         'noise', 'minutes', 'q', '5')
        self.assertEqual(ban['subject'], '10.9.0.0/16')
        self.assertEqual(self.admin('ListBans', 'a{sv}', '0')['bans'], [ban])
        self.admin('LiftBan', 's', '10.9.0.0/16')
        self.assertEqual(self.admin('ListBans', 'a{sv}', '0')['total'], 0)
        self.assertEqual(self.admin('ListBreakers')['breakers'],
                         self.admin('ResetBreaker', 's', 'tcp')['breakers'])
        self.assertEqual(self.admin('ListQueue', 'a{sv}', '1', 'device_id', 's', DEVICE)['queue'],
                         [])
        self.assertEqual(self.admin('ListDeadLetters', 'a{sv}', '0')['dead'], [])
        self.assertEqual(self.admin('DeleteDeadLetters', 's', '2020-01-01T00:00:00Z'),
                         {'deleted': 0})
        self.assertEqual([server['self'] for server in self.admin('ListServers')['servers']],
                         [True])
        lines = 'device_id,model\nimp-1,x\nimp-2,y\n'
        self.assertEqual(self.admin('ImportDevices', 'ssb', 'csv', lines, 'true')['new'], 2)
        self.admin('ImportDevices', 'ssb', 'csv', lines, 'false')
        self.assertEqual(self.call_json(path_of('device', 'imp-2'), 'Device1', 'Get')['model'],
                         'y')
        self.assertEqual(self.admin('ChangeConfig', 's', '{"orders.max_duration_minutes":600}')[
            'changed'], ['orders.max_duration_minutes'])
        rows = wait_for(lambda: self._audited('ChangeConfig'), 'the audit log')
        self.assertEqual((rows[0]['actor'], rows[0]['action'], rows[0]['after']),
                         (f'uid:{os.getuid()}', 'dbus Admin1.ChangeConfig',
                          {'orders.max_duration_minutes': 600}))
        rows = self._audited('LiftBan')
        self.assertEqual(rows[0]['object'], '/api/v1/admin/bans/10.9.0.0%2F16')

    def _audited(self, method):
        return self.admin('ListAudit', 'a{sv}', '2', 'action', 's', method, 'limit', 'u',
                          '1')['audit']

    def test_drain_and_configuration(self):
        order = self.start_charge()
        self.call(ROOT, 'Host1', 'Drain', 'b', 'true')
        self.assertEqual(self.prop(ROOT, 'Host1', 'State'), 'draining')
        self.assertIn('about to stop', self.refused(
            path_of('device', DEVICE), 'Device1', 'StartCharge', 'iiua{sv}', '--', '-1', '1', '1',
            '3', *HOUR))
        self.call(ROOT, 'Host1', 'StopOrder', 'ssu', order, 'maintenance', '0')
        self.call(ROOT, 'Host1', 'Drain', 'b', 'false')
        self.call(ROOT, 'Host1', 'SetLogLevel', 'ss', '', 'debug')
        self.call(ROOT, 'Host1', 'SetLogLevel', 'ss', '', '')
        self.call(ROOT, 'Host1', 'ReloadConfig')
        config = self.call_json(ROOT, 'Host1', 'GetConfig')
        self.assertEqual(config['dbus.bus']['value'], self.address)
        self.assertEqual(config['dbus.bus']['source'], 'command line')
        copy = os.path.join(self.folder, 'copy.db')
        self.call(ROOT, 'Host1', 'BackupStore', 's', copy)
        self.assertGreater(os.path.getsize(copy), 0)
        self.call(ROOT, 'Host1', 'Shutdown')
        self.assertEqual(self.host.process.child.wait(30), 0)


class Fleet(DBusCase):
    """More devices than are enumerated."""

    def test_each_is_reached(self):
        self.begin(self.bus(), 300)
        tree = self.busctl('tree', NAME).stdout
        self.assertNotIn(f'{ROOT}/device/', tree)
        self.assertIn(f'{ROOT}/plugin/', tree)
        for number in (FIRST, FIRST + 150, FIRST + 299):
            self.assertEqual(self.prop(path_of('device', str(number)), 'Device1', 'Id'),
                             str(number))
        page, total = self.call(ROOT, 'Host1', 'ListDevices', 'a{sv}su', '1', 'q', 's', '00029',
                                '', '5')
        self.assertEqual(total, 11)
        self.assertEqual([json.loads(text)['device_phy_id'][-3:] for text in page],
                         ['029', '290', '291', '292', '293'])
        done = self.run_tool([CLIENT, self.address, '300', DEVICE])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


@unittest.skipUnless(os.getuid() == 0, 'needs other users')
class Access(DBusCase):
    """Who may do what; the daemon's group stands for chargehost's."""

    def setUp(self):
        super().setUp()
        os.chmod(self.folder, 0o711)

    def test_by_the_daemon(self):
        """On a bus without rules the daemon alone decides."""
        bus = Bus(self.folder)
        self.ends.append(bus.stop)
        self.open_bus(bus)
        host, _ = self.begin(bus)
        self.check(host, 'only for root')

    def test_by_the_policy(self):
        """The bus keeps private calls away, the daemon refuses the others."""
        bus = SystemBus(self.folder)
        self.ends.append(bus.stop)
        host, _ = self.begin(bus)
        self.check(host, '')
        done = self.busctl('call', NAME, ROOT, NAME, 'ListOrders', 'a{sv}uu', '0', '0', '1',
                           user=OUTSIDER)
        self.assertNotIn("the daemon's user", done.stderr)  # it never reached the daemon
        # The policy lets members of the group through; they may read all.
        self.call(ROOT, 'Host1', 'ListOrders', 'a{sv}uu', '0', '0', '1')

    def open_bus(self, bus):
        """Lets others in, and allows them everything."""
        bus.process.kill()
        config = os.path.join(self.folder, 'bus.conf')
        with open(config, encoding='utf-8') as file:
            text = file.read()
        with open(config, 'w', encoding='utf-8') as file:
            file.write(text.replace('<allow own="*"/>', '<allow own="*"/><allow user="*"/>'))
        if os.path.exists(bus.socket):
            os.unlink(bus.socket)
        bus.process = Process(['dbus-daemon', f'--config-file={config}', '--nofork',
                               '--print-address'])
        bus.process.expect('unix:path')

    def check(self, host, message):
        order = self.start_charge(order='SECRET-1')
        device = path_of('device', DEVICE)
        for words in ((ROOT, 'Host1', 'ListOrders', 'a{sv}uu', '0', '0', '1'),
                      (ROOT, 'Host1', 'GetOrder', 's', order),
                      (ROOT, 'Host1', 'GetCommand', 's', 'cmd_x'),
                      (ROOT, 'Host1', 'GetConfig'),
                      (ROOT, 'Admin1', 'ListAudit', 'a{sv}', '0'),
                      (path_of('order', order), 'Order1', 'Get'),
                      (path_of('order', order), 'Order1', 'GetEvents'),
                      (path_of('order', order), 'Order1', 'GetTimeline')):
            self.assertIn(message, self.refused(*words, user=OUTSIDER), words)
        for words in ((ROOT, 'Host1', 'Subscribe', 'ss', 'order.*', ''),
                      (ROOT, 'Host1', 'Subscribe', 'ss', '*', ''),
                      (ROOT, 'Host1', 'Shutdown'),
                      (ROOT, 'Admin1', 'CreateApiKey', 'sasa{sv}', 'x', '1', 'read', '0'),
                      (ROOT, 'Admin1', 'CloseConnection', 's', 'x'),
                      (path_of('order', order), 'Order1', 'ForceFail', 's', 'mine'),
                      (path_of('plugin', 'proto-bkv'), 'Plugin1', 'Stop'),
                      (device, 'Device1', 'Kick'),
                      (device, 'Device1', 'Trace', 'u', '9'),
                      (device, 'Device1', 'Retire'),
                      (ROOT, 'Host1', 'RegisterDevice', 's', '{"device_id":"a"}'),
                      (device, 'Device1', 'StopCharge', 'iia{sv}', '--', '-1', '0', '0')):
            self.assertIn('only for root', self.refused(*words, user=OUTSIDER), words)
        # Reading is free, without a word on orders.
        shown = self.call_json(device, 'Device1', 'Get', user=OUTSIDER)
        page = self.call(ROOT, 'Host1', 'ListDevices', 'a{sv}su', '0', '', '10',
                         user=OUTSIDER)
        self.assertEqual(page[1], 3)
        self.assertEqual(shown['status'], 'charging')
        for text in (json.dumps(shown), *page[0]):
            self.assertNotIn(order, text)
        self.assertIn(order, json.dumps(self.call_json(device, 'Device1', 'Get')))
        self.assertEqual(self.wait_order(host, order, ['charging'])['status'], 'charging')


class Group(DBusCase):
    """The daemon runs with another group; its members are trusted, others are not."""

    @unittest.skipUnless(os.getuid() == 0, 'needs other users')
    def test_members(self):
        os.chmod(self.folder, 0o711)
        bus = SystemBus(self.folder)
        self.ends.append(bus.stop)
        gid = pwd.getpwnam(INSIDER).pw_gid
        self.address = bus.address
        host = self.daemon(bus)
        wait_for(self.on_bus, 'the name')
        self.assertEqual(host.stop(), 0)
        plain = host.command
        host.command = lambda extra=(): ['setpriv', f'--regid={gid}', '--clear-groups',
                                         *plain(extra)]
        host.start()
        wait_for(self.on_bus, 'the name')
        page = self.call(ROOT, 'Host1', 'ListOrders', 'a{sv}uu', '0', '0', '1', user=INSIDER)
        self.assertEqual(page, [[], 0])
        self.call(ROOT, 'Host1', 'SetLogLevel', 'ss', '', 'info', user=INSIDER)
        self.refused(ROOT, 'Host1', 'ListOrders', 'a{sv}uu', '0', '0', '1', user=OUTSIDER)
        self.refused(ROOT, 'Host1', 'SetLogLevel', 'ss', '', 'info', user=OUTSIDER)
        self.assertEqual(self.call_json(ROOT, 'Host1', 'GetStatistics',
                                        user=OUTSIDER)['devices']['total'], 0)


class Outage(DBusCase):
    """The bus comes late, dies and comes back."""

    def test_the_bus_comes_and_goes(self):
        class Later:
            address = f'unix:path={os.path.join(self.folder, "bus")}'
        host, _ = self.begin(Later)
        host.process.expect('no message bus, going on without')
        bus = Bus(self.folder)
        self.ends.append(lambda: bus.stop())
        wait_for(self.on_bus, 'the name on the late bus', 60)
        order = self.start_charge()
        for _ in range(2):
            bus.stop()
            host.process.expect('the message bus has gone')
            self.assertEqual(host.data(f'/api/v1/orders/{order}')['status'], 'charging')
            if os.path.exists(bus.socket):
                os.unlink(bus.socket)
            bus = Bus(self.folder)
            wait_for(self.on_bus, 'the name on the new bus', 60)
            self.assertIn(path_of('device', DEVICE), self.busctl('tree', NAME).stdout)
            self.assertEqual(self.call_json(path_of('order', order), 'Order1', 'Get')['status'],
                             'charging')
        path = path_of('plugin', 'proto-bkv')
        before = self.prop(path, 'Plugin1', 'Generation')
        self.call(path, 'Plugin1', 'Reload')
        wait_for(lambda: self.prop(path, 'Plugin1', 'Generation') == before + 1, 'a new generation')
        self.assertEqual(host.stop(), 0)

    def test_dying_with_calls_in_flight(self):
        bus = Bus(self.folder)
        self.ends.append(lambda: bus.stop())
        host, simulator = self.begin(bus)
        simulator.tell('offline *')
        callers = [Process(['busctl', f'--address={self.address}', 'call', NAME,
                            path_of('device', DEVICE), 'org.chargehost.Device1', 'Send', 'siisu',
                            '--', 'QueryPortStatus', '0', '-1', '', '10000'])
                   for _ in range(8)]
        bus.stop()
        for caller in callers:
            caller.child.wait(30)
            caller.kill()
        self.assertEqual(host.get('/health')[0], 200)
        self.assertEqual(host.stop(), 0)

    def test_a_bus_that_does_not_read(self):
        """Events for it are left out at a bound; the daemon and the next call are well."""
        bus = self.bus()
        self.address = bus.address
        host = self.daemon(bus)
        wait_for(self.on_bus, 'the name')
        follower = Process([CTL, '--bus', bus.address, 'monitor', *['*'] * 32],
                           env=host.environment())
        self.ends.append(follower.kill)
        first = Simulator(os.path.join(self.folder, 'first'), host.device_port, 1,
                          ['--first-id', '82241218900001', *SIM[2:]], self.log)
        self.ends.append(first.process.kill)
        follower.expect('device.online')
        bus.process.signal(signal.SIGSTOP)
        try:
            self.simulator(host, 300, SIM)
            host.process.expect('events are left out', 60)
            self.assertEqual(host.get('/health')[0], 200)
        finally:
            bus.process.signal(signal.SIGCONT)
        wait_for(self.on_bus, 'the bus answers again', 60)
        self.assertEqual(self.call_json(ROOT, 'Host1', 'GetStatistics')['devices']['total'], 301)

    def test_ending_while_the_bus_hangs(self):
        bus = self.bus()
        host, _ = self.begin(bus, 300)
        follower = Process([CTL, '--bus', bus.address, 'monitor', *['*'] * 32],
                           env=host.environment())
        self.ends.append(follower.kill)
        self.start_charge()
        follower.expect('order.started')
        bus.process.signal(signal.SIGSTOP)
        try:
            for number in range(FIRST, FIRST + 100):
                host.post(f'/api/v1/admin/devices/{number}/kick')
            self.assertEqual(host.stop(), 0)
        finally:
            bus.process.signal(signal.SIGCONT)

    def test_none(self):
        host = self.daemon()
        self.assertEqual(host.get('/health')[0], 200)
        self.assertFalse([line for line in host.process.lines if 'bus' in line])
        self.assertEqual(host.stop(), 0)


if __name__ == '__main__':
    main()
