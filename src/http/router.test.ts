/** The way of a request, against a real socket. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { httpKit, LOCAL } from '../../test/support/http-kit.ts';
import { endpoint, JsonText, RawReply } from './endpoint.ts';
import {
  anyJson,
  array,
  boolean,
  byteStream,
  bytes,
  empty,
  form,
  integer,
  integerBetween,
  object,
  oneOf,
  optional,
  record,
  roomAlias,
  roomId,
  string,
  stringUpTo,
  userId,
} from './schema.ts';

const reply = anyJson;
const ROOM = '/_matrix/client/v3/rooms/!room%3Aexample.org';

const send = endpoint({
  name: 'send',
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/:roomId/send/:eventType',
  alsoAt: ['/_matrix/client/r0/rooms/:roomId/send/:eventType'],
  auth: 'user',
  bodyBytesMax: 4000,
  params: object({ roomId, eventType: string }),
  body: object({
    text: string,
    kind: optional(oneOf('big', 'small')),
    to: optional(userId),
    counts: optional(record(integer)),
    nested: optional(object({ list: array(object({ name: stringUpTo(5) })) })),
  }),
  reply,
  handler: ({ params, body, user }) => new JsonText(JSON.stringify({ params, body, by: user.userId })),
});

const look = endpoint({
  name: 'look',
  method: 'GET',
  path: '/look/:word',
  auth: 'none',
  query: object({
    limit: optional(integerBetween(1, 100)),
    via: optional(array(string)),
    full: optional(boolean),
    q: string,
  }),
  reply,
  handler: ({ params, query }) => new JsonText(JSON.stringify({ params, query })),
});

const echo = (auth: 'none' | 'optional' | 'user' | 'user-or-guest' | 'admin') =>
  endpoint({
    name: `echo-${auth}`,
    method: 'GET',
    path: `/echo/${auth}`,
    auth,
    reply,
    handler: ({ user, request }) => ({ user: user?.userId ?? null, ip: request.ip, isSecure: request.isSecure }),
  });
const echoes = [echo('none'), echo('optional'), echo('user'), echo('user-or-guest'), echo('admin')];

const token = 'alice-token';

test('an endpoint gets parsed parameters, body and requester, and its answer is JSON', async (t) => {
  const kit = await httpKit(t, { endpoints: [send] });

  const answer = await kit.ask('PUT', `${ROOM}/send/m.room.message`, { token, body: { text: 'hi', more: [1] } });

  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'application/json');
  assert.deepEqual(answer.body, {
    params: { roomId: '!room:example.org', eventType: 'm.room.message' },
    body: { text: 'hi', more: [1] },
    by: '@alice:example.org',
  });
});

test('an endpoint answers at its old paths too, and an encoded slash stays part of its segment', async (t) => {
  const kit = await httpKit(t, { endpoints: [send] });

  const path = '/_matrix/client/r0/rooms/!a%2Fb%3Aexample.org/send/a%2520b';
  const answer = await kit.ask('PUT', path, { token, body: { text: '' } });

  assert.deepEqual(answer.body?.['params'], { roomId: '!a/b:example.org', eventType: 'a%20b' });
});

test('each kind of wrong body has its status and code, and the sentence names the place (threat A6)', async (t) => {
  const kit = await httpKit(t, { endpoints: [send] });
  const deep = `{"text":"","x":${'['.repeat(200)}${']'.repeat(200)}}`;
  const cases: [body: string | Buffer, status: number, errcode: string, names: string][] = [
    ['{}', 400, 'M_MISSING_PARAM', 'text'],
    ['', 400, 'M_MISSING_PARAM', 'text'],
    ['{"text":1}', 400, 'M_BAD_JSON', 'text'],
    ['{"text":"","kind":"medium"}', 400, 'M_INVALID_PARAM', 'kind'],
    ['{"text":"","to":"bob"}', 400, 'M_INVALID_PARAM', 'to'],
    ['{"text":"","counts":{"a\\nb":"x"}}', 400, 'M_BAD_JSON', 'counts'],
    ['{"text":"","nested":{"list":[{"name":"a"},{}]}}', 400, 'M_MISSING_PARAM', 'nested.list[1].name'],
    ['{"text":"","nested":{"list":[{"name":"abcdef"}]}}', 400, 'M_INVALID_PARAM', 'nested.list[0].name'],
    ['[]', 400, 'M_BAD_JSON', 'body'],
    ['null', 400, 'M_BAD_JSON', 'body'],
    ['{"text":', 400, 'M_NOT_JSON', 'JSON'],
    ['\ufeff{"text":""}', 400, 'M_NOT_JSON', 'JSON'],
    [Buffer.from([0x7b, 0x22, 0xc0, 0x80, 0x22, 0x7d]), 400, 'M_NOT_JSON', 'UTF-8'],
    ['{"text":"\\ud800"}', 400, 'M_BAD_JSON', 'surrogate'],
    [deep, 400, 'M_NOT_JSON', 'deep'],
    [`{"text":"${'x'.repeat(5000)}"}`, 413, 'M_TOO_LARGE', '4000'],
  ];
  for (const [body, status, errcode, names] of cases) {
    const answer = await kit.ask('PUT', `${ROOM}/send/x`, { token, body });

    assert.deepEqual([answer.status, answer.body?.['errcode']], [status, errcode], String(body).slice(0, 60));
    assert.match(String(answer.body?.['error']), new RegExp(names.replace(/[[\]]/g, '\\$&')));
  }
});

test('keys that name parts of a prototype are plain keys (threat A6)', async (t) => {
  const kit = await httpKit(t, { endpoints: [send] });

  const body = '{"text":"hi","__proto__":{"isAdmin":true},"constructor":1}';
  const answer = await kit.ask('PUT', `${ROOM}/send/x`, { token, body });

  assert.ok(answer.text.includes('"__proto__":{"isAdmin":true}'));
  assert.equal(({} as Record<string, unknown>)['isAdmin'], undefined);
});

test('a body is read as JSON whatever its type says, except multipart and compressed ones (threat D18)', async (t) => {
  const kit = await httpKit(t, { endpoints: [send] });
  const ask = (headers: Record<string, string>) =>
    kit.ask('PUT', `${ROOM}/send/x`, { token, body: { text: 'hi' }, headers });

  assert.equal((await ask({ 'content-type': 'application/x-www-form-urlencoded' })).status, 200);
  assert.equal((await ask({ 'content-type': 'nonsense;;' })).status, 200);
  assert.equal((await ask({})).status, 200);
  assert.equal((await ask({ 'content-type': 'multipart/form-data; boundary=x' })).body?.['errcode'], 'M_NOT_JSON');
  assert.equal((await ask({ 'content-encoding': 'gzip' })).status, 415);
});

test('a chunked body that outgrows its limit is refused with 413', async (t) => {
  const kit = await httpKit(t, { endpoints: [send] });
  const chunk = `1000\r\n${'x'.repeat(4096)}\r\n`;

  const head = `PUT ${ROOM}/send/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer alice-token\r\n`;
  const answer = await kit.speak(`${head}Transfer-Encoding: chunked\r\n\r\n${chunk}${chunk}0\r\n\r\n`);

  assert.match(answer, /^HTTP\/1.1 413 /);
});

test('query texts become the types that the schema asks for', async (t) => {
  const kit = await httpKit(t, { endpoints: [look] });

  const answer = await kit.ask('GET', '/look/a?q=x+y&limit=5&via=a&full=true&q=again&unknown=1');

  assert.deepEqual(answer.body, {
    params: { word: 'a' },
    query: { q: 'x y', limit: 5, via: ['a'], full: true },
  });
});

test('a wrong path or query parameter is M_INVALID_PARAM, a missing one M_MISSING_PARAM', async (t) => {
  const alias = endpoint({
    name: 'alias',
    method: 'GET',
    path: '/alias/:roomAlias',
    auth: 'none',
    params: object({ roomAlias }),
    reply,
    handler: ({ params }) => params,
  });
  const kit = await httpKit(t, { endpoints: [look, alias] });
  const errcodeAt = async (path: string) => (await kit.ask('GET', path)).body?.['errcode'];

  assert.equal(await errcodeAt('/look/a?q=1&limit=0'), 'M_INVALID_PARAM');
  assert.equal(await errcodeAt('/look/a?q=1&limit=many'), 'M_INVALID_PARAM');
  assert.equal(await errcodeAt('/look/a?q=1&full=yes'), 'M_INVALID_PARAM');
  assert.equal(await errcodeAt('/look/a'), 'M_MISSING_PARAM');
  assert.equal(await errcodeAt('/alias/nothing'), 'M_INVALID_PARAM');
  assert.equal((await kit.ask('GET', '/alias/%23room%3Aexample.org')).status, 200);
  assert.equal(await errcodeAt('/alias/%ff'), 'M_UNRECOGNIZED');
});

test('an unknown path is 404, a known one with another method 405 with Allow', async (t) => {
  const kit = await httpKit(t, { endpoints: [send, look] });

  const unknown = await kit.ask('GET', '/_matrix/client/v3/nothing');
  const wrongMethod = await kit.ask('POST', `${ROOM}/send/x`, { body: '{}' });
  const head = await kit.ask('HEAD', '/look/a?q=1');

  assert.deepEqual([unknown.status, unknown.body?.['errcode']], [404, 'M_UNRECOGNIZED']);
  assert.deepEqual([wrongMethod.status, wrongMethod.body?.['errcode']], [405, 'M_UNRECOGNIZED']);
  assert.equal(wrongMethod.headers.allow, 'PUT, OPTIONS');
  assert.deepEqual([head.status, head.text], [200, '']);
  assert.equal(head.headers['content-length'], '41');
});

test('web pages may read client answers, refusals included, and never those of the federation', async (t) => {
  const client = echo('user');
  const federation = endpoint({
    name: 'version',
    method: 'GET',
    path: '/_matrix/federation/v1/version',
    auth: 'none',
    reply: empty,
    handler: () => ({}),
  });
  const kit = await httpKit(t, {
    resources: [
      { name: 'client', endpoints: [client], hasCors: true },
      { name: 'federation', endpoints: [federation], hasCors: false },
    ],
    listeners: [{ ...LOCAL, resources: [{ names: ['client', 'federation'] }] }],
  });
  const originAt = async (method: string, path: string) =>
    (await kit.ask(method, path)).headers['access-control-allow-origin'];

  assert.equal(await originAt('GET', '/echo/user'), '*');
  assert.equal(await originAt('GET', '/_matrix/client/v3/nothing'), '*');
  assert.equal(await originAt('GET', '/_matrix/federation/v1/version'), undefined);
  assert.equal(await originAt('GET', '/_matrix/federation/v1/nothing'), undefined);
  const preflight = await kit.ask('OPTIONS', '/anything');
  assert.equal(preflight.status, 204);
  assert.equal(
    preflight.headers['access-control-allow-headers'],
    'X-Requested-With, Content-Type, Authorization, Date',
  );
});

test('each kind of auth lets in whom it should (threat D4)', async (t) => {
  const kit = await httpKit(t, { endpoints: echoes });
  const outcome = async (path: string, headers: Record<string, string> = {}) => {
    const { status, body } = await kit.ask('GET', path, { headers });
    return `${status} ${body?.['errcode'] ?? body?.['user']}`;
  };
  const bearer = (value: string) => ({ authorization: `Bearer ${value}` });

  assert.equal(await outcome('/echo/user'), '401 M_MISSING_TOKEN');
  assert.equal(await outcome('/echo/user', { authorization: 'Bearer ' }), '401 M_MISSING_TOKEN');
  assert.equal(await outcome('/echo/user', { authorization: 'Basic YWJj' }), '401 M_MISSING_TOKEN');
  assert.equal(await outcome('/echo/user?access_token='), '401 M_MISSING_TOKEN');
  assert.equal(await outcome('/echo/user', bearer('wrong')), '401 M_UNKNOWN_TOKEN');
  assert.equal(await outcome('/echo/user', { authorization: 'bEaReR alice-token' }), '200 @alice:example.org');
  assert.equal(await outcome('/echo/user?access_token=alice-token'), '200 @alice:example.org');
  assert.equal(await outcome('/echo/user', bearer('guest-token')), '403 M_GUEST_ACCESS_FORBIDDEN');
  assert.equal(await outcome('/echo/user-or-guest', bearer('guest-token')), '200 @guest:example.org');
  assert.equal(await outcome('/echo/admin', bearer('alice-token')), '403 M_FORBIDDEN');
  assert.equal(await outcome('/echo/admin', bearer('admin-token')), '200 @admin:example.org');
  assert.equal(await outcome('/echo/optional'), '200 null');
  assert.equal(await outcome('/echo/optional', bearer('wrong')), '401 M_UNKNOWN_TOKEN');
  assert.equal(await outcome('/echo/none', bearer('wrong')), '200 null');
});

test('a token in the query counts for nothing where that is switched off (v1.11/6)', async (t) => {
  const kit = await httpKit(t, { endpoints: echoes, allowsTokenInQuery: false });

  assert.equal((await kit.ask('GET', '/echo/user?access_token=alice-token')).body?.['errcode'], 'M_MISSING_TOKEN');
});

test('an endpoint for servers gets the origin that signed, and number text survives', async (t) => {
  const transaction = endpoint({
    name: 'transaction',
    method: 'PUT',
    path: '/_matrix/federation/v1/send/:txnId',
    auth: 'server',
    body: object({ pdus: array(anyJson) }),
    reply,
    handler: ({ origin, body }) => ({ origin, pdus: body.pdus }),
  });
  const kit = await httpKit(t, { endpoints: [transaction] });
  const ask = (headers: Record<string, string>) =>
    kit.ask('PUT', '/_matrix/federation/v1/send/1', { body: '{"pdus":[12345678901234567890]}', headers });

  assert.equal((await ask({})).status, 401);
  assert.equal(
    (await ask({ authorization: 'X-Matrix origin=other.example' })).text,
    '{"origin":"other.example","pdus":[12345678901234567890]}',
  );
});

test('a limit is counted by user, or by address where nobody is logged in, and tells when to come again (D15, v1.10/5)', async (t) => {
  const limited = endpoint({
    name: 'limited',
    method: 'GET',
    path: '/limited',
    auth: 'optional',
    rateLimit: 'slow',
    reply: empty,
    handler: () => ({}),
  });
  const kit = await httpKit(t, { endpoints: [limited], limits: { slow: { perSecond: 0.5, burstCount: 2 } } });
  const statusFor = async (who?: string) =>
    (await kit.ask('GET', '/limited', who === undefined ? {} : { token: who })).status;

  assert.deepEqual([await statusFor(token), await statusFor(token)], [200, 200]);
  const refused = await kit.ask('GET', '/limited', { token });
  assert.equal(refused.status, 429);
  assert.equal(refused.headers['retry-after'], '2');
  assert.deepEqual([refused.body?.['errcode'], refused.body?.['retry_after_ms']], ['M_LIMIT_EXCEEDED', 2000]);
  assert.deepEqual([await statusFor('bob-token'), await statusFor()], [200, 200]);
  kit.clock.advance(2000);
  assert.deepEqual([await statusFor(token), await statusFor(token)], [200, 429]);
});

test('an endpoint that names a limit nobody set up is found at start', async (t) => {
  const odd = endpoint({
    ...look,
    name: 'odd',
    rateLimit: 'nothing',
    alsoAt: [],
    params: object({}),
    body: anyJson,
    query: object({}),
    handler: () => ({}),
  });

  await assert.rejects(httpKit(t, { endpoints: [odd] }), /odd names the rate limit nothing/);
});

test('one user cannot take all places: further requests wait their turn, too many are refused (threat D17)', async (t) => {
  const releases: (() => void)[] = [];
  const slow = endpoint({
    name: 'slow',
    method: 'GET',
    path: '/slow',
    auth: 'user',
    reply: empty,
    async handler() {
      await new Promise<void>((resolve) => releases.push(resolve));
      return {};
    },
  });
  const kit = await httpKit(t, { endpoints: [slow, ...echoes], bounds: { userAtOnce: 1, userWaitingMax: 1 } });

  const first = kit.ask('GET', '/slow', { token });
  while (releases.length === 0) await new Promise(setImmediate);
  const second = kit.ask('GET', '/echo/user', { token });
  const others = await kit.ask('GET', '/echo/user', { token: 'bob-token' });
  const third = await Promise.race([
    second.then(() => 'the second one did not wait'),
    kit.ask('GET', '/echo/user', { token }).then(({ status }) => status),
  ]);
  releases[0]?.();

  assert.equal(others.status, 200);
  assert.equal(third, 429);
  assert.deepEqual([(await first).status, (await second).status], [200, 200]);
});

test('a bug answers 500 without details, and its log line holds no token (threats D19, F5)', async (t) => {
  const broken = endpoint({
    name: 'broken',
    method: 'GET',
    path: '/broken',
    auth: 'user',
    reply: empty,
    handler() {
      throw new Error('Fetching https://as.example/?access_token=sekrit with Bearer sekrit failed');
    },
  });
  const kit = await httpKit(t, { endpoints: [broken] });

  const answer = await kit.ask('GET', '/broken?access_token=alice-token&x=1');

  assert.equal(answer.text, '{"errcode":"M_UNKNOWN","error":"Internal server error."}');
  assert.equal(kit.logged.length, 2);
  assert.doesNotMatch(kit.logged.join(), /sekrit|alice-token/);
  assert.match(kit.logged[0] ?? '', /access_token=<redacted>/);
});

test('an access line tells who asked what from where, and how it went', async (t) => {
  const kit = await httpKit(t, {
    endpoints: echoes,
    listeners: [{ ...LOCAL, tag: 'main', requestIdHeader: 'X-Request-Id', resources: [{ names: ['client'] }] }],
  });

  await kit.ask('GET', '/echo/user', { token, headers: { 'x-request-id': 'abc-1', 'user-agent': 'test\n'.trim() } });

  const line = JSON.parse((kit.logged[0] ?? '').replace('request ', ''));
  assert.ok(typeof line.ms === 'number' && typeof line.bytes === 'number');
  assert.deepEqual(
    { ...line, ms: 0, bytes: 0 },
    {
      listener: 'main',
      request: 'abc-1',
      ip: '127.0.0.1',
      user: '@alice:example.org',
      method: 'GET',
      path: '/echo/user',
      status: 200,
      bytes: 0,
      ms: 0,
      agent: 'test',
    },
  );
});

test('durations are counted by endpoint and status, unknown paths as one (threat F6)', async (t) => {
  const kit = await httpKit(t, { endpoints: echoes });

  for (const path of ['/echo/user', '/echo/none', '/a', '/b']) await kit.ask('GET', path);
  const text = await kit.metrics.text();

  const counts = text.split('\n').filter((line) => line.startsWith('myelin_http_request_duration_seconds_count'));
  assert.deepEqual(counts, [
    'myelin_http_request_duration_seconds_count{endpoint="echo-user",method="GET",status="4xx"} 1',
    'myelin_http_request_duration_seconds_count{endpoint="echo-none",method="GET",status="2xx"} 1',
    'myelin_http_request_duration_seconds_count{endpoint="unknown",method="GET",status="4xx"} 2',
  ]);
});

test('answers may be ready text, bytes with a type, a redirect or a stream', async (t) => {
  const give = (path: string, what: () => JsonText | RawReply) =>
    endpoint({ name: path, method: 'GET', path, auth: 'none', reply: empty, handler: what });
  const kit = await httpKit(t, {
    endpoints: [
      give('/text', () => new JsonText('{"a":  1}')),
      give('/moved', () => new RawReply(302, { Location: '/text', 'Set-Cookie': ['a=1', 'b=2'] }, '')),
      give('/bytes', () => new RawReply(200, { 'Content-Type': 'image/png' }, Buffer.from([1, 2, 255]))),
      give('/stream', () => new RawReply(200, {}, Readable.from(['ab', 'cd']))),
      give('/half', () => {
        return new RawReply(
          200,
          {},
          Readable.from(['ab']).map(() => Promise.reject(new Error('The disk is gone.'))),
        );
      }),
    ],
  });

  assert.equal((await kit.ask('GET', '/text')).text, '{"a":  1}');
  const moved = await kit.ask('GET', '/moved');
  assert.deepEqual([moved.status, moved.headers.location, moved.headers['set-cookie']], [302, '/text', ['a=1', 'b=2']]);
  assert.deepEqual([...(await kit.ask('GET', '/bytes')).bytes], [1, 2, 255]);
  assert.equal((await kit.ask('GET', '/stream')).text, 'abcd');
  await assert.rejects(kit.ask('GET', '/half'));
});

test('a body may be taken as bytes, as a form or as a stream with a bound', async (t) => {
  const raw = endpoint({
    name: 'raw',
    method: 'POST',
    path: '/raw',
    auth: 'none',
    body: bytes,
    reply,
    handler: ({ body }) => ({ length: body.length }),
  });
  const filled = endpoint({
    name: 'filled',
    method: 'POST',
    path: '/form',
    auth: 'none',
    body: form({ name: string, age: optional(integer) }),
    reply,
    handler: ({ body }) => ({ ...body }),
  });
  const upload = endpoint({
    name: 'upload',
    method: 'POST',
    path: '/upload',
    auth: 'user',
    bodyBytesMax: 100_000,
    body: byteStream,
    reply,
    async handler({ body }) {
      let length = 0;
      for await (const chunk of body) length += chunk.length;
      return { length };
    },
  });
  const kit = await httpKit(t, { endpoints: [raw, filled, upload] });

  assert.deepEqual((await kit.ask('POST', '/raw', { body: Buffer.from([1, 2, 0]) })).body, { length: 3 });
  assert.deepEqual((await kit.ask('POST', '/form', { body: 'name=a+b&age=7' })).body, { name: 'a b', age: 7 });
  const ask = (size: number, who = token, headers = {}) =>
    kit.ask('POST', '/upload', { token: who, body: Buffer.alloc(size), headers });
  assert.deepEqual((await ask(100_000)).body, { length: 100_000 });
  assert.equal((await ask(100_001)).status, 413);
  assert.equal((await ask(100_001, token, { 'transfer-encoding': 'chunked' })).status, 413);
  assert.equal((await ask(90_000, 'wrong')).status, 401);
});

test('long answers are compressed only where the listener and the client want it', async (t) => {
  const long = endpoint({
    name: 'long',
    method: 'GET',
    path: '/long',
    auth: 'none',
    reply,
    handler: () => ({ text: 'x'.repeat(3000) }),
  });
  const kit = await httpKit(t, {
    endpoints: [long, ...echoes],
    listeners: [{ ...LOCAL, resources: [{ names: ['client'], compress: true }] }],
  });
  const encodingAt = async (path: string, accept: string) =>
    (await kit.ask('GET', path, { headers: { 'accept-encoding': accept } })).headers['content-encoding'];

  const packed = await kit.ask('GET', '/long', { headers: { 'accept-encoding': 'br, gzip;q=0.5' } });

  assert.equal(JSON.parse(gunzipSync(packed.bytes).toString()).text.length, 3000);
  assert.equal(packed.headers.vary, 'Accept-Encoding');
  assert.equal(await encodingAt('/long', 'gzip;q=0'), undefined);
  assert.equal(await encodingAt('/long', 'br'), undefined);
  assert.equal(await encodingAt('/echo/none', 'gzip'), undefined);
});

test('X-Forwarded-For counts only where the listener trusts it, and only its end (threat D15)', async (t) => {
  const listener = { ...LOCAL, resources: [{ names: ['client'] }] };
  const plain = await httpKit(t, { endpoints: echoes, listeners: [listener] });
  const behind = await httpKit(t, { endpoints: echoes, listeners: [{ ...listener, xForwarded: true }] });
  const chain = await httpKit(t, {
    endpoints: echoes,
    listeners: [{ ...listener, xForwarded: true, trustedProxies: ['127.0.0.1', '10.0.0.0/8'] }],
  });
  const strangers = await httpKit(t, {
    endpoints: echoes,
    listeners: [{ ...listener, xForwarded: true, trustedProxies: ['10.0.0.1'] }],
  });
  const headers = { 'x-forwarded-for': '6.6.6.6, 192.0.2.7:99, 10.1.2.3', 'x-forwarded-proto': 'https' };
  const factsFrom = async (kit: typeof plain) => {
    const { body } = await kit.ask('GET', '/echo/none', { headers });
    return [body?.['ip'], body?.['isSecure']];
  };

  assert.deepEqual(await factsFrom(plain), ['127.0.0.1', false]);
  assert.deepEqual(await factsFrom(behind), ['10.1.2.3', true]);
  assert.deepEqual(await factsFrom(chain), ['192.0.2.7', true]);
  assert.deepEqual(await factsFrom(strangers), ['127.0.0.1', false]);
});
