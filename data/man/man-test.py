#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Manual pages say all that the programs know, and both shells complete every command."""
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

BUILD = os.environ['CHARGEHOST_TEST_BUILD']
SOURCE = os.environ['CHARGEHOST_TEST_SOURCE']
PAGES = os.path.join(BUILD, 'data', 'man')
PROGRAMS = {'chargehostd.8': os.path.join(BUILD, 'host', 'chargehostd'),
            'chargehostctl.1': os.path.join(BUILD, 'host', 'ctl', 'chargehostctl'),
            'chargehost-sim.1': os.path.join(BUILD, 'host', 'sim', 'chargehost-sim')}
CTL = PROGRAMS['chargehostctl.1']
PATHS = ','.join(entry.path for entry in os.scandir(os.path.join(BUILD, 'plugins'))
                 if entry.is_dir())
COMPLETION = os.path.join(SOURCE, 'data', 'completion', 'chargehostctl')
ENV = {**{name: value for name, value in os.environ.items()
          if not name.startswith('CHARGEHOST_')}, 'LC_ALL': 'C.UTF-8', 'MANWIDTH': '100'}

SPEC = importlib.util.spec_from_file_location(
    'make_man', os.path.join(SOURCE, 'data', 'man', 'make-man.py'))
MAKE_MAN = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MAKE_MAN)


def run(*command, **more):
    return subprocess.run(command, env={**ENV, **more}, text=True, capture_output=True, timeout=60,
                          check=False)


def page(name):
    with open(os.path.join(PAGES, name), encoding='utf-8') as file:
        return file.read().replace('\\-', '-').replace('\\&', '')


def commands():
    """The words of each command in the overview."""
    return [words for words, _, _ in MAKE_MAN.overview_commands(CTL)]


class Manual(unittest.TestCase):
    """The pages."""

    def test_warnings(self):
        """man, or troff alone, has nothing to complain of."""
        if shutil.which('groff') is None:
            self.skipTest('no groff')
        for name in [*PROGRAMS, 'chargehost.yaml.5']:
            path = os.path.join(PAGES, name)
            done = run('groff', '-man', '-Tutf8', '-Kutf8', '-ww', path)
            self.assertEqual((done.returncode, done.stderr), (0, ''), name)
            if shutil.which('man'):
                done = run('man', '--warnings', '-E', 'UTF-8', '-l', '-Tutf8', '-Z', path)
                self.assertEqual((done.returncode, done.stderr), (0, ''), name)
            self.assertNotIn('@', re.sub(r'\S+@\S+', '', page(name)), name)

    def test_every_option(self):
        for name, program in PROGRAMS.items():
            found = re.findall(r'--[a-z][a-z-]+', run(program, '--help').stdout)
            self.assertGreater(len(found), 3)
            for option in found:
                self.assertIn(option, page(name), name)

    def test_every_command(self):
        text = page('chargehostctl.1')
        self.assertGreater(len(commands()), 25)
        for words in commands():
            self.assertIn(f'\\fB{words}\\fR', text)
            for option in re.findall(r'(?m)^  (--[a-z-]+)', run(CTL, *words.split(),
                                                             '--help').stdout):
                self.assertIn(option, text, words)

    def test_every_key(self):
        text = page('chargehost.yaml.5')
        with open(os.path.join(PAGES, 'config-keys.json'), encoding='utf-8') as file:
            keys = json.load(file)
        with open(os.path.join(PAGES, 'chargehost.yaml'), encoding='utf-8') as file:
            default = file.read()
        self.assertGreater(len(keys), 100)
        for path, key in keys.items():
            self.assertIn(f'\\fB{path}\\fR', text)
            self.assertIn(key['environment'], text)
            self.assertIn(f"# {path.split('.', 1)[-1]}:", default)
            self.assertGreater(len(key['summary']), 5, path)
        for section in os.listdir(os.path.join(BUILD, 'plugins')):
            if not os.path.exists(os.path.join(BUILD, 'plugins', section, f'{section}.so')):
                continue    # not built
            self.assertTrue(any(path.startswith(section + '.') for path in keys), section)

    def test_the_default_file_is_a_configuration(self):
        done = run(PROGRAMS['chargehostd.8'], '--config', os.path.join(PAGES, 'chargehost.yaml'),
                   '--set', f'app.state_dir={PAGES}/state', '--set', f'plugins.path={PATHS}',
                   '--set', 'plugins.development=true', '--check-config',
                   CHARGEHOST_TEST_SCANNER=os.path.join(BUILD, 'host', 'chargehost-plugin-scan'),
                   ASAN_OPTIONS='detect_leaks=0')
        self.assertEqual(done.returncode, 0, done.stderr)


