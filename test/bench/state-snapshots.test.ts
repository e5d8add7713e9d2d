import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measureBoth } from './state-snapshots.ts';

test('C9: a room of many membership changes and forks takes at most three times the bytes of its events', async () => {
  for (const figures of await measureBoth({ members: 1000, forks: 20 })) {
    const { database, rawBytes, diskBytes, snapshotBytes, events } = figures;
    assert.ok(diskBytes <= rawBytes * 3, `${database}: ${diskBytes} bytes for ${rawBytes}`);
    assert.ok(snapshotBytes / events < 60, `${database}: ${snapshotBytes / events} bytes of snapshot an event`);
  }
});
