import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { sharedPostgres } from '../../test/support/postgres.ts';
import { type Database, UniqueViolation } from './database.ts';
import { MIGRATIONS, type MigratableDatabase, migrate, SCHEMA_VERSION } from './migrations.ts';
import { openPostgres } from './postgres.ts';
import { anyOf, sql } from './sql.ts';
import { openSqlite } from './sqlite.ts';

const silent = { info(): void {} };

type Opener = { name: string; open(): Promise<MigratableDatabase>; reopen(): Promise<MigratableDatabase> };

/** One database of each kind, gone when the test ends. */
async function eachKind(t: { after(call: () => unknown): void }): Promise<Opener[]> {
  const directory = mkdtempSync(join(tmpdir(), 'myelin-db-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const sqlite = () => openSqlite({ path: join(directory, 'a.db'), synchronous: 'off' });
  const made = await (await sharedPostgres()).createDatabase('seam');
  const postgres = () => openPostgres({ connection: { connectionString: made.url } });
  return [
    { name: 'sqlite', open: sqlite, reopen: sqlite },
    { name: 'postgres', open: postgres, reopen: postgres },
  ];
}

async function onBoth(
  t: { after(call: () => unknown): void },
  work: (db: MigratableDatabase, kind: Opener) => Promise<void>,
): Promise<void> {
  for (const kind of await eachKind(t)) {
    const db = await kind.open();
    await db.script('create table things (id bigint primary key, word text)');
    try {
      await work(db, kind);
    } finally {
      await db.close();
    }
  }
}

const words = async (db: Database): Promise<(string | null)[]> =>
  (await db.all<{ word: string | null }>(sql`select word from things order by id`)).map((row) => row.word);

test('a committed batch is there for readers, whole and in order', async (t) => {
  await onBoth(t, async (db) => {
    await Promise.all([
      db.commit([sql`insert into things values (${1}, ${'a'})`, sql`insert into things values (${2}, ${null})`]),
      db.commit([sql`update things set word = ${'b'} where id = ${2}`]),
    ]);

    assert.deepEqual(await words(db), ['a', 'b']);
    assert.deepEqual(await db.all(sql`select id from things where id ${anyOf([2, 3])}`), [{ id: 2 }]);
  });
});

test('a batch that fails takes neither its neighbors nor a part of itself along', async (t) => {
  await onBoth(t, async (db) => {
    await db.commit([sql`insert into things values (${1}, ${'first'})`]);

    const settled = await Promise.allSettled([
      db.commit([sql`insert into things values (${2}, ${'good'})`]),
      db.commit([sql`insert into things values (${3}, ${'half'})`, sql`insert into things values (${1}, ${'twice'})`]),
      db.commit([sql`insert into things values (${4}, ${'good too'})`]),
    ]);

    assert.deepEqual(
      settled.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.ok(settled[1]?.status === 'rejected' && settled[1].reason instanceof UniqueViolation);
    assert.deepEqual(await words(db), ['first', 'good', 'good too']);
  });
});

test('what builds on a failed batch of its chain never reaches the disk', async (t) => {
  await onBoth(t, async (db) => {
    await db.commit([sql`insert into things values (${1}, ${'first'})`]);

    const settled = await Promise.allSettled([
      db.commit([sql`insert into things values (${1}, ${'twice'})`], 'room'),
      db.commit([sql`insert into things values (${5}, ${'on top'})`], 'room'),
      db.commit([sql`insert into things values (${6}, ${'elsewhere'})`], 'other room'),
    ]);

    assert.deepEqual(
      settled.map(({ status }) => status),
      ['rejected', 'rejected', 'fulfilled'],
    );
    assert.deepEqual(await words(db), ['first', 'elsewhere']);
  });
});

test('an interactive transaction sees its own writes and leaves nothing when it throws', async (t) => {
  await onBoth(t, async (db) => {
    const seen = await db.write(async (tx) => {
      assert.equal(await tx.run(sql`insert into things values (${1}, ${'kept'})`), 1);
      return tx.first<{ word: string }>(sql`select word from things where id = ${1}`);
    });
    assert.equal(seen?.word, 'kept');

    await assert.rejects(
      db.write(async (tx) => {
        await tx.run(sql`insert into things values (${2}, ${'gone'})`);
        throw new Error('changed my mind');
      }),
      /changed my mind/,
    );

    assert.deepEqual(await words(db), ['kept']);
  });
});

test('F3: a second process on the same database is turned away with a sentence', async (t) => {
  for (const kind of await eachKind(t)) {
    const first = await kind.open();

    await assert.rejects(kind.reopen(), /in use by another/);

    await first.close();
    await (await kind.reopen()).close();
  }
});

test('F4: a database of a newer program is refused, and an older one is brought up once', async (t) => {
  for (const kind of await eachKind(t)) {
    const db = await kind.open();
    await migrate(db, silent);
    await migrate(db, silent);
    const found = await db.first<{ version: number }>(sql`select version from schema_version`);
    assert.equal(found?.version, SCHEMA_VERSION);

    const newer = {
      ...MIGRATIONS.at(-1)!,
      version: SCHEMA_VERSION + 1,
      compatibleFrom: SCHEMA_VERSION + 1,
      script: '',
    };
    await migrate(db, silent, [...MIGRATIONS, newer]);

    await assert.rejects(migrate(db, silent), /needs a program that knows at least version/);
    await db.close();
  }
});

test('F4: a migration that is interrupted leaves nothing behind and is done at the next start', async (t) => {
  for (const kind of await eachKind(t)) {
    const db = await kind.open();
    await migrate(db, silent);
    const next = { version: SCHEMA_VERSION + 1, compatibleFrom: 1, title: 'more things' };
    const broken = { ...next, script: 'create table more (id bigint); insert into nowhere values (1);' };
    await assert.rejects(migrate(db, silent, [...MIGRATIONS, broken]));
    await db.close();

    const again = await kind.reopen();
    await migrate(again, silent, [...MIGRATIONS, { ...next, script: 'create table more (id bigint);' }]);

    assert.deepEqual(await again.all(sql`select id from more`), []);
    await again.close();
  }
});

test('a PostgreSQL database with a wrong collation is refused with the cure', async () => {
  const server = await sharedPostgres();
  const made = await server.createDatabase('plain');
  const db = await openPostgres({ connection: { connectionString: made.url } });
  await db.close();
  const { Client } = (await import('pg')).default;
  const client = new Client({ connectionString: made.url });
  await client.connect();
  const name = `${made.database}_latin`;
  await client.query(`create database ${name} encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0`);
  await client.end();

  const url = new URL(made.url);
  url.pathname = `/${name}`;

  await assert.rejects(
    openPostgres({ connection: { connectionString: url.href } }),
    /encoding SQL_ASCII, it must be UTF8\. Make it anew: CREATE DATABASE/,
  );
});
