#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
abi.py OUTPUT.c: writes a program that prints size and offsets of every public struct and
the value of every public enumerator, as the compiler sees them. tests/lint/abi-test.c
compares that with abi-1.txt.
"""
import re
import sys

from common import code_of, files, read

STRUCT = re.compile(r'typedef struct \{(.*?)\}\s*(Ch\w+)\s*;', re.S)
ENUM = re.compile(r'typedef enum \{(.*?)\}\s*(Ch\w+)\s*;', re.S)


def members(body):
    # Members of an unnamed union are members of the struct.
    for part in re.sub(r'\b(?:union|struct)\s*\{|\}', ' ', body).split(';'):
        text = ' '.join(part.split())
        if not text:
            continue
        pointer = re.search(r'\(\s*\*\s*(\w+)\s*\)\s*\(', text)
        if pointer:
            yield pointer.group(1)
            continue
        for piece in text.split(','):
            yield re.search(r'(\w+)\s*(?:\[[^\]]*\])?\s*$', piece.strip()).group(1)


def enumerators(body):
    for piece in body.split(','):
        name = piece.split('=')[0].strip()
        if name:
            yield name


lines = []
for header in files('.h', under=('host/include',)):
    code = code_of(read(header))
    for body, name in STRUCT.findall(code):
        lines.append(f'  size ("{name}", sizeof ({name}));')
        lines += [f'  offset ("{name}", "{m}", G_STRUCT_OFFSET ({name}, {m}));'
                  for m in members(body)]
    for body, name in ENUM.findall(code):
        lines += [f'  value ("{name}", "{e}", (gint64) {e});' for e in enumerators(body)]

with open(sys.argv[1], 'w', encoding='utf-8') as out:
    out.write('/* Made by tests/lint/abi.py. */\n#include "abi.h"\n'
              '#include <chargehost/chargehost.h>\n\nvoid abi_list (void)\n{\n'
              + '\n'.join(lines) + '\n}\n')
