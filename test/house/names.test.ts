/** Files are named so that a stranger who knows the specification finds them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkNames } from './names.ts';
import { readOperations } from './operations.ts';
import { describe, listFiles } from './sources.ts';

test('files are kebab-case, and endpoints lie in the file of their module', () => {
  const problems = checkNames(listFiles(['src', 'test', 'scripts'], ['.ts', '.js']), readOperations());

  assert.equal(problems.length, 0, `\n${describe(problems)}`);
});

test('odd names are found', () => {
  const operations = readOperations();
  const wrong = (path: string): string => describe(checkNames([path], operations));

  assert.match(wrong('src/services/toDevice.ts'), /"toDevice" is not kebab-case/);
  assert.match(wrong('src/services/to_device.ts'), /"to_device" is not kebab-case/);
  assert.match(wrong('src/api/client/sending.ts'), /no module of the client-server API is called "sending"/);
  assert.match(wrong('src/api/federation/room-send.ts'), /no module of the server-server API/);
  assert.equal(wrong('src/api/client/room-send.ts'), '');
  assert.equal(wrong('src/api/client/room-send.test.ts'), '');
  assert.equal(wrong('src/api/client/index.ts'), '');
  assert.equal(wrong('src/api/admin/anything.ts'), '');
});
