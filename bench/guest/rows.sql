-- Sixty thousand rows made, indexed, joined, grouped and changed.
CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, city INTEGER, score REAL);
CREATE TABLE city(id INTEGER PRIMARY KEY, name TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
INSERT INTO city SELECT i, 'city' || (i * 37 % 101) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
INSERT INTO person SELECT i, 'name' || (i * 7919 % 60013), i * 31 % 100 + 1, (i * 104729 % 1000) / 8.0 FROM n;
CREATE INDEX by_name ON person(name);
SELECT city.name, count(*), sum(score), min(person.name) FROM person JOIN city ON person.city = city.id
    GROUP BY city.name ORDER BY 3 DESC, 1 LIMIT 20;
UPDATE person SET score = score + 1 WHERE name LIKE 'name1%7';
SELECT count(*), sum(score), max(length(name)) FROM person WHERE name BETWEEN 'name2' AND 'name4';
DELETE FROM person WHERE id % 3 = 0;
SELECT count(*), sum(id) FROM person;
