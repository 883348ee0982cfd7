#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Licence headers, calls that are not used here, sizes, and leftovers. A call is allowed
where a comment in its line or the line above says why: `lint: reason`.
"""
import re

from common import code_of, files, finish, read

MAX_LINES = 600
MAX_FUNCTION = 80

# [pattern of the call, folders in which it is wrong, what to do instead]
EVERYWHERE = ('host', 'plugins', 'tests')
CALLS = [
    (r'strto(?:l|ll|ul|ull|d)|ato(?:i|l|ll|f)', ('host', 'plugins'),
     'parse with g_ascii_string_to_signed() and its like'),
    (r'v?sprintf|strcpy|strcat|strtok|gets|alloca|tmpnam|mktemp', EVERYWHERE,
     'write with a bound: g_snprintf(), g_strlcpy(), GString'),
    (r'g_error', ('host', 'plugins'), 'return a GError, or assert'),
    (r'g_(?:timeout|idle|unix_fd|unix_signal|io|child_watch)_add\w*|g_io_add_watch\w*'
     r'|g_source_(?:new|attach|set_callback)|g_(?:timeout|idle|unix_fd|unix_signal)_source_new\w*',
     ('host', 'plugins'), 'one main loop: sockets belong to the reactor, timers to the wheel'),
    (r'g_main_loop_(?:new|run)|g_main_context_iteration', ('host', 'plugins'),
     'there is one main loop, and the daemon runs it'),
    (r'g_(?:static_)?(?:rec_|rw_)?mutex_\w+|g_cond_\w+|g_rw_lock_\w+', EVERYWHERE,
     'where threads meet: pthread mutexes'),
    (r'u?sleep|nanosleep|clock_nanosleep|g_usleep', EVERYWHERE,
     'wait for events; in tests advance the clock'),
    (r'g_type_register_\w+|G_DEFINE_(?:TYPE|FINAL_TYPE|INTERFACE)\w*', ('plugins',),
     'plugins register no GTypes'),
]
TESTS = re.compile(r'(?:^|/)tests/|-test(?:ing)?\.[ch]$|/(?:fake|test)-[a-z-]+\.[ch]$')
# Programs with a main loop of their own, and the loop itself.
LOOPS = re.compile(r'^host/(?:net/reactor\.c|daemon/|ctl/|sim/)')
LEFTOVERS = re.compile(r'\b(?:TO' r'DO|FIX' r'ME|XX' r'X)\b|/wo' r'rk/')
FUNCTION = re.compile(r'^[a-zA-Z_].*\)\s*\n\{\n', re.M)

problems = []
paths = files('.c', '.h', '.py', '.build', '.sh', '.sql', '.lua')


def allowed(lines, number):
    return any(re.search(r'\blint: \S', line) for line in lines[max(0, number - 2):number])


def check_calls(path, text):
    code = code_of(text)
    lines = text.split('\n')
    for pattern, folders, advice in CALLS:
        if path.split('/')[0] not in folders or folders != EVERYWHERE and TESTS.search(path):
            continue
        if 'loop' in advice + pattern and LOOPS.match(path):
            continue
        for match in re.finditer(rf'(?<![\w.>])({pattern})\s*\(', code):
            number = code.count('\n', 0, match.start()) + 1
            if not allowed(lines, number):
                problems.append(f'{path}:{number}: {match.group(1)}: {advice}')


def check_functions(path, text):
    for match in FUNCTION.finditer(text):
        end = text.find('\n}\n', match.start())
        length = text.count('\n', match.end(), end)
        if length > MAX_FUNCTION:
            number = text.count('\n', 0, match.start()) + 1
            problems.append(f'{path}:{number}: a function of {length} lines, at most {MAX_FUNCTION}')


for path in paths:
    text = read(path)
    if not text:
        continue
    if 'SPDX-License-Identifier: ' not in '\n'.join(text.split('\n')[:4]):
        problems.append(f'{path}:1: no SPDX-License-Identifier')
    for match in LEFTOVERS.finditer(text):
        number = text.count('\n', 0, match.start()) + 1
        problems.append(f'{path}:{number}: {match.group()} is left over')
    if path.endswith(('.c', '.h')):
        check_calls(path, text)
        check_functions(path, text)
        if text.count('\n') > MAX_LINES:
            problems.append(f'{path}: {text.count(chr(10))} lines, at most {MAX_LINES}')

finish(problems, len(paths))
