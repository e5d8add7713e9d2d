/** Rate limits on a clock turned by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MatrixError } from '../core/errors.ts';
import { handClock } from '../kit/clock.ts';
import { ipKey, RateLimiter } from './limits.ts';

const limits = { slow: { perSecond: 0.2, burstCount: 3 }, never: { perSecond: 0, burstCount: 1 } };

test('a burst passes, then one call for each refill, and the refusal tells how long to wait', () => {
  const clock = handClock();
  const limiter = new RateLimiter({ clock, limits });

  for (let count = 0; count < 3; count++) limiter.spend('slow', 'alice');

  assert.throws(
    () => limiter.spend('slow', 'alice'),
    (error) => error instanceof MatrixError && error.status === 429 && error.fields['retry_after_ms'] === 5000,
  );
  clock.advance(4999);
  assert.equal(limiter.waitMs('slow', 'alice'), 1);
  clock.advance(1);
  limiter.spend('slow', 'alice');
  assert.equal(limiter.waitMs('slow', 'alice'), 5000);
  assert.equal(limiter.waitMs('slow', 'bob'), 0);
});

test('a bucket never holds more than the burst, however long it rests', () => {
  const clock = handClock();
  const limiter = new RateLimiter({ clock, limits });
  clock.advance(1e9);

  for (let count = 0; count < 3; count++) limiter.spend('slow', 'alice');

  assert.throws(() => limiter.spend('slow', 'alice'));
});

test('a rate of zero lets the burst through and no more', () => {
  const clock = handClock();
  const limiter = new RateLimiter({ clock, limits });
  limiter.spend('never', 'alice');
  clock.advance(1e9);

  assert.throws(() => limiter.spend('never', 'alice'));
});

test('exempt keys are never limited, and a key may have a limit of its own', () => {
  const limiter = new RateLimiter({
    clock: handClock(),
    limits,
    isExempt: (key) => key === 'bot',
    overrideFor: (_limit, key) => (key === 'vip' ? { perSecond: 1, burstCount: 5 } : undefined),
  });

  for (let count = 0; count < 10; count++) limiter.spend('slow', 'bot');
  for (let count = 0; count < 5; count++) limiter.spend('slow', 'vip');

  assert.throws(() => limiter.spend('slow', 'vip'));
});

test('the number of buckets is bounded; the one longest unused is forgotten', () => {
  const limiter = new RateLimiter({ clock: handClock(), limits, bucketsMax: 2 });
  for (const key of ['a', 'a', 'a', 'b', 'c']) limiter.spend('slow', key);

  assert.equal(limiter.waitMs('slow', 'a'), 0);
});

test('IPv6 addresses of one /64 are one key, an IPv4 address is its own (threat D15)', () => {
  assert.equal(ipKey('192.0.2.1'), '192.0.2.1');
  assert.equal(ipKey('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(ipKey('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64');
  assert.equal(ipKey('2001:db8:1:2::1'), ipKey('2001:0db8:0001:0002:ffff::'));
  assert.equal(ipKey('2001:db8::1'), '2001:db8:0:0::/64');
  assert.equal(ipKey('::1'), '0:0:0:0::/64');
  assert.equal(ipKey('fe80::1%eth0'), 'fe80:0:0:0::/64');
});
