import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MatrixError } from '../core/errors.ts';
import { formatSyncToken, parseSyncToken } from './sync-token.ts';

test('a token gives its position back, also one of history that was fetched later', () => {
  for (const position of [0, 7, -12, 123_456_789_012]) {
    assert.equal(parseSyncToken(formatSyncToken(position)), position);
  }
});

test('any other text is refused and the parameter named', () => {
  for (const token of ['', 's', '7', 's1.5', 's 1', 's1_2', 't1-2', `s${'9'.repeat(20)}`]) {
    assert.throws(
      () => parseSyncToken(token, 'from'),
      (error) => error instanceof MatrixError && error.errcode === 'M_INVALID_PARAM' && /^from/.test(error.message),
    );
  }
});
