/**
 * Server access control lists: which servers may take part in a room.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#server-access-control-lists-acls-for-rooms
 */
import { compileGlob, type GlobMatcher } from './glob.ts';
import { splitServerName } from './ids.ts';
import type { JsonObject, JsonValue } from './json-value.ts';

/** A compiled list. */
export interface ServerAcl {
  /** Whether a server, named with or without port, may take part. */
  allows(serverName: string): boolean;
}

/**
 * Compiles the content of an `m.room.server_acl` event; undefined, where the room has none, allows everybody. Fields of
 * the wrong type count as absent, entries that are no strings as not there. Cached per content object.
 */
export function serverAclOf(content: JsonObject | undefined): ServerAcl {
  if (content === undefined) return OPEN;
  const known = cache.get(content);
  if (known !== undefined) return known;
  const acl = compileServerAcl(content);
  cache.set(content, acl);
  return acl;
}

const OPEN: ServerAcl = { allows: () => true };
const cache = new WeakMap<JsonObject, ServerAcl>();
/** Answers kept per list: a long list is then walked once for each server and not once for each event. */
const ANSWERS_MAX = 1000;

function compileServerAcl(content: JsonObject): ServerAcl {
  const allowsIpLiterals = content['allow_ip_literals'] !== false;
  const isDenied = compileEntries(content['deny']);
  const isAllowed = compileEntries(content['allow']);
  const answers = new Map<string, boolean>();
  return {
    allows(serverName) {
      const known = answers.get(serverName);
      if (known !== undefined) return known;
      // A name that breaks the grammar has no port to cut off; it is judged as it stands.
      const host = (splitServerName(serverName)?.host ?? serverName).toLowerCase();
      const answer = (allowsIpLiterals || !isIpLiteral(host)) && !isDenied(host) && isAllowed(host);
      if (answers.size >= ANSWERS_MAX) answers.clear();
      answers.set(serverName, answer);
      return answer;
    },
  };
}

function compileEntries(entries: JsonValue | undefined): GlobMatcher {
  const names = new Set<string>();
  const globs = new Map<string, GlobMatcher>();
  for (const entry of Array.isArray(entries) ? entries : []) {
    if (typeof entry !== 'string') continue;
    const glob = entry.toLowerCase();
    if (/[*?]/.test(glob)) globs.set(glob, compileGlob(glob));
    else names.add(glob);
  }
  const matchers = [...globs.values()];
  return (host) => names.has(host) || matchers.some((matches) => matches(host));
}

const IPV4 = /^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$/;

function isIpLiteral(host: string): boolean {
  return host.startsWith('[') || IPV4.test(host);
}
