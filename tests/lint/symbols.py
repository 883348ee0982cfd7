#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
symbols.py [--plain] HOST MODULE…: the host's library lacks none of its own functions, which
a build with sanitizers would only notice when one is called; a built plugin exports its
entry function and nothing else, imports of the host only what the SDK's headers declare,
registers no GTypes and, in a plain build, keeps no data that can be written.
"""
import os
import re
import sys

from common import code_of, files, finish, output_of, read

DECLARED = re.compile(r'\b(ch_[a-z0-9_]+)\s*(?:\(|\[|;)')
WRITABLE = re.compile(r'^[0-9a-f]+ .{7} \.(?:data|bss|tdata|tbss)\s+[0-9a-f]+\s+(?:\.hidden )?(\S+)$')
# What the compiler and the C library put into every shared object.
TOOLCHAIN = re.compile(r'^(?:completed\.\d+|__dso_handle|__TMC_END__|\.data|\.bss|_edata|_end'
                       r'|__bss_start|dtor_idx\.\d+|g_once_init.*|static_g_define_.*)$')

plain = '--plain' in sys.argv
host, *modules = [a for a in sys.argv[1:] if not a.startswith('--')]
sdk = set()
for header in files('.h', under=('host/include',)):
    sdk.update(DECLARED.findall(code_of(read(header))))

problems = []
for line in output_of('nm', '-D', '--undefined-only', host).splitlines():
    if line.split()[-1].startswith('ch_'):
        problems.append(f'{os.path.basename(host)}: {line.split()[-1]} is nowhere defined')
for module in modules:
    name = os.path.basename(module).removesuffix('.so')
    entry = f'ch_plugin_{name.replace("-", "_")}_query'
    exported = [line.split()[-1] for line in
                output_of('nm', '-D', '--defined-only', module).splitlines()]
    for symbol in exported:
        if symbol.split('@')[0] != entry:
            problems.append(f'{name}: exports {symbol}, only {entry} may leave it')
    if entry not in exported:
        problems.append(f'{name}: does not export {entry}')
    for line in output_of('nm', '-D', '--undefined-only', module).splitlines():
        symbol = line.split()[-1].split('@')[0]
        if symbol.startswith('ch_') and symbol not in sdk:
            problems.append(f'{name}: imports {symbol}, which no header of the SDK declares')
        if re.match(r'g_type_register_|g_(?:timeout|idle)_add|g_error$|dlclose$', symbol):
            problems.append(f'{name}: imports {symbol}')
    if plain:
        for line in output_of('objdump', '-t', module).splitlines():
            match = WRITABLE.match(line)
            if match and not TOOLCHAIN.match(match.group(1)):
                problems.append(f'{name}: {match.group(1)} is static data that can be written')

finish(problems, len(modules) + 1)
