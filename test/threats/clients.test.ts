/** Attacks by local users and strangers over HTTP (threats A5, D4, D11, D12, D17, D18, D19): the real server, real sockets. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openLog } from '../../src/kit/log.ts';
import { roomPath } from '../../src/testing/room-path.ts';
import type { Reply } from '../../src/testing/test-client.ts';
import { PASSWORD, type TestServer, testServer } from '../../src/testing/test-server.ts';
import { forEachDatabase } from '../support/databases.ts';

const outcomeOf = ({ status, body }: Reply): string => (status === 200 ? '200' : `${status} ${body.errcode}`);

/** Bytes as they are on a connection of their own, and all that comes back until it is closed. */
async function speak(server: TestServer, text: string): Promise<string> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  // A server that cuts the line is one of the answers.
  socket.on('error', () => {});
  socket.write(text);
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(chunks).toString();
}

/** A server whose log is read by the test. */
async function loggedServer(t: TestContext): Promise<{ server: TestServer; lines: () => string[] }> {
  const directory = mkdtempSync(join(tmpdir(), 'myelin-test-'));
  const path = join(directory, 'server.log');
  const root = openLog({
    rootLevel: 'debug',
    levels: {},
    destinations: [{ sink: { to: 'file', path, rotation: null }, format: 'text', levelMin: 'debug' }],
  });
  const server = await testServer(t, { log: root.log });
  t.after(() => {
    root.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return { server, lines: () => readFileSync(path, 'utf8').trimEnd().split('\n') };
}

forEachDatabase((database) => {
  test('A5: no path to an event leads through another room', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const mallory = await server.user('mallory');
    const secret = await alice.createRoom();
    const eventId = await alice.say(secret, 'the secret');
    const own = await mallory.createRoom();
    const absent = `$${'a'.repeat(43)}`;
    const asks: ((id: string) => Promise<Reply>)[] = [
      (id) => mallory.get(roomPath(own, 'event', id)),
      (id) => mallory.get(roomPath(own, 'context', id)),
      (id) => mallory.put(roomPath(own, 'redact', id, `r${id}`), {}),
      (id) => mallory.post(roomPath(own, 'receipt', 'm.read', id), {}),
      (id) => mallory.get(roomPath(secret, 'event', id)),
      (id) => mallory.get(roomPath(secret, 'context', id)),
    ];

    for (const [index, ask] of asks.entries()) {
      const [there, nowhere] = [await ask(eventId), await ask(absent)];

      assert.deepEqual([there.status, there.body.errcode], [nowhere.status, nowhere.body.errcode], `way ${index}`);
      assert.ok(!JSON.stringify(there.body).includes('the secret'));
    }
    assert.equal((await alice.get(roomPath(secret, 'event', eventId))).body.content.body, 'the secret');
  });

  test('D11: a transaction of a device that logged out, or of another one, is not repeated for its successor', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const path = roomPath(room, 'send', 'm.room.message', 'same');
    const other = await server.login(alice, { deviceId: 'OTHER' });

    const first = await alice.put(path, { body: 'one' });
    const repeated = await alice.put(path, { body: 'one' });
    const onOther = await other.put(path, { body: 'two' });
    await alice.post('/v3/logout');
    const successor = await server.login(other, {});
    const afterwards = await successor.put(path, { body: 'three' });

    assert.equal(repeated.body.event_id, first.body.event_id);
    const ids = [first, onOther, afterwards].map(({ body }) => body.event_id);
    assert.equal(new Set(ids).size, 3, JSON.stringify(ids));
    assert.equal((await alice.put(path, { body: 'one' })).status, 401, 'the old token is dead');
  });
});