class Bash(unittest.TestCase):
    """What bash offers after some words."""

    SHELL = ('bash', '-c')
    SCRIPT = """source {file}
COMP_WORDS=({words})
COMP_CWORD={last}
_chargehostctl
printf '%s\\n' "${{COMPREPLY[@]}}" """
    file = COMPLETION

    def complete(self, *words):
        script = self.SCRIPT.format(
            file=shlex.quote(self.file), last=len(words),
            words=' '.join(shlex.quote(word) for word in ('chargehostctl', *words)))
        done = run(*self.SHELL, script, PATH=os.path.dirname(CTL) + ':' + os.environ['PATH'],
                   CHARGEHOST_BUS='unix:path=/nonexistent')
        self.assertEqual((done.returncode, done.stderr), (0, ''), words)
        return done.stdout.split()

    def test_commands(self):
        groups = {words.split()[0] for words in commands()}
        self.assertEqual(set(self.complete('')), groups)
        for words in commands():
            if ' ' in words:
                group, word = words.split()
                self.assertIn(word, self.complete(group, ''))
                self.assertEqual(self.complete(group, word[:-1]), [word]
                                 if word not in ('stop', 'show', 'start') else
                                 self.complete(group, word[:-1]))
        self.assertEqual(self.complete('dev'), ['devices'])
        self.assertEqual(self.complete('--json', 'orders', 'force-s'), ['force-settle'])

    def test_options(self):
        self.assertEqual(self.complete('--v'), ['--version'])
        for words in commands():
            offered = self.complete(*words.split(), '--')
            shown = re.findall(r'(?m)^  (--[a-z-]+)', run(CTL, *words.split(), '--help').stdout)
            for option in [*shown, '--json', '--bus', '--instance', '--help']:
                self.assertIn(option, offered, words)

    def test_values(self):
        self.assertEqual(self.complete('drain', ''), ['off', 'on'])
        self.assertEqual(self.complete('decode', ''), ['bkv'])
        self.assertEqual(self.complete('orders', 'list', '--status', 'cha'), ['charging'])
        self.assertEqual(self.complete('--bus', 's'), ['session', 'system'])
        self.assertEqual(self.complete('devices', 'show', ''), [])  # no daemon


@unittest.skipUnless(shutil.which('zsh'), 'no zsh')
class Zsh(Bash):
    """The same of zsh, whose own functions only print here."""

    SHELL = ('zsh', '-f', '-c')
    SCRIPT = """compadd() {{ shift; print -l -- $@ }}
_files() {{ }}
words=({words})
CURRENT=$(({last} + 1))
source {file}"""

    def setUp(self):
        template = os.path.join(os.path.dirname(COMPLETION), '_chargehostctl.in')
        with open(template, encoding='utf-8') as file:
            text = file.read().replace('@bash_completion@', COMPLETION)
        with tempfile.NamedTemporaryFile('w', suffix='.zsh', delete=False) as made:
            made.write(text)
        self.file = made.name
        self.addCleanup(os.unlink, made.name)

    def test_syntax(self):
        done = run('zsh', '-n', self.file)
        self.assertEqual((done.returncode, done.stderr), (0, ''))


if __name__ == '__main__':
    unittest.main(verbosity=2)
