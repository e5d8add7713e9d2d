/** Lines that came with encryption and policy servers: floods to devices and of their lists, and a policy server's word. */
import assert from 'node:assert/strict';
import type { JsonObject } from '../../src/core/json-value.ts';
import { findRoomRules } from '../../src/core/room-versions.ts';
import { signEvent, signingKeyFromSeed } from '../../src/core/signing.ts';
import { sql } from '../../src/storage/sql.ts';
import type { RemoteReply } from '../../src/testing/remote-server.ts';
import { roomPath } from '../../src/testing/room-path.ts';
import { succeeded } from '../../src/testing/test-client.ts';
import type { Attack, Scene } from './attack.ts';
import { batches, gate, refusal, sendText, transactionText } from './wire.ts';

/** A policy server that refuses, signs with another key, signs nonsense, and never answers. */
async function badPolicyServer(scene: Scene): Promise<string> {
  const { alice, evil, clock } = scene;
  const { room } = await scene.room();
  const key = signingKeyFromSeed('policy_server', Buffer.alloc(32, 5));
  const wrong = signingKeyFromSeed('policy_server', Buffer.alloc(32, 6));
  const rules = findRoomRules('11')!;
  await alice.setState(room, 'm.room.policy', { via: evil.serverName, public_keys: { ed25519: key.publicKey } });
  const answer = (word: (event: JsonObject) => RemoteReply | Promise<RemoteReply>): void =>
    evil.route('POST', /^\/_matrix\/policy\//, ({ body }) => word(body as JsonObject));
  let said = 0;
  const say = () =>
    alice.put(roomPath(room, 'send', 'm.room.message', `said${++said}`), { msgtype: 'm.text', body: `said ${said}` });

  answer(() => ({ status: 400, json: { errcode: 'M_FORBIDDEN', error: 'No.' } }));
  const refused = await say();
  answer((event) => ({ json: signEvent(rules, { ...event, signatures: {} }, evil.serverName, wrong)['signatures']! }));
  const lied = await say();
  answer(() => ({ json: { 'x.test': { 'ed25519:policy_server': 7 } } }));
  const nonsense = await say();
  const asked = gate();
  answer(() => {
    asked.open();
    return new Promise(() => {});
  });
  const waiting = say();
  await asked.opened;
  await scene.meanwhile();
  clock.advance(21_000);
  const slow = await waiting;

  for (const reply of [refused, lied, nonsense, slow]) assert.ok(reply.status >= 400, JSON.stringify(reply.body));
  await scene.meanwhile();
  const { chunk } = succeeded(await alice.get(roomPath(room, 'messages'), { dir: 'b', limit: 20 }));
  assert.ok(!JSON.stringify(chunk).includes('"said '), 'what it did not sign is not said');
  await alice.setState(room, 'm.room.policy', {});
  await scene.assertUsable(room);
  const told = [refused, lied, nonsense, slow].map(refusal);
  return `no: ${told[0]}, another key: ${told[1]}, nonsense: ${told[2]}, silence: ${told[3]} after seconds; the room does without it`;
}

/** Changes of device lists with predecessors that nobody has. */
async function deviceListFlood(scene: Scene): Promise<string> {
  const { alice, evil } = scene;
  const { room, played } = await scene.room({ content: { initial_state: [ENCRYPTED] } });
  const change = (user_id: string, n: number) => ({
    edu_type: 'm.device_list_update',
    content: { user_id, device_id: `D${n}`, stream_id: n * 10, prev_id: [n * 10 - 5], deleted: n % 3 === 0 },
  });
  const strangers = Array.from({ length: 300 }, (_, n) => change(evil.userId(`stranger${n}`), n));
  const others = [change(alice.userId, 1), change('@x:elsewhere.test', 1)];
  const edus = [...Array.from({ length: 1000 }, (_, n) => change(played.bob, n + 1)), ...strangers, ...others];
  const asked = evil.requests.length;

  for (const batch of batches(edus, 100)) {
    assert.equal((await sendText(evil, transactionText(evil, [], batch))).status, 200);
  }
  await scene.meanwhile();

  const requests = evil.requests.slice(asked).filter(({ path }) => /\/user\/(?:devices|keys)\//.test(path)).length;
  assert.ok(requests <= 2, `${requests} requests`);
  await scene.assertUsable(room);
  return `${edus.length} changes: ${requests} requests of ours for the list; in others' names and of strangers nothing`;
}

const ENCRYPTED = { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } };

/** Messages to one device without end, to devices and users that are not there, too large ones. */
async function toDeviceFlood(scene: Scene): Promise<string> {
  const { alice, evil } = scene;
  const rows = () => scene.count(sql`select count(*) as count from to_device_messages`);
  const before = await rows();
  let number = 0;
  const message = (userId: string, deviceId: string, content: JsonObject = { n: number }) => ({
    edu_type: 'm.direct_to_device',
    content: {
      sender: evil.userId('bob'),
      type: 'm.test',
      message_id: `m${++number}`,
      messages: { [userId]: { [deviceId]: content } },
    },
  });
  const toNobody = [
    message(alice.userId, 'NODEVICE'),
    message('@nobody:myelin.test', '*'),
    message('@x:elsewhere.test', 'X'),
    message(alice.userId, alice.deviceId, { text: 'x'.repeat(200_000) }),
    {
      ...message(alice.userId, alice.deviceId),
      content: { sender: alice.userId, type: 'm.test', message_id: 'z', messages: {} },
    },
  ];
  assert.equal((await sendText(evil, transactionText(evil, [], toNobody))).status, 200);
  const toNobodyKept = (await rows()) - before;
  const flood = Array.from({ length: 5300 }, () => message(alice.userId, alice.deviceId));
  for (const [index, batch] of batches(flood, 100).entries()) {
    const pushing = sendText(evil, transactionText(evil, [], batch));
    if (index % 20 === 0) await scene.meanwhile();
    assert.equal((await pushing).status, 200);
  }

  const kept = (await rows()) - before;
  assert.equal(toNobodyKept, 0);
  assert.ok(kept <= 5000, `${kept} kept`);
  const { to_device } = await alice.sync();
  assert.ok(to_device.events.length > 0 && to_device.events.length <= 1000);
  return `${flood.length} to one device: ${kept} kept, ${to_device.events.length} in a sync; to nobody, or too large: none kept`;
}

export const ENCRYPTION_ATTACKS: readonly Attack[] = [
  { line: 'B13', name: 'a policy server that lies or is slow', run: badPolicyServer },
  { line: 'C12', name: 'floods of device list changes', run: deviceListFlood },
  { line: 'C13', name: 'floods to devices', run: toDeviceFlood },
];
