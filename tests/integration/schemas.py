#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host's tables on SQLite and on PostgreSQL: the same columns, types, demands, indexes
and foreign keys."""
import glob
import os
import re
import sqlite3
import subprocess
import sys
import unittest

SOURCE = os.environ['CHARGEHOST_TEST_SOURCE']
sys.path.insert(0, os.path.join(SOURCE, 'tests', 'helpers'))
from postgres import Postgres  # noqa: E402

# What one type of PostgreSQL is on SQLite; times are milliseconds.
TYPES = {'bigint': 'INTEGER', 'integer': 'INTEGER', 'smallint': 'INTEGER',
         'boolean': 'INTEGER', 'timestamp with time zone': 'INTEGER', 'text': 'TEXT',
         'character': 'TEXT', 'character varying': 'TEXT', 'jsonb': 'TEXT', 'bytea': 'BLOB'}
# A key of its own needs NOT NULL on PostgreSQL only; GIN and the partitions' are its own.
ONLY_PGSQL = {'idx_devices_tags'}


def scripts(dialect):
    for part in ('core', 'http'):
        for path in sorted(glob.glob(os.path.join(SOURCE, 'host', part, 'sql',
                                                  f'*.{dialect}.sql'))):
            with open(path, encoding='utf-8') as file:
                yield file.read()


class Schemas(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.server = Postgres()
        cls.lite = sqlite3.connect(':memory:')
        for script in scripts('sqlite'):
            cls.lite.executescript(script)
        cls.ask('\n'.join(scripts('pgsql')))

    @classmethod
    def tearDownClass(cls):
        cls.server.free()
        cls.lite.close()

    @classmethod
    def ask(cls, sql):
        done = subprocess.run(['psql', '-XqAt', '-F', '\t', '-v', 'ON_ERROR_STOP=1',
                               cls.server.url], input=sql, text=True, capture_output=True,
                              timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return [line.split('\t') for line in done.stdout.splitlines()]

    def test_columns(self):
        lite = {(table, name, kind, bool(need) or bool(key)) for table, name, kind, need, key
                in self.lite.execute(
                    'SELECT m.name, c.name, c.type, c."notnull", c.pk FROM sqlite_master m'
                    ' JOIN pragma_table_xinfo(m.name) c WHERE m.type = \'table\''
                    " AND m.name <> 'user_subject_seq'")}
        big = {(table, name, TYPES[kind], null == 'NO') for table, name, kind, null
               in self.ask('SELECT table_name, column_name, data_type, is_nullable'
                           ' FROM information_schema.columns WHERE table_schema = \'public\''
                           " AND table_name <> 'cmd_log_default'")}
        self.assertEqual(sorted(lite - big), sorted(big - lite))

    def test_defaults(self):
        lite = {(table, name) for table, name in self.lite.execute(
            'SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c'
            " WHERE m.type = 'table' AND c.dflt_value IS NOT NULL")}
        big = {tuple(row) for row in self.ask(
            'SELECT table_name, column_name FROM information_schema.columns'
            " WHERE table_schema = 'public' AND column_default IS NOT NULL"
            " AND column_default NOT LIKE 'nextval%' AND table_name <> 'cmd_log_default'")}
        self.assertEqual(sorted(lite - big), sorted(big - lite))

    def test_indexes(self):
        """Those that have a name, with their columns and conditions."""
        def shape(sql):
            sql = re.sub(r'\s+', ' ', sql.split(' ON ', 1)[1]).lower()
            where = sql.split(' where ', 1)[1:] or ['']
            return bool(where[0]), 'desc' in sql
        lite = {(name, 'UNIQUE' in sql, *shape(sql)) for name, sql in self.lite.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")}
        big = {(name, 'UNIQUE' in sql, *shape(sql)) for name, sql in self.ask(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
            " AND indexname LIKE 'idx\\_%'") if name not in ONLY_PGSQL}
        self.assertEqual(sorted(lite - big), sorted(big - lite))

    def test_foreign_keys(self):
        lite = set(self.lite.execute(
            'SELECT m.name, f."table", f."from", f.on_delete FROM sqlite_master m'
            " JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'"))
        big = {tuple(row) for row in self.ask(
            'SELECT t.relname, f.relname, a.attname, CASE k.confdeltype WHEN \'c\' THEN'
            " 'CASCADE' WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END FROM pg_constraint k"
            ' JOIN pg_class t ON t.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid'
            ' JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.conkey[1]'
            " WHERE k.contype = 'f' AND NOT t.relispartition")}
        self.assertEqual(sorted(lite - big), sorted(big - lite))


if __name__ == '__main__':
    unittest.main()
