import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeBase64 } from '../../src/core/base64.ts';
import { contentHash, eventIdOf, roomIdOfCreate } from '../../src/core/event-hash.ts';
import { canonicalJson } from '../../src/core/json.ts';
import type { JsonObject, JsonValue } from '../../src/core/json-value.ts';
import { readPdu } from '../../src/core/pdu-format.ts';
import { redact } from '../../src/core/redaction.ts';
import { findRoomRules } from '../../src/core/room-versions.ts';
import { signEvent, signingKeyFromSeed, signJson, verifyEventSignature, verifyJson } from '../../src/core/signing.ts';
import { buildXMatrix, parseXMatrix, signedRequestText } from '../../src/core/x-matrix.ts';
import { readVectors, type SigningKeyVector } from './vectors.ts';

const keyVector = readVectors<SigningKeyVector>('signing-key');
const key = signingKeyFromSeed('1', decodeBase64(keyVector.seed_base64)!);
const rulesOf = (version: string) => findRoomRules(version)!;

test('the public key follows from the seed', () => {
  assert.equal(key.keyId, keyVector.key_id);
  assert.equal(key.publicKey, keyVector.derived.public_key_base64);
});

test("the specification's signed objects come out, and verify", () => {
  const { cases } = readVectors<{ cases: { input: JsonObject; signed: JsonObject }[] }>('sign-json');
  for (const { input, signed } of cases) {
    assert.deepEqual(signJson(input, 'domain', key), signed);
    assert.equal(verifyJson(signed, 'domain', key.keyId, key.publicKey), true);
    assert.equal(verifyJson({ ...signed, added: true }, 'domain', key.keyId, key.publicKey), false);
  }
});

test("the specification's signed events come out, and verify", () => {
  const { cases } = readVectors<{
    cases: { input: JsonObject; signed: JsonObject; content_hash_sha256: string }[];
  }>('sign-event');
  const rules = rulesOf('1');
  for (const { input, signed, content_hash_sha256: sha256 } of cases) {
    assert.equal(contentHash(input), sha256);
    assert.deepEqual(signEvent(rules, { ...input, hashes: { sha256 } }, 'domain', key), signed);
    assert.equal(verifyEventSignature(rules, signed, 'domain', key.keyId, key.publicKey), true);
  }
});

type DerivedEvents = {
  event_ids: { room_version: string; event_without_signatures: JsonObject; event_id: string }[];
  redactions: { name: string; room_version: string; event: JsonObject; redacted: JsonObject }[];
  room_id_v12: {
    create_event: JsonObject;
    event_id: string;
    room_id: string;
    creator_join: { event: JsonObject; event_id: string };
  };
};
const derived = readVectors<DerivedEvents>('derived-events');

test('event IDs follow from the reference hash of each room version', () => {
  for (const { room_version: version, event_without_signatures: json, event_id: eventId } of derived.event_ids) {
    assert.equal(eventIdOf(rulesOf(version), json), eventId, `room version ${version}`);
  }
});

test('redaction keeps what each room version keeps, and a second one changes nothing', () => {
  for (const { name, room_version: version, event, redacted } of derived.redactions) {
    const once = redact(rulesOf(version), event);
    assert.equal(text(once), text(redacted), `${name}, room version ${version}`);
    assert.equal(text(redact(rulesOf(version), once)), text(once));
  }
});

const text = (value: JsonValue): string => canonicalJson(value, { strict: false });

test('a create event of room version 12 founds the room that its hash names', () => {
  const { create_event: create, event_id: eventId, room_id: roomId, creator_join: join } = derived.room_id_v12;

  const read = readPdu(rulesOf('12'), create);
  const readJoin = readPdu(rulesOf('12'), join.event);

  assert.ok(read.allowed && readJoin.allowed);
  assert.equal(read.pdu.eventId, eventId);
  assert.equal(read.pdu.roomId, roomId);
  assert.equal(roomIdOfCreate(read.pdu.eventId), roomId);
  assert.equal(read.contentHashMatches, true);
  assert.equal(readJoin.pdu.eventId, join.event_id);
  assert.equal(readJoin.contentHashMatches, true);
  assert.equal(verifyEventSignature(rulesOf('12'), join.event, 'domain', key.keyId, key.publicKey), true);
});

type XMatrixVectors = {
  signed_object: { method: string; uri: string; origin: string; destination: string; content: JsonValue };
  canonical: string;
  authorization: string;
  get_without_body: {
    signed_object: { method: string; uri: string; origin: string; destination: string };
    signature: string;
  };
  parse_cases: { header: string; ok: boolean; parsed?: { origin: string; key: string; sig: string } }[];
};
const xMatrix = readVectors<XMatrixVectors>('derived-x-matrix');

test('a federation request is signed as the vectors say, with and without a body', () => {
  assert.equal(signedRequestText(xMatrix.signed_object), xMatrix.canonical);
  assert.equal(buildXMatrix(xMatrix.signed_object, key), xMatrix.authorization);

  const header = buildXMatrix({ ...xMatrix.get_without_body.signed_object, content: undefined }, key);

  assert.equal(parseXMatrix(header)?.signature, xMatrix.get_without_body.signature);
});

test('X-Matrix headers of old and new senders are read', () => {
  for (const { header, ok, parsed } of xMatrix.parse_cases) {
    const read = parseXMatrix(header);
    assert.equal(read !== null, ok, header);
    if (parsed === undefined) continue;
    assert.equal(read?.origin, parsed.origin);
    assert.equal(read?.keyId, parsed.key);
    assert.equal(read?.signature, parsed.sig);
  }
});
