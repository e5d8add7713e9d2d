/**
 * Which server asks: the X-Matrix signature of a request, checked before anything else is.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
import { forbidden, MatrixError } from '../core/errors.ts';
import type { ServerName } from '../core/ids.ts';
import type { JsonValue } from '../core/json-value.ts';
import { verifySignature } from '../core/signing.ts';
import { parseXMatrix, signedTextAround, type XMatrix } from '../core/x-matrix.ts';
import type { RequestFacts } from '../http/endpoint.ts';
import type { ServerGuard } from '../http/guard.ts';
import { canonicalJsonInTurns } from '../http/json-in-turns.ts';
import type { Clock } from '../kit/clock.ts';

/** The keys of servers. `Keyring` has them. */
export interface PublicKeys {
  /**
   * The public key (unpadded base64) that a server signs with under an ID, where what it signed at a time counts; at
   * any time, for null. Null where nobody could show such a key.
   */
  publicKey(serverName: ServerName, keyId: string, atMs: number | null): Promise<string | null>;
}

export type FederationGuardDeps = {
  readonly serverName: ServerName;
  readonly keys: PublicKeys;
  readonly clock: Clock;
  /** Whether we speak with a server at all (`federation_domain_whitelist`). */
  readonly mayFederate: (serverName: ServerName) => boolean;
  /** Told of each server that has shown who it is. */
  readonly onRequest?: (origin: ServerName) => void;
};

/** A server has one line for each key that it signs with. */
const LINES_MAX = 8;
const SCHEME = /^x-matrix(?:[ \t]|$)/i;

const unauthorized = (message: string): MatrixError => new MatrixError(401, 'M_UNAUTHORIZED', message);

export class FederationGuard implements ServerGuard {
  readonly #deps: FederationGuardDeps;

  constructor(deps: FederationGuardDeps) {
    this.#deps = deps;
  }

  /**
   * The server that signed a request. One good signature is enough where it signs with several keys.
   *
   * @throws MatrixError 401 M_UNAUTHORIZED where nobody did, or the request was meant for somebody else; 403 where the
   * server is none that we speak with
   */
  async verify(facts: RequestFacts, body: unknown): Promise<ServerName> {
    const { serverName, clock, keys, mayFederate, onRequest } = this.#deps;
    const lines = readLines(facts.headerLines('authorization'));
    const { origin } = lines[0]!;
    for (const line of lines) {
      if (line.origin !== origin) throw unauthorized('The Authorization lines name different servers.');
      if (line.destination !== null && line.destination !== serverName) {
        throw unauthorized(`The request was signed for ${line.destination}, and this is ${serverName}.`);
      }
    }
    if (origin === serverName) throw unauthorized('A server does not ask itself.');
    if (!mayFederate(origin)) throw forbidden(`This server does not speak with ${origin}.`);

    // Parsed JSON, or undefined: that is what the router hands over for an endpoint with `auth: 'server'`.
    const content = body as JsonValue | undefined;
    const text = signedTextAround(
      { method: facts.method, uri: facts.url, origin, destination: serverName },
      content === undefined ? undefined : await canonicalJsonInTurns(content),
    );
    const unknown: string[] = [];
    for (const { keyId, signature } of lines) {
      const publicKey = await keys.publicKey(origin, keyId, clock.now());
      if (publicKey === null) {
        unknown.push(keyId);
      } else if (verifySignature(publicKey, text, signature)) {
        onRequest?.(origin);
        return origin;
      }
    }
    throw unauthorized(
      unknown.length === lines.length
        ? `No key ${unknown.join(', ')} of ${origin} that is good today could be found.`
        : `The signature of ${origin} is wrong.`,
    );
  }
}

function readLines(given: readonly string[]): XMatrix[] {
  const ours = given.filter((line) => SCHEME.test(line));
  if (ours.length === 0) throw unauthorized('A signed request is needed: the header "Authorization: X-Matrix …".');
  if (ours.length > LINES_MAX) throw unauthorized('There are too many Authorization lines.');
  return ours.map((line) => {
    const read = parseXMatrix(line);
    if (read === null) throw unauthorized('An Authorization line is not well-formed X-Matrix.');
    return read;
  });
}
