/** The PDU validator: never fatal, and what it accepts can be stored, encoded, hashed and read again. */
import assert from 'node:assert/strict';
import { parseEventId, parseRoomId, parseUserId } from '../../../src/core/ids.ts';
import { canonicalJson, parseJson } from '../../../src/core/json.ts';
import { buildPdu, EVENT_BYTES_MAX, readPdu } from '../../../src/core/pdu-format.ts';
import { redact } from '../../../src/core/redaction.ts';
import { ROOM_RULES, type RoomRules } from '../../../src/core/room-versions.ts';
import { signingKeyFromSeed, verifyEventSignature } from '../../../src/core/signing.ts';
import type { Random } from '../../../src/kit/random.ts';
import { mutate, mutateBytes, oneIn, pick, tameObject } from '../generate.ts';
import type { FuzzTarget } from '../target.ts';

const key = signingKeyFromSeed('f', new Uint8Array(32).fill(9));
const HASH = 'Rqnc1F1dvnEYJTyHqXiKxU2bZ1CI92AkuZq3a5lr5Zg';
const TYPES = ['m.room.member', 'm.room.create', 'm.room.power_levels', 'm.room.redaction', 'm.room.message', 'm.x'];

function wireOf(rules: RoomRules, random: Random) {
  const isNamed = rules.eventIdFormat === 'in-event';
  const eventId = parseEventId(isNamed ? '$a:example.org' : `$${HASH}`)!;
  const fields = {
    roomId: parseRoomId(rules.roomIdIsCreateHash ? `!${HASH}` : '!room:example.org'),
    type: 'm.x',
    stateKey: oneIn(random, 2) ? '' : null,
    sender: parseUserId('@alice:example.org')!,
    content: {},
    redacts: null,
    originServerTs: random.integer(2 ** 45),
    depth: random.integer(2 ** 40),
    prevEvents: [eventId],
    authEvents: [eventId],
    ...(isNamed ? { eventId } : {}),
  };
  const { json } = buildPdu(rules, fields, 'example.org', key).pdu;
  return { ...json, type: pick(random, TYPES), content: tameObject(random) };
}

export const target: FuzzTarget = {
  name: 'pdu',
  tryOne(random: Random): void {
    const rules = pick(random, [...ROOM_RULES.values()]);
    const source = JSON.stringify(mutate(random, wireOf(rules, random), random.integer(3)));
    const bytes = oneIn(random, 3) ? mutateBytes(random, Buffer.from(source)) : Buffer.from(source);
    let wire: ReturnType<typeof parseJson>;
    try {
      wire = parseJson(bytes, { keepNumberText: true });
    } catch {
      // Judged by the target `json`.
      return;
    }

    const result = readPdu(rules, wire);

    if (!result.allowed) {
      assert.notEqual(result.reason, '');
      return;
    }
    const { pdu } = result;
    const text = canonicalJson(pdu.json, { strict: rules.enforcesCanonicalJson });
    assert.ok(text.isWellFormed());
    assert.ok(Buffer.byteLength(text) <= EVENT_BYTES_MAX);
    for (const id of [pdu.eventId, pdu.roomId, pdu.sender, pdu.type]) assert.ok(Buffer.byteLength(id) <= 255);
    assert.ok(Number.isSafeInteger(pdu.depth) && pdu.depth >= 0 && Number.isSafeInteger(pdu.originServerTs));
    const again = readPdu(rules, parseJson(text, { keepNumberText: true }));
    assert.ok(again.allowed);
    assert.deepEqual(again.pdu, pdu);
    const redacted = redact(rules, pdu.json);
    assert.equal(JSON.stringify(redact(rules, redacted)), JSON.stringify(redacted));
    verifyEventSignature(rules, pdu.json, 'example.org', key.keyId, key.publicKey);
  },
};
