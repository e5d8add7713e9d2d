/**
 * Links to users, rooms and events: `matrix:` URIs and matrix.to links.
 * Spec v1.19: https://spec.matrix.org/v1.19/appendices/#uris
 */
import {
  type EventId,
  parseEventId,
  parseRoomAlias,
  parseRoomId,
  parseServerName,
  parseUserId,
  type RoomAlias,
  type RoomId,
  type ServerName,
  type UserId,
} from './ids.ts';

/** What a link points to. */
export type MatrixLink = {
  readonly target: UserId | RoomId | RoomAlias;
  /** An event in the room that is the target; null for the room itself or a user. */
  readonly eventId: EventId | null;
  readonly via: readonly ServerName[];
  readonly action: 'chat' | 'join' | null;
};

const SIGILS: ReadonlyMap<string, string> = new Map([
  ['u', '@'],
  ['user', '@'],
  ['r', '#'],
  ['room', '#'],
  ['roomid', '!'],
]);
const KINDS: ReadonlyMap<string, string> = new Map([
  ['@', 'u'],
  ['#', 'r'],
  ['!', 'roomid'],
]);

/** Writes a `matrix:` URI. */
export function formatMatrixUri(link: MatrixLink): string {
  const event = link.eventId === null ? '' : `/e/${encodePart(link.eventId.slice(1))}`;
  return `matrix:${KINDS.get(link.target[0]!)}/${encodePart(link.target.slice(1))}${event}${query(link, true)}`;
}

/** Writes a matrix.to link, with sigils in their readable form where a URL allows it. */
export function formatMatrixTo(link: MatrixLink): string {
  const event = link.eventId === null ? '' : `/${encodePart(link.eventId)}`;
  return `https://matrix.to/#/${encodePart(link.target)}${event}${query(link, false)}`;
}

/** Percent-encodes a part, but for what a path segment may hold and people want to read. */
function encodePart(text: string): string {
  return encodeURIComponent(text).replaceAll(/%(?:3A|40|24|2B)/g, decodeURIComponent);
}

function query(link: MatrixLink, hasAction: boolean): string {
  const items = link.via.map((serverName) => `via=${encodePart(serverName)}`);
  if (hasAction && link.action !== null) items.push(`action=${link.action}`);
  return items.length === 0 ? '' : `?${items.join('&')}`;
}

/** Reads a `matrix:` URI or a matrix.to link; null for anything else. */
export function parseMatrixLink(text: string): MatrixLink | null {
  if (text.startsWith('matrix:')) return parseMatrixUri(text.slice('matrix:'.length));
  const fragment = /^https?:\/\/matrix\.to\/#\/(.*)$/.exec(text)?.[1];
  return fragment === undefined ? null : parseMatrixTo(fragment);
}

function parseMatrixUri(rest: string): MatrixLink | null {
  const { path, parameters } = splitQuery(rest);
  const [kind, id, eventKind, eventText, ...tooMany] = path;
  const sigil = SIGILS.get(kind ?? '');
  if (sigil === undefined || id === undefined || tooMany.length > 0) return null;
  if (eventKind !== undefined && eventKind !== 'e' && eventKind !== 'event') return null;
  if (eventKind !== undefined && eventText === undefined) return null;
  return linkTo(`${sigil}${id}`, eventText === undefined ? null : `$${eventText}`, parameters);
}

function parseMatrixTo(fragment: string): MatrixLink | null {
  const { path, parameters } = splitQuery(fragment);
  const [id, eventText, ...tooMany] = path;
  return id === undefined || tooMany.length > 0 ? null : linkTo(id, eventText ?? null, parameters);
}

/** Path segments, split before they are decoded because an ID may hold a slash, and the query. */
function splitQuery(text: string): { path: string[]; parameters: URLSearchParams } {
  const mark = text.indexOf('?');
  const path = mark < 0 ? text : text.slice(0, mark);
  return {
    path: path.split('/').map(decodePart),
    parameters: new URLSearchParams(mark < 0 ? '' : text.slice(mark + 1)),
  };
}

function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not percent-encoded UTF-8: no identifier can be in it, and the parsers of identifiers will say so.
    return '';
  }
}

function linkTo(target: string, eventText: string | null, parameters: URLSearchParams): MatrixLink | null {
  const parsed = parseUserId(target) ?? parseRoomAlias(target) ?? parseRoomId(target);
  const eventId = eventText === null ? null : parseEventId(eventText);
  if (parsed === null || (eventText !== null && (eventId === null || parsed.startsWith('@')))) return null;
  const action = parameters.get('action');
  return {
    target: parsed,
    eventId,
    via: parameters.getAll('via').flatMap((name) => parseServerName(name) ?? []),
    action: action === 'chat' || action === 'join' ? action : null,
  };
}
