/** Names, ports and certificates of several servers on this machine that speak with each other as strangers do: over TLS. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemRandom } from '../../src/kit/random.ts';
import { makeSelfSigned } from '../../src/kit/self-signed.ts';
import { freePort } from './free-port.ts';

/** How a server is reached, and whom it trusts. */
export type Wire = {
  /** `localhost:PORT`, the port of federation. */
  readonly serverName: string;
  readonly clientPort: number;
  readonly federationPort: number;
  readonly certificatePath: string;
  readonly privateKeyPath: string;
  /** Certificates that are trust roots. */
  readonly trustedPaths: readonly string[];
};

/** Wires for as many servers, which trust each other; their common certificate lies in the directory. */
export async function wires(directory: string, count: number): Promise<Wire[]> {
  const certificate = makeSelfSigned('localhost', { nowMs: Date.now(), validDays: 2, random: systemRandom() });
  const certificatePath = join(directory, 'localhost.crt');
  const privateKeyPath = join(directory, 'localhost.key');
  writeFileSync(certificatePath, certificate.certificatePem);
  writeFileSync(privateKeyPath, certificate.privateKeyPem, { mode: 0o600 });
  const made: Wire[] = [];
  for (let index = 0; index < count; index++) {
    const federationPort = await freePort();
    made.push({
      serverName: `localhost:${federationPort}`,
      clientPort: await freePort(),
      federationPort,
      certificatePath,
      privateKeyPath,
      trustedPaths: [certificatePath],
    });
  }
  return made;
}

/** What homeserver.yaml says of a wire; clients find also the figures there. */
export function wiredConfig(wire: Wire): Readonly<Record<string, unknown>> {
  const listener = (port: number, tls: boolean, names: readonly string[]): object => ({
    port,
    bind_addresses: ['127.0.0.1'],
    type: 'http',
    tls,
    resources: [{ names, compress: false }],
  });
  return {
    server_name: wire.serverName,
    listeners: [
      listener(wire.clientPort, false, ['client', 'metrics']),
      listener(wire.federationPort, true, ['federation']),
    ],
    enable_metrics: true,
    tls_certificate_path: wire.certificatePath,
    tls_private_key_path: wire.privateKeyPath,
    federation_custom_ca_list: wire.trustedPaths,
    ip_range_blacklist: [],
    federation_ip_range_blacklist: [],
    allow_public_rooms_over_federation: true,
    room_list_publication_rules: [{ action: 'allow' }],
    federation: { destination_min_retry_interval: '1s', destination_max_retry_interval: '5s' },
  };
}
