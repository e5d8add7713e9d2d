/** Names to addresses: hosts by the system's resolver, which reads the hosts file too, services by DNS. */
import { Resolver as DnsResolver, lookup } from 'node:dns/promises';

export type Address = { readonly address: string; readonly family: 4 | 6 };

export type SrvRecord = {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
};

export interface Resolver {
  /** All addresses of a host, those to be tried first in front. Throws where it has none. */
  addresses(hostname: string): Promise<readonly Address[]>;
  /** The SRV records of a name; none where the name has no such records. Throws where that cannot be found out. */
  services(name: string): Promise<readonly SrvRecord[]>;
}

const SRV_TIMEOUT_MS = 1500;
const SRV_TRIES = 2;
/** These say that there is nothing to find, in whatever words the name server and the library choose. */
const NOTHING_FOUND = new Set(['ENOTFOUND', 'ENODATA', 'ENONAME']);

/** The machine's own. `nameServers` are asked for services in place of those that the machine is set up with. */
export function systemResolver({ nameServers }: { nameServers?: readonly string[] } = {}): Resolver {
  const dns = new DnsResolver({ timeout: SRV_TIMEOUT_MS, tries: SRV_TRIES });
  if (nameServers !== undefined) dns.setServers(nameServers);
  return {
    async addresses(hostname) {
      const found = await lookup(hostname, { all: true });
      return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
    },
    async services(name) {
      try {
        return await dns.resolveSrv(name);
      } catch (error) {
        if (error instanceof Error && 'code' in error && NOTHING_FOUND.has(String(error.code))) return [];
        throw error;
      }
    },
  };
}
