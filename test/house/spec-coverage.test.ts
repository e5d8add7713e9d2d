/** The page on the coverage of the specification says what is so. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readOperations } from './operations.ts';
import { root } from './sources.ts';
import { COVERAGE_PAGE, compare, coveragePage, currentCoveragePage, readNotes, strayNotes } from './spec-coverage.ts';

const operations = readOperations();

test('the list holds all operations of version 1.19', () => {
  assert.equal(operations.length, 235);
});

test('the committed page is up to date', async () => {
  const committed = readFileSync(join(root, COVERAGE_PAGE), 'utf8');

  const current = await currentCoveragePage();

  assert.equal(committed === current, true, `${COVERAGE_PAGE} is out of date: npm run docs:generate`);
});

test('every remark is on something that exists', () => {
  assert.deepEqual(strayNotes(operations, readNotes()), []);
});

test('an endpoint counts at each of its paths, whatever its parameters are called', () => {
  const endpoints = [
    {
      method: 'PUT' as const,
      path: '/elsewhere/:a',
      alsoAt: ['/_matrix/client/v3/rooms/:room/typing/:who'],
    },
  ];

  const coverage = compare(operations, endpoints, [
    { key: 'client-server/typing/setTyping', state: 'partly', remark: 'no federation' },
  ]);

  const covered = coverage.filter(({ state }) => state !== 'missing');
  assert.deepEqual(
    covered.map(({ operation, state, remark }) => [operation.operationId, state, remark]),
    [['setTyping', 'partly', 'no federation']],
  );
  assert.match(coveragePage(coverage), /\| typing \| `PUT .*` \| partly \| no federation \|/);
});

test('another method at the same path does not count', () => {
  const endpoints = [{ method: 'POST' as const, path: '/_matrix/client/v3/rooms/:room/typing/:who', alsoAt: [] }];

  const coverage = compare(operations, endpoints, []);

  assert.equal(
    coverage.every(({ state }) => state === 'missing'),
    true,
  );
});

test('what we call ourselves is done when the calling file is there', () => {
  const stateWith = (remark: string): string | undefined =>
    compare(operations, [], [{ key: 'push-gateway', state: 'called', remark }]).find(
      ({ operation }) => operation.api === 'push-gateway',
    )?.state;

  assert.equal(stateWith('src/http/endpoint.ts'), 'done');
  assert.equal(stateWith('src/http/no-such-file.ts'), 'missing');
});

test('a remark on nothing is found', () => {
  assert.deepEqual(strayNotes(operations, [{ key: 'client-server/typing/setTypping', state: 'missing', remark: '' }]), [
    'client-server/typing/setTypping',
  ]);
});
