/** The rows of the bench: each sets its own scene, which is not measured, and then measures one deed. */

import type { AimId } from './aims.ts';
import type { BenchUser } from './client.ts';
import { type Figure, quantile } from './meter.ts';
import { hierarchy, publicRooms } from './room-rows.ts';
import { inParallel, limitMs, type Row, range, type Scene, scaled } from './scene.ts';
import { wordsOfSeed } from './words.ts';

/** A room that its first user makes and all others join. */
async function roomOf(users: readonly BenchUser[], messages = 0): Promise<string> {
  const [owner, ...others] = users;
  const roomId = await owner!.createRoom({ name: 'Bench' });
  await inParallel(others, 10, (user) => user.join(roomId));
  for (const index of range(messages)) await users[index % users.length]!.say(roomId);
  return roomId;
}

const sending: Row = {
  name: 'send',
  async run(scene) {
    const { meter } = scene;
    const users = await scene.newUsers(20);
    const alone = await roomOf(users.slice(0, 1));
    const shared = await roomOf(users);
    const own: string[] = [];
    await inParallel(users, 5, async (user) => {
      own[users.indexOf(user)] = await roomOf([user]);
    });
    const before = await scene.diskBytes();
    let sent = 0;
    const say = (user: BenchUser, roomId: string): Promise<string> => {
      sent += 1;
      return user.say(roomId);
    };

    const one = { workers: 1, ops: scaled(3000, scene), limitMs: limitMs(10, scene) };
    scene.note('send-1', await meter.measure({ ...one, op: () => say(users[0]!, alone) }));
    const twenty = { workers: 20, ops: scaled(10_000, scene), limitMs: limitMs(10, scene) };
    scene.note('send-20-1', await meter.measure({ ...twenty, op: (worker) => say(users[worker]!, shared) }));
    scene.note('send-20-20', await meter.measure({ ...twenty, op: (worker) => say(users[worker]!, own[worker]!) }));

    const after = await scene.diskBytes();
    if (before !== null && after !== null) scene.note('message-disk', (after - before) / sent);
  },
};

/**
 * Lets something happen again and again that all users wait for in /sync; measures what each of the answers costs.
 * `deed` does it and gives a text by which the answer that tells of it is known.
 */
async function measureDelivery(
  scene: Scene,
  id: AimId,
  users: readonly BenchUser[],
  deed: (round: number) => { readonly told: string; readonly done: () => Promise<unknown> },
): Promise<void> {
  const { meter } = scene;
  const since = new Map<BenchUser, string>();
  await inParallel(users, 20, async (user) => since.set(user, (await user.sync(null, 0)).nextBatch));

  /** Waits in /sync until it arrives; gives the time when it did. */
  const delivered = async (user: BenchUser, told: string): Promise<number> => {
    for (;;) {
      const { nextBatch, text } = await user.sync(since.get(user)!, 30_000);
      const nowMs = performance.now();
      since.set(user, nextBatch);
      if (text.includes(told)) return nowMs;
    }
  };
  // What was sent while the first syncs ran must not end the first wait.
  const waits: number[] = [];
  const rounds = Math.max(5, Math.round(30 * scene.scale));
  let cpuMs = 0;
  let measured = 0;
  const endMs = performance.now() + limitMs(40, scene);
  for (let round = -2; round < rounds && (round < 3 || performance.now() < endMs); round++) {
    const { told, done } = deed(round);
    // The answer to the one who does it may come later than what the others get: all wait for what is told of it.
    const arrivals = users.map((user) => delivered(user, told));
    await meter.untilIdle();
    const cpuBefore = meter.cpuMs();
    const startMs = performance.now();
    await done();
    const walls = (await Promise.all(arrivals)).map((arrivedMs) => arrivedMs - startMs);
    await meter.untilIdle();
    // The first rounds warm up.
    if (round < 0) continue;
    cpuMs += meter.cpuMs() - cpuBefore;
    measured += walls.length;
    waits.push(...walls);
  }
  scene.note(id, {
    ops: measured,
    cpuMs: cpuMs / measured,
    p50Ms: quantile(waits, 0.5),
    p95Ms: quantile(waits, 0.95),
  });
}

const delivery: Row = {
  name: 'delivery',
  async run(scene) {
    const users = await scene.newUsers(200);
    const roomId = await roomOf(users);
    await measureDelivery(scene, 'delivery', users, () => ({
      told: '"m.room.message"',
      done: () => users[0]!.say(roomId),
    }));
  },
};

const presence: Row = {
  name: 'presence',
  async run(scene) {
    const users = await scene.newUsers(200);
    await roomOf(users);
    await measureDelivery(scene, 'presence', users, (round) => ({
      told: `status ${round}"`,
      done: () => users[0]!.setPresence(round % 2 === 0 ? 'online' : 'unavailable', `status ${round}`),
    }));
  },
};

