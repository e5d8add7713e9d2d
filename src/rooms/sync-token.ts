/** The token that clients get for a place in the log: one form for sync, `/messages` and `/context`. */
import { invalidParam } from '../core/errors.ts';
import type { StreamPosition } from '../stream/stream.ts';

const TOKEN = /^s(-?\d{1,15})(?:d(\d{1,15}))?$/;

/** The token of a position. History that was fetched later lies below 0. */
export function formatSyncToken(position: StreamPosition): string {
  return `s${position}`;
}

/** The position of a token that we gave out. Throws 400 M_INVALID_PARAM for any other text. */
export function parseSyncToken(token: string, parameter = 'since'): StreamPosition {
  const digits = TOKEN.exec(token)?.[1];
  if (digits === undefined) throw invalidParam(`${parameter}: is not a token of this server.`);
  return Number(digits);
}

/** Where a client of `/sync` is: in the log, and in the messages to its device, of which it may have fewer. */
export type SyncPlace = { readonly position: StreamPosition; readonly toDevice: StreamPosition };

/** The token of a place in `/sync`. */
export function formatSyncPlace({ position, toDevice }: SyncPlace): string {
  return toDevice === position ? formatSyncToken(position) : `${formatSyncToken(position)}d${toDevice}`;
}

/** The place of a token that we gave out. Throws 400 M_INVALID_PARAM for any other text. */
export function parseSyncPlace(token: string): SyncPlace {
  const position = parseSyncToken(token);
  const toDevice = TOKEN.exec(token)?.[2];
  return { position, toDevice: toDevice === undefined ? position : Math.min(position, Number(toDevice)) };
}
