-- SPDX-License-Identifier: LGPL-2.1-or-later
-- Looks after one partitioned table. What is wanted stands in the setting
-- chargehost.partitions, as JSON, for as long as the transaction.
--
-- A new partition is filled with its strays before it is attached, so the table itself is
-- locked against changes of its shape only, not against rows. What has to wait for
-- somebody's lock waits for half a second: nobody queues behind it for longer, and it is
-- tried anew later.
DO $ch$
DECLARE
  spec jsonb := current_setting ('chargehost.partitions')::jsonb;
  base text := spec ->> 'table';
  col text := spec ->> 'column';
  unit text := spec ->> 'unit';
  step interval := ('1 ' || unit)::interval;
  form text := CASE unit WHEN 'day' THEN 'YYYYMMDD' ELSE 'YYYYMM' END;
  whole text := 'YYYY-MM-DD"T"HH24:MI:SS"+00"';
  detach boolean := (spec ->> 'detach')::boolean;
  present timestamp := date_trunc (unit,
    to_timestamp ((spec ->> 'now')::bigint / 1000) AT TIME ZONE 'UTC');
  cut timestamp := present - (spec ->> 'keep')::int * step;
  parent regclass := to_regclass (quote_ident (base));
  stem text;
  spare oid;
  columns text;
  low timestamp;
  child text;
  old regclass;
BEGIN
  SELECT quote_ident (n.nspname), p.partdefid INTO stem, spare
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
    WHERE c.oid = parent;
  IF stem IS NULL THEN
    RAISE EXCEPTION '% is not a partitioned table', base
      USING ERRCODE = 'wrong_object_type';
  END IF;
  -- One instance at a time is enough.
  IF NOT pg_try_advisory_xact_lock (hashtextextended (stem || '.' || base, 1667788897))
  THEN
    RETURN;
  END IF;
  PERFORM set_config ('lock_timeout', '500ms', true);
  SELECT string_agg (quote_ident (attname), ', ' ORDER BY attnum) INTO columns
    FROM pg_catalog.pg_attribute
    WHERE attrelid = parent AND attnum > 0 AND NOT attisdropped AND attgenerated = '';

  FOR i IN 0 .. (spec ->> 'ahead')::int LOOP
    low := present + i * step;
    child := stem || '.' || quote_ident (base || '_p' || to_char (low, form));
    CONTINUE WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits
      WHERE inhrelid = to_regclass (child) AND inhparent = parent);
    EXECUTE format ('CREATE TABLE IF NOT EXISTS %s (LIKE %s INCLUDING DEFAULTS'
      ' INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE)', child, parent);
    IF spare <> 0 THEN
      EXECUTE format ('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', spare::regclass);
      EXECUTE format ('WITH moved AS (DELETE FROM %s WHERE %I >= %L AND %I < %L'
        ' RETURNING %s) INSERT INTO %s (%s) SELECT * FROM moved', spare::regclass,
        col, to_char (low, whole), col, to_char (low + step, whole), columns,
        child, columns);
    END IF;
    EXECUTE format ('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
      parent, child, to_char (low, whole), to_char (low + step, whole));
  END LOOP;

  IF cut = present THEN
    RETURN;
  END IF;
  IF spare <> 0 AND NOT detach THEN
    EXECUTE format ('DELETE FROM %1$s WHERE ctid = ANY (ARRAY (SELECT ctid FROM %1$s'
      ' WHERE %2$I < %3$L LIMIT 10000))', spare::regclass, col, to_char (cut, whole));
  END IF;
  FOR old IN SELECT c.oid::regclass FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = parent
      AND c.relname ~ ('^' || base || '_p[0-9]{' || length (form) || '}$')
      AND to_date (right (c.relname, length (form)), form) + step <= cut
    ORDER BY c.relname
  LOOP
    BEGIN
      IF detach THEN
        EXECUTE format ('ALTER TABLE %s DETACH PARTITION %s', parent, old);
      ELSE
        EXECUTE format ('DROP TABLE %s', old);
      END IF;
    EXCEPTION WHEN lock_not_available THEN
      RAISE LOG '% is in use and goes later', old;
      EXIT;
    END;
  END LOOP;
END $ch$
