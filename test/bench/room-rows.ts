/** Rows of the bench about finding rooms: the directory and the hierarchy of a space. */
import type { BenchUser } from './client.ts';
import { inParallel, limitMs, type Row, range, scaled } from './scene.ts';
import { wordsOfSeed } from './words.ts';

const LISTED = 10_000;
const CHILDREN = 500;

export const publicRooms: Row = {
  name: 'public-rooms',
  async run(scene) {
    const users = await scene.newUsers(20);
    const word = wordsOfSeed(2);
    await inParallel(range(scaled(LISTED, scene)), 20, (index) =>
      users[index % users.length]!.createRoom({
        visibility: 'public',
        name: `${word()} ${word()} ${index}`,
        topic: range(8).map(word).join(' '),
      }),
    );
    const reader = users[0]!;
    const since: string[] = [];
    for (let next: string | null = null; since.length < 20; ) {
      next = (await reader.publicRooms({ limit: 100, ...(next === null ? {} : { since: next }) })).next;
      if (next === null) break;
      since.push(next);
    }
    const reading = { workers: 1, ops: scaled(1000, scene), limitMs: limitMs(8, scene) };
    const page = (_: number, index: number): Promise<unknown> =>
      reader.publicRooms({ limit: 100, since: since[index % since.length]! });
    scene.note('public-rooms', await scene.meter.measure({ ...reading, op: page }));
    const search = (): Promise<unknown> =>
      reader.publicRooms({ limit: 100, filter: { generic_search_term: `${word()} ${word()}` } });
    scene.note('public-rooms-search', await scene.meter.measure({ ...reading, op: search }));
  },
};

export const hierarchy: Row = {
  name: 'hierarchy',
  async run(scene) {
    const [owner] = await scene.newUsers(1);
    const count = scaled(CHILDREN, scene);
    const rooms: string[] = [];
    await inParallel(range(count), 10, async (index) => {
      rooms.push(await owner!.createRoom({ name: `Room ${index}`, topic: 'A room of a space' }));
    });
    const spaceId = await spaceOf(owner!, rooms);
    const walk = (): Promise<void> => owner!.hierarchy(spaceId, count + 1);
    const work = { workers: 1, ops: scaled(200, scene), limitMs: limitMs(8, scene), op: walk };
    scene.note('hierarchy', await scene.meter.measure(work));
  },
};

function spaceOf(owner: BenchUser, rooms: readonly string[]): Promise<string> {
  const children = rooms.map((roomId) => ({
    type: 'm.space.child',
    state_key: roomId,
    content: { via: ['localhost'] },
  }));
  return owner.createRoom({ name: 'Space', creation_content: { type: 'm.space' }, initial_state: children });
}
