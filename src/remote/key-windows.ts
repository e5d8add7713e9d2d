/**
 * Which keys of a server counted when: what is known of them, and what a further word of the server adds to it. Nothing
 * that was known is forgotten, so that history stays verifiable whatever a server says later (threat C15).
 */
import type { ServerKey } from '../core/server-keys.ts';

/** A key and the time in which what it signed counts. */
export type KeyWindow = {
  readonly publicKey: string;
  /** 0 for the first key of an ID. */
  readonly fromMs: number;
  readonly untilMs: number;
};

/** By key ID; several keys of one ID stand in the order of their times. */
export type KeyWindows = ReadonlyMap<string, readonly KeyWindow[]>;

export type WordFacts = {
  /**
   * True for what the server itself said just now. What others hand on may be an old word: it adds keys and lengthens
   * times, and changes nothing else.
   */
  readonly isFresh: boolean;
  readonly nowMs: number;
};

/** More IDs than any server has had, and more keys of one ID. What comes past it is not remembered. */
const IDS_MAX = 300;
const KEYS_PER_ID_MAX = 4;

/** What is known after a word of the server; `changed` holds the IDs whose windows are others now. */
export function addWord(
  known: KeyWindows,
  keys: readonly ServerKey[],
  facts: WordFacts,
): { readonly windows: KeyWindows; readonly changed: readonly string[] } {
  const windows = new Map(known);
  const changed: string[] = [];
  for (const key of keys) {
    const before = windows.get(key.keyId) ?? [];
    const after = addKey(before, key, facts);
    if (after === before || (before.length === 0 && windows.size >= IDS_MAX)) continue;
    windows.set(key.keyId, after);
    changed.push(key.keyId);
  }
  return { windows, changed };
}

function addKey(
  before: readonly KeyWindow[],
  { publicKey, validUntilMs, isOld }: ServerKey,
  { isFresh, nowMs }: WordFacts,
): readonly KeyWindow[] {
  const last = before.at(-1);
  if (last === undefined) return [{ publicKey, fromMs: 0, untilMs: validUntilMs }];
  if (last.publicKey === publicKey) {
    // That a key has expired is news as well: it may have been stolen.
    const untilMs = isFresh && isOld ? validUntilMs : Math.max(last.untilMs, validUntilMs);
    return untilMs === last.untilMs ? before : [...before.slice(0, -1), { ...last, untilMs }];
  }
  // An ID that names another key now. What the former one signed until now still counts, and nothing that the new one
  // signs counts for the time before: who takes over a name must not rewrite its past.
  if (!isFresh || isOld || before.length >= KEYS_PER_ID_MAX) return before;
  if (before.some((window) => window.publicKey === publicKey)) return before;
  const untilMs = Math.min(last.untilMs, nowMs);
  return [...before.slice(0, -1), { ...last, untilMs }, { publicKey, fromMs: untilMs, untilMs: validUntilMs }];
}

/** The key of an ID that counted at a time; for null, the newest one. Null where there is none. */
export function keyAt(windows: KeyWindows, keyId: string, atMs: number | null): string | null {
  const ofId = windows.get(keyId) ?? [];
  if (atMs === null) return ofId.at(-1)?.publicKey ?? null;
  const found = ofId.find(({ fromMs, untilMs }) => atMs <= untilMs && (fromMs === 0 || atMs > fromMs));
  return found?.publicKey ?? null;
}
