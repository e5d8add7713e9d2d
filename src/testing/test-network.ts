/** Several whole servers in this process that find each other, and wires between them that a test can cut. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { type TestServer, type TestServerOptions, testServer } from './test-server.ts';

export type TestNetworkOptions<N extends string> = Omit<TestServerOptions, 'serverName' | 'seed'> & {
  /** Names of the servers; `a` becomes the server `a.test`. */
  readonly names: readonly N[];
  /** What one of them has otherwise. */
  readonly each?: { readonly [K in N]?: Omit<TestServerOptions, 'serverName'> };
};

/** How a wire is broken: nobody gets through, or requests do and no reply comes back. */
export type Cut = 'all' | 'replies';

/** Servers by the names that the test gave them, and the wires between them. */
export class TestNetwork<N extends string = string> {
  readonly servers: { readonly [K in N]: TestServer };
  readonly #wires: ReadonlyMap<string, Wire>;

  constructor(servers: { readonly [K in N]: TestServer }, wires: ReadonlyMap<string, Wire>) {
    this.servers = servers;
    this.#wires = wires;
  }

  /** Cuts the wires between two servers, both ways; what is under way breaks. */
  cut(a: N, b: N): void {
    this.cutFrom(a, b);
    this.cutFrom(b, a);
  }

  /** Cuts the wire over which one server calls another. */
  cutFrom(caller: N, callee: N, cut: Cut = 'all'): void {
    this.#wire(caller, callee).cut(cut);
  }

  /** Makes the wires between two servers whole again. */
  join(a: N, b: N): void {
    this.#wire(a, b).join();
    this.#wire(b, a).join();
  }

  #wire(caller: N, callee: N): Wire {
    const wire = this.#wires.get(`${caller} ${callee}`);
    if (wire === undefined) throw new Error(`There is no wire from ${caller} to ${callee}.`);
    return wire;
  }
}

/**
 * Starts the servers, with plain HTTP between them. They end with the test. Each has keys and random numbers of its own;
 * a clock that is handed over is the clock of all.
 */
export async function testNetwork<const N extends string>(
  t: Pick<TestContext, 'after'>,
  { names, each = {}, ...options }: TestNetworkOptions<N>,
): Promise<TestNetwork<N>> {
  const made = await Promise.all(
    names.map(async (name, index): Promise<[N, TestServer]> => {
      const own = each[name];
      const config = { ...options.config, ...own?.config };
      const server = await testServer(t, {
        seed: 1000 * (index + 1),
        ...options,
        ...own,
        config,
        serverName: `${name}.test`,
      });
      return [name, server];
    }),
  );
  const wires = new Map<string, Wire>();
  for (const [caller, from] of made) {
    for (const [callee, to] of made) {
      if (caller === callee) continue;
      const wire = new Wire(() => to.url);
      wires.set(`${caller} ${callee}`, wire);
      from.places.set(to.serverName, await wire.start());
      t.after(() => wire.stop());
    }
  }
  // Made of all the names.
  return new TestNetwork(Object.fromEntries(made) as { [K in N]: TestServer }, wires);
}

/** Passes bytes on to a server, until it is cut. It stays where it is when the server comes back on another port. */
class Wire {
  readonly #url: () => string;
  readonly #server: Server = createServer((socket) => this.#carry(socket));
  readonly #sockets = new Set<Socket>();
  #cut: Cut | null = null;

  constructor(url: () => string) {
    this.#url = url;
  }

  /** Gives the address that it takes calls at. */
  async start(): Promise<string> {
    await new Promise<void>((done) => this.#server.listen(0, '127.0.0.1', done));
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('The wire has no port.');
    return `http://127.0.0.1:${address.port}`;
  }

  cut(cut: Cut): void {
    this.#cut = cut;
    this.#breakAll();
  }

  join(): void {
    this.#cut = null;
    this.#breakAll();
  }

  async stop(): Promise<void> {
    this.#breakAll();
    await new Promise<void>((done) => this.#server.close(() => done()));
  }

  #breakAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #carry(caller: Socket): void {
    const url = this.#target();
    if (this.#cut === 'all' || url === null) {
      caller.destroy();
      return;
    }
    const callee = connect({ host: url.hostname, port: Number(url.port) });
    for (const [one, other] of [
      [caller, callee],
      [callee, caller],
    ] as const) {
      this.#sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
    caller.pipe(callee);
    // The request was carried out, and nobody hears of it.
    if (this.#cut === 'replies') callee.once('data', () => callee.destroy());
    else callee.pipe(caller);
  }

  /** Where the server is; null while it does not run. */
  #target(): URL | null {
    try {
      return new URL(this.#url());
    } catch {
      return null;
    }
  }
}
