import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { accessLog } from './access-line.ts';
import { handClock } from './clock.ts';
import { type LogSettings, openLog } from './log.ts';
import type { Rotation } from './log-sink.ts';

function setUp(t: TestContext, options: { rotation?: Rotation; json?: boolean; settings?: Partial<LogSettings> } = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'log-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'a.log');
  const clock = handClock(Date.UTC(2026, 10, 23, 20, 15, 0, 123));
  const sink = { to: 'file' as const, path, rotation: options.rotation ?? null };
  const root = openLog(
    {
      rootLevel: 'info',
      levels: {},
      destinations: [{ sink, format: options.json ? 'json' : 'text', levelMin: 'debug' }],
      ...options.settings,
    },
    clock,
  );
  t.after(() => root.close());
  const read = (name = 'a.log'): string => readFileSync(join(directory, name), 'utf8');
  return { root, log: root.log, clock, directory, path, read };
}

test('a line carries time, name, level, message and fields', (t) => {
  const { log, read } = setUp(t);

  log.child('http').child('access').info('Processed.', { status: 200, agent: 'a b', none: undefined });

  assert.equal(read(), '2026-11-23 20:15:00,123 - http.access - INFO - Processed. status=200 agent="a b"\n');
});

test('a JSON line is one object', (t) => {
  const { log, read } = setUp(t, { json: true });

  log.warn('Careful.\nReally.', { count: 2, log: 'not the message' });

  assert.deepEqual(JSON.parse(read()), {
    time: 1_795_464_900.123,
    level: 'WARNING',
    namespace: 'myelin',
    log: 'Careful.\\nReally.',
    count: 2,
    log_: 'not the message',
  });
});

test('nobody can forge a line, or change how a terminal shows it', (t) => {
  const { log, read } = setUp(t);

  log.info('name "x\n2026 - root - ERROR - forged\u001b[31m\u202e"', { userAgent: 'curl\r\nX: 1' });

  assert.equal(read().split('\n').length, 2);
  assert.match(read(), /\\n2026 - root - ERROR - forged\\u001b\[31m\\u202e/);
});

test('tokens, secrets and passwords are never logged', (t) => {
  const { log, read } = setUp(t);

  log.info('GET /sync?access_token=topsecret1&since=s1 Authorization: Bearer topsecret2 for syt_topsecret3_abcdefgh');
  log.info('body {"password": "topsecret4", "user": "a"}', {
    accessToken: 'topsecret5',
    registration_shared_secret: 'topsecret6',
  });
  log.info('connecting to postgres://synapse:topsecret7@db/synapse', {
    body: { user: 'a', new_password: 'topsecret8' },
  });
  log.error('Failed.', { error: new Error('bad answer for ?client_secret=topsecret9') });

  assert.doesNotMatch(read(), /topsecret/);
  assert.match(read(), /since=s1/);
  assert.equal(read().match(/<redacted>/g)?.length, 9);
});

test('long messages and values are cut', (t) => {
  const { log, read } = setUp(t);

  log.info('x'.repeat(100_000), { value: 'y'.repeat(100_000) });

  assert.ok(read().length < 6000);
  assert.match(read(), /… \(96000 more\)/);
});

test('an error is logged with its causes and its frames', (t) => {
  const { log, read } = setUp(t);

  log.error('It broke.', { error: new TypeError('outer\nline', { cause: new Error('inner') }) });

  assert.match(read(), /ERROR - It broke\. error="TypeError: outer\\\\nline: caused by Error: inner"\n {4}at /);
});

test('a value that cannot be printed does not lose the line', (t) => {
  const { log, read } = setUp(t);
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;

  log.info('Circle.', { circle });

  assert.match(read(), /Circle\. circle=<unprintable>/);
});

test('levels are set by the beginning of a name, the longest counts', (t) => {
  const { root, log, read } = setUp(t, {
    settings: { rootLevel: 'warn', levels: { storage: 'info', 'storage.sql': 'off' } },
  });
  const storage = log.child('storage');

  log.info('1');
  storage.info('2');
  storage.child('migrations').info('3');
  storage.child('sql').error('4');
  storage.debug('5');

  assert.deepEqual(read().match(/\d$/gm), ['2', '3']);
  assert.equal(storage.isEnabled('debug'), false);
  root.reconfigure({ rootLevel: 'debug', levels: {}, destinations: [] });
  assert.equal(storage.isEnabled('debug'), true);
});

test('a file is rotated by size, and only so many are kept', (t) => {
  const { log, directory, read } = setUp(t, { rotation: { by: 'size', bytesMax: 100, keep: 2 } });

  for (let index = 0; index < 10; index++) log.info(`line ${index}`);

  assert.deepEqual(readdirSync(directory).sort(), ['a.log', 'a.log.1', 'a.log.2']);
  assert.match(read(), /line 9\n$/);
  assert.match(read('a.log.1'), /line 7\n$/);
});

test('a file is rotated at midnight under the name of the day', (t) => {
  const { log, clock, directory, read } = setUp(t, { rotation: { by: 'time', hours: 24, keep: 2 } });

  for (let day = 0; day < 5; day++) {
    log.info(`day ${day}`);
    clock.advance(86_400_000);
  }

  assert.deepEqual(readdirSync(directory).sort(), ['a.log', 'a.log.2026-11-25', 'a.log.2026-11-26']);
  assert.match(read('a.log.2026-11-26'), /day 3\n$/);
  assert.match(read(), /day 4\n$/);
});

test('after reopening lines go to a new file', (t) => {
  const { root, log, path, read } = setUp(t);
  log.info('before');
  renameSync(path, `${path}.moved`);

  root.reopen();
  log.info('after');

  assert.match(read(), /^[^\n]*after\n$/);
  assert.match(read('a.log.moved'), /^[^\n]*before\n$/);
});

test('the HTTP kit logs access lines in the shape that tools for Synapse read, without the token', (t) => {
  const { log, read } = setUp(t);

  accessLog(log).info(
    {
      request: 'GET-7',
      listener: '8008',
      ip: '203.0.113.9',
      user: '@alice:example.org',
      method: 'GET',
      path: '/_matrix/client/v3/sync?access_token=secret&timeout=0',
      status: 200,
      ms: 12.3456,
      databaseMs: 2.5,
      databaseCount: 3,
      bytes: 215,
      agent: 'curl/8 "quoted"',
    },
    'request',
  );

  assert.equal(
    read(),
    '2026-11-23 20:15:00,123 - access - INFO - 203.0.113.9 - 8008 - {@alice:example.org} Processed request: 0.012sec ' +
      '(0.000sec) (0.003sec/3) 215B 200 "GET /_matrix/client/v3/sync?access_token=<redacted>&timeout=0" ' +
      '"curl/8 %22quoted%22" request=GET-7\n',
  );
});
