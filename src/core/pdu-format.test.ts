import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { contentHash, eventIdOf } from './event-hash.ts';
import { type EventId, parseEventId, parseRoomId, parseUserId } from './ids.ts';
import { canonicalJson, parseJson } from './json.ts';
import type { JsonObject, JsonValue } from './json-value.ts';
import {
  buildPdu,
  checkKeySizes,
  depthAfter,
  EVENT_BYTES_MAX,
  type PduFields,
  pduFromStored,
  readPdu,
  templateOf,
} from './pdu-format.ts';
import { redact } from './redaction.ts';
import { ROOM_RULES, type RoomRules } from './room-versions.ts';
import { signingKeyFromSeed, verifyEventSignature, verifySignature } from './signing.ts';

const key = signingKeyFromSeed('a', new Uint8Array(32).fill(1));
const allRules = [...ROOM_RULES.values()];
const HASH = 'Rqnc-F-dvnEYJTyHqXiKxU2bZ1CI92-kuZq3a5lr5Zg';

function idOf(rules: RoomRules): EventId {
  if (rules.eventIdFormat === 'in-event') return parseEventId('$someone:example.org')!;
  return parseEventId(`$${rules.eventIdFormat === 'base64' ? HASH.replaceAll('-', '+') : HASH}`)!;
}

function fieldsFor(rules: RoomRules, change: Partial<PduFields> = {}): PduFields {
  return {
    roomId: parseRoomId(rules.roomIdIsCreateHash ? `!${HASH}` : '!room:example.org'),
    type: 'm.room.message',
    stateKey: null,
    sender: parseUserId('@alice:example.org')!,
    content: { msgtype: 'm.text', body: 'hello' },
    redacts: null,
    originServerTs: 1_700_000_000_000,
    depth: 7,
    prevEvents: [idOf(rules)],
    authEvents: [idOf(rules)],
    ...(rules.eventIdFormat === 'in-event' ? { eventId: parseEventId('$own:example.org')! } : {}),
    ...change,
  };
}

const wireOf = (rules: RoomRules, change: JsonObject = {}): JsonObject => ({
  ...buildPdu(rules, fieldsFor(rules), 'example.org', key).pdu.json,
  ...change,
});

const read = (rules: RoomRules, change: JsonObject) => readPdu(rules, wireOf(rules, change)).allowed;

test('an event of ours is read back the same, with good hash, ID and signature, in every room version', () => {
  for (const rules of allRules) {
    const redacts = rules.redactsIn === 'top-level' ? idOf(rules) : null;
    const content = rules.redactsIn === 'content' ? { redacts: idOf(rules), z: 1, a: [] } : { z: 1, a: '😀' };
    for (const fields of [
      fieldsFor(rules),
      fieldsFor(rules, { type: 'm.room.topic', stateKey: '', content: { topic: 'x' } }),
      fieldsFor(rules, { type: 'm.room.redaction', redacts, content }),
      fieldsFor(rules, {
        type: 'm.room.member',
        stateKey: '@alice:example.org',
        content: { membership: 'join', b: 1 },
      }),
    ]) {
      const { pdu, text } = buildPdu(rules, fields, 'example.org', key);
      const result = readPdu(rules, parseJson(text, { keepNumberText: true }));

      assert.ok(result.allowed);
      assert.equal(result.contentHashMatches, true);
      assert.equal(text, canonicalJson(pdu.json, { strict: true }));
      assert.deepEqual(result.pdu, pdu);
      assert.equal(pdu.eventId, eventIdOf(rules, pdu.json));
      assert.equal((pdu.json['hashes'] as JsonObject)['sha256'], contentHash(pdu.json));
      assert.equal(pdu.redacts, fields.type === 'm.room.redaction' ? idOf(rules) : null);
      assert.equal(verifyEventSignature(rules, pdu.json, 'example.org', key.keyId, key.publicKey), true);
      const signature = (pdu.json['signatures'] as Record<string, JsonObject>)['example.org']![key.keyId];
      assert.equal(verifySignature(key.publicKey, result.signedText, String(signature)), true);
    }
  }
});

