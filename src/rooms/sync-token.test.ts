import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MatrixError } from '../core/errors.ts';
import { formatSyncPlace, formatSyncToken, parseSyncPlace, parseSyncToken } from './sync-token.ts';

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

test('a place in sync that is behind in the messages to a device says so, and is a position all the same', () => {
  for (const place of [
    { position: 9, toDevice: 9 },
    { position: 9, toDevice: 4 },
  ]) {
    assert.deepEqual(parseSyncPlace(formatSyncPlace(place)), place);
    assert.equal(parseSyncToken(formatSyncPlace(place)), 9);
  }
  assert.deepEqual(parseSyncPlace('s4d9'), { position: 4, toDevice: 4 });
});
