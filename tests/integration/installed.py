#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `meson install` puts somewhere works from there, and every file is at its place."""
import os
import shutil
import subprocess
import sys
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
from chargehost import BUILD, Daemon, TestCase, main  # noqa: E402

# End of a path: one file each.
FILES = ['bin/chargehostd', 'bin/chargehostctl', 'bin/chargehost-sim', 'chargehost-plugin-scan',
         'plugins-1/store-sqlite.so', 'plugins-1/kv-memory.so', 'plugins-1/proto-bkv.so',
         'chargehost-1/chargehost/chargehost.h', 'pkgconfig/chargehost-1.pc',
         'dbus-1/system.d/org.chargehost.Host1.conf',
         'dbus-1/interfaces/org.chargehost.Host1.xml',
         'polkit-1/actions/org.chargehost.policy', 'systemd/system/chargehost.service',
         'sysusers.d/chargehost.conf', 'tmpfiles.d/chargehost.conf',
         'bash-completion/completions/chargehostctl', '/_chargehostctl',
         'man1/chargehostctl.1', 'man1/chargehost-sim.1', 'man5/chargehost.yaml.5',
         'man8/chargehostd.8', 'doc/chargehost/chargehost.yaml']


@unittest.skipUnless(shutil.which('meson'), 'no meson')
class Installed(TestCase):
    def setUp(self):
        super().setUp()
        self.root = os.path.join(self.folder, 'root')
        done = subprocess.run(['meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet',
                               '--destdir', self.root], text=True, capture_output=True,
                              timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.paths = [os.path.join(folder, name) for folder, _, names in os.walk(self.root)
                      for name in names]

    def path(self, end):
        found = [path for path in self.paths if path.endswith(end)]
        self.assertEqual(len(found), 1, end)
        return found[0]

    def text(self, end):
        with open(self.path(end), encoding='utf-8') as file:
            return file.read()

    def test_places(self):
        for end in FILES:
            self.path(end)
        for end in ('system.d/org.chargehost.Host1.conf', 'actions/org.chargehost.policy'):
            xml.etree.ElementTree.parse(self.path(end))
        for path in self.paths:
            self.assertEqual(os.stat(path).st_mode & 0o022, 0, path)
            if path.endswith(('.conf', '.service', '_chargehostctl')):
                with open(path, encoding='utf-8') as file:
                    self.assertNotRegex(file.read(), r'@[a-z_]+@', path)
        # One user, one state directory, everywhere.
        state = self.text('tmpfiles.d/chargehost.conf').split('\nd ')[1].split()[0]
        self.assertTrue(state.endswith('/lib/chargehost'), state)
        self.assertIn(f' {state}\n', self.text('sysusers.d/chargehost.conf'))
        unit = self.text('chargehost.service')
        self.assertIn('User=chargehost\n', unit)
        self.assertIn('StateDirectory=chargehost' if state == '/var/lib/chargehost' else
                      f'ReadWritePaths={state}\n', unit)

    @unittest.skipUnless(shutil.which('systemd-analyze'), 'no systemd')
    def test_unit(self):
        unit = os.path.join(self.folder, 'chargehost.service')
        lines = self.text('chargehost.service').splitlines()
        with open(unit, 'w', encoding='utf-8') as file:
            for line in lines:
                if line.startswith('ExecStart='):
                    line = f"ExecStart={self.path('bin/chargehostd')}"
                print(line, file=file)
        done = subprocess.run(['systemd-analyze', 'verify', '--man=no', unit], text=True,
                              capture_output=True, timeout=60, check=False)
        # Others on this machine may have faults; not this one.
        self.assertNotIn('chargehost', done.stdout + done.stderr)

    def test_it_runs(self):
        plugins = os.path.dirname(self.path('plugins-1/store-sqlite.so'))
        host = Daemon(self.folder, None, {'plugins.path': plugins,
                                          'plugins.development': 'false'}, self.log)
        environment = dict(
            host.environment(),
            CHARGEHOST_TEST_SCANNER=self.path('chargehost-plugin-scan'),
            LD_LIBRARY_PATH=os.path.dirname(self.path('libchargehost-1.so.1.0.0')))
        host.environment = lambda: environment
        plain = host.command
        host.command = lambda extra=(): [self.path('bin/chargehostd'), *plain(extra)[1:]]
        done = subprocess.run(
            host.command(['--config', self.path('doc/chargehost/chargehost.yaml'),
                          '--check-config']),
            env=environment, text=True, capture_output=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, 'The configuration is good.\n'),
                         done.stderr)
        host.create_key()
        host.start()
        self.ends.append(host.kill)
        self.assertEqual(host.get('/api/v1/devices')[0], 200)
        self.assertEqual(host.stop(), 0)
        said = subprocess.run([self.path('bin/chargehostctl'), 'decode', 'bkv', 'FCFE'],
                              env=environment, text=True, capture_output=True, timeout=60,
                              check=False)
        self.assertIn('"truncated"', said.stdout, said.stderr)


if __name__ == '__main__':
    main()
