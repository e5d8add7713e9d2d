/** Myelin as a side of a trial: the real binary with a TLS listener for federation. */
import { join } from 'node:path';
import { Homeserver } from '../support/homeserver.ts';
import { type Wire, wiredConfig } from '../support/wire.ts';
import type { Side } from './side.ts';

export class MyelinSide implements Side {
  readonly kind = 'Myelin';
  readonly serverName: string;
  readonly #server: Homeserver;

  private constructor(server: Homeserver, serverName: string) {
    this.#server = server;
    this.serverName = serverName;
  }

  static async prepare(wire: Wire): Promise<MyelinSide> {
    const server = await Homeserver.prepare({ port: wire.clientPort, config: wiredConfig(wire) });
    return new MyelinSide(server, wire.serverName);
  }

  get url(): string {
    return this.#server.url;
  }

  get sharedSecret(): string {
    return this.#server.sharedSecret;
  }

  get logPath(): string {
    return join(this.#server.dir, 'server.log');
  }

  async start(): Promise<void> {
    await this.#server.start();
  }

  kill(): Promise<void> {
    return this.#server.kill();
  }

  remove(): Promise<void> {
    return this.#server.remove();
  }
}
