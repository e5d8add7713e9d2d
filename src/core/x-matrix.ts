/**
 * The Authorization header with which servers sign their requests.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
import { parseServerName, type ServerName } from './ids.ts';
import { canonicalJson } from './json.ts';
import type { JsonValue } from './json-value.ts';
import type { SigningKey } from './signing.ts';

/** A request as it is signed. */
export type SignedRequest = {
  readonly method: string;
  /** Path and query as they go over the wire, still percent-encoded. */
  readonly uri: string;
  readonly origin: string;
  readonly destination: string;
  /** The parsed body; undefined for a request without one. */
  readonly content: JsonValue | undefined;
};

/** What an `X-Matrix` header says. */
export type XMatrix = {
  readonly origin: ServerName;
  /** null where an old sender does not name it. */
  readonly destination: ServerName | null;
  readonly keyId: string;
  readonly signature: string;
};

/**
 * The text that a request's signature signs. Numbers of the body that are no integers go out as they came in: a
 * transaction may carry events of room versions 1 to 5, whose senders sign them as they are, and each event is judged by
 * itself (threat A1). Throws M_BAD_JSON for a number that JSON cannot say.
 */
export function signedRequestText(request: SignedRequest): string {
  const { content } = request;
  return signedTextAround(request, content === undefined ? undefined : canonicalJson(content, { strict: false }));
}

/** The same where the body's canonical JSON is at hand. */
export function signedTextAround(
  { method, uri, origin, destination }: Omit<SignedRequest, 'content'>,
  contentText: string | undefined,
): string {
  const text = canonicalJson({ destination, method, origin, uri }, { strict: false });
  // An absent body is left out of the object; a body `null` would stand in it. Its key comes first.
  return contentText === undefined ? text : `{"content":${contentText},${text.slice(1)}`;
}

/** Signs a request and gives the value of its Authorization header. */
export function buildXMatrix(request: SignedRequest, key: SigningKey): string {
  const signature = key.sign(signedRequestText(request));
  const { origin, destination } = request;
  return `X-Matrix origin="${origin}",destination="${destination}",key="${key.keyId}",sig="${signature}"`;
}

const SCHEME = /^X-Matrix[ \t]+/i;
const SEPARATOR = /[ \t]*(?:,[ \t]*)*/y;
/** A name, then a quoted value with backslash escapes, or a bare one; old senders leave colons and slashes bare. */
const PARAMETER = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/y;
const HEADER_LENGTH_MAX = 4096;

/**
 * Reads an Authorization header; null where it is no well-formed `X-Matrix` header with origin, key and signature.
 * Names are read in any case, unknown ones are ignored, a name given twice is refused.
 */
export function parseXMatrix(header: string): XMatrix | null {
  const scheme = header.length <= HEADER_LENGTH_MAX ? SCHEME.exec(header) : null;
  if (scheme === null) return null;
  const values = new Map<string, string>();
  let at = scheme[0].length;
  while (at < header.length) {
    PARAMETER.lastIndex = at;
    const match = PARAMETER.exec(header);
    if (match === null) return null;
    const name = match[1]!.toLowerCase();
    if (values.has(name)) return null;
    values.set(name, match[3] ?? match[2]!.replace(/\\(.)/g, '$1'));
    SEPARATOR.lastIndex = PARAMETER.lastIndex;
    const separator = SEPARATOR.exec(header)?.[0] ?? '';
    at = PARAMETER.lastIndex + separator.length;
    if (at < header.length && !separator.includes(',')) return null;
  }
  const origin = parseServerName(values.get('origin'));
  const destinationText = values.get('destination');
  const destination = parseServerName(destinationText);
  const keyId = values.get('key');
  const signature = values.get('sig');
  if (origin === null || !keyId || !signature) return null;
  if (destinationText !== undefined && destination === null) return null;
  return { origin, destination, keyId, signature };
}
