/**
 * The demo as somebody plays it: three servers of demo/start.sh, a room shared by alias, servers that go and come back.
 * On ports of its own and in a directory of its own, so that a demo that runs on this machine goes on.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isAlive } from '../../src/cli/pid-file.ts';
import { roomPath } from '../../src/testing/room-path.ts';
import { succeeded, TestClient, type TestRoom, TestUser } from '../../src/testing/test-client.ts';
import { eventually, historyOf, stateOf } from '../interop/scene.ts';
import { freePort } from '../support/free-port.ts';

const DEMO = fileURLToPath(new URL('../../demo/', import.meta.url));
const TIMEOUT = { timeout: 110_000 };
/** What a server away for a while is waited for: the demo's servers ask again every five seconds. */
const HEALING_MS = 60_000;

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  const free = await listening;
  await new Promise((resolve) => server.close(resolve));
  return free;
}

/** A port for clients whose neighbor for other servers, 400 above, is free too. */
async function demoPort(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const port = await freePort();
    if (port + 400 <= 65_535 && (await isFree(port + 400))) return port;
  }
  throw new Error('No two free ports lie 400 apart.');
}

describe('the demo', () => {
  const directory = mkdtempSync(join(tmpdir(), 'myelin-demo-'));
  const users: TestUser[] = [];
  const said: string[] = [];
  const ports: number[] = [];
  let room: TestRoom;

  /** Runs a script of the demo for all three servers, or for some. */
  const run = async (script: string, some: readonly number[] = ports): Promise<string> => {
    const env = { ...process.env, MYELIN_DEMO_PORTS: some.join(' '), MYELIN_DEMO_DIR: directory };
    const args = script === 'start.sh' ? ['--no-rate-limit'] : [];
    return (await promisify(execFile)(join(DEMO, script), args, { env })).stdout;
  };
  const pidOf = (index: number): number =>
    Number(readFileSync(join(directory, String(ports[index]), 'homeserver.pid'), 'utf8'));
  /** Ends one server, as somebody does who looks up its number. */
  const stop = async (index: number): Promise<void> => {
    const pid = pidOf(index);
    process.kill(pid, 'SIGTERM');
    await eventually('the server has ended', async () => !isAlive(pid));
  };
  const say = (index: number, text: string): Promise<string> => {
    said.push(text);
    return users[index]!.say(room, text);
  };
  /** Waits until somebody sees all that was said so far. */
  const seesAll = (index: number): Promise<unknown> =>
    eventually(
      `${users[index]!.userId} sees all messages`,
      async () => {
        const seen = await historyOf(users[index]!, room);
        return said.every((text) => seen.includes(text));
      },
      HEALING_MS,
    );
  const stateIds = async (user: TestUser): Promise<string[]> => {
    const events: { event_id: string }[] = succeeded(await user.get(roomPath(room, 'state')));
    return events.map(({ event_id: eventId }) => eventId).sort();
  };
  /** Waits until all three have the same messages, each once, and the same state. */
  const agree = async (): Promise<void> => {
    for (const index of users.keys()) await seesAll(index);
    await eventually(
      'all have the same state',
      async () => {
        const [first, ...others] = await Promise.all(users.map(stateIds));
        return others.every((ids) => JSON.stringify(ids) === JSON.stringify(first));
      },
      HEALING_MS,
    );
    for (const user of users) assert.deepEqual((await historyOf(user, room)).sort(), [...said].sort(), user.userId);
  };

  before(async () => {
    for (let index = 0; index < 3; index++) ports.push(await demoPort());
  }, TIMEOUT);

  after(async () => {
    await run('clean.sh');
    rmSync(directory, { recursive: true });
  }, TIMEOUT);

  test('starts three servers, and starting it twice is safe', TIMEOUT, async () => {
    const first = await run('start.sh');
    const second = await run('start.sh');

    for (const port of ports) {
      assert.match(first, new RegExp(`localhost:${port + 400} is ready: http://localhost:${port}`));
      assert.match(second, new RegExp(`localhost:${port + 400} runs already`));
    }
  });

  test(
    'whoever registers on one server meets the others by alias, and each reads what all write',
    TIMEOUT,
    async (t) => {
      for (const [index, name] of ['ada', 'bea', 'cleo'].entries()) {
        const url = (): string => `http://localhost:${ports[index]}`;
        const auth = { type: 'm.login.dummy' };
        const account = succeeded(
          await new TestClient(url, null).post('/v3/register', { username: name, password: 'a long password', auth }),
        );
        const { user_id: userId, access_token: accessToken, device_id: deviceId } = account;
        users.push(new TestUser(url, { userId, accessToken, deviceId }));
      }
      const [ada, ...others] = users as [TestUser, TestUser, TestUser];
      const content = { room_alias_name: 'demo', power_level_content_override: { state_default: 0, events: {} } };
      room = await ada.createRoom({ preset: 'public_chat', ...content });
      const alias = `#demo:localhost:${ports[0]! + 400}`;
      for (const user of others) succeeded(await user.post(`/v3/join/${encodeURIComponent(alias)}`));

      for (const [index, { userId }] of users.entries()) {
        const startMs = performance.now();
        const eventId = await say(index, `${userId} is here`);
        const seen = users.map(async (user) => {
          await eventually(`${user.userId} sees ${userId} speak`, async () => {
            return (await user.get(roomPath(room, 'event', eventId))).status === 200;
          });
          return performance.now() - startMs;
        });
        const latestMs = Math.max(...(await Promise.all(seen)));
        t.diagnostic(`what ${userId} says is with all three after ${latestMs.toFixed(0)} ms`);
      }

      await agree();
    },
  );

  test('a server that was stopped learns all that was said and changed without it', TIMEOUT, async () => {
    await stop(2);
    for (const round of [1, 2, 3]) await say(round % 2, `without the third, ${round}`);
    await users[0]!.setState(room, 'm.room.topic', { topic: 'What the third missed' });

    await run('start.sh');

    await agree();
    assert.equal((await stateOf(users[2]!, room, 'm.room.topic')).topic, 'What the third missed');
  });

  test('a server that was frozen goes on where it was', TIMEOUT, async () => {
    const pid = pidOf(1);
    process.kill(pid, 'SIGSTOP');
    try {
      for (const round of [1, 2, 3]) await say(round % 2 === 0 ? 0 : 2, `while the second stands still, ${round}`);
      await users[2]!.setState(room, 'm.room.name', { name: 'What the second slept through' });
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await say(1, 'awake');

    await agree();
    assert.equal((await stateOf(users[1]!, room, 'm.room.name')).name, 'What the second slept through');
  });

  test('servers that were never up at the same time come together again', TIMEOUT, async () => {
    await stop(0);
    await stop(2);
    await say(1, 'the second, alone');
    await users[1]!.setState(room, 'm.room.topic', { topic: 'of the second' });
    await stop(1);
    await run('start.sh', [ports[2]!]);
    await say(2, 'the third, alone');
    await users[2]!.setState(room, 'm.room.topic', { topic: 'of the third' });

    await run('start.sh');
    // Whose servers were down is asked again at the latest when its users speak.
    for (const [index, { userId }] of users.entries()) await say(index, `${userId} is back`);

    await agree();
  });

  test('stop and clean leave no process, no file and no port taken', TIMEOUT, async () => {
    const pids = ports.map((_, index) => pidOf(index));

    await run('stop.sh');
    await run('clean.sh');

    for (const pid of pids) assert.equal(isAlive(pid), false, `process ${pid}`);
    assert.deepEqual(readdirSync(directory), []);
    for (const port of ports) for (const each of [port, port + 400]) assert.ok(await isFree(each), `port ${each}`);
  });
});
