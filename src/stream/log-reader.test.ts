import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handClock } from '../kit/clock.ts';
import { type Log, silentLog } from '../kit/log.ts';
import { openDatabase } from '../storage/open.ts';
import { LogReader } from './log-reader.ts';
import { Stream } from './stream.ts';

const silent = { info(): void {} };

/** A log and a reader of it that notes how far it was asked to read, `step` positions at a time. */
async function scene(
  t: { after(call: () => unknown): void },
  options: { step?: number; log?: Log; batchMs?: number } = {},
) {
  const { step = 1000, log = silentLog, batchMs = 0 } = options;
  const clock = handClock();
  const db = await openDatabase({ kind: 'sqlite', path: ':memory:' }, silent);
  const stream = await Stream.open({ db, clock });
  const read: number[] = [];
  let failures = 0;
  const first = stream.current;
  const reader = new LogReader({
    stream,
    clock,
    log,
    concerns: (change) => change.kind === 'event',
    start: async () => first,
    async readOn(after, upTo) {
      if (failures-- > 0) throw new Error('The disk is full.');
      clock.advance(batchMs);
      const to = Math.min(after + step, upTo);
      read.push(to);
      return to;
    },
  });
  t.after(async () => {
    await reader.stop();
    await db.close();
  });
  const change = (): number => {
    const position = stream.issue();
    stream.publish({ kind: 'event', position, roomNo: 1, about: null, users: [] });
    return position;
  };
  const failNext = (): void => {
    failures = 1;
  };
  return { clock, stream, reader, read, change, failNext };
}

test('changes are read together some time later, or at once where somebody waits for them', async (t) => {
  const { clock, reader, read, change } = await scene(t);
  change();
  const last = change();
  assert.deepEqual(read, []);

  assert.ok(await reader.reached(last, 1000));
  assert.deepEqual(read, [last]);
  const next = change();
  clock.advance(2000);
  assert.ok(await reader.reached(next, 1000));

  assert.deepEqual(read, [last, next]);
});

test('who waits gives up when the time is over, or reading fails, and it is read later all the same', async (t) => {
  const { clock, reader, read, change, failNext } = await scene(t);
  const last = change();
  failNext();

  assert.equal(await reader.reached(last, 1000), false);
  clock.advance(10_000);
  assert.ok(await reader.reached(last, 1000));

  assert.deepEqual(read, [last]);
});

test('a long way is told of in the log, and nobody waits for its end', async (t) => {
  const told: string[] = [];
  const log: Log = {
    ...silentLog,
    info: (message, fields) => void told.push(`${message} ${fields?.['percent'] ?? ''}`),
  };
  const { reader, change, read, stream } = await scene(t, { step: 25_000, log, batchMs: 6000 });
  for (let count = 0; count < 60_000; count++) change();

  assert.equal(await reader.reached(stream.current, 1e9), false);
  assert.equal(read.length, 1);
  while (told.length < 2) await new Promise((resolve) => setImmediate(resolve));

  assert.deepEqual(told, ['Catching up with the log. 83', 'Caught up with the log. ']);
  assert.ok(await reader.reached(stream.current, 1e9));
});