test('D12: user IDs that look like others cannot be made, by whichever door', async (t) => {
  const server = await testServer(t);
  await server.user('alice');
  const bad = [
    '\u0430lice',
    'al\u0131ce',
    'a\u200blice',
    'alice\u202e',
    '\uff41lice',
    'alice\0',
    'ali\u0301ce',
    'alice ',
    'alice\n',
    'a:lice',
  ];

  for (const username of bad) {
    const registered = await server.post('/v3/register', {
      username,
      password: PASSWORD,
      auth: { type: 'm.login.dummy' },
    });
    const available = await server.get('/v3/register/available', { username });

    assert.equal(outcomeOf(registered), '400 M_INVALID_USERNAME', JSON.stringify(username));
    assert.equal(outcomeOf(available), '400 M_INVALID_USERNAME', JSON.stringify(username));
    await assert.rejects(server.user(username), /M_INVALID_USERNAME/);
  }
  const shouted = await server.post('/v3/register', {
    username: 'ALICE',
    password: PASSWORD,
    auth: { type: 'm.login.dummy' },
  });
  assert.notEqual(shouted.status, 200, 'upper case is no way around a name that is taken');
});

test('D17: hundreds of requests of one user at one time do not keep another one in the same room waiting', async (t) => {
  const server = await testServer(t);
  const alice = await server.user('alice');
  const mallory = await server.user('mallory');
  const room = await alice.createRoom({ preset: 'public_chat' });
  await mallory.join(room);
  const order: string[] = [];
  const outcomes = new Map<string, number>();

  const flood = Array.from({ length: 500 }, async (_, count) => {
    const reply = await mallory.put(roomPath(room, 'send', 'm.room.message', `m${count}`), { body: `${count}` });
    outcomes.set(outcomeOf(reply), (outcomes.get(outcomeOf(reply)) ?? 0) + 1);
    if (reply.status === 200) order.push('mallory');
  });
  // Alice comes when the flood stands at the door.
  while (!order.includes('mallory')) await new Promise(setImmediate);
  const before = order.length;
  await alice.say(room, 'hello');
  const overtaken = order.length - before;
  await Promise.all(flood);

  assert.ok([...outcomes.keys()].every((outcome) => outcome === '200' || outcome === '429 M_LIMIT_EXCEEDED'));
  assert.ok(order.length >= 200, `${order.length} of the flood were done in turn`);
  // Ten are at work at one time; one send takes a few such turns, not the whole queue.
  assert.ok(overtaken <= 100, `${overtaken} of the flood came before her`);
});

