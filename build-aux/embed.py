#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes a C file with one `const char NAME[]` per text file given.

usage: embed.py OUTPUT.c FILE…   (sql/0001_core.sqlite.sql → ch_embed_0001_core_sqlite_sql)
"""
import os
import re
import sys


def main():
    output, files = sys.argv[1], sys.argv[2:]
    with open(output, 'w', encoding='utf-8') as out:
        out.write('/* Made by build-aux/embed.py. */\n')
        for path in files:
            name = 'ch_embed_' + re.sub(r'[^A-Za-z0-9]', '_', os.path.basename(path))
            with open(path, encoding='utf-8') as text:
                lines = text.read().split('\n')
            out.write(f'extern const char {name}[];\nconst char {name}[] =\n')
            for line in lines:
                line = line.replace('\\', '\\\\').replace('"', '\\"').replace('?', '\\?')
                out.write(f'  "{line}\\n"\n')
            out.write('  ;\n')


main()