const receipts: Row = {
  name: 'receipts',
  async run(scene) {
    const users = await scene.newUsers(500);
    const roomId = await roomOf(users);
    const rounds = Math.max(2, Math.round(12 * scene.scale));
    const eventIds: string[] = [];
    for (let i = 0; i < rounds; i++) eventIds.push(await users[0]!.say(roomId));
    const read = (_: number, index: number): Promise<void> =>
      users[index % users.length]!.read(roomId, eventIds[Math.floor(index / users.length) % rounds]!);
    const work = {
      workers: 10,
      ops: scaled(users.length * rounds * 0.8, scene),
      limitMs: limitMs(10, scene),
      op: read,
    };
    scene.note('receipt', await scene.meter.measure(work));
  },
};

async function initialSync(scene: Scene, id: AimId, rooms: number, ops: number): Promise<void> {
  const users = await scene.newUsers(10);
  await inParallel(range(rooms), 10, () => roomOf(users, 25));
  const work = { workers: 1, ops: scaled(ops, scene), limitMs: limitMs(10, scene) };
  const sync = (_: number, index: number): Promise<string> => {
    // Nobody makes the same initial sync twice: each is one that no cache of whole answers holds.
    const user = users[index % users.length]!;
    return user.raw('GET', user.syncPath(null, 0, String(index)));
  };
  scene.note(id, await scene.meter.measure({ ...work, op: sync }));
}

const initialSyncs: Row = {
  name: 'initial-sync',
  async run(scene) {
    await initialSync(scene, 'initial-20', 20, 200);
    await initialSync(scene, 'initial-100', 100, 80);
  },
};

const incrementalSync: Row = {
  name: 'incremental-sync',
  async run(scene) {
    const users = await scene.newUsers(10);
    await inParallel(range(20), 10, () => roomOf(users, 5));
    const since = await Promise.all(users.map(async (user) => (await user.sync(null, 0)).nextBatch));
    const work = { workers: users.length, ops: scaled(6000, scene), limitMs: limitMs(6, scene) };
    const sync = async (worker: number): Promise<void> => {
      since[worker] = (await users[worker]!.sync(since[worker]!, 0)).nextBatch;
    };
    scene.note('incremental', await scene.meter.measure({ ...work, op: sync }));
  },
};

const createRoom: Row = {
  name: 'create-room',
  async run(scene) {
    const [user] = await scene.newUsers(1);
    const work = { workers: 1, ops: scaled(250, scene), limitMs: limitMs(8, scene) };
    const create = (): Promise<string> => user!.createRoom({ name: 'A bench', topic: 'How long things take' });
    scene.note('create', await scene.meter.measure({ ...work, op: create }));
  },
};

const joinSmall: Row = {
  name: 'join-small',
  async run(scene) {
    const [owner, ...users] = await scene.newUsers(11);
    const ops = scaled(600, scene);
    const rooms: string[] = [];
    const joins = Math.ceil(ops * 1.2) + 20;
    await inParallel(range(Math.ceil(joins / users.length)), 5, async () => {
      rooms.push(await roomOf([owner!]));
    });
    const join = (_: number, index: number): Promise<void> =>
      users[index % users.length]!.join(rooms[Math.floor(index / users.length)]!);
    const work = { workers: 1, ops, limitMs: limitMs(10, scene), op: join };
    scene.note('join-small', await scene.meter.measure(work));
  },
};

const BIG_ROOM = 2000;
const STEP = 100;

const bigRoom: Row = {
  name: 'big-room',
  async run(scene) {
    const { meter } = scene;
    const size = Math.max(4 * STEP, Math.round((BIG_ROOM * scene.scale) / STEP) * STEP);
    const users = await scene.newUsers(size + 1);
    const roomId = await roomOf(users.slice(0, 1));
    await meter.untilIdle();

    const steps: Figure[] = [];
    for (let joined = 1; joined < users.length; joined += STEP) {
      const join = (_: number, index: number): Promise<void> => users[joined + index]!.join(roomId);
      steps.push(await meter.measureNow({ workers: 1, ops: STEP, limitMs: 120_000, op: join }));
    }
    const mean = (pick: (step: Figure) => number): number =>
      steps.reduce((sum, step) => sum + pick(step), 0) / steps.length;
    scene.note('join-big', {
      ops: size,
      cpuMs: mean(({ cpuMs }) => cpuMs),
      p50Ms: mean(({ p50Ms }) => p50Ms),
      p95Ms: mean(({ p95Ms }) => p95Ms),
    });
    scene.note('join-growth', steps.at(-1)!.cpuMs / steps[0]!.cpuMs);

    const before = await scene.diskBytes();
    let changes = 0;
    const rename = (_: number, index: number): Promise<void> => {
      changes += 1;
      return users[index % 20]!.renameIn(roomId, `Name ${index}`);
    };
    const work = { workers: 1, ops: scaled(600, scene), limitMs: limitMs(15, scene), op: rename };
    scene.note('rename', await meter.measure(work));
    const after = await scene.diskBytes();
    if (before !== null && after !== null) scene.note('rename-disk', (after - before) / changes);
  },
};

