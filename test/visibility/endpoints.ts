/** Every endpoint by which a user may read events or state of a room, and what each answer must and must not hold. */
import { roomPath } from '../../src/testing/room-path.ts';
import type { Reply, TestUser } from '../../src/testing/test-client.ts';
import type { Access } from './oracle.ts';
import { COMMON_WORD, type Scene } from './scene.ts';

export type Question = {
  readonly name: string;
  ask(user: TestUser, scene: Scene): Promise<Reply>;
  /** The statuses that are right; null where any is. */
  readonly statuses: (user: string, scene: Scene, access: Access) => readonly number[] | null;
  /** Which of the messages that the user may see must be in the answer. */
  readonly tells: 'all' | 'newest' | 'none';
};

const byAccess = (_user: string, _scene: Scene, access: Access): readonly number[] =>
  access.kind === 'none' ? [403] : [200];
const always = (): readonly number[] => [200];
const any = (): null => null;
const bySight =
  (atOf: (scene: Scene) => number, refused: number) =>
  (user: string, scene: Scene): readonly number[] => [scene.oracle.sees(user, atOf(scene)) ? 200 : refused];

const indexOf = (scene: Scene, eventId: string): number =>
  scene.oracle.happenings.findIndex((happening) => happening.eventId === eventId);
const rootAt = (scene: Scene): number => indexOf(scene, scene.rootId);
const byRoot = bySight(rootAt, 404);

const syncFilter = (scene: Scene): string =>
  JSON.stringify({ room: { rooms: [scene.room.id], include_leave: true, timeline: { limit: 1000 } } });

const list = (
  name: string,
  parts: readonly string[],
  query: Record<string, string | number>,
  more: Partial<Question> = {},
): Question => ({
  name,
  ask: (user, { room }) => user.get(roomPath(room, ...parts), query),
  statuses: byAccess,
  tells: 'none',
  ...more,
});

/** Questions about a room as a whole. */
export const QUESTIONS: readonly Question[] = [
  list('messages backwards', ['messages'], { dir: 'b', limit: 1000 }, { tells: 'all' }),
  list('messages forwards', ['messages'], { dir: 'f', limit: 1000 }, { tells: 'all' }),
  list('messages one by one', ['messages'], { dir: 'b', limit: 1 }),
  list('state', ['state'], {}),
  list('state event', ['state', 'm.room.topic', ''], { format: 'event' }),
  list('state content', ['state', 'm.room.topic'], {}),
  list('members', ['members'], {}),
  list(
    'joined members',
    ['joined_members'],
    {},
    {
      statuses: (user, scene) => (scene.oracle.membershipNow(user) === 'join' ? [200] : [403]),
    },
  ),
  list('initialSync of the room', ['initialSync'], { limit: 100 }, { tells: 'newest' }),
  {
    name: 'sync',
    ask: (user, scene) => user.get('/v3/sync', { filter: syncFilter(scene) }),
    statuses: always,
    tells: 'none',
  },
  {
    name: 'sync with full state after',
    ask: (user, scene) => user.get('/v3/sync', { filter: syncFilter(scene), full_state: true, use_state_after: true }),
    statuses: always,
    tells: 'none',
  },
  {
    name: 'events of the room',
    ask: (user, { room }) => user.get('/v3/events', { room_id: room.id, from: 's0', timeout: 0 }),
    statuses: (_user, _scene, access) => (access.kind === 'now' ? [200] : [403]),
    tells: 'none',
  },
  {
    name: 'relations',
    ask: (user, { room, rootId }) =>
      user.get(`/v1/rooms/${encodeURIComponent(room.id)}/relations/${rootId}`, { limit: 100 }),
    statuses: byRoot,
    tells: 'none',
  },
  {
    name: 'relations by type, recursive',
    ask: (user, { room, rootId }) =>
      user.get(`/v1/rooms/${encodeURIComponent(room.id)}/relations/${rootId}/m.thread/m.room.message`, {
        recurse: true,
        dir: 'f',
      }),
    statuses: byRoot,
    tells: 'none',
  },
  {
    name: 'threads',
    ask: (user, { room }) => user.get(`/v1/rooms/${encodeURIComponent(room.id)}/threads`, { include: 'all' }),
    statuses: byAccess,
    tells: 'none',
  },
  {
    name: 'search',
    ask: (user, { room }) =>
      user.post('/v3/search', {
        search_categories: {
          room_events: {
            search_term: COMMON_WORD,
            filter: { rooms: [room.id], limit: 100 },
            event_context: { before_limit: 5, after_limit: 5, include_profile: true },
            include_state: true,
            order_by: 'recent',
          },
        },
      }),
    statuses: always,
    tells: 'none',
  },
  {
    name: 'notifications',
    ask: (user) => user.get('/v3/notifications', { limit: 500 }),
    statuses: always,
    tells: 'none',
  },
  {
    name: 'timestamp_to_event',
    ask: (user, { room }) =>
      user.get(`/v1/rooms/${encodeURIComponent(room.id)}/timestamp_to_event`, { ts: 0, dir: 'f' }),
    statuses: any,
    tells: 'none',
  },
  {
    name: 'room summary',
    ask: (user, { room }) => user.get(`/v1/room_summary/${encodeURIComponent(room.id)}`),
    statuses: any,
    tells: 'none',
  },
  {
    name: 'hierarchy',
    ask: (user, { room }) => user.get(`/v1/rooms/${encodeURIComponent(room.id)}/hierarchy`),
    statuses: any,
    tells: 'none',
  },
];

/** Questions about one event, by its ID. */
export const EVENT_QUESTIONS: readonly {
  readonly name: string;
  ask(user: TestUser, scene: Scene, eventId: string): Promise<Reply>;
}[] = [
  { name: 'event', ask: (user, { room }, eventId) => user.get(roomPath(room, 'event', eventId)) },
  { name: 'context', ask: (user, { room }, eventId) => user.get(roomPath(room, 'context', eventId), { limit: 20 }) },
  { name: 'old event', ask: (user, _scene, eventId) => user.get(`/v3/events/${eventId}`) },
];
