/** What a browser shows at the server's address. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { testServer } from '../../testing/test-server.ts';

test('the root tells what runs here and how to go on, and asks nobody else for anything', async (t) => {
  const server = await testServer(t, { config: { registration: { isOpen: false } } });

  const page = await fetch(`${server.url}/`);

  assert.equal(page.status, 200);
  assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
  const html = await page.text();
  assert.match(html, /<h1>Myelin is running<\/h1>/);
  assert.match(html, /<dd>myelin\.test<\/dd>/);
  assert.match(html, /register_new_matrix_user -c homeserver\.yaml/);
  assert.match(html, /name="viewport"/);
  assert.doesNotMatch(html, /<script|<img|<link|src=|@import|url\(/);
  const style = /<style>([\s\S]*)<\/style>/.exec(html)?.[1] ?? '';
  const hash = createHash('sha256').update(style).digest('base64');
  const policy = page.headers.get('content-security-policy') ?? '';
  assert.ok(policy.startsWith(`default-src 'none'; style-src 'sha256-${hash}'`), policy);
});

test('the address is that of the configuration, else the one by which the browser came', async (t) => {
  const plain = await testServer(t);
  const named = await testServer(t, { config: { server: { publicBaseUrl: 'https://matrix.myelin.test/' } } });
  const textOf = async (url: string) => (await fetch(url)).text();

  assert.ok((await textOf(`${plain.url}/`)).includes(`<dd>${plain.url}</dd>`));
  assert.ok((await textOf(`${named.url}/`)).includes('<dd>https://matrix.myelin.test/</dd>'));
});

test('the root leads to another web client, or is left alone, where the configuration says so', async (t) => {
  const redirecting = await testServer(t, { config: { server: { webClientLocation: 'https://client.test/' } } });
  const without = await testServer(t, { config: { server: { webClient: false } } });

  const reply = await fetch(`${redirecting.url}/`, { redirect: 'manual' });

  assert.equal(reply.status, 302);
  assert.equal(reply.headers.get('location'), 'https://client.test/');
  assert.equal((await fetch(`${without.url}/`)).status, 404);
});
