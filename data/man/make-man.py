#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes manual pages: what programs say of themselves is put into hand-written pages.

make-man.py page TEMPLATE PROGRAM OUTPUT NAME=VALUE...
    @OPTIONS@ becomes the options of PROGRAM --help, @TAIL@ what follows them, @COMMANDS@
    all commands of chargehostctl with their options.
make-man.py config TEMPLATE KEYS.json OUTPUT NAME=VALUE...
    @KEYS@ becomes all declared keys, of chargehostd --describe-config.

Each @NAME@ in a template becomes its VALUE.
"""
import json
import os
import re
import subprocess
import sys

OPTION = re.compile(r'^  (?:-(\w), )?--([a-z-]+)(?:=(\S+))?\s+(.*)$')


def roff(text):
    """Text that troff shows as it is."""
    text = text.replace('\\', '\\e').replace('-', '\\-').replace('\u2026', '...')
    text = text.replace('\u201c', '\\(lq').replace('\u201d', '\\(rq').replace('\u2014', '\\(em')
    return '\n'.join('\\&' + line if line[:1] in ".'" else line for line in text.split('\n'))


def run(*command):
    env = {**os.environ, 'LC_ALL': 'C.UTF-8', 'ASAN_OPTIONS': 'detect_leaks=0'}
    return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True,
                          encoding='utf-8').stdout


def sentence(text, capital=False):
    """With a full stop; what begins with a literal word keeps it."""
    text = text[:1].upper() + text[1:] if capital else text
    return text if text.endswith('.') else text + '.'


def options_of(help_text):
    """(short, long, value, description) of each option, and the text after the last."""
    found, tail, seen = [], [], False
    for line in help_text.splitlines():
        match = OPTION.match(line)
        if match:
            found.append(match.groups())
            seen, tail = True, []
        elif seen:
            tail.append(line)
    return found, '\n'.join(tail).strip('\n')


def option_lines(options):
    lines = []
    small = not any(text[:1].isupper() for _, name, _, text in options if name != 'help')
    for short, name, value, text in options:
        head = (f'\\fB\\-{short}\\fR, ' if short else '') + f'\\fB\\-\\-{roff(name)}\\fR'
        if value:
            head += f'=\\fI{roff(value)}\\fR'
        lines += ['.TP', head, roff(sentence(text, small))]
    return lines


def overview_commands(program):
    """(words, whole call, summary) of each command in the overview."""
    text = run(program, '--help')
    part = text[text.index('Commands:\n') + 10:text.index('\nOptions:')]
    part = re.sub(r'\n {30,}(?=\S)', '   ', part)    # a call too long for its column
    for line in part.splitlines():
        call, summary = re.split(r' {2,}', line.strip(), maxsplit=1)
        words = re.match(r'[a-z][a-z-]*(?: [a-z][a-z-]*(?= |$))?', call).group(0)
        yield words, call, summary


def command_lines(program):
    lines = []
    for words, call, summary in overview_commands(program):
        rest = roff(call[len(words):])
        lines += ['.TP', f'\\fB{roff(words)}\\fR{rest}', roff(sentence(summary, True))]
        options, _ = options_of(run(program, *words.split(), '--help'))
        options = [option for option in options if option[1] != 'help']
        if options:
            lines += ['.RS', *option_lines(options), '.RE']
    return lines


def page(template, program):
    text = run(program, '--help')
    options, tail = options_of(text)
    parts = {'@OPTIONS@': option_lines(options),
             '@TAIL@': ['.EX', *roff(tail).split('\n'), '.EE'] if tail else []}
    if '@COMMANDS@' in template:
        parts['@COMMANDS@'] = command_lines(program)
    return parts


# ---- keys ----


def number(value):
    return f'{value:.15g}'


def limits(key):
    if 'min' not in key:
        return ''
    if key['type'].startswith('duration'):
        return f" from {number(key['min'] / 1000)} s to {number(key['max'] / 1000)} s"
    return f" from {number(key['min'])} to {number(key['max'])}"


def key_lines(path, key):
    kind = key['type']
    lines = ['.TP', f'\\fB{roff(path)}\\fR (\\fI{roff(kind)}\\fR)']
    about = [sentence(key['summary'])]
    if key.get('choices'):
        about.append('One of ' + ', '.join(key['choices']) + '.')
    if limits(key):
        about.append('A value' + limits(key) + '.')
    if key['default'] is not None and kind != 'secret':
        about.append('Default: ' + (key['default'] or 'empty') + '.')
    if kind == 'secret':
        about.append(f"Key {path.split('.')[-1]}_file may name a file that holds it.")
    if key['live']:
        about.append('Can be changed while the daemon runs.')
    lines.append(roff(' '.join(about)))
    lines += ['.br', f"Environment: {roff(key['environment'])}"]
    return lines


def config(keys_file):
    with open(keys_file, encoding='utf-8') as file:
        keys = json.load(file)
    lines, section = [], None
    for path in sorted(keys, key=lambda path: (path.split('.')[0], path)):
        if path.split('.')[0] != section:
            section = path.split('.')[0]
            lines.append(f'.SS {roff(section)}')
        lines += key_lines(path, keys[path])
    return {'@KEYS@': lines}


def main():
    kind, template, source, output, *values = sys.argv[1:]
    with open(template, encoding='utf-8') as file:
        text = file.read()
    for value in values:
        name, value = value.split('=', 1)
        text = text.replace(f'@{name}@', value)
    parts = page(text, source) if kind == 'page' else config(source)
    lines = []
    for line in text.splitlines():
        lines += parts.get(line, [line])
    with open(output, 'w', encoding='utf-8') as file:
        file.write('\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()
