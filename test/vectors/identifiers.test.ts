import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitDotPath } from '../../src/core/dot-path.ts';
import {
  ID_BYTES_MAX,
  isCreateHashRoomId,
  isNamespacedId,
  isOpaqueId,
  isRoomVersionName,
  isValidLocalUserId,
  localpartFromText,
  parseMxcUri,
  parseRoomAlias,
  parseRoomId,
  parseServerName,
  parseUserId,
} from '../../src/core/ids.ts';
import { formatMatrixTo, formatMatrixUri, parseMatrixLink } from '../../src/core/matrix-uri.ts';
import { AUTH_EVENTS_MAX, EVENT_BYTES_MAX, isEventIdOf, PREV_EVENTS_MAX } from '../../src/core/pdu-format.ts';
import { findRoomRules } from '../../src/core/room-versions.ts';
import { canonicalEmail, canonicalMsisdn, lookupHash } from '../../src/core/threepid.ts';
import { readVectors } from './vectors.ts';

/** A text, and whether the specification prints it ("s") or it was derived from a rule ("d"). */
type Items = [text: string, source: string][];
type Grammar = { valid: Items; invalid: Items };
const grammar = readVectors<{
  server_name: Grammar;
  user_id: { new_valid: Items; new_invalid_but_historical_ok: Items; always_invalid: Items };
  localpart_mapping: { cases: [text: string, localpart: string, source: string][] };
  room_id: { valid_v1_to_v11: Items; valid_v12: Items; invalid: Items };
  room_alias: Grammar;
  event_id: { v1_v2: Items; v3: Items; v4_on: Items };
  room_version: Grammar;
  namespaced: Grammar;
  opaque: Grammar;
  mxc: Grammar;
}>('id-grammar');

function assertGrammar({ valid, invalid }: Grammar, isValid: (text: string) => boolean): void {
  for (const [text] of valid) assert.equal(isValid(text), true, JSON.stringify(text));
  for (const [text] of invalid) assert.equal(isValid(text), false, JSON.stringify(text));
}

test('server names, aliases and the other grammars accept and refuse what the vectors say', () => {
  assertGrammar(grammar.server_name, (text) => parseServerName(text) !== null);
  assertGrammar(grammar.room_alias, (text) => parseRoomAlias(text) !== null);
  assertGrammar(grammar.room_version, isRoomVersionName);
  assertGrammar(grammar.namespaced, isNamespacedId);
  assertGrammar(grammar.opaque, isOpaqueId);
  assertGrammar(grammar.mxc, (text) => parseMxcUri(text) !== null);
});

test('historical user IDs are read but not created', () => {
  const { new_valid: today, new_invalid_but_historical_ok: historical, always_invalid: never } = grammar.user_id;
  assertGrammar({ valid: today, invalid: [...historical, ...never] }, isValidLocalUserId);
  assertGrammar({ valid: [...today, ...historical], invalid: never }, (text) => parseUserId(text) !== null);
});

test('a localpart can be made from any text', () => {
  for (const [text, localpart] of grammar.localpart_mapping.cases) assert.equal(localpartFromText(text), localpart);
});

test('room IDs of all versions are read', () => {
  const { valid_v1_to_v11: named, valid_v12: hashes, invalid } = grammar.room_id;
  assertGrammar({ valid: [...named, ...hashes], invalid }, (text) => parseRoomId(text) !== null);
  assertGrammar({ valid: hashes, invalid: [...named, ...invalid] }, isCreateHashRoomId);
});

test('an event ID has the form of its room version (A4)', () => {
  const { v1_v2: named, v3, v4_on: v4 } = grammar.event_id;
  const v3Only = v3.filter(([text]) => /[+/]/.test(text));
  assertGrammar({ valid: named, invalid: [...v3, ...v4] }, (text) => isEventIdOf(findRoomRules('2')!, text));
  assertGrammar({ valid: v3, invalid: [...named, ...v4] }, (text) => isEventIdOf(findRoomRules('3')!, text));
  assertGrammar({ valid: v4, invalid: [...named, ...v3Only] }, (text) => isEventIdOf(findRoomRules('4')!, text));
});

test('the limits of events are those of the specification', () => {
  const limits = readVectors<{
    event_bytes_max: number;
    auth_events_max: number;
    prev_events_max: number;
    bytes_max: Record<string, number>;
  }>('event-limits');
  assert.equal(EVENT_BYTES_MAX, limits.event_bytes_max);
  assert.equal(AUTH_EVENTS_MAX, limits.auth_events_max);
  assert.equal(PREV_EVENTS_MAX, limits.prev_events_max);
  for (const bytesMax of Object.values(limits.bytes_max)) assert.equal(ID_BYTES_MAX, bytesMax);
});

test('property paths are split at dots that are not escaped', () => {
  const { cases } = readVectors<{ cases: { path: string; keys: string[] }[] }>('dot-path');
  for (const { path, keys } of cases) assert.deepEqual(splitDotPath(path), keys);
});

test('links to users and rooms are read and written', () => {
  type Pair = { target: string; via?: string[]; action?: string; matrix: string; matrix_to: string[] };
  const { pairs } = readVectors<{ pairs: Pair[] }>('matrix-uri');
  for (const { target, via, action, matrix, matrix_to: matrixTo } of pairs) {
    const link = parseMatrixLink(matrix);
    assert.ok(link);
    assert.equal(link.target, target);
    assert.deepEqual(link.via, via ?? []);
    assert.equal(link.action, action ?? null);
    assert.equal(formatMatrixUri(link), matrix);
    assert.equal(formatMatrixTo(link), matrixTo[0]);
    for (const text of matrixTo) assert.deepEqual(parseMatrixLink(text), { ...link, action: null });
  }
});

test('e-mail addresses and phone numbers have one form', () => {
  const { email_canonical: emails } = readVectors<{ email_canonical: { input: string; address: string }[] }>(
    'threepid',
  );
  for (const { input, address } of emails) assert.equal(canonicalEmail(input), address);
  assert.equal(canonicalMsisdn('+44 7700 900-123'), '447700900123');
  assert.equal(canonicalMsisdn('not a number'), null);
  assert.equal(canonicalEmail('nobody'), null);
});

test('an address is looked up under its peppered hash', () => {
  const vectors = readVectors<{ pepper: string; cases: { input: string; hash: string }[] }>('identity-lookup-hash');
  for (const { input, hash } of vectors.cases) {
    const [address, medium] = input.split(' ');
    assert.equal(lookupHash(address!, medium!, vectors.pepper), hash);
  }
});
