/**
 * From a server's name to the places where it can be reached.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names
 */
import { LRUCache } from 'lru-cache';
import type { ServerName } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { Random } from '../kit/random.ts';
import { withDeadline } from './connector.ts';
import { RemoteError, reasonOf } from './remote-error.ts';
import type { Resolver, SrvRecord } from './resolver.ts';
import { FEDERATION_PORT, type NamedHost, type Place, parseNamedHost } from './server-place.ts';
import type { WellKnown } from './well-known.ts';

/** Where servers are. */
export interface Discovery {
  /** The places of a server, those to be tried first in front; at least one. Rejects with `RemoteError`. */
  find(serverName: ServerName): Promise<readonly Place[]>;
}

/** One step on the way to a server, for those who look for what is wrong. */
export type DiscoveryStep = { readonly what: string; readonly isGood: boolean };

export type DiscoveryDeps = {
  readonly wellKnown: Pick<WellKnown, 'find'>;
  readonly resolver: Pick<Resolver, 'services'>;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether the certificate of a server, by its name, is checked. */
  readonly isVerified: (serverName: string) => boolean;
};

/** How long name servers may take. A lookup that fails costs no more than this, and only once in a while. */
const SRV_BUDGET_MS = 3000;
/** A name without dots is one of a local network: no name server of the world has anything to say about it. */
const LOCAL_SRV_BUDGET_MS = 300;
const SRV_KEPT_MS = 5 * 60_000;
/** Where no name server answers. */
const SRV_FAULT_KEPT_MS = 60_000;
const SRV_NAMES_MAX = 10_000;
/** More records than this are somebody's joke. */
const SRV_RECORDS_MAX = 20;

type Srv = { readonly records: readonly SrvRecord[]; readonly fault: string | null };

/** The discovery of the specification. */
export class SpecDiscovery implements Discovery {
  readonly #deps: DiscoveryDeps;
  readonly #srv = new LRUCache<string, { found: Promise<Srv>; untilMs: number }>(atMost(SRV_NAMES_MAX));

  constructor(deps: DiscoveryDeps) {
    this.#deps = deps;
  }

  find(serverName: ServerName): Promise<readonly Place[]> {
    return this.trace(serverName, () => {});
  }

  /** Finds as `find` does, and tells each step. */
  async trace(serverName: ServerName, tell: (step: DiscoveryStep) => void): Promise<readonly Place[]> {
    const name = parseNamedHost(serverName);
    if (name === null) throw new RemoteError('unreachable', `${serverName} is no server name that can be reached.`);
    const isVerified = this.#deps.isVerified(serverName);
    // Steps 1 and 2: an address, or a port, leaves nothing to find out.
    if (name.isIp || name.port !== null) {
      tell({
        what: `${serverName} is ${name.isIp ? 'an address' : 'a host with a port'}: nothing is looked up`,
        isGood: true,
      });
      return [placeOf(name, serverName, isVerified)];
    }
    // Asked for at the same time: the usual domain without delegation then loses no time.
    const ownSrv = this.#services(name.host);
    const delegation = await this.#deps.wellKnown.find(name.host);
    const delegated = delegation.server === null ? null : parseNamedHost(delegation.server);
    if (delegation.server === null || delegated === null) {
      const reason = delegation.server === null ? delegation.reason : 'm.server is not a server name';
      tell({ what: `https://${name.host}/.well-known/matrix/server says nothing: ${reason}`, isGood: false });
      // Steps 4 to 6
      return this.#byServices(name.host, await ownSrv, isVerified, tell);
    }
    tell({ what: `https://${name.host}/.well-known/matrix/server says ${delegation.server}`, isGood: true });
    // Steps 3.1 and 3.2
    const isBothVerified = isVerified && this.#deps.isVerified(delegation.server);
    if (delegated.isIp || delegated.port !== null) return [placeOf(delegated, delegation.server, isBothVerified)];
    // Steps 3.3 to 3.5
    const services = delegated.host === name.host ? ownSrv : this.#services(delegated.host);
    return this.#byServices(delegated.host, await services, isBothVerified, tell);
  }

