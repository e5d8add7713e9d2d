/** How a user of a played homeserver joins, leaves or knocks through a test server: template, event, answer. */
import type { JsonObject } from '../../src/core/json-value.ts';
import type { RoomVersion } from '../../src/core/room-versions.ts';
import type { EventFields, RemoteEvent, RemoteServer } from '../../src/testing/remote-server.ts';
import { type Reply, succeeded } from '../../src/testing/test-client.ts';

export const V1 = '/_matrix/federation/v1';
export const V2 = '/_matrix/federation/v2';
const id = encodeURIComponent;

export type Wish = 'join' | 'leave' | 'knock';

/** Asks for the template of a member event. */
export function make(
  remote: RemoteServer,
  wish: Wish,
  roomId: string,
  userId: string,
  versions: readonly string[] = ['1', '6', '11', '12'],
): Promise<Reply> {
  const query = wish === 'leave' ? '' : `?${versions.map((version) => `ver=${version}`).join('&')}`;
  return remote.signedRequest('GET', `${V1}/make_${wish}/${id(roomId)}/${id(userId)}${query}`);
}

/** The event that an honest server makes of a template, or a dishonest one with changes. */
export function fill(
  remote: RemoteServer,
  version: RoomVersion,
  template: JsonObject,
  changes: Partial<EventFields> = {},
): RemoteEvent {
  const idsOf = (list: unknown) =>
    (list as (string | [string])[]).map((item) => (Array.isArray(item) ? item[0] : item));
  return remote.buildEvent(version, {
    roomId: template['room_id'] as string,
    type: template['type'] as string,
    stateKey: template['state_key'] as string,
    sender: template['sender'] as string,
    content: template['content'] as JsonObject,
    depth: template['depth'] as number,
    prevEvents: idsOf(template['prev_events']),
    authEvents: idsOf(template['auth_events']),
    ...changes,
  });
}

/** Hands an event in. */
export function hand(
  remote: RemoteServer,
  wish: Wish,
  roomId: string,
  { eventId, json }: Pick<RemoteEvent, 'eventId' | 'json'>,
  query = '',
): Promise<Reply> {
  const version = wish === 'knock' ? V1 : V2;
  return remote.signedRequest('PUT', `${version}/send_${wish}/${id(roomId)}/${id(eventId)}${query}`, json);
}

/** All of it. Throws where there is no template. */
export async function enter(
  remote: RemoteServer,
  wish: Wish,
  roomId: string,
  userId: string,
  { version = '11', query = '' }: { version?: RoomVersion; query?: string } = {},
): Promise<{ reply: Reply; event: RemoteEvent }> {
  const template = succeeded(await make(remote, wish, roomId, userId)).event;
  const event = fill(remote, version, template);
  return { event, reply: await hand(remote, wish, roomId, event, query) };
}
