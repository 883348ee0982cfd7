#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Folders of the host include only what stands below them; plugins only the SDK."""
import re

from common import files, finish, read

RANKS = {'base': 0, 'bus': 1, 'net': 1, 'plugin': 2, 'store': 3, 'kv': 3, 'core': 4,
         'http': 5, 'dbus': 5, 'daemon': 6}
# Between equals, one way: D-Bus hands out API keys, which are http's.
ALSO = {('dbus', 'http')}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)

problems = []
looked_at = 0


def may(folder, target):
    return target == folder or RANKS[target] < RANKS[folder] or (folder, target) in ALSO


for path in files('.c', '.h', under=('host',)):
    folder = path.split('/')[1]
    looked_at += 1
    for name in INCLUDE.findall(read(path)):
        target = name.split('/')[0]
        if '/' not in name or target not in RANKS:
            continue
        if folder in RANKS and not may(folder, target):
            problems.append(f'{path}: {folder} may not include {name}')
        if folder == 'include':
            problems.append(f'{path}: the SDK may not include {name}')

for path in files('.c', '.h', under=('plugins',)):
    looked_at += 1
    is_test = '/tests/' in path
    for name in INCLUDE.findall(read(path)):
        if not is_test and '/' in name and name.split('/')[0] in RANKS:
            problems.append(f'{path}: a plugin may not include {name}')

finish(problems, looked_at)
