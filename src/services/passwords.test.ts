/** Hashing of passwords is bounded (threat D7), and as slow for those who have none (threat D16). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MatrixError } from '../core/errors.ts';
import { Passwords } from './passwords.ts';

const passwords = (pepper: string | null = null): Passwords => new Passwords({ bcryptRounds: 4, pepper, policy: null });

test('a password matches its own hash and no other', async () => {
  const one = passwords();
  const stored = await one.hash('a password');

  assert.equal(await one.matches('a password', stored), true);
  assert.equal(await one.matches('a passwore', stored), false);
  assert.equal(await one.matches('', stored), false);
  assert.equal(await one.matches('a password', null), false);
});

test('the pepper is part of what is hashed', async () => {
  const stored = await passwords('pepper').hash('a password');

  assert.equal(await passwords('pepper').matches('a password', stored), true);
  assert.equal(await passwords('salt').matches('a password', stored), false);
  assert.equal(await passwords().matches('a passwordpepper', stored), true);
});

test('one password in two ways to write it is one password', async () => {
  const stored = await passwords().hash('caf\u00e9');

  assert.equal(await passwords().matches('cafe\u0301', stored), true);
});

test('D7: past a bound further checks are refused at once, and those before it end', async () => {
  const one = passwords();

  const outcomes = await Promise.allSettled(Array.from({ length: 500 }, () => one.matches('a password', null)));

  const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
  assert.equal(outcomes.length - refused.length, 102);
  for (const { reason } of refused) assert.equal(reason instanceof MatrixError && reason.status, 429);
});

test('D16: where there is no hash, a hash of the same cost is computed', async () => {
  const slow = new Passwords({ bcryptRounds: 11, pepper: null, policy: null });
  const quick = passwords();
  const cpuOf = async (deed: () => Promise<unknown>): Promise<number> => {
    const before = process.cpuUsage();
    await deed();
    const { user } = process.cpuUsage(before);
    return user;
  };

  const slowUs = await cpuOf(() => slow.matches('a password', null));
  const quickUs = await cpuOf(() => quick.matches('a password', null));

  // 128 times the work; counted in CPU, not in time.
  assert.ok(slowUs > 10 * quickUs, `${slowUs} and ${quickUs} microseconds`);
});
