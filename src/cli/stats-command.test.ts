import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDatabase } from '../storage/open.ts';
import { scratchDirectory, tryCommand } from './try-command.ts';

test('myelin stats show tells what the database holds, for people and as JSON, while it is in use', async (t) => {
  const cwd = scratchDirectory(t);
  const path = join(cwd, 'homeserver.db');
  writeFileSync(
    join(cwd, 'homeserver.yaml'),
    `server_name: stats.example\nreport_stats: false\ndatabase: {name: sqlite3, args: {database: ${path}}}\n`,
  );
  const args = ['stats', 'show', '-c', 'homeserver.yaml'];
  const early = await tryCommand('myelin', args, { cwd });
  const db = await openDatabase({ kind: 'sqlite', path, synchronous: 'off' }, { info() {} });
  t.after(() => db.close());

  const [text, json] = [
    await tryCommand('myelin', args, { cwd }),
    await tryCommand('myelin', [...args, '--json'], { cwd }),
  ];

  assert.notEqual(early.code, 0);
  assert.match(early.stderr, /The database cannot be read; has the server been started once\?/);
  assert.doesNotMatch(early.stderr, /\n {4}at /, 'no stack trace');
  assert.equal(text.code, 0, text.stderr);
  assert.match(text.stdout, /server +stats\.example\ndatabase +[0-9.]+ MB\nusers +0\nrooms +0\nevents +0\n/);
  const { databaseBytes, ...figures } = JSON.parse(json.stdout);
  assert.ok(databaseBytes > 0);
  assert.deepEqual(figures, {
    serverName: 'stats.example',
    users: 0,
    rooms: 0,
    events: 0,
    stateEvents: 0,
    forwardExtremities: 0,
    outgoingEvents: 0,
    laggingServers: 0,
    failingServers: 0,
    manyTips: [],
  });
});
