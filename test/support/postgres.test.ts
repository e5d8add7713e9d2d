/** The PostgreSQL that tests stand on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { sharedPostgres } from './postgres.ts';

test('a test database is empty, in UTF-8 with C collation, and nobody else has it', async (t) => {
  const server = await sharedPostgres();
  t.after(() => server.stop());

  const [one, other] = [await server.createDatabase('Same label'), await server.createDatabase('Same label')];

  assert.notEqual(one.database, other.database);
  const client = new pg.Client({ connectionString: one.url });
  await client.connect();
  const { rows } = await client.query(`
    select pg_encoding_to_char(encoding) as encoding, datcollate, datctype,
           (select count(*)::int from pg_tables where schemaname = 'public') as tables
    from pg_database where datname = current_database()`);
  await client.end();
  assert.deepEqual(rows, [{ encoding: 'UTF8', datcollate: 'C', datctype: 'C', tables: 0 }]);
});
