import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { sharedPostgres } from '../../test/support/postgres.ts';
import { handClock } from '../kit/clock.ts';
import { type DatabaseOptions, openDatabase } from '../storage/open.ts';
import { Stream } from './stream.ts';

const silent = { info(): void {} };

/** One database of each kind, gone when the test ends. */
async function eachKind(t: { after(call: () => unknown): void }): Promise<DatabaseOptions[]> {
  const directory = mkdtempSync(join(tmpdir(), 'myelin-stream-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const made = await (await sharedPostgres()).createDatabase('stream');
  return [
    { kind: 'sqlite', path: join(directory, 'a.db'), synchronous: 'off' },
    { kind: 'postgres', connection: { connectionString: made.url } },
  ];
}

test('a position becomes visible only when all before it are, however late they commit', async () => {
  const db = await openDatabase({ kind: 'sqlite', path: ':memory:' }, silent);
  const stream = await Stream.open({ db, clock: handClock() });
  const seen: number[] = [];
  stream.listen((change) => seen.push(change.position));
  const slow = stream.issue();
  const quick = stream.issue();
  const change = { kind: 'receipt', roomNo: 1, about: null, users: [] } as const;

  stream.publish({ ...change, position: quick });
  assert.ok(stream.current < slow);
  assert.deepEqual(seen, []);
  stream.publish({ ...change, position: slow });

  assert.equal(stream.current, quick);
  assert.deepEqual(seen, [slow, quick]);
  await db.close();
});

test('positions go on behind those of an earlier start, also when it was killed', async (t) => {
  for (const kind of await eachKind(t)) {
    const db = await openDatabase(kind, silent);
    const first = await Stream.open({ db, clock: handClock() });
    const last = first.issue();
    const backwards = first.issueBackwards();
    await db.close();

    const again = await openDatabase(kind, silent);
    const second = await Stream.open({ db: again, clock: handClock() });

    assert.ok(second.current >= last);
    assert.ok(second.issueBackwards() < backwards);
    await again.close();
  }
});
