import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AddressGuard, INNER_RANGES } from './address-guard.ts';

const usual = new AddressGuard({ blocked: null, allowed: [] });

/** The addresses of each range that we name: its first one, and for IPv4 those that stand for it in IPv6. */
const INNER = [
  ...INNER_RANGES.map((range) => range.split('/')[0]!),
  '10.255.255.255',
  '127.0.0.1',
  '169.254.169.254',
  '172.31.255.255',
  '100.127.255.255',
  '255.255.255.255',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:0:10.0.0.1',
  '::10.0.0.1',
  '64:ff9b::10.0.0.1',
  '64:ff9b:1::a00:1',
  '2002:a00:1::',
  '2002:7f00:1::1',
  'fd00::1',
  'fe80::1',
  'fe80::1%eth0',
  'ff02::1',
  '0:0:0:0:0:0:0:1',
];

const OUTER = [
  '1.1.1.1',
  '9.255.255.255',
  '11.0.0.0',
  '172.32.0.0',
  '192.167.255.255',
  '223.255.255.255',
  '2606:4700:4700::1111',
  '::ffff:1.1.1.1',
  '64:ff9b::1.1.1.1',
  '2002:101:101::1',
];

test('addresses of our own network are not reached, in none of their forms (threat E2)', () => {
  for (const address of INNER) assert.equal(usual.mayReach(address), false, address);
  for (const address of OUTER) assert.equal(usual.mayReach(address), true, address);
});

test('what is no address is not reached', () => {
  for (const text of ['', 'localhost', '127.1', '0x7f000001', '2130706433', '1.1.1.1 ', '[::1]', '1.1.1.1%eth0']) {
    assert.equal(usual.mayReach(text), false, text);
  }
});

test('exceptions open a part of what is blocked, and a list of our own replaces the usual one', () => {
  const guard = new AddressGuard({ blocked: null, allowed: ['10.1.0.0/16', 'fd00::5'] });
  assert.equal(guard.mayReach('10.1.2.3'), true);
  assert.equal(guard.mayReach('::ffff:10.1.2.3'), true);
  assert.equal(guard.mayReach('10.2.0.1'), false);
  assert.equal(guard.mayReach('fd00::5'), true);
  assert.equal(guard.mayReach('fd00::6'), false);

  const own = new AddressGuard({ blocked: ['1.1.1.0/24'], allowed: [] });
  assert.equal(own.mayReach('1.1.1.1'), false);
  assert.equal(own.mayReach('10.0.0.1'), true);
});

test('an empty list blocks nothing but the addresses that stand for this machine', () => {
  const open = new AddressGuard({ blocked: [], allowed: [] });
  assert.equal(open.mayReach('172.17.0.2'), true);
  assert.equal(open.mayReach('127.0.0.1'), true);
  assert.equal(open.mayReach('0.0.0.0'), false);
  assert.equal(open.mayReach('::'), false);
  assert.equal(open.mayReach('::ffff:0.0.0.0'), false);
});

test('a range that is none is refused', () => {
  for (const range of ['10.0.0.0/', '10.0.0.0/8/8', 'ten', '10.0.0.0/x', '10.0.0.0/40']) {
    assert.throws(() => new AddressGuard({ blocked: [range], allowed: [] }), range);
  }
});
