/** What a scene has to play with, and how it waits: on what the servers tell, with a bound, and never on a quiet machine. */
import { setTimeout as sleep } from 'node:timers/promises';
import { roomPath } from '../../src/testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../../src/testing/test-client.ts';
import type { Side } from './side.ts';

type Json = ReturnType<typeof JSON.parse>;

/** One play of a scene: the room is made on `home`, and `away` comes to it. */
export type Stage = {
  readonly home: Side;
  readonly away: Side;
  readonly roomVersion: string;
  /** A user of each, new in each play. */
  readonly alice: TestUser;
  readonly bob: TestUser;
  /** A third server, of the kind of the home; started where somebody first asks for it. */
  third(): Promise<Side>;
};

export type Scene = {
  readonly name: string;
  /** Room versions in which it makes sense; all where it is left out. */
  readonly versions?: readonly string[];
  /** Once is enough: the version of a room changes nothing in it. */
  readonly once?: true;
  /** Only with this program as the one that comes: the other does not do it. */
  readonly away?: 'Myelin';
  play(stage: Stage): Promise<void>;
};

const PATIENCE_MS = 30_000;
const LOOK_EVERY_MS = 100;

/** What a look gives at last that is neither null nor undefined nor false. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | null | undefined | false>,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  let last: unknown = null;
  for (const startMs = performance.now(); performance.now() - startMs < patienceMs; await sleep(LOOK_EVERY_MS)) {
    try {
      const seen = await look();
      if (seen !== null && seen !== undefined && seen !== false) return seen;
      last = null;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`Not within ${patienceMs} ms: ${what}${last instanceof Error ? ` (${last.message})` : ''}`);
}

/** The content of a piece of state as a user sees it; null where there is none. */
export async function stateOf(user: TestUser, room: TestRoom, type: string, stateKey = ''): Promise<Json | null> {
  const reply = await user.get(roomPath(room, 'state', type, stateKey));
  return reply.status === 404 ? null : succeeded(reply);
}

export async function membershipOf(user: TestUser, room: TestRoom, of: TestUser): Promise<string | null> {
  return (await stateOf(user, room, 'm.room.member', of.userId))?.membership ?? null;
}

/** Waits until a user sees an event, and gives it. */
export function eventSeen(user: TestUser, room: TestRoom, eventId: string): Promise<Json> {
  return eventually(`${user.userId} sees ${eventId}`, async () => {
    const reply = await user.get(roomPath(room, 'event', eventId));
    return reply.status === 200 ? reply.body : null;
  });
}

/** Bodies of the messages that a user can page back through, the oldest first. */
export async function historyOf(user: TestUser, room: TestRoom): Promise<string[]> {
  const bodies: string[] = [];
  let from: string | undefined;
  for (let page = 0; page < 50; page++) {
    const { chunk, end } = succeeded(await user.get(roomPath(room, 'messages'), { dir: 'b', limit: 20, from }));
    for (const event of chunk) if (event.type === 'm.room.message') bodies.unshift(event.content.body);
    if (end === undefined || end === from) break;
    from = end;
  }
  return bodies;
}

/** A room on the stage's home that everybody may join, and its alias. */
export async function publicRoom(stage: Stage, content: object = {}): Promise<TestRoom & { readonly alias: string }> {
  const local = `r${stage.alice.userId.replace(/[^a-z0-9]/g, '')}${stage.alice.transactionId()}`;
  const room = await stage.alice.createRoom({
    preset: 'public_chat',
    room_version: stage.roomVersion,
    room_alias_name: local,
    ...content,
  });
  return { id: room.id, alias: `#${local}:${stage.home.serverName}` };
}

/** Bob joins Alice's room through her server; it is done when both servers say so. */
export async function joinAway({ alice, bob, home }: Stage, room: TestRoom): Promise<void> {
  succeeded(await bob.post(`/v3/join/${encodeURIComponent(room.id)}?server_name=${home.serverName}`));
  await eventually('both servers know the join', async () => (await membershipOf(alice, room, bob)) === 'join');
}
