/** Request bodies: read with a bound, decoded strictly (threats A6, D18). */
import type { IncomingMessage } from 'node:http';
import { Transform } from 'node:stream';
import { badJson, MatrixError, notJson, tooLarge } from '../core/errors.ts';
import { JSON_DEPTH_MAX, parseJson } from '../core/json.ts';
import type { JsonValue } from '../core/json-value.ts';

/** The client went away: nobody is left to read an answer. */
export class ClientGone extends Error {
  constructor() {
    super('The client closed the connection.');
    this.name = 'ClientGone';
  }
}

const bodyTooLarge = (bytesMax: number): MatrixError => tooLarge(`The body may have at most ${bytesMax} bytes.`);

/** Throws 413 where the header says already that the body is too long. */
function checkDeclaredLength(request: IncomingMessage, bytesMax: number): void {
  const declared = request.headers['content-length'];
  if (declared !== undefined && Number(declared) > bytesMax) throw bodyTooLarge(bytesMax);
}

/** Reads a whole body. Rejects with 413 past `bytesMax`, with `ClientGone` where it breaks off. */
export function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    checkDeclaredLength(request, bytesMax);
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= bytesMax) chunks.push(chunk);
      else {
        chunks.length = 0;
        reject(bodyTooLarge(bytesMax));
      }
    });
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
    request.on('close', () => {
      if (!request.complete) reject(new ClientGone());
    });
    request.on('error', () => reject(new ClientGone()));
  });
}

/** A body as it arrives; reading fails with 413 past `bytesMax`. */
export function streamBody(request: IncomingMessage, bytesMax: number): Transform {
  checkDeclaredLength(request, bytesMax);
  let length = 0;
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done): void {
      length += chunk.length;
      if (length > bytesMax) done(bodyTooLarge(bytesMax));
      else done(null, chunk);
    },
  });
  // Not `pipeline`: that would destroy the connection on a refusal, before the answer is written.
  request.pipe(bounded);
  request.on('close', () => {
    if (!request.complete) bounded.destroy(new ClientGone());
  });
  request.on('error', () => bounded.destroy(new ClientGone()));
  // A handler that refuses before it reads leaves nobody to hear of a broken upload.
  bounded.on('error', () => request.unpipe(bounded));
  return bounded;
}

/** Throws where a body says that it is something that cannot be JSON. Clients often send no type, or a wrong one. */
export function checkJsonType(request: IncomingMessage): void {
  const type = request.headers['content-type'];
  if (type !== undefined && /^\s*multipart\//i.test(type)) throw notJson('The body must be JSON, not multipart.');
  checkEncoding(request);
}

/** Throws 415 where a body is compressed: a few bytes of it could unfold to gigabytes. */
export function checkEncoding(request: IncomingMessage): void {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && !/^\s*identity\s*$/i.test(encoding)) {
    throw new MatrixError(415, 'M_UNKNOWN', 'Compressed bodies are not read here.');
  }
}

export type JsonRules = {
  /** How many arrays and objects may lie within each other. */
  readonly depthMax: number;
  /** Whether half a surrogate pair is refused wherever it stands. Where it is not, the reader must look for it. */
  readonly refusesLoneSurrogates: boolean;
  readonly keepNumberText: boolean;
};

/** What clients send: refused as a whole when something in it is wrong. */
export const CLIENT_JSON: JsonRules = {
  depthMax: JSON_DEPTH_MAX,
  refusesLoneSurrogates: true,
  keepNumberText: false,
};

/**
 * What servers send. One bad event in a transaction must not block all others that an honest server relays with it, so
 * each event's own checks come later; 1,000 levels is what other servers can parse at most.
 */
export const SERVER_JSON: JsonRules = { depthMax: 1000, refusesLoneSurrogates: false, keepNumberText: true };

/** Parses JSON. Throws 400 M_NOT_JSON for what is no UTF-8, no JSON or nested too deep, M_BAD_JSON for lone surrogates. */
export function parseJsonBody(bytes: Buffer, rules: JsonRules): JsonValue {
  const value = parseJson(bytes, rules);
  // Only an escape can bring in half a pair: the bytes themselves were valid UTF-8.
  const mayHoldHalf = rules.refusesLoneSurrogates && (bytes.includes('\\ud') || bytes.includes('\\uD'));
  if (mayHoldHalf && !isWellFormed(value)) throw badJson('The body has half a surrogate pair in a text.');
  return value;
}

function isWellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) return value.every(isWellFormed);
  return Object.entries(value).every(([key, inner]) => key.isWellFormed() && isWellFormed(inner));
}
