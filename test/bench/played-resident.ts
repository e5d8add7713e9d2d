/**
 * The other end of joins of large rooms, in a process of its own: a server with one large room of users of many servers,
 * for all of which it answers. Its arguments are `members servers`; the servers are called s0.test and so on, all at one
 * port without TLS. With `certificate key` behind them, two files, each has a port of its own with TLS, and is called by it:
 * localhost:PORT. It tells its place and the room when it is ready.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { authEventKeys } from '../../src/core/auth-events.ts';
import type { EventId, RoomId, ServerName, UserId } from '../../src/core/ids.ts';
import { type Pdu, type StateKeyTuple, stateKeyTuple } from '../../src/core/pdu.ts';
import { buildPdu } from '../../src/core/pdu-format.ts';
import { findRoomRules } from '../../src/core/room-versions.ts';
import { buildServerKeys } from '../../src/core/server-keys.ts';
import { type SigningKey, signingKeyFromSeed } from '../../src/core/signing.ts';

/** What the parent process gets to know. */
export type PlayedResident = { readonly port: number; readonly roomId: string; readonly servers: readonly string[] };

const rules = findRoomRules('11')!;
const [memberCount, serverCount] = process.argv.slice(2, 4).map(Number) as [number, number];
const [certificatePath, keyPath] = process.argv.slice(4);

const answerRequest: RequestListener = (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    response.setHeader('content-type', 'application/json');
    response.end(answer(request.url ?? '', request.headers.host ?? '', Buffer.concat(chunks).toString()));
  });
};

async function portOf(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // It listens at a port, and not at a pipe.
  return (server.address() as AddressInfo).port;
}

/** The names of the servers, and the last port that one of them listens at. */
async function listen(): Promise<{ servers: ServerName[]; port: number }> {
  const indices = Array.from({ length: serverCount }, (_, index) => index);
  if (certificatePath === undefined || keyPath === undefined) {
    return {
      servers: indices.map((index) => `s${index}.test` as ServerName),
      port: await portOf(createServer(answerRequest)),
    };
  }
  const tls = { cert: readFileSync(certificatePath), key: readFileSync(keyPath) };
  const ports: number[] = [];
  for (const _ of indices) ports.push(await portOf(createTlsServer(tls, answerRequest)));
  return { servers: ports.map((port) => `localhost:${port}` as ServerName), port: ports.at(-1)! };
}

const { servers, port } = await listen();
const keys = new Map<string, SigningKey>(
  servers.map((name, index) => [name, signingKeyFromSeed('k', Buffer.alloc(32, `seed ${index}`))]),
);
const roomId = `!large:${servers[0]}` as RoomId;
const creator = `@creator:${servers[0]}` as UserId;
const state = new Map<StateKeyTuple, Pdu>();
let last: Pdu | null = null;

const authEventsOf = (stateKey: string, type: string, sender: UserId, content: Pdu['content']): EventId[] =>
  authEventKeys(rules, { type, stateKey, sender, content }).flatMap(
    ([each, key]) => state.get(stateKeyTuple(each, key))?.eventId ?? [],
  );

function add(type: string, stateKey: string, sender: UserId, content: Pdu['content']): void {
  const serverName = sender.slice(sender.indexOf(':') + 1);
  const authEvents = authEventsOf(stateKey, type, sender, content);
  const place = { depth: (last?.depth ?? 0) + 1, prevEvents: last === null ? [] : [last.eventId], authEvents };
  const fields = { roomId, type, stateKey, sender, content, redacts: null, originServerTs: Date.now(), ...place };
  last = buildPdu(rules, fields, serverName, keys.get(serverName)!).pdu;
  state.set(stateKeyTuple(type, stateKey), last);
}

add('m.room.create', '', creator, { room_version: '11' });
add('m.room.member', creator, creator, { membership: 'join' });
add('m.room.power_levels', '', creator, { users: { [creator]: 100 } });
add('m.room.join_rules', '', creator, { join_rule: 'public' });
for (let number = 1; number < memberCount; number++) {
  const user = `@user${number}:${servers[number % serverCount]}` as UserId;
  add('m.room.member', user, user, {
    membership: 'join',
    displayname: `User ${number}`,
    avatar_url: `mxc://s/${number}`,
  });
}
const textOf = (pdus: readonly Pdu[]): string => pdus.map(({ json }) => JSON.stringify(json)).join(',');
const told = textOf([...state.values()]);
const toldIds = [...state.values()].map(({ eventId }) => `"${eventId}"`).join(',');
const isMember = ({ type }: Pdu): boolean => type === 'm.room.member';
const toldWithoutMembers = textOf([...state.values()].filter((pdu) => !isMember(pdu)));
// All that the rest of the state stands on.
const creatorJoined = textOf([...state.values()].filter(isMember).slice(0, 1));

process.send!({ port, roomId, servers } satisfies PlayedResident);

function answer(url: string, host: string, body: string): string {
  if (url.startsWith('/_matrix/key/')) {
    const key = keys.get(host)!;
    const validUntilMs = Date.now() + 86_400_000;
    return JSON.stringify(buildServerKeys({ serverName: host as ServerName, keys: [key], oldKeys: {}, validUntilMs }));
  }
  if (url.includes('/make_join/')) {
    const userId = decodeURIComponent(url.split('?')[0]!.split('/').at(-1)!) as UserId;
    const content = { membership: 'join' };
    const event = {
      type: 'm.room.member',
      room_id: roomId,
      state_key: userId,
      sender: userId,
      content,
      depth: last!.depth + 1,
      prev_events: [last!.eventId],
      auth_events: authEventsOf(userId, 'm.room.member', userId, content),
    };
    return JSON.stringify({ room_version: '11', event });
  }
  if (url.includes('/state_ids/')) return `{"pdu_ids":[${toldIds}],"auth_chain_ids":[]}`;
  if (url.includes('/state/')) return `{"pdus":[${told}],"auth_chain":[]}`;
  if (url.includes('/event/')) return JSON.stringify({ origin: servers[0], origin_server_ts: 1, pdus: [last!.json] });
  // What is told of the room, or of who is there, is none of its business.
  if (url.includes('/federation/v1/send/')) return '{"pdus":{}}';
  if (url.includes('omit_members=true')) {
    const names = servers.map((name) => `"${name}"`).join(',');
    const rest = `"members_omitted":true,"servers_in_room":[${names}],"origin":"${servers[0]}","event":${body}`;
    return `{"state":[${toldWithoutMembers}],"auth_chain":[${creatorJoined}],${rest}}`;
  }
  return `{"state":[${told}],"auth_chain":[],"origin":"${servers[0]}","event":${body}}`;
}
