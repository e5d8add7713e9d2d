import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverAclOf } from './server-acl.ts';

test('a list is matched without case, without port and with IP literals of both kinds (B9, v1.19/4)', () => {
  const acl = serverAclOf({ allow: ['*'], deny: ['Evil.example', '*.Bad.example'], allow_ip_literals: false });

  for (const denied of [
    'evil.example',
    'EVIL.EXAMPLE:8448',
    'a.bad.example',
    '1.2.3.4',
    '1.2.3.4:80',
    '[::1]',
    '[::1]:443',
  ]) {
    assert.equal(acl.allows(denied), false, denied);
  }
  for (const allowed of ['good.example', 'bad.example', 'a.evil.example', '1.2.3.4.example']) {
    assert.equal(acl.allows(allowed), true, allowed);
  }
});

test('fields and entries of a wrong type count as absent (A10, B9)', () => {
  assert.equal(serverAclOf({ allow: ['*'], deny: 'evil.example' }).allows('evil.example'), true);
  assert.equal(serverAclOf({ allow: ['*'], deny: [null, 5, ['x'], 'evil.example'] }).allows('evil.example'), false);
  assert.equal(serverAclOf({ allow: ['*'], deny: null, allow_ip_literals: null }).allows('1.2.3.4'), true);
  assert.equal(serverAclOf({ allow: null }).allows('a.example'), false);
});

test('a list of ten thousand entries is compiled once (B9)', () => {
  const content = { allow: ['*'], deny: Array.from({ length: 10_000 }, (_, n) => `*${n}.evil.example`) };

  const acl = serverAclOf(content);

  assert.equal(serverAclOf(content), acl);
  for (let round = 0; round < 2; round++) {
    assert.equal(acl.allows('a17.evil.example'), false);
    assert.equal(acl.allows('good.example'), true);
  }
});

test('no list lets everybody in', () => {
  assert.equal(serverAclOf(undefined).allows('a.example'), true);
});
