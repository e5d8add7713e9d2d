/** Spec module "Server-side key backups": room keys that clients encrypt and leave here for their user's next device. */
import { Readable } from 'node:stream';
import { invalidParam } from '../../core/errors.ts';
import { parseRoomId, type RoomId } from '../../core/ids.ts';
import { type Endpoint, endpoint, JsonText, RawReply } from '../../http/endpoint.ts';
import {
  anyObject,
  boolean,
  empty,
  integer,
  integerBetween,
  object,
  optional,
  record,
  roomId,
  type Static,
  string,
} from '../../http/schema.ts';
import type { BackedUpSession, KeyBackupRow, KeyBackups } from '../../services/key-backups.ts';
import { v3 } from './paths.ts';

/** Clients back up a few hundred keys at a time. */
const BODY_BYTES_MAX = 8 * 1024 * 1024;

const count = integerBetween(0, Number.MAX_SAFE_INTEGER);
const sessionShape = object({
  first_message_index: count,
  forwarded_count: count,
  is_verified: boolean,
  session_data: anyObject,
});
const sessionsShape = object({ sessions: record(sessionShape) });
const ofVersion = object({ version: string });
const summary = object({ etag: string, count: integer });
const backup = object({ algorithm: string, auth_data: anyObject, version: string, etag: string, count: integer });

const toSession = (room: RoomId, sessionId: string, wire: Static<typeof sessionShape>): BackedUpSession => ({
  roomId: room,
  sessionId,
  firstMessageIndex: wire.first_message_index,
  forwardedCount: wire.forwarded_count,
  isVerified: wire.is_verified,
  sessionData: JSON.stringify(wire.session_data),
});

const toSessions = (room: RoomId, { sessions }: Static<typeof sessionsShape>): BackedUpSession[] =>
  Object.entries(sessions).map(([sessionId, wire]) => toSession(room, sessionId, wire));

const sessionText = (session: BackedUpSession): string =>
  `{"first_message_index":${session.firstMessageIndex},"forwarded_count":${session.forwardedCount},` +
  `"is_verified":${session.isVerified},"session_data":${session.sessionData}}`;

const backupText = ({ algorithm, authData, version, etag, sessions }: KeyBackupRow): JsonText =>
  new JsonText(
    `{"algorithm":${JSON.stringify(algorithm)},"auth_data":${authData},"version":"${version}","etag":"${etag}","count":${sessions}}`,
  );

/** JSON that is told as it is read: a backup may be larger than what the server should hold. */
const streamed = (chunks: AsyncIterable<string>): RawReply =>
  new RawReply(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }, Readable.from(chunks));

async function* textOfRoom(pages: AsyncIterable<BackedUpSession[]>): AsyncGenerator<string> {
  let text = '{"sessions":{';
  for await (const page of pages) {
    yield text + page.map((session) => `${JSON.stringify(session.sessionId)}:${sessionText(session)}`).join(',');
    text = ',';
  }
  yield text === ',' ? '}}' : `${text}}}`;
}

async function* textOfRooms(pages: AsyncIterable<BackedUpSession[]>): AsyncGenerator<string> {
  let room: RoomId | null = null;
  let text = '{"rooms":{';
  for await (const page of pages) {
    for (const session of page) {
      if (session.roomId === room) text += ',';
      else text += `${room === null ? '' : '}},'}${JSON.stringify(session.roomId)}:{"sessions":{`;
      room = session.roomId;
      text += `${JSON.stringify(session.sessionId)}:${sessionText(session)}`;
    }
    yield text;
    text = '';
  }
  yield `${text}${room === null ? '' : '}}'}}}`;
}

