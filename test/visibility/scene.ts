/** A room with a timeline of visibilities, through which many users come and go, each on a path of their own. */
import { roomPath } from '../../src/testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../../src/testing/test-client.ts';
import type { TestServer } from '../../src/testing/test-server.ts';
import type { Deed, Path, Timeline } from './histories.ts';
import { Oracle } from './oracle.ts';

export type Scene = {
  readonly room: TestRoom;
  readonly timeline: Timeline;
  readonly oracle: Oracle;
  /** The first message, to which all others are related. */
  readonly rootId: string;
  readonly subjects: readonly { readonly user: TestUser; readonly path: Path }[];
};

type Json = ReturnType<typeof JSON.parse>;

/** A word that all messages hold, to search for. */
export const COMMON_WORD = 'chrysanthemum';

const MEMBER_DEEDS: Readonly<Record<Exclude<Deed, 'join' | 'leave' | 'knock'>, string>> = {
  invite: 'invite',
  kick: 'kick',
  ban: 'ban',
  unban: 'unban',
};

async function act(owner: TestUser, user: TestUser, room: TestRoom, deed: Deed): Promise<void> {
  if (deed === 'join' || deed === 'leave') succeeded(await user.post(roomPath(room, deed)));
  else if (deed === 'knock') succeeded(await user.post(`/v3/knock/${encodeURIComponent(room.id)}`));
  else succeeded(await owner.post(roomPath(room, MEMBER_DEEDS[deed]), { user_id: user.userId }));
}

/** Plays a timeline with one user for each path. `name` goes into all that is said, to be found again. */
export async function play(
  name: string,
  timeline: Timeline,
  owner: TestUser,
  subjects: Scene['subjects'],
): Promise<Scene> {
  const room = await owner.createRoom({
    preset: 'public_chat',
    initial_state: [
      { type: 'm.room.join_rules', content: { join_rule: timeline.joinRule } },
      { type: 'm.room.history_visibility', content: { history_visibility: timeline.rounds[0] } },
    ],
  });
  const rootId = await owner.say(room, `${COMMON_WORD} ${name}-root.`);
  for (const [round, visibility] of timeline.rounds.entries()) {
    if (round > 0 && visibility !== timeline.rounds[round - 1]) {
      await owner.setState(room, 'm.room.history_visibility', { history_visibility: visibility });
    }
    for (const { user, path } of subjects) {
      const deed = path[round];
      if (deed !== undefined) await act(owner, user, room, deed);
    }
    await owner.setState(room, 'm.room.topic', { topic: `${name}-topic-${round}.` });
    await owner.send(room, 'm.room.message', {
      msgtype: 'm.text',
      body: `${COMMON_WORD} ${name}-said-${round}.`,
      'm.relates_to': { rel_type: 'm.thread', event_id: rootId },
    });
  }
  return { room, timeline, rootId, subjects, oracle: await retold(room, timeline, owner) };
}

/** The room's history as its founder gets it, who was in it all the time. */
async function retold(room: TestRoom, timeline: Timeline, owner: TestUser): Promise<Oracle> {
  const oracle = new Oracle(timeline.joinRule);
  for (let from: string | undefined; ; ) {
    const page: Json = succeeded(await owner.get(roomPath(room, 'messages'), { dir: 'f', from, limit: 1000 }));
    for (const { event_id: eventId, type, state_key: stateKey, content } of page.chunk) {
      if (type === 'm.room.message') oracle.add({ eventId, marker: content.body, sets: { kind: 'message' } });
      else if (type === 'm.room.topic') oracle.add({ eventId, marker: content.topic, sets: { kind: 'topic' } });
      else if (type === 'm.room.member') {
        oracle.add({
          eventId,
          marker: null,
          sets: { kind: 'member', userId: stateKey, membership: content.membership },
        });
      } else if (type === 'm.room.history_visibility') {
        const sets = { kind: 'visibility', visibility: content.history_visibility } as const;
        oracle.add({ eventId, marker: null, sets });
      }
    }
    if (page.end === undefined) return oracle;
    from = page.end;
  }
}

/** One user for each of the longest lists of paths; they are in all rooms. */
export async function usersFor(server: TestServer, count: number): Promise<TestUser[]> {
  const users: TestUser[] = [];
  for (let index = 0; index < count; index++) users.push(await server.user(`u${index}`));
  return users;
}
