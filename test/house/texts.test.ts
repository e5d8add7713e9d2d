/** Texts promise nothing that nobody holds, and name no machine. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { describe, listFiles, root } from './sources.ts';
import { checkLinks, checkText } from './texts.ts';

const FOLDERS = ['src', 'test', 'scripts', 'bin', 'docs', 'packaging', 'demo', 'identity', 'clients', '.ci'];
/** Written by tools, or not ours to word. */
const GENERATED = /^docs\/api\/|\.(png|ico|woff2|wasm|db)$/;

function textPaths(): string[] {
  const atRoot = readdirSync(root).filter((name) => /\.(md|json)$/.test(name) && name !== 'package-lock.json');
  return [...atRoot, ...listFiles(FOLDERS, ['']).filter((path) => !GENERATED.test(path))];
}

const read = (path: string): string => readFileSync(join(root, path), 'utf8');

test('no text names a machine, promises without an issue, or silences the type checker', () => {
  const problems = textPaths().flatMap((path) => checkText(path, read(path)));

  assert.equal(problems.length, 0, `\n${describe(problems)}`);
});

test('bad texts are found, each for its reason', () => {
  const wrong = (text: string, path = 'src/rooms/append.ts'): string =>
    describe(checkText(path, path.startsWith('src/') ? `/** Appends. */\n${text}` : text));

  assert.match(wrong(`open('/root/x')`), /append\.ts:2: a path of one machine/);
  assert.match(wrong(`open('/home/alice/x')`), /a path of one machine/);
  assert.match(wrong(`open('/tmp/x')`), /os\.tmpdir/);
  assert.match(wrong('// TODO: later'), /needs an issue/);
  assert.match(wrong('Later. TODO', 'docs/architecture.md'), /docs\/architecture\.md:1: a promise needs an issue/);
  assert.match(wrong('// FIXME'), /no other/);
  assert.match(wrong('// @ts-ignore'), /find the type/);
  assert.match(wrong('x;\n'.repeat(600)), /601 lines/);
  assert.match(describe(checkText('src/rooms/append.ts', 'x;')), /what the file is for/);
});

test('good texts pass', () => {
  const right = '/** Appends. */\n// TODO(#12): the rest.\nconst home = "/_matrix/client/v3/work/home/x";\n';

  assert.deepEqual(checkText('src/rooms/append.ts', right), []);
});

test('every link between pages leads somewhere', () => {
  const pages = textPaths().filter((path) => path.endsWith('.md'));

  const problems = pages.flatMap((path) => checkLinks(path, read(path), (target) => existsSync(join(root, target))));

  assert.equal(problems.length, 0, `\n${describe(problems)}`);
});

test('a link that leads nowhere is found', () => {
  const page = 'See [a](a.md), [b](../b.md#part), [up](#top) and [out](https://example.org/x).';

  const problems = checkLinks('docs/page.md', page, (path) => path === 'docs/a.md');

  assert.equal(describe(problems), 'docs/page.md:1: the link ../b.md leads nowhere');
});
