/** Stages of user-interactive authentication done on a page, as a browser without scripts does them. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { makePolicies } from '../../../test/support/policies.ts';
import { sql } from '../../storage/sql.ts';
import { succeeded, type TestClient } from '../../testing/test-client.ts';
import { PASSWORD, type TestServer, testServer } from '../../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

const TOKEN = 'm.login.registration_token';
const TERMS = 'm.login.terms';
const CAPTCHA = 'm.login.recaptcha';
const person = { username: 'alice', password: PASSWORD };

const pathOf = (stage: string): string => `/v3/auth/${stage}/fallback/web`;
const page = (server: TestClient, stage: string, session: string) => server.get(pathOf(stage), { session });
const send = (server: TestClient, stage: string, fields: Record<string, string>) =>
  server.request(
    'POST',
    pathOf(stage),
    new URLSearchParams(fields).toString(),
    {},
    {
      'content-type': 'application/x-www-form-urlencoded',
    },
  );

const begin = async (server: TestServer): Promise<Json> => (await server.post('/v3/register', person)).body;
const finish = (server: TestServer, session: string) => server.post('/v3/register', { ...person, auth: { session } });

/** A service that checks captchas: `right` is right. */
async function captchaService(t: TestContext): Promise<{ url: string; asked: URLSearchParams[]; answer: Json }> {
  const service = { url: '', asked: [] as URLSearchParams[], answer: null as Json };
  const http = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk) => {
      text += chunk;
    });
    request.on('end', () => {
      const fields = new URLSearchParams(text);
      service.asked.push(fields);
      const { status = 200, body = JSON.stringify({ success: fields.get('response') === 'right' }) } =
        service.answer ?? {};
      response.writeHead(status).end(body);
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  t.after(() => new Promise((resolve) => http.close(resolve)));
  // It listens on a port.
  service.url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/siteverify`;
  return service;
}

const captchaKeys = (url: string) => ({
  isCaptchaEnabled: true,
  recaptchaPublicKey: 'the site key',
  recaptchaPrivateKey: 'the secret key',
  recaptchaVerifyUrl: url,
});

forEachDatabase((database) => {
  test('all that a registration asks is done on pages, one after the other, and what was agreed to is kept (v1.11/5)', async (t) => {
    const captcha = await captchaService(t);
    const server = await testServer(t, {
      database,
      config: {
        registration: { requiresToken: true, ...captchaKeys(captcha.url) },
        consent: makePolicies(t, { '1.0': '<p>version {{ version }}</p>' }),
      },
    });
    const admin = await server.user('admin', { isAdmin: true });
    succeeded(await admin.post('/_synapse/admin/v1/registration_tokens/new', { token: 'letmein', uses_allowed: 1 }));
    const { flows, params, session } = await begin(server);

    const wrongToken = await send(server, TOKEN, { session, token: 'wrong' });
    const tokenDone = await send(server, TOKEN, { session, token: ' letmein ' });
    const unanswered = await send(server, CAPTCHA, { session });
    const wrongCaptcha = await send(server, CAPTCHA, { session, 'g-recaptcha-response': 'wrong' });
    const captchaDone = await send(server, CAPTCHA, { session, 'g-recaptcha-response': 'right' });
    const early = await finish(server, session);
    const termsPage = await page(server, TERMS, session);
    const termsDone = await send(server, TERMS, { session });
    const made = await finish(server, session);

    assert.deepEqual(flows, [{ stages: [TOKEN, CAPTCHA, TERMS] }]);
    assert.deepEqual(params, {
      [CAPTCHA]: { public_key: 'the site key' },
      [TERMS]: {
        policies: {
          privacy_policy: {
            version: '1.0',
            en: { name: 'Privacy Policy', url: 'https://myelin.test/_matrix/consent?v=1.0' },
          },
        },
      },
    });
    assert.deepEqual([wrongToken.status, tokenDone.status], [401, 200]);
    assert.deepEqual([unanswered.status, wrongCaptcha.status, captchaDone.status], [400, 401, 200]);
    assert.deepEqual(Object.fromEntries(captcha.asked[0]!), {
      secret: 'the secret key',
      response: 'wrong',
      remoteip: '127.0.0.1',
    });
    assert.deepEqual([early.status, early.body.completed], [401, [TOKEN, CAPTCHA]]);
    assert.match(termsPage.body, /<a href="https:\/\/myelin\.test\/_matrix\/consent\?v=1\.0"/);
    assert.match(termsDone.body, /onAuthDone/);
    assert.equal(made.status, 200);
    assert.equal((await server.get('/_matrix/consent', { v: '1.0' })).body, '<p>version 1.0</p>');
    const kept = await server.inspect((db) => db.all(sql`select user_id, version from policy_consents`));
    assert.deepEqual({ ...kept[0] }, { user_id: '@alice:myelin.test', version: '1.0' });
  });

  test('D9: a page confirms for the user whose session it is, with the right password, and says what for', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    await server.login(alice, { deviceId: 'LAPTOP' });
    const { session } = (await alice.delete('/v3/devices/LAPTOP')).body;
    const stage = 'm.login.password';

    const asked = await page(server, stage, session);
    const wrong = await send(server, stage, { session, password: 'wrong' });
    const early = await alice.delete('/v3/devices/LAPTOP', { auth: { session } });
    const right = await send(server, stage, { session, password: PASSWORD });
    const other = await alice.delete('/v3/devices/TABLET', { auth: { session } });
    const done = await alice.delete('/v3/devices/LAPTOP', { auth: { session } });

    assert.match(asked.body, /log one of your devices out/);
    assert.match(asked.body, /@alice:myelin\.test/);
    assert.equal(wrong.status, 403);
    assert.match(wrong.body, /role="alert"/);
    assert.deepEqual([early.status, right.status, other.status, done.status], [401, 200, 403, 200]);
    assert.equal((await alice.get('/v3/devices/LAPTOP')).status, 404);
  });
});

test('a page of a session or stage that is not asked says so, and does nothing', async (t) => {
  const server = await testServer(t);
  const { session } = await begin(server);

  const pages = [
    await page(server, 'm.login.dummy', 'invented'),
    await server.get(pathOf('m.login.dummy')),
    await page(server, 'm.login.password', session),
    await page(server, 'constructor', session),
    await send(server, 'm.login.password', { session, password: PASSWORD }),
    await send(server, 'm.login.dummy', { session: 'invented' }),
  ];

  for (const { status, body } of pages) {
    assert.equal(status, 404);
    assert.match(body, /begin again/);
  }
  assert.equal((await send(server, 'm.login.dummy', { session })).status, 200);
  assert.match((await page(server, 'm.login.dummy', session)).body, /<h1>Done/);
  assert.equal((await finish(server, session)).status, 200);
});

test('what stands in a session ID or a name is text in a page, and pages run nothing but their own scripts', async (t) => {
  const server = await testServer(t);
  const { session } = await begin(server);

  const { body, headers } = await page(server, 'm.login.dummy', session);

  const policy = headers.get('content-security-policy') ?? '';
  assert.match(policy, /^default-src 'none'/);
  assert.match(policy, /form-action 'self'.*frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
  assert.doesNotMatch(body, /<script/);
  assert.match(body, /name="viewport"/);
  assert.equal(headers.get('cache-control'), 'no-store');
});

test('a captcha that cannot be checked makes no account, and is no verdict on the answer', async (t) => {
  const captcha = await captchaService(t);
  const server = await testServer(t, { config: { registration: captchaKeys(captcha.url) } });
  const { session } = await begin(server);
  const answer = (response: string) =>
    server.post('/v3/register', { ...person, auth: { type: CAPTCHA, response, session } });

  for (const broken of [{ status: 500 }, { body: 'no JSON' }, { body: '[]' }, { body: 'x'.repeat(100_000) }]) {
    captcha.answer = broken;
    const { status, body } = await answer('right');
    assert.deepEqual([status, body.errcode], [502, 'M_UNKNOWN'], JSON.stringify(broken).slice(0, 40));
  }
  captcha.answer = null;
  const wrong = await answer('wrong');
  const missing = await server.post('/v3/register', { ...person, auth: { type: CAPTCHA, session } });
  const right = await answer('right');

  assert.deepEqual([wrong.status, wrong.body.errcode], [401, 'M_CAPTCHA_INVALID']);
  assert.deepEqual([missing.status, missing.body.errcode], [401, 'M_CAPTCHA_NEEDED']);
  assert.equal(right.status, 200);
});

test('a registration token is guessed only so often from one address, by whichever way', async (t) => {
  const server = await testServer(t, { hasRateLimits: true, config: { registration: { requiresToken: true } } });
  const { session } = await begin(server);
  const statuses = [];

  for (let count = 0; count < 6; count++) statuses.push((await send(server, TOKEN, { session, token: 'x' })).status);
  const byRequest = await server.post('/v3/register', { ...person, auth: { type: TOKEN, token: 'x', session } });

  assert.deepEqual(statuses, [401, 401, 401, 401, 401, 429]);
  assert.equal(byRequest.body.errcode, 'M_LIMIT_EXCEEDED');
});
