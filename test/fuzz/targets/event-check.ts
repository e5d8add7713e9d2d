/** Signed things that were tampered with: an event, and a server's word on its keys. What is let through says what was signed. */
import assert from 'node:assert/strict';
import { checkEvent, findCoarseFault, listKeys } from '../../../src/core/event-check.ts';
import { signedEventText, without } from '../../../src/core/event-hash.ts';
import type { EventId, RoomId, ServerName, UserId } from '../../../src/core/ids.ts';
import { canonicalJson } from '../../../src/core/json.ts';
import { isJsonObject, type JsonObject } from '../../../src/core/json-value.ts';
import { buildPdu } from '../../../src/core/pdu-format.ts';
import { findRoomRules } from '../../../src/core/room-versions.ts';
import { buildServerKeys, readServerKeys } from '../../../src/core/server-keys.ts';
import { signingKeyFromSeed } from '../../../src/core/signing.ts';
import type { Random } from '../../../src/kit/random.ts';
import { ALL_VERSIONS } from '../../support/room-fixture.ts';
import { mutate, pick } from '../generate.ts';
import type { FuzzTarget } from '../target.ts';

const NAME = 'a.example' as ServerName;
const KEY = signingKeyFromSeed('1', Buffer.alloc(32, 7));
const NOW_MS = 1_700_000_000_000;

function eventOf(version: string): JsonObject {
  const rules = findRoomRules(version)!;
  const fields = {
    roomId: (rules.roomIdIsCreateHash ? `!${'a'.repeat(43)}` : '!room:a.example') as RoomId,
    type: 'm.room.member',
    stateKey: '@alice:a.example',
    sender: '@alice:a.example' as UserId,
    content: { membership: 'join', displayname: 'Alice', join_authorised_via_users_server: '@bob:a.example' },
    redacts: null,
    originServerTs: NOW_MS,
    depth: 5,
    prevEvents: [],
    authEvents: [],
    ...(rules.eventIdFormat === 'in-event' ? { eventId: '$x:a.example' as EventId } : {}),
  };
  return buildPdu(rules, fields, NAME, KEY).pdu.json;
}

const WORD = buildServerKeys({ serverName: NAME, keys: [KEY], oldKeys: {}, validUntilMs: NOW_MS + 1000 });

export const target: FuzzTarget = {
  name: 'event-check',
  tryOne(random: Random): void {
    const rules = findRoomRules(pick(random, ALL_VERSIONS))!;
    const event = eventOf(rules.version);
    const wire = mutate(random, event);
    if (findCoarseFault(rules, wire) === null && isJsonObject(wire)) {
      listKeys(rules, wire);
      const verdict = checkEvent(rules, wire, [[NAME, KEY.keyId, KEY.publicKey]]);
      if ('isRedacted' in verdict) {
        assert.equal(signedEventText(rules, wire), signedEventText(rules, event));
        if (!verdict.isRedacted) {
          const signed = (json: JsonObject) =>
            canonicalJson(without(json, ['unsigned', 'signatures']), { strict: false });
          assert.equal(signed(wire), signed(event));
        }
      }
    }

    const word = mutate(random, WORD);
    if (readServerKeys(NAME, word, NOW_MS).allowed && isJsonObject(word)) {
      const signed = (json: JsonObject) => canonicalJson(without(json, ['unsigned', 'signatures']), { strict: false });
      assert.equal(signed(word), signed(WORD));
    }
  },
};