  #byServices(
    host: string,
    [fed, old]: readonly [Srv, Srv],
    isVerified: boolean,
    tell: (step: DiscoveryStep) => void,
  ): readonly Place[] {
    const tls = { certificateName: host, isVerified };
    for (const [service, { records, fault }] of [
      ['_matrix-fed._tcp', fed],
      ['_matrix._tcp', old],
    ] as const) {
      const name = `${service}.${host}`;
      if (records.length === 0) {
        tell({ what: fault === null ? `${name} has no SRV record` : `${name}: ${fault}`, isGood: fault === null });
        continue;
      }
      const targets = orderServices(records, this.#deps.random);
      if (targets.length === 0) throw new RemoteError('unreachable', `${host} says that it offers no Matrix server.`);
      const words = targets.map((target) => `${target.name}:${target.port}`).join(', ');
      tell({ what: `${name} leads to ${words}`, isGood: true });
      return targets.map((target) => ({ endpoint: { host: target.name, port: target.port, tls }, hostHeader: host }));
    }
    tell({ what: `so it is ${host}, port ${FEDERATION_PORT}`, isGood: true });
    return [{ endpoint: { host, port: FEDERATION_PORT, tls }, hostHeader: host }];
  }

  /** Both services, the present and the old one, are asked for at once. Never rejects. */
  #services(host: string): Promise<readonly [Srv, Srv]> {
    const isLocal = !host.includes('.');
    return Promise.all([
      this.#service(`_matrix-fed._tcp.${host}`, isLocal),
      this.#service(`_matrix._tcp.${host}`, isLocal),
    ]);
  }

  #service(name: string, isLocal: boolean): Promise<Srv> {
    const { clock, resolver } = this.#deps;
    const key = name.toLowerCase();
    const kept = this.#srv.get(key);
    if (kept !== undefined && kept.untilMs > clock.now()) return kept.found;
    const budgetMs = isLocal ? LOCAL_SRV_BUDGET_MS : SRV_BUDGET_MS;
    const asked = withDeadline(clock, budgetMs, resolver.services(name), `Looking up ${name}`);
    const found = asked.then(
      (records): Srv => ({ records: records.slice(0, SRV_RECORDS_MAX), fault: null }),
      (error): Srv => ({ records: [], fault: reasonOf(error) }),
    );
    const entry = { found, untilMs: clock.now() + SRV_KEPT_MS };
    this.#srv.set(key, entry);
    void found.then(({ fault }) => {
      if (fault !== null) entry.untilMs = clock.now() + SRV_FAULT_KEPT_MS;
    });
    return found;
  }
}

function placeOf({ host, port, isIp }: NamedHost, hostHeader: string, isVerified: boolean): Place {
  // The header says what stands in the name: with the port where it has one, with the brackets of an IPv6 address.
  const tls = { certificateName: host, isVerified };
  return {
    endpoint: { host, port: port ?? FEDERATION_PORT, tls },
    hostHeader: isIp || port !== null ? hostHeader : host,
  };
}

/**
 * SRV records in the order in which to try them: lower priorities first, and among equals by chance in proportion to
 * their weights (RFC 2782). Empty where the domain says that there is no such service.
 */
export function orderServices(records: readonly SrvRecord[], random: Random): SrvRecord[] {
  const usable = records.filter(({ name, port }) => name !== '' && name !== '.' && port > 0 && port <= 65_535);
  const ordered: SrvRecord[] = [];
  for (const priority of [...new Set(usable.map((record) => record.priority))].sort((a, b) => a - b)) {
    // Records without weight stand in front, so that they too have a small chance.
    const left = usable.filter((record) => record.priority === priority).sort((a, b) => a.weight - b.weight);
    while (left.length > 0) {
      const total = left.reduce((sum, { weight }) => sum + weight, 0);
      let draw = random.integer(total + 1);
      const index = left.findIndex(({ weight }) => {
        draw -= weight;
        return draw <= 0;
      });
      ordered.push(...left.splice(Math.max(index, 0), 1));
    }
  }
  return ordered;
}
