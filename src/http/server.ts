/** Listens: one router behind any number of sockets, plain, TLS or Unix, and an orderly end. */
import { chmod, lstat, unlink } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { type AddressInfo, BlockList, connect, isIPv6 } from 'node:net';
import type { ListenerFacts } from './incoming-call.ts';
import { Router, type RouterOptions } from './router.ts';

// Not by import: that would read all that `node:http` offers, also what Node loads its whole HTTP client for (3 MB, 40 ms).
const { createServer } = process.getBuiltinModule('node:http');

export type Certificate = { readonly certificatePem: string | Buffer; readonly keyPem: string | Buffer };

export type ListenerOptions = {
  /** A TCP port, 0 for any free one; or `path`, a Unix socket with its file mode (0o666 where left out). */
  readonly port?: number;
  readonly path?: string;
  readonly mode?: number;
  /** All addresses of the machine where left out or empty. */
  readonly bindAddresses?: readonly string[];
  readonly tls?: boolean;
  /** The listener's name in access lines; its port or path where left out. */
  readonly tag?: string | null;
  /** Whether `X-Forwarded-For` and `X-Forwarded-Proto` are believed. */
  readonly xForwarded?: boolean;
  /** Addresses or networks (`10.0.0.0/8`) of proxies; only their word is believed then. */
  readonly trustedProxies?: readonly string[];
  readonly requestIdHeader?: string | null;
  readonly resources: readonly { readonly names: readonly string[]; readonly compress?: boolean }[];
};

export type ServerOptions = RouterOptions & {
  /** For listeners with TLS. */
  readonly certificate?: Certificate | null;
  readonly connectionBounds?: Partial<ConnectionBounds>;
};

export type ConnectionBounds = {
  readonly connectionsMax: number;
  readonly headerBytesMax: number;
  readonly headersMax: number;
  readonly headersTimeoutMs: number;
  /** To receive a whole request, uploads included; the wait for an answer is not meant. */
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
};

const CONNECTION_BOUNDS: ConnectionBounds = {
  connectionsMax: 20_000,
  headerBytesMax: 32 * 1024,
  headersMax: 200,
  headersTimeoutMs: 30_000,
  requestTimeoutMs: 600_000,
  // Longer than a reverse proxy keeps its side open, else it writes into a connection that we just closed.
  keepAliveTimeoutMs: 75_000,
};

/** What a resource of the configuration brings along, as Synapse's do. Every listener has `health`. */
const BRINGS: Readonly<Record<string, readonly string[]>> = {
  client: ['media', 'static', 'consent', 'admin', 'well-known'],
  federation: ['media', 'keys', 'openid', 'well-known'],
};

export type BoundAddress = { readonly tag: string; readonly url: string; readonly port: number | null };

/** Makes a server that does not listen yet. Throws where the endpoints contradict each other. */
export function createHttpServer(options: ServerOptions): HttpServer {
  return new HttpServer(options);
}