test('D18: what two parsers could read in two ways is refused, and nothing of it is done', async (t) => {
  const server = await testServer(t);
  const alice = await server.user('alice');
  const room = await alice.createRoom();
  const target = `/_matrix/client${roomPath(room, 'send', 'm.room.message', 'smuggled')}`;
  const hidden = `PUT ${target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${alice.accessToken}\r\nContent-Length: 2\r\n\r\n{}`;
  const head = 'POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
  const size = hidden.length;
  const bombs = [
    `${head}Content-Length: ${size}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
    `${head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${hidden}`,
    `${head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${hidden}`,
    `${head}Content-Length: 0\r\nContent-Length: ${size}\r\n\r\n${hidden}`,
    `${head}Content-Length: +${size}\r\n\r\n${hidden}`,
    `${head}Content-Length: 0x0\r\n\r\n${hidden}`,
    `${head}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n${hidden}`,
    `${head} X-Folded: a\r\n\r\n${hidden}`,
    `${head}X Space: a\r\n\r\n${hidden}`,
    `${head}X-Nul: a\0b\r\n\r\n${hidden}`,
    `${head}X-Big: ${'x'.repeat(100_000)}\r\n\r\n`,
    `${head}${'X-Many: 1\r\n'.repeat(10_000)}\r\n`,
    `GET /${'x'.repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    `POST /_matrix/client/v3/login HTTP/9.9\r\nHost: x\r\n\r\n${hidden}`,
  ];
  for (const bomb of bombs) {
    const answer = await speak(server, bomb);

    assert.match(answer, /^(?:HTTP\/1\.1 (?:400|431|413|505) |$)/, bomb.slice(0, 200));
    assert.equal(answer.match(/HTTP\/1\.1 200/), null);
  }

  const types = ['multipart/form-data; boundary=x', 'multipart/mixed', ' Multipart/Related'];
  for (const type of types) {
    const reply = await alice.request('POST', '/v3/createRoom', '--x\r\n\r\n{}\r\n--x--', {}, { 'content-type': type });
    assert.equal(outcomeOf(reply), '400 M_NOT_JSON', type);
  }
  for (const encoding of ['gzip', 'br', 'zstd', 'deflate', 'identity, gzip']) {
    const reply = await alice.request('POST', '/v3/createRoom', '{}', {}, { 'content-encoding': encoding });
    assert.equal(reply.status, 415, encoding);
  }
  const { joined_rooms: rooms } = (await alice.get('/v3/joined_rooms')).body;
  assert.deepEqual(rooms, [room.id]);
  const sent = await alice.put(roomPath(room, 'send', 'm.room.message', 'smuggled'), { body: 'mine' });
  assert.equal((await alice.get(roomPath(room, 'event', sent.body.event_id))).body.content.body, 'mine');
});

test('D18: requests that come in one go on one connection are answered in their order', async (t) => {
  const server = await testServer(t);
  const alice = await server.user('alice');
  const head = `Host: x\r\nAuthorization: Bearer ${alice.accessToken}\r\n`;
  const paths = ['/v3/sync?timeout=0', '/versions', '/v3/account/whoami', '/v3/joined_rooms', '/nowhere', '/versions'];
  const text = paths.map((path, index) => {
    const last = index === paths.length - 1 ? 'Connection: close\r\n' : '';
    return `GET /_matrix/client${path} HTTP/1.1\r\n${head}${last}\r\n`;
  });

  const answer = await speak(server, text.join(''));

  const marks = answer.match(/"next_batch"|"unstable_features"|"user_id"|"joined_rooms"|"M_UNRECOGNIZED"/g);
  assert.deepEqual(marks, [
    '"next_batch"',
    '"unstable_features"',
    '"user_id"',
    '"joined_rooms"',
    '"M_UNRECOGNIZED"',
    '"unstable_features"',
  ]);
});

test('D4: a token lets in only whole, by itself, and as a bearer', async (t) => {
  const server = await testServer(t);
  const alice = await server.user('alice');
  const { accessToken: token } = alice;
  const ask = async (authorization: string | null, query: Record<string, string> = {}): Promise<number> =>
    (
      await server.request(
        'GET',
        '/v3/account/whoami',
        undefined,
        query,
        authorization === null ? {} : { authorization },
      )
    ).status;
  const wrong = [
    '',
    'Bearer',
    'Bearer ',
    `Basic ${token}`,
    `Bearer ${token} x`,
    `Bearer ${token.slice(0, -1)}`,
    `Bearer ${token}0`,
    `Bearer ${token.toUpperCase()}`,
    'Bearer null',
    'Bearer undefined',
    'Bearer *',
    `Bearer ${'x'.repeat(20_000)}`,
    `X-Matrix origin=x,key="ed25519:a",sig="${token}"`,
  ];

  for (const authorization of wrong) assert.equal(await ask(authorization), 401, authorization.slice(0, 40));
  for (const value of ['', ' ', `${token} `, 'null', '0'])
    assert.equal(await ask(null, { access_token: value }), 401, value);

  assert.equal(await ask(`Bearer ${token}`), 200);
});

test('D19: no answer and no line of the log holds a token or a password, whatever went wrong', async (t) => {
  const { server, lines } = await loggedServer(t);
  const alice = await server.user('alice');
  const { accessToken: token } = alice;
  const password = 'correct horse battery staple';
  const room = await alice.createRoom();
  const answers: string[] = [];
  const note = (reply: Reply): void => {
    answers.push(JSON.stringify(reply.body) + JSON.stringify([...reply.headers]));
  };

  const bodies = [
    '{',
    '[]',
    'null',
    `{"password":"${password}","x":`,
    `{"type":"m.login.password","password":"${password}"}`,
    `{"auth":{"type":"m.login.password","password":"${password}"},"token":"${token}"}`,
    `{"new_password":${JSON.stringify([password])}}`,
  ];
  for (const path of [
    '/v3/login',
    '/v3/register',
    '/v3/account/password',
    '/v3/account/deactivate',
    '/v3/delete_devices',
    '/v3/createRoom',
    '/v3/nowhere',
    `/v3/${token}`,
  ]) {
    for (const body of bodies) {
      note(await server.request('POST', path, body));
      note(await alice.request('POST', path, body));
      note(await server.request('POST', path, body, { access_token: token, x: '1' }));
      note(await server.request('POST', path, body, {}, { authorization: `Bearer ${token}x` }));
    }
  }
  for (const query of [
    `access_token=${token}&limit=x`,
    `acc%65ss_token=${token}&dir=b&filter={`,
    `since=${token}&access_token=${token}`,
  ]) {
    note(await server.get(`${roomPath(room, 'messages')}?${query}`));
    note(await server.get(`/v3/sync?${query}`));
  }
  note(await alice.get('/v3/sync', { since: token }));
  note(await alice.get(roomPath(room, 'event', token)));
  note(await alice.put(roomPath(token, 'state', 'm.room.name'), { name: token }));
  await server.stop();

  const log = lines();
  assert.ok(log.length > 200, `${log.length} lines`);
  const quoting = [...answers, ...log].filter(
    (text) => text.includes(token) || text.includes(password) || text.includes(PASSWORD),
  );
  assert.deepEqual(quoting, []);
});

test('F5: nobody forges, floods or paints the log with what they send', async (t) => {
  const { server, lines } = await loggedServer(t);
  const alice = await server.user('alice');
  const evil = '\n2026-01-01 00:00:00,000 - root - ERROR - forged\u001b[31m\u202e\r\0';
  const long = 'x'.repeat(30_000);

  await alice.get(`/v3/${encodeURIComponent(evil)}`);
  await alice.get(`/v3/${long.slice(0, 20_000)}`);
  await alice.get('/v3/sync', { since: evil, filter: long.slice(0, 8000) });
  await alice.put('/v3/directory/room/%23a%0Ab%3Amyelin.test', { room_id: evil });
  await alice.createRoom({ name: evil, topic: long });
  await server.post('/v3/login', { type: evil, identifier: { type: 'm.id.user', user: evil }, password: long });
  await speak(
    server,
    `GET /_matrix/client/versions HTTP/1.1\r\nHost: x\r\nUser-Agent: a\tb\u001b[31m "quoted" ${'u'.repeat(9000)}\r\nConnection: close\r\n\r\n`,
  );
  await speak(server, `FORGED\u001b /\u001b[31m HTTP/1.1\r\nHost: x\r\n\r\n`);
  await server.stop();

  for (const line of lines()) {
    assert.match(line, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - [\w.-]+ - (?:DEBUG|INFO|WARNING|ERROR) - /);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
    assert.doesNotMatch(line, /[\u0000-\u001f\u007f\u202a-\u202e]/);
    assert.ok(line.length < 6000, `${line.length} characters`);
  }
});

test('F6: the number of metric series does not follow what strangers send', async (t) => {
  const server = await testServer(t, { config: { metrics: { isEnabled: true } } });
  const alice = await server.user('alice');
  const wander = async (round: number): Promise<void> => {
    for (let count = 0; count < 30; count++) {
      const name = `x${round}-${count}`;
      await server.request('GET', `/v3/${name}`, undefined);
      await server.request('PROPFIND', `/v3/${name}`, undefined).catch(() => null);
      await alice.get(roomPath(`!${name}:${name}.example`, 'state'));
      await alice.put(roomPath('!r:x', 'send', name, name), {});
      await server.post('/v3/login', { type: name, identifier: { type: name } });
    }
  };
  const names = async (): Promise<string[]> => {
    const text: string = (await server.get('/_synapse/metrics')).body;
    return text.split('\n').flatMap((line) => (line.startsWith('myelin_') ? [line.replace(/ \S+$/, '')] : []));
  };

  await wander(1);
  // The first look makes series of its own.
  await names();
  const before = await names();
  await wander(2);
  const after = await names();

  assert.ok(before.length > 10, `${before.length} series`);
  assert.deepEqual(after, before);
  assert.ok(!after.some((name) => /x[12]-\d/.test(name)));
});
