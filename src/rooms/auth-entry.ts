/** Entries of the index of auth chains as they are stored: numbers beside the event's own, so that they are small. */
import type { AuthChainTail, AuthIndexEntry } from '../core/auth-chain.ts';
import { VarintReader, writeVarint } from '../kit/varint.ts';

export type AuthEntry = AuthIndexEntry & {
  /** The power levels event among the auth events; null where there is none. */
  readonly powerLevelsNo: number | null;
};

/** Auth events are older than what rests on them, and numbers are given out in order. */
function distance(eventNo: number, earlierNo: number): number {
  if (earlierNo >= eventNo) throw new Error(`The event number ${eventNo} rests on a later one, ${earlierNo}.`);
  return eventNo - earlierNo;
}

export function encodeAuthEntry(eventNo: number, entry: AuthEntry): Uint8Array {
  const { authEvents } = entry;
  const out: number[] = [];
  writeVarint(out, entry.level);
  writeVarint(out, eventNo - entry.chain);
  writeVarint(out, entry.position);
  writeVarint(out, entry.below < 0 ? 0 : distance(eventNo, entry.below));
  writeVarint(out, entry.powerLevelsNo === null ? 0 : authEvents.indexOf(entry.powerLevelsNo) + 1);
  writeVarint(out, authEvents.length);
  for (const authNo of authEvents) writeVarint(out, distance(eventNo, authNo));
  const links = new Set(entry.links);
  writeVarint(
    out,
    authEvents.reduce((mask, authNo, index) => mask + (links.has(authNo) ? 2 ** index : 0), 0),
  );
  return Uint8Array.from(out);
}

export function decodeAuthEntry(eventNo: number, bytes: Uint8Array): AuthEntry {
  const reader = new VarintReader(bytes);
  const level = reader.next();
  const chain = eventNo - reader.next();
  const position = reader.next();
  const below = reader.next();
  const powerLevelsIndex = reader.next();
  const authEvents = Array.from({ length: reader.next() }, () => eventNo - reader.next());
  const mask = reader.next();
  return {
    level,
    chain,
    position,
    authEvents,
    links: mask === 0 ? [] : authEvents.filter((_, index) => Math.floor(mask / 2 ** index) % 2 === 1),
    below: below === 0 ? -1 : eventNo - below,
    powerLevelsNo: powerLevelsIndex === 0 ? null : authEvents[powerLevelsIndex - 1]!,
  };
}

export function encodeAuthTail(chain: number, { event, covers }: AuthChainTail): Uint8Array {
  const out: number[] = [];
  writeVarint(out, event - chain);
  writeVarint(out, covers.length);
  for (const cover of covers) {
    writeVarint(out, event - cover.chain);
    writeVarint(out, cover.position);
  }
  return Uint8Array.from(out);
}

export function decodeAuthTail(chain: number, bytes: Uint8Array): AuthChainTail {
  const reader = new VarintReader(bytes);
  const event = chain + reader.next();
  const covers = Array.from({ length: reader.next() }, () => ({
    chain: event - reader.next(),
    position: reader.next(),
  }));
  return { event, covers };
}
