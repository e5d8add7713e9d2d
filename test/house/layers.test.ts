/** Holds the house to its floors and its nevers. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkLayers, FLOORS } from './layers.ts';
import { describe, parseSource, readSources, root } from './sources.ts';

const problemsOf = (path: string, text: string): string => describe(checkLayers([parseSource(path, text)]));

test('every folder imports only from lower floors, and reaches for nothing that should come in through the door', () => {
  const problems = checkLayers(readSources());

  assert.equal(problems.length, 0, `\n${describe(problems)}`);
});

test('every folder of src is on a floor', () => {
  const known = FLOORS.flat();

  const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());

  assert.deepEqual(
    folders.map(({ name }) => name).filter((name) => !known.includes(name)),
    [],
  );
});

test('an import from above is told why, whatever its form', () => {
  for (const text of [
    `import { Rooms } from '../rooms/rooms.ts';`,
    `import type { Rooms } from '../rooms/rooms.ts';`,
    `export { Rooms } from '../rooms/rooms.ts';`,
    `const rooms = await import('../rooms/rooms.ts');`,
    `type Rooms = import('../rooms/rooms.ts').Rooms;`,
  ]) {
    assert.match(
      problemsOf('src/storage/events.ts', text),
      /events\.ts:1: src\/storage \(floor 2\) imports src\/rooms/,
    );
  }
});

test('neighbors do not know each other, tests among them', () => {
  const text = `import { sync } from '../sync/sync.ts';`;

  assert.match(problemsOf('src/services/devices.ts', text), /neighbors on floor 6/);
  assert.match(problemsOf('src/services/devices.test.ts', text), /neighbors on floor 6/);
});

test('a test may use the test kit, and a source file may not', () => {
  const text = `import { testServer } from '../testing/server.ts';`;

  assert.equal(problemsOf('src/services/devices.test.ts', text), '');
  assert.match(problemsOf('src/services/devices.ts', text), /which is above it/);
});

test('what is lower but out of bounds is refused with its reason', () => {
  assert.match(problemsOf('src/api/client/sync.ts', `import '../../storage/events.ts';`), /src\/api never imports/);
  assert.match(problemsOf('src/rooms/append.ts', `import '../remote/dialer.ts';`), /never wait for the network/);
});

test('core imports only the plain part of node:crypto', () => {
  assert.equal(problemsOf('src/core/hash.ts', `import { hash } from 'node:crypto';`), '');
  assert.equal(problemsOf('src/core/signing.ts', `import sodium from 'sodium-native';`), '');
  assert.match(problemsOf('src/core/hash.ts', `import { readFileSync } from 'node:fs';`), /pure functions/);
  assert.match(problemsOf('src/core/hash.ts', `import sodium from 'sodium-native';`), /pure functions/);
  assert.match(problemsOf('src/core/ids.ts', `import { randomBytes } from 'node:crypto';`), /knows no chance/);
  assert.match(problemsOf('src/core/ids.ts', `import { log } from '../kit/log.ts';`), /neighbors/);
});

test('drivers and SQL stay in storage', () => {
  assert.match(problemsOf('src/services/devices.ts', `import pg from 'pg';`), /drivers and SQL live in src\/storage/);
  assert.match(
    problemsOf('src/services/devices.ts', `import { sql } from '../storage/sql.ts';`),
    /give the statement a name/,
  );
  assert.equal(problemsOf('src/services/devices.ts', `import type { Statement } from '../storage/sql.ts';`), '');
  assert.equal(problemsOf('src/storage/devices.ts', `import { sql } from './sql.ts';`), '');
});

test('sockets are opened by few', () => {
  assert.match(problemsOf('src/services/media.ts', `import { connect } from 'node:net';`), /guarded dialer/);
  assert.match(problemsOf('src/services/media.ts', `import { request } from 'undici';`), /guarded dialer/);
  assert.equal(problemsOf('src/services/media.ts', `import { isIP } from 'node:net';`), '');
  assert.equal(problemsOf('src/remote/dialer.ts', `import { connect } from 'node:net';`), '');
});

test('time and chance come in through the door', () => {
  for (const text of [
    'const now = Date.now();',
    'const now = new Date();',
    'setTimeout(() => {}, 1);',
    'const chance = Math.random();',
    `await fetch('https://example.org');`,
  ]) {
    assert.notEqual(problemsOf('src/rooms/append.ts', text), '', text);
    assert.equal(problemsOf('src/senders/push.ts', text), '', text);
  }
  assert.equal(problemsOf('src/rooms/append.ts', 'const then = new Date(0);'), '');
  assert.equal(problemsOf('src/rooms/append.ts', 'export const get = (fetch: () => void): void => fetch();'), '');
  assert.equal(problemsOf('src/rooms/append.ts', 'clock.setTimeout(1);'), '');
});
