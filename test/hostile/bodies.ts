/** Section C: bodies without end, too large, packed, slow; and answers of that kind. */
import assert from 'node:assert/strict';
import { type ClientRequest, request as openRequest } from 'node:http';
import { brotliCompressSync, constants, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import type { JsonObject } from '../../src/core/json-value.ts';
import { succeeded } from '../../src/testing/test-client.ts';
import type { Attack, Scene } from './attack.ts';
import { gate, id, refusal, sendText, transactionText, V1 } from './wire.ts';

let transactions = 0;

/** A request to push a transaction, signed for what it claims to carry, whose body the caller writes. */
function openPush(scene: Scene, headers: Record<string, string>, content: JsonObject): ClientRequest {
  const path = `${V1}/send/raw${++transactions}`;
  const { hostname, port } = new URL(scene.server.url);
  const authorization = scene.evil.authorization('PUT', path, content);
  return openRequest({
    hostname,
    port,
    path,
    method: 'PUT',
    headers: { authorization, 'content-type': 'application/json', ...headers },
  });
}

/** The status of the answer; null where the connection ends without one. */
function statusOf(request: ClientRequest): Promise<number | null> {
  return new Promise((resolve) => {
    request.on('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? null);
    });
    request.on('error', () => resolve(null));
    request.on('close', () => resolve(null));
  });
}

const BOMB_BYTES = 8 * 1024 * 1024;
const ANY_BODY_BYTES_MAX = 16 * 1024 * 1024;

/** Transactions with too much in them, packed ones, one that never ends, one that comes byte by byte. */
async function heavyBodies(scene: Scene): Promise<string> {
  const { evil, clock } = scene;
  const { room, played } = await scene.room();
  const said = played.say('hello');
  const many = await played.push(new Array(51).fill(said));
  const edus = await played.push([], { edus: new Array(101).fill({ edu_type: 'm.test', content: {} }) });
  const vast = await sendText(evil, transactionText(evil, ['x'.repeat(ANY_BODY_BYTES_MAX)]));
  assert.deepEqual([many, edus, vast].map(refusal), ['400 M_INVALID_PARAM', '400 M_INVALID_PARAM', '413 M_TOO_LARGE']);

  const content: JsonObject = { origin: evil.serverName, pdus: [said.json], edus: [] };
  const text = JSON.stringify(content).padEnd(BOMB_BYTES);
  const packed: Record<string, Buffer> = {
    gzip: gzipSync(text, { level: 1 }),
    deflate: deflateSync(text, { level: 1 }),
    br: brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
    zstd: zstdCompressSync(text),
  };
  for (const [encoding, bytes] of Object.entries(packed)) {
    const request = openPush(scene, { 'content-encoding': encoding, 'content-length': `${bytes.length}` }, content);
    const status = statusOf(request);
    request.end(bytes);
    assert.equal(await status, 415, encoding);
  }

  // Whoever reads it at one go is busy for seconds, and the signature is looked at only then.
  for (const unit of ['1.0,', '{},']) {
    const item = `[${unit.repeat(300_000 / unit.length)}0]`;
    const heavy = `{"pdus":[${new Array(20).fill(item).join(',')}]}`;
    const request = openPush(scene, { 'content-length': `${heavy.length}` }, content);
    const status = statusOf(request);
    request.end(heavy);
    await scene.meanwhile();
    assert.equal(await status, 401);
  }

  const endless = openPush(scene, { 'transfer-encoding': 'chunked' }, content);
  const ended = statusOf(endless);
  let isOver = false;
  void ended.then(() => {
    isOver = true;
  });
  let sentBytes = 0;
  const chunk = Buffer.alloc(256 * 1024, ' ');
  for (; !isOver && sentBytes < 4 * ANY_BODY_BYTES_MAX; sentBytes += chunk.length) {
    if (!endless.write(chunk) && !isOver) {
      await Promise.race([new Promise((resolve) => endless.once('drain', resolve)), ended]);
    }
    if (sentBytes === 8 * chunk.length) await scene.meanwhile();
  }
  const endlessStatus = await ended;
  endless.destroy();
  assert.ok(endlessStatus === 413 || endlessStatus === null, `${endlessStatus}`);
  assert.ok(sentBytes < 3 * ANY_BODY_BYTES_MAX, `${sentBytes} bytes were read`);

  const slow = openPush(scene, { 'content-length': '1000' }, content);
  const slowStatus = statusOf(slow);
  slow.write('{');
  await scene.meanwhile();
  clock.advance(30_000);
  slow.write('"');
  await scene.meanwhile();
  clock.advance(60_000);
  assert.equal(await slowStatus, null, 'the connection ends a minute after its beginning');

  assert.equal(await scene.storedCount([said.eventId]), 0);
  assert.deepEqual(scene.verdicts(await played.push([said])), { [said.eventId]: {} });
  await scene.assertUsable(room);
  return '51 events, 101 EDUs: 400; 16 MiB and more, also in chunks without end: 413; millions of numbers: read some at a time; gzip, deflate, br, zstd: 415; a byte now and then: cut off after a minute';
}

