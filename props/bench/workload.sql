-- SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
-- A small database in memory, for ci/bench.
CREATE TABLE item(id INTEGER PRIMARY KEY, kind TEXT, name TEXT, weight INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
INSERT INTO item SELECT i, 'kind ' || (i * 7919 % 100), 'name of item ' || (i * 104729 % 60000), i * 31 % 1000 FROM n;
CREATE INDEX item_by_name ON item(name);
CREATE INDEX item_by_kind ON item(kind, weight);
UPDATE item SET name = name || ' ' || weight WHERE id % 3 = 0;
DELETE FROM item WHERE id % 7 = 0;
SELECT kind, count(*), sum(weight), group_concat(substr(name, 1, 8)) FROM item GROUP BY kind HAVING count(*) > 10 LIMIT 5;
SELECT count(*) FROM item a JOIN item b ON b.name = 'name of item ' || (a.id * 31 % 60000);
WITH RECURSIVE s(i, t) AS (SELECT 1, 'x' UNION ALL SELECT i + 1, substr(t || i || ',', -200) FROM s WHERE i < 50000)
SELECT length(t), sum(i) FROM s;