test('a create event of version 12 carries no room ID and names the room', () => {
  for (const rules of allRules.filter((candidate) => candidate.roomIdIsCreateHash)) {
    const fields = fieldsFor(rules, {
      roomId: null,
      type: 'm.room.create',
      stateKey: '',
      prevEvents: [],
      authEvents: [],
    });
    const { pdu } = buildPdu(rules, fields, 'example.org', key);

    assert.equal(pdu.json['room_id'], undefined);
    assert.equal(pdu.roomId, `!${pdu.eventId.slice(1)}`);
    assert.equal(readPdu(rules, pdu.json).allowed, true);
    assert.equal(readPdu(rules, { ...pdu.json, room_id: pdu.roomId }).allowed, false);
    assert.equal(readPdu(rules, { ...pdu.json, type: 'm.room.message' }).allowed, false);
  }
});

test('values of a wrong type in any field are refused (A2, A10)', () => {
  const wrong: Record<string, readonly JsonValue[]> = {
    type: [null, 5, [], {}],
    state_key: [null, 5, [], {}],
    sender: [null, 5, 'alice', '@alice', '@alice:', '@al\0ice:example.org'],
    room_id: [null, 5, '', 'room', '#room:example.org'],
    content: [null, 5, [], 'text'],
    depth: [null, '7', -1, 0.5, [], 1e300],
    origin_server_ts: [null, '1', 0.5, {}],
    hashes: [null, [], {}, { sha256: 5 }, { md5: 'x' }],
    signatures: [null, [], { a: null }, { a: [] }, { a: { 'ed25519:1': 5 } }],
    prev_events: [null, {}, 'x', [null], [5], ['$no'], [[]], [['$a:b.c']], [['$a:b.c', null]], [{}]],
    auth_events: [null, {}, 'x', [null], [5], ['$no'], [[]], [['$a:b.c']], [['$a:b.c', null]], [{}]],
  };
  for (const rules of allRules) {
    assert.equal(read(rules, {}), true);
    for (const [field, values] of Object.entries(wrong)) {
      for (const value of values) {
        const title = `${field} ${JSON.stringify(value)}, room version ${rules.version}`;
        assert.equal(read(rules, { [field]: value }), false, title);
      }
      if (field !== 'state_key')
        assert.equal(read(rules, { [field]: undefined as unknown as JsonValue }), false, field);
    }
    for (const wire of [undefined, null, 5, 'x', [], true]) assert.equal(readPdu(rules, wire).allowed, false);
  }
});

test('numbers outside canonical JSON are refused from version 6 on, also where nobody looks (A1)', () => {
  for (const rules of allRules) {
    for (const number of ['0.5', '1.0', '1e3', '-0', '9007199254740992', '-9007199254740992', '1e400']) {
      for (const place of ['unsigned', 'content', 'extra', 'hashes']) {
        const wire = wireOf(rules);
        const holder = place === 'hashes' ? `{"sha256":"x","n":${number}}` : `{"n":[{"m":${number}}]}`;
        const text = canonicalJson({ ...wire, [place]: 'HOLE' }, { strict: true }).replace('"HOLE"', holder);

        const result = readPdu(rules, parseJson(text, { keepNumberText: true }));

        assert.equal(result.allowed, !rules.enforcesCanonicalJson, `${number} in ${place}, version ${rules.version}`);
      }
    }
    assert.equal(read(rules, { content: { body: 'half \ud800' } }), false);
  }
});

test('number text survives in versions 1 to 5, so that the content hash matches (A8)', () => {
  for (const rules of allRules.filter((candidate) => !candidate.enforcesCanonicalJson)) {
    const content = parseJson('{"big":9007199254740993,"float":1.50,"exp":1E+2}', {
      keepNumberText: true,
    }) as JsonObject;
    const { text, pdu } = buildPdu(rules, fieldsFor(rules, { content }), 'example.org', key);

    const result = readPdu(rules, parseJson(text, { keepNumberText: true }));

    assert.match(text, /"big":9007199254740993,"exp":1E\+2,"float":1\.50/);
    assert.ok(result.allowed && result.contentHashMatches);
    assert.equal(result.pdu.eventId, pdu.eventId);
    assert.equal(canonicalJson(result.pdu.json, { strict: false }), text);
  }
});

