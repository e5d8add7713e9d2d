/** One request to a router of this process and its answer, without sockets. */
import { IncomingMessage, type ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { Writable } from 'node:stream';
import type { ListenerFacts } from '../../src/http/incoming-call.ts';
import type { Router } from '../../src/http/router.ts';

export type SimRequest = {
  readonly method: string;
  /** Path and query. */
  readonly uri: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | undefined;
};

export type SimReply = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
};

/** Hands a request to a router. Rejects where the connection is broken off. */
export function exchange(router: Router, listener: ListenerFacts, request: SimRequest): Promise<SimReply> {
  const message = new IncomingMessage(new Socket());
  message.method = request.method;
  message.url = request.uri;
  const body = Buffer.from(request.body ?? '');
  const headers = Object.entries({ ...request.headers, 'content-length': String(body.length) });
  message.headers = Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value]));
  message.headersDistinct = Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), [value]]));
  if (body.length > 0) message.push(body);
  message.push(null);
  message.complete = true;
  return new Promise((resolve, reject) => {
    const response = new Response(resolve, reject);
    // What the router uses of a response, and no more.
    router.handle(message, response as unknown as ServerResponse, listener);
  });
}

class Response extends Writable {
  statusCode = 200;
  headersSent = false;
  shouldKeepAlive = true;
  readonly #headers: Record<string, string> = {};
  readonly #chunks: Buffer[] = [];

  constructor(resolve: (reply: SimReply) => void, reject: (error: Error) => void) {
    super();
    this.once('finish', () =>
      resolve({ status: this.statusCode, headers: this.#headers, body: Buffer.concat(this.#chunks) }),
    );
    this.once('close', () => reject(new Error('The connection was broken off.')));
    this.on('error', reject);
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.headersSent = true;
    this.#chunks.push(chunk);
    done();
  }

  writeHead(status: number, headers: readonly string[]): this {
    this.statusCode = status;
    this.headersSent = true;
    for (let index = 0; index + 1 < headers.length; index += 2) this.setHeader(headers[index]!, headers[index + 1]!);
    return this;
  }

  setHeader(name: string, value: string): void {
    this.#headers[name.toLowerCase()] = value;
  }

  getHeader(name: string): string | undefined {
    return this.#headers[name.toLowerCase()];
  }

  removeHeader(name: string): void {
    delete this.#headers[name.toLowerCase()];
  }
}
