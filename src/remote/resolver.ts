/**
 * Names to addresses and services. Name servers are asked without a thread of the pool: the machine's own look-up holds
 * one for as long as a name server hangs, and four such names would stop passwords and files (threat C11).
 */
import { Resolver as DnsResolver, lookup } from 'node:dns/promises';
import { KeyedQueue } from '../kit/queue.ts';
import { type Address, HostsFile } from './hosts-file.ts';

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

export type ResolverOptions = {
  /** Asked in place of those that the machine is set up with. */
  readonly nameServers?: readonly string[];
  readonly hosts?: Pick<HostsFile, 'find'>;
  /** What a name server gets for its first answer. */
  readonly timeoutMs?: number;
};

const TIMEOUT_MS = 1500;
const TRIES = 2;
/** These say that there is nothing to find, in whatever words the name server and the library choose. */
const NOTHING_FOUND = new Set(['ENOTFOUND', 'ENODATA', 'ENONAME']);
/** Of the four threads of the pool. */
const MACHINE_LOOKUPS_AT_ONCE = 2;
const MACHINE_LOOKUPS_WAITING_MAX = 200;

const isNothing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && NOTHING_FOUND.has(String(error.code));

/** The hosts file, then name servers, then whatever else the machine knows. */
export function systemResolver(options: ResolverOptions = {}): Resolver {
  const { nameServers, hosts = new HostsFile(), timeoutMs = TIMEOUT_MS } = options;
  const dns = new DnsResolver({ timeout: timeoutMs, tries: TRIES });
  if (nameServers !== undefined) dns.setServers(nameServers);
  const machine = new KeyedQueue({ atOnce: MACHINE_LOOKUPS_AT_ONCE, waitingMax: MACHINE_LOOKUPS_WAITING_MAX });

  async function asked(hostname: string): Promise<readonly Address[]> {
    const [six, four] = await Promise.allSettled([dns.resolve6(hostname), dns.resolve4(hostname)]);
    const found: Address[] = [];
    if (six.status === 'fulfilled') found.push(...six.value.map((address): Address => ({ address, family: 6 })));
    if (four.status === 'fulfilled') found.push(...four.value.map((address): Address => ({ address, family: 4 })));
    if (found.length > 0) return found;
    for (const one of [six, four]) if (one.status === 'rejected' && !isNothing(one.reason)) throw one.reason;
    // A name of the local network, or of another source of names than DNS: quick to find out where no server hangs.
    const more = await machine.run('', () => lookup(hostname, { all: true }));
    return more.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
  }

  return {
    async addresses(hostname) {
      const known = await hosts.find(hostname);
      return known.length > 0 ? known : asked(hostname);
    },
    async services(name) {
      try {
        return await dns.resolveSrv(name);
      } catch (error) {
        if (isNothing(error)) return [];
        throw error;
      }
    },
  };
}
