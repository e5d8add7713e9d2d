/** The token for a place in what a search finds: opaque to clients, checked when it comes back. */
import { invalidParam } from '../core/errors.ts';
import { isJsonObject, type JsonValue } from '../core/json-value.ts';

/** What results are grouped by, and which group is meant. */
export type SearchGroup = { readonly by: 'room_id' | 'sender'; readonly is: string };

export type SearchPlace = {
  /** Only entries older than this one. */
  readonly beforeNo: number;
  /** How many of them were given already, where they are ordered by rank. */
  readonly offset: number;
  /** How many results there are, as the first page counted; null on the first page. */
  readonly count: number | null;
  /** The group to which the search is narrowed. */
  readonly group: SearchGroup | null;
};

export const SEARCH_START: SearchPlace = {
  beforeNo: Number.MAX_SAFE_INTEGER,
  offset: 0,
  count: null,
  group: null,
};

const CHARS_MAX = 2000;

export function formatSearchToken({ beforeNo, offset, count, group }: SearchPlace): string {
  const parts = group === null ? [beforeNo, offset, count] : [beforeNo, offset, count, group.by, group.is];
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** The place of a token that we gave out. Throws 400 M_INVALID_PARAM for any other text. */
export function parseSearchToken(token: string): SearchPlace {
  const [beforeNo, offset, count, by, is] = partsOf(token);
  const isPlace = Number.isSafeInteger(beforeNo) && isCount(offset) && isCount(count);
  const isGroup = by === undefined || ((by === 'room_id' || by === 'sender') && typeof is === 'string');
  if (!isPlace || !isGroup) throw notOurs();
  return {
    // Both were checked to be numbers above.
    beforeNo: beforeNo as number,
    offset: offset as number,
    count: count as number,
    group: by === undefined ? null : { by, is: is as string },
  };
}

const notOurs = () => invalidParam('next_batch: is not a token of this server.');

const isCount = (value: JsonValue | undefined): boolean =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function partsOf(token: string): readonly JsonValue[] {
  if (token.length > CHARS_MAX) throw notOurs();
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(token, 'base64url').toString());
  } catch {
    throw notOurs();
  }
  if (!Array.isArray(parts) || parts.some(isJsonObject)) throw notOurs();
  return parts;
}
