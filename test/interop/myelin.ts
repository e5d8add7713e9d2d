/** Myelin as a side of a trial: the real binary with a TLS listener for federation. */
import { join } from 'node:path';
import { Homeserver } from '../support/homeserver.ts';
import type { Side, Wire } from './side.ts';

export class MyelinSide implements Side {
  readonly kind = 'Myelin';
  readonly serverName: string;
  readonly #server: Homeserver;

  private constructor(server: Homeserver, serverName: string) {
    this.#server = server;
    this.serverName = serverName;
  }

  static async prepare(wire: Wire): Promise<MyelinSide> {
    const listener = (port: number, tls: boolean, names: readonly string[]): object => ({
      port,
      bind_addresses: ['127.0.0.1'],
      type: 'http',
      tls,
      resources: [{ names, compress: false }],
    });
    const server = await Homeserver.prepare({
      port: wire.clientPort,
      config: {
        server_name: wire.serverName,
        listeners: [listener(wire.clientPort, false, ['client']), listener(wire.federationPort, true, ['federation'])],
        tls_certificate_path: wire.certificatePath,
        tls_private_key_path: wire.privateKeyPath,
        federation_custom_ca_list: wire.trustedPaths,
        ip_range_blacklist: [],
        federation_ip_range_blacklist: [],
        allow_public_rooms_over_federation: true,
        room_list_publication_rules: [{ action: 'allow' }],
        federation: { destination_min_retry_interval: '1s', destination_max_retry_interval: '5s' },
      },
    });
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
