import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { sharedPostgres } from '../../test/support/postgres.ts';
import type { ServerName } from '../core/ids.ts';
import { handClock } from '../kit/clock.ts';
import { silentLog } from '../kit/log.ts';
import { seededRandom } from '../kit/random.ts';
import { type DatabaseOptions, openDatabase } from '../storage/open.ts';
import { type BackOffBounds, nextPauseMs, StoredBackOff } from './back-off.ts';

const FAR = 'far.test' as ServerName;
const MINUTE_MS = 60_000;
const BOUNDS: BackOffBounds = {
  freeFailures: 2,
  pauseMinMs: 10 * MINUTE_MS,
  pauseMaxMs: 100 * MINUTE_MS,
  multiplier: 2,
};
const YEAR_MS = 365 * 24 * 3_600_000;

const memory: DatabaseOptions = { kind: 'sqlite', path: ':memory:', synchronous: 'off' };

async function open(t: { after(call: () => unknown): void }, options = memory, clock = handClock(), bounds = BOUNDS) {
  const db = await openDatabase(options, { info() {} });
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) await db.close();
    isOpen = false;
  };
  t.after(close);
  const backOff = await StoredBackOff.open({ db, clock, random: seededRandom(1), log: silentLog, bounds });
  const fail = (times: number): void => {
    for (let n = 0; n < times; n++) {
      const begunMs = clock.now();
      clock.advance(1);
      backOff.failed(FAR, begunMs, null);
    }
  };
  return { backOff, clock, fail, close };
}

test('pauses grow up to a bound, whatever the bounds say and however often a server fails (threat C10)', () => {
  const number = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(0, 1e308, Number.NaN, Number.POSITIVE_INFINITY));
  fc.assert(
    fc.property(
      number,
      number,
      number,
      fc.integer({ min: 1, max: 5000 }),
      (pauseMinMs, pauseMaxMs, multiplier, times) => {
        const bounds = { freeFailures: 0, pauseMinMs, pauseMaxMs, multiplier };
        let pauseMs = 0;
        for (let n = 0; n < times; n++) {
          const next = nextPauseMs(pauseMs, bounds);
          assert.ok(Number.isSafeInteger(next) && next >= 0 && next <= YEAR_MS, `${next}`);
          if (n > 0 && pauseMs > 0)
            assert.ok(next >= pauseMs || next === nextPauseMs(Number.POSITIVE_INFINITY, bounds));
          if (next === pauseMs) break;
          pauseMs = next;
        }
      },
    ),
  );
});

test('what a server asks for is bounded too (threat C10)', async (t) => {
  const { backOff, clock } = await open(t);
  for (const askedMs of [-5, 0, 1e308, Number.POSITIVE_INFINITY, 5000]) {
    backOff.failed(FAR, clock.now(), askedMs);
    const untilMs = backOff.pausedUntilMs(FAR);
    assert.ok(untilMs === null || untilMs <= clock.now() + 60 * MINUTE_MS);
  }
  clock.advance(61 * MINUTE_MS);
  assert.equal(backOff.pausedUntilMs(FAR), null);
});

test('the first failures are free, then pauses double, with some jitter', async (t) => {
  const { backOff, clock, fail } = await open(t);
  fail(2);
  assert.equal(backOff.pausedUntilMs(FAR), null);

  const pauses: number[] = [];
  for (let n = 0; n < 6; n++) {
    fail(1);
    const pauseMs = backOff.pausedUntilMs(FAR)! - clock.now();
    pauses.push(pauseMs / MINUTE_MS);
    clock.advance(pauseMs);
    assert.equal(backOff.pausedUntilMs(FAR), null);
  }

  for (const [index, meant] of [10, 20, 40, 80, 100, 100].entries()) {
    assert.ok(pauses[index]! >= meant * 0.8 && pauses[index]! <= Math.min(100, meant * 1.2), `${pauses}`);
  }
  assert.notEqual(pauses[0], 10);
});

test('calls that were at work together are one failure', async (t) => {
  const { backOff, clock } = await open(t);
  const begunMs = clock.now();
  clock.advance(1000);
  for (let n = 0; n < 50; n++) backOff.failed(FAR, begunMs, null);

  assert.equal(backOff.pausedUntilMs(FAR), null);
});

test('a server that is there again is asked at once, and who waits for it is told', async (t) => {
  const { backOff, fail } = await open(t);
  const returned: string[] = [];
  const stop = backOff.onReturn((server) => returned.push(server));
  fail(3);
  assert.notEqual(backOff.pausedUntilMs(FAR), null);

  backOff.isThere(FAR);
  backOff.isThere(FAR);

  assert.equal(backOff.pausedUntilMs(FAR), null);
  assert.deepEqual(returned, [FAR]);
  fail(2);
  assert.equal(backOff.pausedUntilMs(FAR), null, 'failures are counted from the start again');
  stop();
});

for (const kind of process.env['MYELIN_TEST_POSTGRES'] ? ['sqlite', 'postgres'] : ['sqlite']) {
  test(`a restart keeps pauses, and forgets those of servers that came back (${kind})`, async (t) => {
    let options: DatabaseOptions;
    if (kind === 'postgres') {
      const server = await sharedPostgres();
      const database = await server.createDatabase('backoff');
      t.after(() => server.dropDatabase(database));
      options = { kind: 'postgres', connection: { connectionString: database.url } };
    } else {
      const directory = mkdtempSync(join(tmpdir(), 'myelin-test-'));
      t.after(() => rmSync(directory, { recursive: true, force: true }));
      options = { kind: 'sqlite', path: join(directory, 'test.db'), synchronous: 'off' };
    }
    const clock = handClock();
    const first = await open(t, options, clock);
    first.fail(4);
    const untilMs = first.backOff.pausedUntilMs(FAR);
    await first.close();

    const second = await open(t, options, clock);
    assert.equal(second.backOff.pausedUntilMs(FAR), untilMs);
    clock.advance(60 * MINUTE_MS);
    second.fail(1);
    assert.ok(second.backOff.pausedUntilMs(FAR)! > clock.now() + 30 * MINUTE_MS, 'it goes on growing');
    second.backOff.isThere(FAR);
    await second.close();

    const third = await open(t, options, clock);
    assert.equal(third.backOff.pausedUntilMs(FAR), null);
  });
}