test('depth is held to the limit of the room version (A2)', () => {
  const withDepth = (rules: RoomRules, depth: string) => {
    const text = canonicalJson(wireOf(rules, { depth: 'HOLE' }), { strict: true }).replace('"HOLE"', depth);
    return readPdu(rules, parseJson(text, { keepNumberText: true }));
  };
  for (const rules of allRules) {
    assert.equal(withDepth(rules, '9007199254740991').allowed, true);
    assert.equal(withDepth(rules, '9007199254740992').allowed, !rules.enforcesCanonicalJson);
    const greatest = withDepth(rules, '9223372036854775807');
    assert.equal(greatest.allowed, !rules.enforcesCanonicalJson);
    if (greatest.allowed) assert.equal(greatest.pdu.depth, Number.MAX_SAFE_INTEGER);
    for (const depth of ['9223372036854775808', '1'.repeat(400), '1.0', '-1', '1e3']) {
      assert.equal(withDepth(rules, depth).allowed, false, depth);
    }
    assert.equal(depthAfter(rules, [3, 9, 4]), 10);
    assert.equal(depthAfter(rules, []), 1);
    assert.equal(depthAfter(rules, [Number.MAX_SAFE_INTEGER]), Number.MAX_SAFE_INTEGER);
  }
});

test('each size limit lets its last byte through and not one more (A7)', () => {
  for (const rules of allRules) {
    for (const char of ['a', 'é']) {
      const fill = (count: number, rest = '') => {
        const length = Math.floor(count / Buffer.byteLength(char));
        return char.repeat(length) + 'x'.repeat(count - length * Buffer.byteLength(char)) + rest;
      };
      // Some servers counted characters in the old room versions.
      const isKept = rules.keepsLongKeys && char !== 'a';
      assert.equal(read(rules, { type: fill(255) }), true);
      assert.equal(read(rules, { type: fill(256) }), isKept);
      assert.equal(read(rules, { state_key: fill(255) }), true);
      assert.equal(read(rules, { state_key: fill(256) }), isKept);
      assert.equal(checkKeySizes({ type: fill(255), stateKey: fill(255) }).allowed, true);
      assert.equal(checkKeySizes({ type: fill(256), stateKey: null }).allowed, false);
      assert.equal(checkKeySizes({ type: 'x', stateKey: fill(256) }).allowed, false);
      assert.equal(read(rules, { type: char.repeat(256) }), false);
      assert.equal(read(rules, { state_key: '💥'.repeat(256) }), false);
      assert.equal(read(rules, { sender: `@${fill(252)}:x` }), true);
      assert.equal(read(rules, { sender: `@${fill(253)}:x` }), false);
      if (!rules.roomIdIsCreateHash) {
        assert.equal(read(rules, { room_id: `!${fill(252)}:x` }), true);
        assert.equal(read(rules, { room_id: `!${fill(253)}:x` }), false);
      }
      const empty = canonicalJson(wireOf(rules, { content: { body: '' } }), { strict: true });
      const room = EVENT_BYTES_MAX - Buffer.byteLength(empty);
      assert.equal(read(rules, { content: { body: fill(room) } }), true, rules.version);
      assert.equal(read(rules, { content: { body: fill(room + 1) } }), false, rules.version);
      assert.equal(
        read(rules, { content: { body: fill(room) }, unsigned: { age: 5 } }),
        true,
        'unsigned is not counted',
      );
    }
    const item = rules.hasEventReferencePairs ? [idOf(rules), {}] : idOf(rules);
    assert.equal(read(rules, { prev_events: Array(20).fill(item) }), true);
    assert.equal(read(rules, { prev_events: Array(21).fill(item) }), false);
    assert.equal(read(rules, { auth_events: Array(10).fill(item) }), true);
    assert.equal(read(rules, { auth_events: Array(11).fill(item) }), false);
  }
});

