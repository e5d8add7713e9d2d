/**
 * Identifiers: branded strings, made by parsing where text comes in and nowhere else.
 * Spec v1.19: https://spec.matrix.org/v1.19/appendices/#identifier-grammar
 */

export type UserId = string & { readonly __brand: 'UserId' };
export type RoomId = string & { readonly __brand: 'RoomId' };
export type EventId = string & { readonly __brand: 'EventId' };
export type RoomAlias = string & { readonly __brand: 'RoomAlias' };
export type ServerName = string & { readonly __brand: 'ServerName' };

/** Longest identifier, in bytes of UTF-8 and with its sigil and domain. */
export const ID_BYTES_MAX = 255;

/** The number of bytes of a text in UTF-8. */
export function utf8Length(text: string): number {
  return Buffer.byteLength(text);
}

/** Whether a text takes at most that many bytes in UTF-8. Looks at the bytes only where the length leaves a doubt. */
export function isWithinBytes(text: string, bytesMax: number): boolean {
  if (text.length > bytesMax) return false;
  return text.length * 3 <= bytesMax || utf8Length(text) <= bytesMax;
}

const IPV6 = /^\[[0-9A-Fa-f:.]{2,45}\]$/;
const DNS_NAME = /^[0-9A-Za-z.-]{1,255}$/;
const PORT = /^[0-9]{1,5}$/;

/** Host and port of a server name; the host of an IPv6 literal keeps its brackets. Null where the grammar is not met. */
export function splitServerName(text: string): { host: string; port: number | null } | null {
  const colon = text.startsWith('[') ? text.indexOf(':', text.indexOf(']') + 1) : text.indexOf(':');
  // Inside an unclosed bracket the colon found is one of the address: the grammar then refuses the host.
  const host = colon < 0 ? text : text.slice(0, colon);
  if (!DNS_NAME.test(host) && !IPV6.test(host)) return null;
  if (colon < 0) return { host, port: null };
  const port = text.slice(colon + 1);
  return PORT.test(port) ? { host, port: Number(port) } : null;
}

/** A server name, with its port if it has one. The case is kept: server names compare with their case. */
export function parseServerName(text: unknown): ServerName | null {
  if (typeof text !== 'string') return null;
  // The usual name needs no second look; this is asked for every sender.
  if (PLAIN_HOST.test(text) || splitServerName(text) !== null) return text as ServerName;
  return null;
}

const PLAIN_HOST = /^[0-9a-z.-]{1,230}$/;

/** Splits `<sigil><localpart>:<server name>` at the first colon and checks what holds for each kind of identifier. */
function hasIdForm(text: unknown, sigil: string): text is string {
  if (typeof text !== 'string' || text[0] !== sigil || !isWithinBytes(text, ID_BYTES_MAX)) return false;
  const colon = text.indexOf(':');
  if (colon < 0 || text.includes('\0') || !text.isWellFormed()) return false;
  return parseServerName(text.slice(colon + 1)) !== null;
}

/** A user ID as other servers may send it: historical localparts included. Null where it is none. */
export function parseUserId(text: unknown): UserId | null {
  return hasIdForm(text, '@') ? (text as UserId) : null;
}

const NEW_LOCALPART = /^[a-z0-9._=\-/+]+$/;

/** Whether a localpart follows today's grammar, which every new account must. */
export function isValidLocalpart(localpart: string): boolean {
  return NEW_LOCALPART.test(localpart);
}

/** Whether a text is a user ID that may be created today: new-style localpart, valid server name, at most 255 bytes. */
export function isValidLocalUserId(text: unknown): text is UserId {
  const userId = parseUserId(text);
  return userId !== null && isValidLocalpart(localpartOf(userId));
}

const CREATE_HASH_ROOM_ID = /^![A-Za-z0-9_-]{43}$/;

/** Whether a room ID has the form of room version 12 on: `!` and the hash of the create event. */
export function isCreateHashRoomId(text: string): boolean {
  return CREATE_HASH_ROOM_ID.test(text);
}

/** A room ID of either form, `!x:domain` or `!hash`. */
export function parseRoomId(text: unknown): RoomId | null {
  if (typeof text === 'string' && isCreateHashRoomId(text)) return text as RoomId;
  return hasIdForm(text, '!') ? (text as RoomId) : null;
}

/** A room alias. */
export function parseRoomAlias(text: unknown): RoomAlias | null {
  return hasIdForm(text, '#') ? (text as RoomAlias) : null;
}

const HASH_EVENT_ID = /^\$[A-Za-z0-9_+/-]{43}$/;

/** An event ID of any room version: `$x:domain`, or `$` and a hash in either alphabet. */
export function parseEventId(text: unknown): EventId | null {
  if (typeof text === 'string' && HASH_EVENT_ID.test(text)) return text as EventId;
  return hasIdForm(text, '$') ? (text as EventId) : null;
}

/** The server name in an identifier; null for one that carries none (event and room IDs that are hashes). */
export function serverNameOf(id: UserId | RoomAlias): ServerName;
export function serverNameOf(id: RoomId | EventId): ServerName | null;
export function serverNameOf(id: string): ServerName | null {
  const colon = id.indexOf(':');
  // The brand of the identifier says that what follows the colon is a server name.
  return colon < 0 ? null : (id.slice(colon + 1) as ServerName);
}

/** The part of a user ID or alias between its sigil and the first colon. */
export function localpartOf(id: UserId | RoomAlias): string {
  return id.slice(1, id.indexOf(':'));
}

/** Room version names: 1 to 32 of a-z, 0-9, `.` and `-`. */
export function isRoomVersionName(text: string): boolean {
  return /^[a-z0-9.-]{1,32}$/.test(text);
}

/** The common grammar of namespaced identifiers: begins with a-z, then a-z 0-9 `-` `_` `.`, at most 255 characters. */
export function isNamespacedId(text: string): boolean {
  return /^[a-z][a-z0-9_.-]{0,254}$/.test(text);
}

/** The grammar of opaque identifiers: 1 to 255 of a-z A-Z 0-9 `-` `.` `_` `~`. */
export function isOpaqueId(text: string): boolean {
  return /^[A-Za-z0-9._~-]{1,255}$/.test(text);
}

/** A content URI taken apart. */
export type MxcUri = { readonly serverName: ServerName; readonly mediaId: string };

/** `mxc://<server name>/<media ID>`; null where it is none, with a media ID that is no opaque name among them. */
export function parseMxcUri(text: unknown): MxcUri | null {
  if (typeof text !== 'string' || !text.startsWith('mxc://')) return null;
  const slash = text.indexOf('/', 6);
  if (slash < 0) return null;
  const serverName = parseServerName(text.slice(6, slash));
  const mediaId = text.slice(slash + 1);
  return serverName !== null && /^[A-Za-z0-9_-]{1,255}$/.test(mediaId) ? { serverName, mediaId } : null;
}

/**
 * A localpart made from any text, for bridges and single sign-on: lower case, and what the grammar lacks as `=` and two
 * hex digits per byte of UTF-8.
 */
export function localpartFromText(text: string): string {
  let localpart = '';
  for (const byte of Buffer.from(text.toLowerCase(), 'utf8')) {
    const char = String.fromCharCode(byte);
    localpart += char !== '=' && NEW_LOCALPART.test(char) ? char : `=${byte.toString(16).padStart(2, '0')}`;
  }
  return localpart;
}