export const keyBackupEndpoints = ({ keyBackups }: { keyBackups: KeyBackups }): Endpoint[] => [
  endpoint({
    name: 'postRoomKeysVersion',
    method: 'POST',
    ...v3('/room_keys/version'),
    auth: 'user',
    body: object({ algorithm: string, auth_data: anyObject }),
    reply: ofVersion,
    async handler({ user, body }) {
      return { version: await keyBackups.create(user.userId, body.algorithm, body.auth_data) };
    },
  }),
  endpoint({
    name: 'getRoomKeysVersionCurrent',
    method: 'GET',
    ...v3('/room_keys/version'),
    auth: 'user',
    reply: backup,
    handler: async ({ user }) => backupText(await keyBackups.get(user.userId, null)),
  }),
  endpoint({
    name: 'getRoomKeysVersion',
    method: 'GET',
    ...v3('/room_keys/version/:version'),
    auth: 'user',
    params: ofVersion,
    reply: backup,
    handler: async ({ user, params }) => backupText(await keyBackups.get(user.userId, params.version)),
  }),
  endpoint({
    name: 'putRoomKeysVersion',
    method: 'PUT',
    ...v3('/room_keys/version/:version'),
    auth: 'user',
    params: ofVersion,
    body: object({ algorithm: string, auth_data: anyObject, version: optional(string) }),
    reply: empty,
    async handler({ user, params, body }) {
      const change = { algorithm: body.algorithm, authData: body.auth_data, version: body.version ?? null };
      await keyBackups.update(user.userId, params.version, change);
      return {};
    },
  }),
  endpoint({
    name: 'deleteRoomKeysVersion',
    method: 'DELETE',
    ...v3('/room_keys/version/:version'),
    auth: 'user',
    params: ofVersion,
    reply: empty,
    async handler({ user, params }) {
      await keyBackups.remove(user.userId, params.version);
      return {};
    },
  }),
  endpoint({
    name: 'putRoomKeys',
    method: 'PUT',
    ...v3('/room_keys/keys'),
    auth: 'user',
    bodyBytesMax: BODY_BYTES_MAX,
    query: ofVersion,
    body: object({ rooms: record(sessionsShape) }),
    reply: summary,
    handler({ user, query, body }) {
      const sessions = Object.entries(body.rooms).flatMap(([room, ofRoom]) => {
        const id = parseRoomId(room);
        if (id === null) throw invalidParam(`rooms: ${JSON.stringify(room.slice(0, 100))} is no room ID.`);
        return toSessions(id, ofRoom);
      });
      return keyBackups.put(user.userId, query.version, sessions);
    },
  }),
  endpoint({
    name: 'putRoomKeysByRoomId',
    method: 'PUT',
    ...v3('/room_keys/keys/:roomId'),
    auth: 'user',
    bodyBytesMax: BODY_BYTES_MAX,
    params: object({ roomId }),
    query: ofVersion,
    body: sessionsShape,
    reply: summary,
    handler: ({ user, params, query, body }) =>
      keyBackups.put(user.userId, query.version, toSessions(params.roomId, body)),
  }),
  endpoint({
    name: 'putRoomKeyBySessionId',
    method: 'PUT',
    ...v3('/room_keys/keys/:roomId/:sessionId'),
    auth: 'user',
    params: object({ roomId, sessionId: string }),
    query: ofVersion,
    body: sessionShape,
    reply: summary,
    handler: ({ user, params, query, body }) =>
      keyBackups.put(user.userId, query.version, [toSession(params.roomId, params.sessionId, body)]),
  }),
  endpoint({
    name: 'getRoomKeys',
    method: 'GET',
    ...v3('/room_keys/keys'),
    auth: 'user',
    query: ofVersion,
    reply: anyObject,
    handler: async ({ user, query }) =>
      streamed(textOfRooms(await keyBackups.sessions(user.userId, query.version, null))),
  }),
  endpoint({
    name: 'getRoomKeysByRoomId',
    method: 'GET',
    ...v3('/room_keys/keys/:roomId'),
    auth: 'user',
    params: object({ roomId }),
    query: ofVersion,
    reply: anyObject,
    handler: async ({ user, params, query }) =>
      streamed(textOfRoom(await keyBackups.sessions(user.userId, query.version, params.roomId))),
  }),
  endpoint({
    name: 'getRoomKeyBySessionId',
    method: 'GET',
    ...v3('/room_keys/keys/:roomId/:sessionId'),
    auth: 'user',
    params: object({ roomId, sessionId: string }),
    query: ofVersion,
    reply: sessionShape,
    async handler({ user, params, query }) {
      const { roomId: room, sessionId } = params;
      return new JsonText(sessionText(await keyBackups.session(user.userId, query.version, room, sessionId)));
    },
  }),
  endpoint({
    name: 'deleteRoomKeys',
    method: 'DELETE',
    ...v3('/room_keys/keys'),
    auth: 'user',
    query: ofVersion,
    reply: summary,
    handler: ({ user, query }) => keyBackups.delete(user.userId, query.version, null, null),
  }),
  endpoint({
    name: 'deleteRoomKeysByRoomId',
    method: 'DELETE',
    ...v3('/room_keys/keys/:roomId'),
    auth: 'user',
    params: object({ roomId }),
    query: ofVersion,
    reply: summary,
    handler: ({ user, params, query }) => keyBackups.delete(user.userId, query.version, params.roomId, null),
  }),
  endpoint({
    name: 'deleteRoomKeyBySessionId',
    method: 'DELETE',
    ...v3('/room_keys/keys/:roomId/:sessionId'),
    auth: 'user',
    params: object({ roomId, sessionId: string }),
    query: ofVersion,
    reply: summary,
    handler: ({ user, params, query }) =>
      keyBackups.delete(user.userId, query.version, params.roomId, params.sessionId),
  }),
];