export class HttpServer {
  readonly #router: Router;
  readonly #options: ServerOptions;
  readonly #bounds: ConnectionBounds;
  readonly #servers: { server: Server | TlsServer; isTls: boolean; path: string | null }[] = [];
  #certificate: Certificate | null;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#bounds = { ...CONNECTION_BOUNDS, ...options.connectionBounds };
    this.#certificate = options.certificate ?? null;
    this.#router = new Router(options);
  }

  /** Listens on all of them; where one fails, those before it are closed again and the error is thrown. */
  async listen(listeners: readonly ListenerOptions[]): Promise<BoundAddress[]> {
    const bound: BoundAddress[] = [];
    try {
      for (const listener of listeners) {
        const { bindAddresses, path } = listener;
        const hosts: (string | null)[] =
          path !== undefined || bindAddresses === undefined || bindAddresses.length === 0 ? [null] : [...bindAddresses];
        for (const host of hosts) bound.push(await this.#listenAt(listener, host, hosts.length > 1));
      }
    } catch (error) {
      await this.close(0);
      throw error;
    }
    return bound;
  }

  /** Serves new TLS connections with another certificate; those that are open stay open. */
  reloadCertificate(certificate: Certificate): void {
    for (const { server, isTls } of this.#servers) {
      if (isTls) (server as TlsServer).setSecureContext(secretsOf(certificate));
    }
    this.#certificate = certificate;
  }

  /**
   * Stops: takes no new connections, aborts the `signal` of every call so that long polls answer, lets the others end
   * within `graceMs`, and then cuts what is left.
   */
  async close(graceMs: number): Promise<void> {
    const servers = this.#servers.splice(0);
    const closed = Promise.all(
      servers.map(({ server }) => new Promise<void>((resolve) => server.close(() => resolve()))),
    );
    const { clock } = this.#options;
    let isOver = false;
    const cutAll = (): void => {
      isOver = true;
      for (const { server } of servers) server.closeAllConnections();
    };
    const timer = graceMs > 0 ? clock.after(graceMs, cutAll) : null;
    const idle = this.#router.drain().then(() => {
      // What was answered before the drain began may still hold its connection for the next request.
      if (!isOver) for (const { server } of servers) server.closeIdleConnections();
    });
    if (timer === null) cutAll();
    await closed;
    timer?.cancel();
    if (!isOver) await idle;
  }

  async #listenAt(listener: ListenerOptions, host: string | null, isOneOfMany: boolean): Promise<BoundAddress> {
    const { headerBytesMax, headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs } = this.#bounds;
    const isTls = listener.tls === true;
    const limits = {
      maxHeaderSize: headerBytesMax,
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      connectionsCheckingInterval: 5000,
      noDelay: true,
    };
    if (isTls && this.#certificate === null) throw new Error('A listener wants TLS, but there is no certificate.');
    const server =
      isTls && this.#certificate !== null
        ? createTlsServer({ ...limits, ...secretsOf(this.#certificate), minVersion: 'TLSv1.2' })
        : createServer(limits);
    server.maxConnections = this.#bounds.connectionsMax;
    server.maxHeadersCount = this.#bounds.headersMax;

    if (listener.path !== undefined) await removeStaleSocket(listener.path);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(
        listener.path !== undefined
          ? { path: listener.path }
          : {
              port: listener.port ?? 0,
              ...(host === null ? {} : { host }),
              // `::` beside `0.0.0.0` would take both kinds and leave nothing for the other.
              ipv6Only: isOneOfMany && host !== null && isIPv6(host),
            },
        resolve,
      );
    });
    this.#servers.push({ server, isTls, path: listener.path ?? null });
    if (listener.path !== undefined) await chmod(listener.path, listener.mode ?? 0o666);
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : null;
    const facts = this.#factsOf(listener, port);
    server.on('request', (message, response) => this.#router.handle(message, response, facts));
    return { tag: facts.tag, port, url: urlOf(address, isTls) };
  }

  #factsOf(listener: ListenerOptions, port: number | null): ListenerFacts {
    const names = listener.resources.flatMap((resource) => withBrought(resource.names));
    const compressed = listener.resources.flatMap(({ names, compress }) => (compress ? withBrought(names) : []));
    const { trustedProxies } = listener;
    return {
      tag: listener.tag ?? String(port ?? listener.path),
      isTls: listener.tls === true,
      trustsForwarded: listener.xForwarded === true,
      trustedProxies: trustedProxies === undefined ? null : blockListOf(trustedProxies),
      requestIdHeader: listener.requestIdHeader?.toLowerCase() ?? null,
      resources: this.#router.bitsOf(['health', ...names]),
      compressed: this.#router.bitsOf(compressed),
    };
  }
}

const secretsOf = ({ certificatePem, keyPem }: Certificate) => ({ cert: certificatePem, key: keyPem });

const withBrought = (names: readonly string[]): string[] => names.flatMap((name) => [name, ...(BRINGS[name] ?? [])]);

function urlOf(address: string | AddressInfo | null, isTls: boolean): string {
  if (address === null || typeof address === 'string') return `unix:${address ?? ''}`;
  const host = isIPv6(address.address) ? `[${address.address}]` : address.address;
  return `${isTls ? 'https' : 'http'}://${host}:${address.port}`;
}

function blockListOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/', 2);
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}

/** A server that was killed leaves its socket file behind; one that still answers is somebody else's. */
async function removeStaleSocket(path: string): Promise<void> {
  const code = await new Promise<string | undefined>((resolve) => {
    const probe = connect({ path }, () => {
      probe.destroy();
      resolve('EADDRINUSE');
    });
    probe.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  // A plain file refuses a connection too; that one was somebody's mistake and stays.
  if (code === 'ECONNREFUSED' && (await lstat(path)).isSocket()) await unlink(path);
}
