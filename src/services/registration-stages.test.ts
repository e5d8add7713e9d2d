/** What whoever registers must do, over HTTP. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { sql } from '../storage/sql.ts';
import { succeeded } from '../testing/test-client.ts';
import { testServer } from '../testing/test-server.ts';

const consent = {
  isRequiredAtRegistration: true,
  version: '1.2',
  policyName: 'House rules',
  policyUrl: 'https://example.org/rules',
  templateDir: null,
};
const asked = { username: 'alice', password: 'a good password' };

forEachDatabase((database) => {
  test('who registers learns the terms and agrees to them (v1.11/5)', async (t) => {
    const server = await testServer(t, { database, config: { consent } });

    const { flows, params, session } = (await server.post('/v3/register', asked)).body;
    const dummy = await server.post('/v3/register', { ...asked, auth: { type: 'm.login.dummy', session } });
    const agreed = await server.post('/v3/register', { ...asked, auth: { type: 'm.login.terms', session } });
    const again = await server.post('/v3/register', { ...asked, auth: { type: 'm.login.terms', session } });

    assert.deepEqual(flows, [{ stages: ['m.login.terms'] }]);
    assert.deepEqual(params['m.login.terms'], {
      policies: {
        privacy_policy: { version: '1.2', en: { name: 'House rules', url: 'https://example.org/rules' } },
      },
    });
    assert.deepEqual([dummy.status, dummy.body.completed], [401, []]);
    assert.equal(succeeded(agreed).user_id, '@alice:myelin.test');
    const kept = await server.inspect((db) => db.all(sql`select user_id, version from policy_consents`));
    assert.deepEqual({ ...kept[0] }, { user_id: '@alice:myelin.test', version: '1.2' });
    assert.equal(again.body.errcode, 'M_USER_IN_USE');
  });

  test('all that is asked for must be done, in any order', async (t) => {
    const server = await testServer(t, { database, config: { consent, registration: { requiresToken: true } } });
    const admin = await server.user('admin', { isAdmin: true });
    succeeded(await admin.post('/_synapse/admin/v1/registration_tokens/new', { token: 'letmein' }));

    const { flows, session } = (await server.post('/v3/register', asked)).body;
    const agreed = await server.post('/v3/register', { ...asked, auth: { type: 'm.login.terms', session } });
    const auth = { type: 'm.login.registration_token', token: 'letmein', session };
    const made = await server.post('/v3/register', { ...asked, auth });

    assert.deepEqual(flows, [{ stages: ['m.login.registration_token', 'm.login.terms'] }]);
    assert.deepEqual([agreed.status, agreed.body.completed], [401, ['m.login.terms']]);
    assert.equal(made.status, 200);
  });
});
