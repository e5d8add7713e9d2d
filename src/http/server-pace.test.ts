/** A server that asks too much is slowed, then refused; nobody else notices. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MatrixError } from '../core/errors.ts';
import { handClock } from '../kit/clock.ts';
import { ServerPace } from './server-pace.ts';

const LIMITS = { windowMs: 1000, sleepLimit: 3, sleepDelayMs: 500, rejectLimit: 2, concurrent: 2 };
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

function scene(changes: Partial<typeof LIMITS> = {}) {
  const clock = handClock();
  const pace = new ServerPace({ clock, limits: { ...LIMITS, ...changes } });
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const ask = (server: string, name: string, signal = new AbortController().signal): Promise<string> =>
    pace.run(server, signal, () => {
      begun.push(name);
      return new Promise((resolve) => ends.set(name, () => resolve(name)));
    });
  const isLimit = (error: unknown) =>
    error instanceof MatrixError && error.errcode === 'M_LIMIT_EXCEEDED' && error.fields['retry_after_ms'] === 334;
  return { clock, begun, ends, ask, isLimit };
}

test('requests of one server beyond some at work wait for their turn, those of another do not (D17)', async () => {
  const { begun, ends, ask } = scene();

  const [first] = [ask('a', '1'), ask('a', '2'), ask('a', '3'), ask('b', '4')];
  await settled();
  assert.deepEqual(begun, ['1', '2', '4']);
  ends.get('1')!();
  assert.equal(await first, '1');
  await settled();

  assert.deepEqual(begun, ['1', '2', '4', '3']);
});

test('what comes too fast is slowed, and what comes while too many wait is refused', async () => {
  const { clock, begun, ends, ask, isLimit } = scene({ concurrent: 10 });
  for (const name of ['1', '2', '3']) {
    const asked = ask('a', name);
    await settled();
    ends.get(name)!();
    await asked;
  }

  for (const name of ['4', '5', '6']) void ask('a', name);
  await settled();
  assert.deepEqual(begun, ['1', '2', '3']);
  await assert.rejects(ask('a', '7'), isLimit);
  clock.advance(500);
  await settled();
  assert.deepEqual(begun, ['1', '2', '3', '4', '5', '6']);

  clock.advance(1000);
  void ask('a', '8');
  await settled();
  assert.equal(begun.at(-1), '8', 'the window is over');
});

test('a request whose sender goes away does not wait on', async () => {
  const { ask, begun, ends } = scene({ sleepLimit: 0, rejectLimit: 0 });
  const gone = new AbortController();

  const waiting = ask('a', '1', gone.signal);
  gone.abort(new Error('gone'));

  await assert.rejects(waiting, /gone/);
  assert.deepEqual([begun, [...ends]], [[], []]);
  await assert.rejects(ask('a', '2', gone.signal), /gone/);
});
