import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BUSY, combineDevices, PRESENCE_STATES, type PresentDevice } from './presence.ts';

const TIMERS = { activeMs: 60, idleMs: 300, offlineMs: 30 };

const device = (change: Partial<PresentDevice>): PresentDevice => ({
  said: 'online',
  lastActiveMs: 0,
  lastSeenMs: 0,
  syncs: 1,
  ...change,
});

const presenceOf = (devices: readonly PresentDevice[], nowMs: number): string =>
  combineDevices(devices, nowMs, TIMERS).presence;

test('the most present of the devices counts: busy, online, unavailable, offline', () => {
  const said = PRESENCE_STATES.map((state) => device({ said: state }));
  assert.equal(presenceOf(said, 0), BUSY);
  const others = said.filter((each) => each.said !== BUSY);
  assert.equal(presenceOf(others, 0), 'online');
  assert.equal(presenceOf(others, 300), 'unavailable');
  assert.equal(presenceOf([device({ said: 'offline' })], 0), 'offline');
  assert.equal(presenceOf([], 0), 'offline');
});

test('a device that syncs grows idle, and one that stopped is gone in time', () => {
  assert.equal(presenceOf([device({})], 299), 'online');
  assert.equal(presenceOf([device({})], 300), 'unavailable');
  assert.equal(presenceOf([device({ syncs: 0 })], 29), 'online');
  assert.equal(presenceOf([device({ syncs: 0 })], 30), 'offline');
  assert.equal(presenceOf([device({ said: BUSY, syncs: 0 })], 3_599_999), BUSY);
  assert.equal(presenceOf([device({ said: BUSY, syncs: 0 })], 3_600_000), 'offline');
});

test('nothing changes by time alone before the moment that is told, and something may then', () => {
  const someDevice = fc.record({
    said: fc.constantFrom(...PRESENCE_STATES.filter((state) => state !== BUSY)),
    lastActiveMs: fc.nat(400),
    lastSeenMs: fc.nat(30).map((ms) => 400 + ms),
    syncs: fc.nat(1),
  });
  const check = (devices: readonly PresentDevice[], nowMs: number): void => {
    const { changesAtMs, ...now } = combineDevices(devices, nowMs, TIMERS);
    for (let ms = nowMs; ms < Math.min(changesAtMs ?? 1000, 1000); ms++) {
      const { changesAtMs: _, ...then } = combineDevices(devices, ms, TIMERS);
      assert.deepEqual(then, now);
    }
    assert.ok(changesAtMs === null || changesAtMs > nowMs);
  };
  const now = fc.nat(40).map((ms) => 400 + ms);
  fc.assert(fc.property(fc.array(someDevice, { maxLength: 4 }), now, check));
});
