/** Asks every question of every user of a scene, and compares each answer with the oracle. */
import type { Reply, TestUser } from '../../src/testing/test-client.ts';
import { EVENT_QUESTIONS, QUESTIONS } from './endpoints.ts';
import type { Access } from './oracle.ts';
import type { Scene } from './scene.ts';

export type Outcome = { readonly answers: number; readonly differences: readonly string[] };

type Seen = { readonly sees: readonly boolean[]; readonly topics: ReadonlySet<string>; readonly access: Access };

/** The answers of the server that differ from the oracle's, as sentences. */
export async function compare(scene: Scene): Promise<Outcome> {
  const differences: string[] = [];
  let answers = 0;
  for (const { user, path } of scene.subjects) {
    const { happenings } = scene.oracle;
    const seen: Seen = {
      sees: happenings.map((_, at) => scene.oracle.sees(user.userId, at)),
      topics: scene.oracle.topicsKnownTo(user.userId),
      access: scene.oracle.access(user.userId),
    };
    const complain = (question: string, reply: Reply, what: string): void => {
      const where = `${scene.timeline.joinRule} room, ${scene.timeline.rounds.join(' > ')}; user: ${path.join(' > ') || 'never there'}`;
      differences.push(`${question} (${reply.status}) ${what} [${where}]`);
    };
    for (const question of QUESTIONS) {
      const reply = await question.ask(user, scene);
      answers++;
      const statuses = question.statuses(user.userId, scene, seen.access);
      if (statuses !== null && !statuses.includes(reply.status)) {
        complain(question.name, reply, `should have answered ${statuses.join(' or ')}`);
      }
      for (const leak of leaksIn(reply, scene, seen)) complain(question.name, reply, `tells ${leak}`);
      for (const gap of gapsIn(reply, scene, seen, question.tells)) complain(question.name, reply, `lacks ${gap}`);
    }
    answers += await askOfEvents(scene, user, seen, complain);
  }
  return { answers, differences };
}

async function askOfEvents(
  scene: Scene,
  user: TestUser,
  seen: Seen,
  complain: (question: string, reply: Reply, what: string) => void,
): Promise<number> {
  let answers = 0;
  for (const [at, { eventId, marker, sets }] of scene.oracle.happenings.entries()) {
    const isOwn = sets.kind === 'member' && sets.userId === user.userId;
    if (marker === null && sets.kind !== 'visibility' && !isOwn) continue;
    for (const question of EVENT_QUESTIONS) {
      // One way in is enough for events that all ways treat alike.
      if (marker === null && question.name !== 'event') continue;
      const reply = await question.ask(user, scene, eventId);
      answers++;
      const status = seen.sees[at] ? 200 : 404;
      const what = `${question.name} of ${marker ?? sets.kind}`;
      if (reply.status !== status) complain(what, reply, `should have answered ${status}`);
      for (const leak of leaksIn(reply, scene, seen)) complain(what, reply, `tells ${leak}`);
    }
  }
  return answers;
}

/** What an answer tells that the user may not know. */
function leaksIn(reply: Reply, { oracle, rootId }: Scene, { sees, topics }: Seen): string[] {
  const text = JSON.stringify(reply.body);
  return oracle.happenings.flatMap(({ eventId, marker, sets }, at) => {
    // The first message's ID is part of what the others say: they are related to it.
    const isNamed = text.includes(marker ?? eventId) || (eventId !== rootId && text.includes(eventId));
    if (sets.kind === 'message' && !sees[at] && isNamed) return [marker!];
    return sets.kind === 'topic' && !topics.has(marker!) && text.includes(marker!) ? [marker!] : [];
  });
}

/** What an answer should have told and did not. */
function gapsIn(reply: Reply, { oracle }: Scene, { sees, access }: Seen, tells: 'all' | 'newest' | 'none'): string[] {
  if (tells === 'none' || access.kind === 'none') return [];
  const last = access.kind === 'left' ? access.at : oracle.happenings.length - 1;
  const expected = oracle.happenings.flatMap(({ sets, marker }, at) =>
    sets.kind === 'message' && sees[at] && at <= last ? [marker!] : [],
  );
  const text = JSON.stringify(reply.body);
  return (tells === 'all' ? expected : expected.slice(-1)).filter((marker) => !text.includes(marker));
}