test('an event of ours beyond a limit is refused with M_TOO_LARGE (A7)', () => {
  for (const rules of allRules) {
    const build = (change: Partial<PduFields>) => () => buildPdu(rules, fieldsFor(rules, change), 'example.org', key);
    assert.throws(build({ content: { body: 'x'.repeat(EVENT_BYTES_MAX) } }), { errcode: 'M_TOO_LARGE' });
    assert.throws(build({ type: 'é'.repeat(128) }), { errcode: 'M_TOO_LARGE' });
    assert.throws(build({ stateKey: 'x'.repeat(256) }), { errcode: 'M_TOO_LARGE' });
    if (rules.enforcesCanonicalJson) assert.throws(build({ content: { n: 0.5 } }), { errcode: 'M_BAD_JSON' });
    assert.throws(build({ stateKey: '\ud800' }), { errcode: 'M_BAD_JSON' });
  }
});

test('references in the form of other room versions are refused (A4)', () => {
  for (const rules of allRules) {
    for (const other of allRules) {
      const isSame =
        other.hasEventReferencePairs === rules.hasEventReferencePairs && other.eventIdFormat === rules.eventIdFormat;
      const references = wireOf(other)['prev_events']!;
      assert.equal(read(rules, { prev_events: references }), isSame, `${other.version} in ${rules.version}`);
    }
    assert.equal(read(rules, { event_id: 5 }), rules.eventIdFormat !== 'in-event');
  }
});

test('with a wrong content hash only the redacted copy is read, under the same ID', () => {
  for (const rules of allRules) {
    const good = readPdu(rules, wireOf(rules));
    const bad = readPdu(rules, wireOf(rules, { content: { body: 'forged' } }));

    assert.ok(good.allowed && bad.allowed);
    assert.equal(bad.contentHashMatches, false);
    assert.deepEqual(bad.pdu.content, {});
    assert.equal(bad.pdu.eventId, good.pdu.eventId);
    assert.equal(bad.signedText, good.signedText);
  }
});

test('unsigned data of other servers is not kept', () => {
  for (const rules of allRules) {
    const result = readPdu(rules, wireOf(rules, { unsigned: { age: 5 } }));
    assert.ok(result.allowed);
    assert.equal(result.pdu.json['unsigned'], undefined);
  }
});

test('a redaction whose target is no event ID has no target (A10)', () => {
  for (const rules of allRules) {
    for (const redacts of [null, 5, '', 'x', [], {}]) {
      const pdu = pduFromStored(
        rules,
        idOf(rules),
        wireOf(rules, { type: 'm.room.redaction', redacts, content: { redacts } }),
      );
      assert.equal(pdu.redacts, null);
    }
  }
});

test('a template has the fields and neither hashes nor signatures', () => {
  for (const rules of allRules) {
    const template = templateOf(rules, fieldsFor(rules));
    const { hashes, signatures, event_id: _, ...rest } = wireOf(rules);
    assert.deepEqual(template, rest);
  }
});

const content = fc.dictionary(
  fc.string({ unit: 'grapheme' }),
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<JsonValue>,
);
const eventType = fc.constantFrom('m.room.member', 'm.room.create', 'm.room.power_levels', 'm.room.join_rules', 'm.x');

test('whatever is accepted encodes to the bytes that were hashed (property, A1)', () => {
  fc.assert(
    fc.property(fc.constantFrom(...allRules), content, (rules, generated) => {
      const result = readPdu(
        rules,
        parseJson(JSON.stringify(wireOf(rules, { content: generated })), { keepNumberText: true }),
      );
      if (!result.allowed) return;
      const text = canonicalJson(result.pdu.json, { strict: rules.enforcesCanonicalJson });
      const again = readPdu(rules, parseJson(text, { keepNumberText: true }));
      assert.ok(again.allowed);
      assert.equal(canonicalJson(again.pdu.json, { strict: false }), text);
      assert.equal(again.pdu.eventId, result.pdu.eventId);
    }),
    { seed: 21, numRuns: 200 },
  );
});

test('redaction is idempotent and changes neither event ID nor signed text (property)', () => {
  fc.assert(
    fc.property(fc.constantFrom(...allRules), eventType, content, (rules, type, generated) => {
      const wire = wireOf(rules, { type, content: generated, extra: 1, membership: 'x' });
      const once = redact(rules, wire);
      assert.deepEqual(redact(rules, once), once);
      assert.equal(eventIdOf(rules, once), eventIdOf(rules, wire));
    }),
    { seed: 22, numRuns: 200 },
  );
});
