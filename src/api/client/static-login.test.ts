/** Logging in on a page, as a browser without scripts does it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import type { TestClient } from '../../testing/test-client.ts';
import { PASSWORD, testServer } from '../../testing/test-server.ts';

const PATH = '/_matrix/static/client/login/';

const send = (server: TestClient, fields: Record<string, string>) =>
  server.request(
    'POST',
    PATH,
    new URLSearchParams(fields).toString(),
    {},
    {
      'content-type': 'application/x-www-form-urlencoded',
    },
  );

forEachDatabase((database) => {
  test('a page logs in on the device that the client named, and hands over what a login answers', async (t) => {
    const server = await testServer(t, { database });
    await server.user('alice');

    const page = await server.get(PATH, { device_id: 'PHONE"><x', initial_device_display_name: 'My <phone>' });
    const wrong = await send(server, { user: 'alice', password: 'wrong', device_id: 'PHONE' });
    const done = await send(server, {
      user: ' alice ',
      password: PASSWORD,
      device_id: '</script>',
      refresh_token: 'true',
    });

    assert.equal(page.status, 200);
    assert.ok(page.body.includes('value="PHONE&quot;&gt;&lt;x"'), page.body);
    assert.equal(wrong.status, 403);
    assert.match(wrong.body, /role="alert"/);
    assert.match(wrong.body, /name="device_id" value="PHONE"/);
    const [, json = ''] = /const session = (.*);\n/.exec(done.body) ?? [];
    assert.ok(!json.includes('<'), 'a text in it does not end the script');
    const session = JSON.parse(json);
    assert.deepEqual([session.user_id, session.device_id], ['@alice:myelin.test', '</script>']);
    assert.equal(typeof session.refresh_token, 'string');
    const authorization = `Bearer ${session.access_token}`;
    assert.equal((await server.request('GET', '/v3/account/whoami', undefined, {}, { authorization })).status, 200);
  });

  test('logins on the page are counted as others are', async (t) => {
    const server = await testServer(t, { database, hasRateLimits: true });
    const statuses = [];

    for (let count = 0; count < 6; count++) statuses.push((await send(server, { user: 'x', password: 'y' })).status);

    assert.deepEqual(statuses, [403, 403, 403, 429, 429, 429]);
  });
});

test('a server without passwords says so, and lets nobody in by the page', async (t) => {
  const server = await testServer(t, { config: { sessions: { passwordLogin: 'only_for_reauth' } } });
  await server.user('alice');

  const page = await server.get(PATH);
  const sent = await send(server, { user: 'alice', password: PASSWORD });

  assert.deepEqual([page.status, sent.status], [403, 403]);
  assert.doesNotMatch(sent.body, /script/);
});
