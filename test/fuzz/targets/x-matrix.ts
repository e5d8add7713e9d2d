/** The X-Matrix header and other small grammars that strangers write: never fatal, and never read as what they are not. */
import assert from 'node:assert/strict';
import {
  parseEventId,
  parseMxcUri,
  parseRoomAlias,
  parseRoomId,
  parseServerName,
  parseUserId,
} from '../../../src/core/ids.ts';
import { formatMatrixUri, parseMatrixLink } from '../../../src/core/matrix-uri.ts';
import { canonicalEmail, canonicalMsisdn } from '../../../src/core/threepid.ts';
import { parseXMatrix } from '../../../src/core/x-matrix.ts';
import type { Random } from '../../../src/kit/random.ts';
import { mutateBytes, oneIn, pick, text } from '../generate.ts';
import type { FuzzTarget } from '../target.ts';

const HEADERS = [
  'X-Matrix origin="a.example",destination="b.example:8448",key="ed25519:1",sig="abc"',
  'X-Matrix origin=a.example , key="ed\\"25519:1",sig=abc,future="x\\\\"',
];
const IDS = [
  '@alice:a.example',
  '!x:[::1]:80',
  `!${'a'.repeat(43)}`,
  '#é:1.2.3.4',
  '$x:a.example',
  'mxc://a.example/x',
];
const LINKS = [
  'matrix:roomid/x:a/e/y:b?via=c&via=d',
  'https://matrix.to/#/%23a%3Ab/%24c?via=d',
  'matrix:u/a:b?action=chat',
];

export const target: FuzzTarget = {
  name: 'x-matrix',
  tryOne(random: Random): void {
    const mutated = (from: readonly string[]): string =>
      oneIn(random, 10) ? text(random) : Buffer.from(mutateBytes(random, Buffer.from(pick(random, from)))).toString();

    const header = parseXMatrix(mutated(HEADERS));
    if (header !== null) {
      assert.equal(parseServerName(header.origin), header.origin);
      assert.ok(header.keyId !== '' && header.signature !== '');
    }

    const id = mutated(IDS);
    for (const parse of [parseUserId, parseRoomId, parseRoomAlias, parseEventId]) {
      const parsed = parse(id);
      if (parsed !== null)
        assert.ok(Buffer.byteLength(parsed) <= 255 && !parsed.includes('\0') && parsed.isWellFormed());
    }
    const mxc = parseMxcUri(id);
    if (mxc !== null) assert.ok(/^[\w-]+$/.test(mxc.mediaId) && !mxc.serverName.includes('/'));

    const link = parseMatrixLink(mutated(LINKS));
    if (link !== null) assert.deepEqual(parseMatrixLink(formatMatrixUri(link)), link);

    const email = canonicalEmail(`${text(random)}@${text(random)}`);
    if (email !== null) assert.equal(canonicalEmail(email), email);
    canonicalMsisdn(id);
  },
};
