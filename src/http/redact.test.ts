/** Nothing that is logged or answered holds a token (threat D19). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MatrixError } from '../core/errors.ts';
import { redactUrl } from './redact.ts';
import { replyForError } from './reply-error.ts';

test('tokens in a URL are taken out, also under an encoded name or in capitals', () => {
  assert.equal(redactUrl('/sync?access_token=abc&since=1'), '/sync?access_token=<redacted>&since=1');
  assert.equal(redactUrl('/sync?since=1&ACCESS_TOKEN=abc'), '/sync?since=1&ACCESS_TOKEN=<redacted>');
  assert.equal(redactUrl('/sync?acc%65ss%5Ftoken=abc'), '/sync?access_token=<redacted>');
  assert.equal(redactUrl('/x?a=1;access_token=abc'), '/x?a=1;access_token=<redacted>');
  assert.equal(redactUrl('/login?loginToken=abc#x'), '/login?loginToken=<redacted>#x');
  assert.equal(redactUrl('/sync?%zz=1&access_token=abc'), '/sync?%zz=1&access_token=<redacted>');
});

test('a token right at the cut of a long URL is taken out too', () => {
  const url = `/${'x'.repeat(1980)}?access_token=sekrit`;

  assert.ok(!redactUrl(url).includes('sek'));
  assert.equal(redactUrl('/'.repeat(5000)).length, 2001);
});

test('an error answer quotes no token and a bug none of its details', () => {
  const refusal = replyForError(new MatrixError(400, 'M_UNKNOWN', 'http://as/?access_token=abc said no', { a: 1 }));
  const bug = replyForError(new Error('abc', { cause: new Error('Bearer sekrit') }));

  assert.deepEqual(JSON.parse(refusal.text), {
    errcode: 'M_UNKNOWN',
    error: 'http://as/?access_token=<redacted> said no',
    a: 1,
  });
  assert.equal(refusal.fault, null);
  assert.deepEqual([bug.status, bug.text.includes('abc')], [500, false]);
  assert.match(bug.fault?.stack ?? '', /caused by Error: Bearer <redacted>/);
  assert.equal(replyForError('just text').status, 500);
});
