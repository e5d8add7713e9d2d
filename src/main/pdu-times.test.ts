import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PlayedRoom, playedRoom } from '../../test/support/played-room.ts';
import { handClock } from '../kit/clock.ts';
import { remoteServer } from '../testing/remote-server.ts';
import { testServer } from '../testing/test-server.ts';

test('the metrics tell of watched servers from when the newest events are that came and went', async (t) => {
  const clock = handClock();
  const config = { metrics: { isEnabled: true }, federation: { metricsServers: ['remote.test'] } };
  const server = await testServer(t, { clock, config });
  const remote = await remoteServer(t, server);
  const other = await remoteServer(t, server, { name: 'other.test' });
  const alice = await server.user('alice');
  const { room, played } = await playedRoom(remote, alice);
  const further = new PlayedRoom(other, room.id, '11');
  await further.look(alice);
  await further.join();
  remote.route('PUT', /\/send\//, () => ({ json: { pdus: {} } }));
  const told = async (): Promise<string[]> => {
    const text: string = (await server.get('/_synapse/metrics')).body;
    return text.split('\n').filter((line) => line.startsWith('myelin_federation_last_'));
  };

  await played.send([played.say('hello', { originServerTs: 1_700_000_123_000 })]);
  await alice.say(room, 'hello too');
  while ((await told()).length < 2) await new Promise((resolve) => setTimeout(resolve, 5));

  assert.deepEqual(await told(), [
    'myelin_federation_last_received_pdu_seconds{server="remote.test"} 1700000123',
    `myelin_federation_last_sent_pdu_seconds{server="remote.test"} ${clock.now() / 1000}`,
  ]);
});