/** Answers to a join: without end, broken off, with lists that are none. */
async function endlessJoin(scene: Scene): Promise<string> {
  const { evil, alice, clock } = scene;
  const room = scene.farRoom();
  const state = room.told().state.map((json) => JSON.stringify(json));
  const held = gate();
  const join = () => alice.post(`/v3/join/${id(room.roomId)}?via=${evil.serverName}`);
  room.spoils.set('send_join', () => ({
    write: (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write(`{"state":[${state.join(',')}`);
      const pour = (): void => {
        if (response.destroyed) return;
        for (let n = 0; n < 50; n++) response.write(`,${state.at(-1)}`);
        held.open();
        setTimeout(pour, 5);
      };
      pour();
    },
  }));
  const endless = join();
  await held.opened;
  await scene.meanwhile();
  clock.advance(16 * 60_000);
  const replies: Record<string, number> = { endless: (await endless).status };

  const spoilt: Record<string, string> = {
    'broken off': `{"state":[${state[0]}`,
    'no list': '{"state":{},"auth_chain":7}',
    'lists of nothing': `{"state":[null,7],"auth_chain":["x"],"event":{}}`,
    'one event of 2 MiB': `{"state":[{"x":"${'y'.repeat(2 * 1024 * 1024)}"}],"auth_chain":[]}`,
  };
  for (const [what, text] of Object.entries(spoilt)) {
    room.spoils.set('send_join', () => ({
      write: (response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.write(text);
        if (what === 'broken off') setTimeout(() => response.destroy(), 5);
        else response.end();
      },
    }));
    replies[what] = (await join()).status;
  }
  for (const [what, status] of Object.entries(replies)) assert.equal(status, 502, what);
  assert.equal((await alice.get(`/v3/rooms/${id(room.roomId)}/state`)).status, 403, 'no half of a room is left');
  room.spoils.clear();
  succeeded(await join());
  await scene.assertUsable(room.roomId);
  // Without members, of whom nothing is told later on, and with servers that are not there.
  const partial = scene.farRoom();
  partial.spoils.set('send_join', (reply) => ({
    json: { ...reply, members_omitted: true, servers_in_room: [evil.serverName, 'a.test', 'b.test'] },
  }));
  succeeded(await alice.post(`/v3/join/${id(partial.roomId)}?via=${evil.serverName}`));
  await scene.meanwhile();
  await scene.assertUsable(partial.roomId);
  return `${Object.keys(replies).join(', ')}: 502 each, nothing of the room is left; then it is joined. Members left out and false servers: the room is used all the same`;
}

export const BODY_ATTACKS: readonly Attack[] = [
  { line: 'C5', name: 'bodies too large, packed, endless, slow', run: heavyBodies },
  { line: 'C7', name: 'answers to joins without end', run: endlessJoin },
];