const history: Row = {
  name: 'history',
  async run(scene) {
    const users = await scene.newUsers(10);
    const roomId = await roomOf(users, 1500);
    const reader = users[0]!;
    const pages: { from: string | null; eventIds: string[] }[] = [];
    for (let from: string | null = null; pages.length < 12; ) {
      const { end, eventIds } = await reader.messages(roomId, from, 100);
      pages.push({ from, eventIds });
      if (end === null) break;
      from = end;
    }
    const reading = { workers: 1, limitMs: limitMs(8, scene) };
    const page = (_: number, index: number): Promise<unknown> =>
      reader.messages(roomId, pages[index % pages.length]!.from, 100);
    scene.note('messages', await scene.meter.measure({ ...reading, ops: scaled(500, scene), op: page }));
    const eventIds = pages.flatMap((each) => each.eventIds);
    const context = (_: number, index: number): Promise<void> =>
      reader.context(roomId, eventIds[(index * 37) % eventIds.length]!, 20);
    scene.note('context', await scene.meter.measure({ ...reading, ops: scaled(800, scene), op: context }));
  },
};

const members: Row = {
  name: 'members',
  async run(scene) {
    const users = await scene.newUsers(scaled(BIG_ROOM, scene));
    const roomId = await roomOf(users);
    const list = (_: number, index: number): Promise<void> => users[index % users.length]!.members(roomId);
    const work = { workers: 1, ops: scaled(200, scene), limitMs: limitMs(8, scene), op: list };
    scene.note('members', await scene.meter.measure(work));
  },
};

const REPLIES = 1000;
const THREAD_PAGE = 50;

const thread: Row = {
  name: 'thread',
  async run(scene) {
    const users = await scene.newUsers(10);
    const roomId = await roomOf(users);
    const reader = users[0]!;
    const rootId = await reader.say(roomId);
    for (const index of range(scaled(REPLIES, scene))) await users[index % users.length]!.reply(roomId, rootId);
    const starts: (string | null)[] = [];
    for (let from: string | null = null; starts.length < REPLIES / THREAD_PAGE; ) {
      const { next } = await reader.thread(roomId, rootId, from, THREAD_PAGE);
      starts.push(from);
      if (next === null) break;
      from = next;
    }
    const page = (_: number, index: number): Promise<unknown> =>
      reader.thread(roomId, rootId, starts[index % starts.length]!, THREAD_PAGE);
    const work = { workers: 1, ops: scaled(500, scene), limitMs: limitMs(8, scene), op: page };
    scene.note('relations', await scene.meter.measure(work));
  },
};

const SEARCHED = 100_000;
const USERS_SEARCHED = 1000;

const searching: Row = {
  name: 'search',
  async run(scene) {
    const users = await scene.newUsers(20);
    const rooms: string[] = [];
    await inParallel(range(20), 5, async () => {
      rooms.push(await roomOf(users.slice(0, 2)));
    });
    const word = wordsOfSeed(1);
    const speakers = users.slice(0, 2);
    await inParallel(range(scaled(SEARCHED, scene)), 20, (index) => {
      const text = range(3 + (index % 13)).map(word);
      return speakers[index % 2]!.say(rooms[index % rooms.length]!, text.join(' '));
    });
    // The first search waits until the index has come as far as the messages.
    await users[0]!.search('anything');
    const search = (): Promise<void> => users[0]!.search(word());
    const work = { workers: 1, limitMs: limitMs(8, scene) };
    scene.note('search', await scene.meter.measure({ ...work, ops: scaled(500, scene), op: search }));

    const crowd = [...users, ...(await scene.newUsers(scaled(USERS_SEARCHED, scene)))];
    await inParallel(crowd, 10, (user) => user.join(rooms[0]!));
    await users[0]!.searchUsers('anybody');
    const find = (_: number, index: number): Promise<void> => {
      const { userId } = crowd[(index * 7) % crowd.length]!;
      return users[0]!.searchUsers(userId.slice(1, 3 + (index % 6)));
    };
    scene.note('search-users', await scene.meter.measure({ ...work, ops: scaled(500, scene), op: find }));
  },
};

export const ROWS: readonly Row[] = [
  ...[
    sending,
    delivery,
    presence,
    receipts,
    initialSyncs,
    incrementalSync,
    createRoom,
    joinSmall,
    bigRoom,
    members,
    history,
    thread,
    searching,
    publicRooms,
    hierarchy,
  ],
];
