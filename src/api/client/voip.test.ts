import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { handClock } from '../../kit/clock.ts';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

const URIS = ['turn:turn.example.org?transport=udp', 'turns:turn.example.org'];

test('TURN credentials carry their end in the user name and are signed with the shared secret', async (t) => {
  const clock = handClock(1_700_000_000_000);
  const turn = { uris: URIS, sharedSecret: 'n0bodyKn0ws', userLifetimeMs: 60_000 };
  const server = await testServer(t, { clock, config: { turn } });
  const alice = await server.user('alice');

  const reply = succeeded(await alice.get('/v3/voip/turnServer'));

  const username = `${1_700_000_060}:${alice.userId}`;
  assert.deepEqual(reply, {
    username,
    password: createHmac('sha1', 'n0bodyKn0ws').update(username).digest('base64'),
    uris: URIS,
    ttl: 60,
  });
});

test('fixed TURN credentials are handed on where there is no shared secret', async (t) => {
  const turn = { uris: URIS, username: 'myelin', password: 'hunter2' };
  const server = await testServer(t, { config: { turn } });
  const alice = await server.user('alice');

  const reply = succeeded(await alice.get('/v3/voip/turnServer'));

  assert.deepEqual(reply, { username: 'myelin', password: 'hunter2', uris: URIS, ttl: 3600 });
});

test('a server without TURN gives no credentials, and guests get none where they may not call', async (t) => {
  const without = await testServer(t);
  const alice = await without.user('alice');
  const turn = { uris: URIS, sharedSecret: 'secret', allowsGuests: false };
  const server = await testServer(t, { config: { turn, registration: { allowGuests: true } } });
  const guest = succeeded(await server.post('/v3/register', {}, { kind: 'guest' }));

  const ofAlice = succeeded(await alice.get('/v3/voip/turnServer'));
  const ofGuest = await server.request(
    'GET',
    '/v3/voip/turnServer',
    undefined,
    {},
    {
      authorization: `Bearer ${guest.access_token}`,
    },
  );

  assert.deepEqual(ofAlice, {});
  assert.deepEqual(succeeded(ofGuest), {});
  assert.equal((await server.get('/v3/voip/turnServer')).status, 401);
});
