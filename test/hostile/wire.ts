/** Events and transactions as only a hostile server sends them: signed as they must be, whatever they say. */
import { MatrixError } from '../../src/core/errors.ts';
import { contentHash, eventIdOf, without } from '../../src/core/event-hash.ts';
import { parseJson } from '../../src/core/json.ts';
import type { JsonObject } from '../../src/core/json-value.ts';
import { findRoomRules, type RoomVersion } from '../../src/core/room-versions.ts';
import type { RemoteServer, SignedRequestChanges } from '../../src/testing/remote-server.ts';
import { roomPath } from '../../src/testing/room-path.ts';
import type { Reply, TestRoom, TestUser } from '../../src/testing/test-client.ts';
import { succeeded } from '../../src/testing/test-client.ts';
import type { Scene } from './attack.ts';

export const id = encodeURIComponent;
export const V1 = '/_matrix/federation/v1';

/** Status and errcode of a refusal. */
export const refusal = ({ status, body }: Reply): string => `${status} ${body.errcode}`;

/** An event that says something else, hashed and signed anew: nothing is wrong with it but what it says. */
export function signedAnew(
  evil: RemoteServer,
  version: RoomVersion,
  json: JsonObject,
  changes: JsonObject,
  withoutKeys: readonly string[] = [],
): { readonly eventId: string; readonly json: JsonObject } {
  const rules = findRoomRules(version)!;
  const bare = without({ ...json, ...changes }, ['hashes', 'signatures', ...withoutKeys]);
  const signed = evil.signEvent(rules, { ...bare, hashes: { sha256: contentHash(bare) } });
  return { eventId: eventIdOf(rules, signed), json: signed };
}

let transactions = 0;

/** A transaction whose body is this text, signed where it is JSON at all. */
export function sendText(evil: RemoteServer, bodyText: string): Promise<Reply> {
  const path = `${V1}/send/text${++transactions}`;
  const send = (changes: SignedRequestChanges = {}): Promise<Reply> =>
    evil.signedRequest('PUT', path, undefined, { bodyText, ...changes });
  return isJson(bodyText) ? send() : send({ content: {} });
}

function isJson(text: string): boolean {
  try {
    parseJson(text, { keepNumberText: true, depthMax: 1000 });
    return true;
  } catch (error) {
    if (error instanceof MatrixError) return false;
    throw error;
  }
}

/** The text of a transaction with events. */
export const transactionText = (evil: RemoteServer, pdus: readonly unknown[], edus: readonly unknown[] = []): string =>
  JSON.stringify({ origin: evil.serverName, origin_server_ts: 0, pdus, edus });

/** The texts of a room's newest messages as Alice reads them, oldest first. */
export async function saidIn({ alice, meanwhile }: Scene, room: TestRoom, limit = 100): Promise<string[]> {
  await meanwhile();
  const filter = JSON.stringify({ types: ['m.room.message'] });
  const { chunk } = succeeded(await alice.get(roomPath(room, 'messages'), { dir: 'b', limit, filter }));
  return chunk.map((event: { content: { body: string } }) => event.content.body).reverse();
}

/** A piece of a room's state as a user reads it; null where there is none. */
export async function stateOf(
  user: TestUser,
  room: TestRoom | string,
  type: string,
  stateKey = '',
): Promise<JsonObject | null> {
  const reply = await user.get(roomPath(room, 'state', type, stateKey));
  return reply.status === 404 ? null : succeeded(reply);
}

/** A list in pieces of a length. */
export const batches = <T>(list: readonly T[], length: number): T[][] =>
  Array.from({ length: Math.ceil(list.length / length) }, (_, n) => list.slice(n * length, (n + 1) * length));

/** A promise to be fulfilled later, for what is held up on the way. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: () => resolve() };
}
