/** Writes answers: headers precomputed, one write for head and body, compression only where it was asked for. */
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { JsonText, RawReply, type ReplyHeaders } from './endpoint.ts';
import type { IncomingCall } from './incoming-call.ts';

const gzipAsync = promisify(gzip);
const COMPRESS_FROM_BYTES = 1024;
const COMPRESSIBLE = /^(?:text\/|application\/(?:json|javascript|xml|wasm)|image\/svg)/i;

/** Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients */
const CORS = [
  'Access-Control-Allow-Origin',
  '*',
  'Access-Control-Allow-Methods',
  'GET, POST, PUT, DELETE, PATCH, HEAD, OPTIONS',
  'Access-Control-Allow-Headers',
  'X-Requested-With, Content-Type, Authorization, Date',
] as const;
const JSON_HEAD = ['Content-Type', 'application/json', 'Cache-Control', 'no-store'] as const;
const JSON_HEAD_CORS = [...JSON_HEAD, ...CORS] as const;
const PREFLIGHT = [...CORS, 'Access-Control-Max-Age', '86400', 'Content-Length', '0'] as const;

/** Answers a preflight, alike for every path. */
export function writePreflight(response: ServerResponse): void {
  response.writeHead(204, [...PREFLIGHT]);
  response.end();
}

/** Writes whatever a handler gave. Gives the bytes of the body; for a stream, when it has ended. */
export function writeResult(call: IncomingCall, result: unknown): number | Promise<number> {
  if (result instanceof JsonText) return writeJson(call, 200, result.text);
  if (result instanceof RawReply) return writeRaw(call, result);
  return writeJson(call, 200, JSON.stringify(result));
}

/** Writes JSON text, with further headers (name, value, name, value …). Gives the bytes of the body. */
export function writeJson(
  call: IncomingCall,
  status: number,
  text: string,
  further: readonly string[] = [],
): number | Promise<number> {
  const head = call.hasCors ? JSON_HEAD_CORS : JSON_HEAD;
  if (call.isCompressed && text.length > COMPRESS_FROM_BYTES && acceptsGzip(call)) {
    return writeGzipped(call, status, [...head, ...further], text);
  }
  const bytes = Buffer.byteLength(text);
  writeHead(call, status, [...head, ...further, 'Content-Length', String(bytes)]);
  call.response.end(text);
  return bytes;
}

function writeRaw(call: IncomingCall, { status, headers, body }: RawReply): number | Promise<number> {
  const head = flatten(headers, call.hasCors);
  if (body instanceof Readable) return writeStream(call, status, head, body);
  const type = headers['content-type'] ?? headers['Content-Type'];
  const isLong = body.length > COMPRESS_FROM_BYTES;
  if (isLong && call.isCompressed && typeof type === 'string' && COMPRESSIBLE.test(type) && acceptsGzip(call)) {
    return writeGzipped(call, status, head, body);
  }
  const bytes = Buffer.byteLength(body);
  if (status !== 204 && status !== 304) head.push('Content-Length', String(bytes));
  writeHead(call, status, head);
  call.response.end(body);
  return bytes;
}

async function writeGzipped(
  call: IncomingCall,
  status: number,
  head: string[],
  body: string | Buffer,
): Promise<number> {
  const packed = await gzipAsync(body);
  head.push('Content-Encoding', 'gzip', 'Vary', 'Accept-Encoding', 'Content-Length', String(packed.length));
  writeHead(call, status, head);
  call.response.end(packed);
  return packed.length;
}

async function writeStream(call: IncomingCall, status: number, head: string[], body: Readable): Promise<number> {
  if (call.method === 'HEAD' || call.response.destroyed) {
    body.on('error', ignore);
    body.destroy();
    if (!call.response.destroyed) {
      writeHead(call, status, head);
      call.response.end();
    }
    return 0;
  }
  let bytes = 0;
  body.on('data', (chunk: Buffer | string) => {
    bytes += chunk.length;
  });
  writeHead(call, status, head);
  await pipeline(body, call.response);
  return bytes;
}

/** A stream that is thrown away may still fail; nobody waits for it. */
const ignore = (): void => {};

function writeHead(call: IncomingCall, status: number, head: string[]): void {
  // While the server drains, no further request shall come in by this connection.
  if (call.isDraining) head.push('Connection', 'close');
  else if (!call.message.complete) outliveBody(call);
  call.response.writeHead(status, head);
}

/**
 * A refusal may come before the end of the body. Closing then would reset the connection, and the client, still sending,
 * would never read why: so the rest is taken in first, also where the client asked to close.
 */
function outliveBody({ message, response }: IncomingCall): void {
  if (response.shouldKeepAlive) return;
  response.shouldKeepAlive = true;
  message.once('end', () => message.socket.end());
}

function flatten(headers: ReplyHeaders, hasCors: boolean): string[] {
  const head: string[] = hasCors ? [...CORS] : [];
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === 'string') head.push(name, value);
    else for (const each of value) head.push(name, each);
  }
  return head;
}

function acceptsGzip(call: IncomingCall): boolean {
  const accepted = call.message.headers['accept-encoding'];
  if (typeof accepted !== 'string') return false;
  const [, quality] = /(?:^|,)\s*(?:gzip|x-gzip)\s*(?:;\s*q=([\d.]+))?\s*(?:,|$)/i.exec(accepted) ?? [undefined, '0'];
  return quality === undefined || Number(quality) > 0;
}
