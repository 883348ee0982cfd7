# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the lint scripts share: the list of files, code without comments, the result."""
import os
import re
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))


def files(*suffixes, under=()):
    """Files of the tree, without what is built or hidden."""
    found = []
    for top in under or ('.',):
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders[:] = sorted(f for f in folders
                                if not f.startswith(('.', 'build')) and f != 'node_modules'
                                or f == 'build-aux')
            for name in sorted(names):
                if name.endswith(suffixes):
                    found.append(os.path.relpath(os.path.join(folder, name), ROOT))
    return found


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        return file.read()


STRINGS_AND_COMMENTS = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_of(text):
    """The text with comments and strings blanked; lines stay where they are."""
    def blank(match):
        return re.sub(r'[^\n]', ' ', match.group())
    return STRINGS_AND_COMMENTS.sub(blank, text)


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def finish(problems, looked_at):
    """Ends the program: each problem a line, then what was looked at."""
    for problem in problems:
        print(problem)
    print(f'{looked_at} looked at, {len(problems)} problems')
    if not looked_at:
        sys.exit('nothing was looked at')
    sys.exit(1 if problems else 0)
