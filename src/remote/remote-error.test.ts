import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RemoteError } from './remote-error.ts';

test('a refusal is passed on, unless a client would take it for a word on its own session', () => {
  const passed = (remoteStatus: number, errcode: string) => {
    const remoteBody = { errcode, error: 'They say so.' };
    const { status, errcode: code } = new RemoteError('refused', 'x', { remoteStatus, remoteBody }).passedOn();
    return [status, code];
  };

  assert.deepEqual(passed(403, 'M_FORBIDDEN'), [403, 'M_FORBIDDEN']);
  assert.deepEqual(passed(404, 'M_NOT_FOUND'), [404, 'M_NOT_FOUND']);
  for (const errcode of ['M_UNKNOWN_TOKEN', 'M_MISSING_TOKEN', 'M_UNAUTHORIZED']) {
    assert.deepEqual(passed(401, errcode), [502, 'M_UNKNOWN']);
  }
  for (const errcode of ['M_UNKNOWN_TOKEN', 'M_MISSING_TOKEN', 'M_USER_LOCKED', 'M_USER_DEACTIVATED']) {
    assert.deepEqual(passed(403, errcode), [502, 'M_UNKNOWN']);
  }
  assert.deepEqual(passed(500, 'M_FORBIDDEN'), [502, 'M_UNKNOWN']);
});
