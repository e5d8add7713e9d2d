/** The way to other machines, as a configuration has it: which addresses, which certificates, which servers. */
import type { Config } from '../config/config.ts';
import { compileGlob } from '../core/glob.ts';
import { type ServerName, splitServerName } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import type { Random } from '../kit/random.ts';
import { AddressGuard } from '../remote/address-guard.ts';
import { Dialer } from '../remote/dialer.ts';
import { SpecDiscovery } from '../remote/discovery.ts';
import { systemResolver } from '../remote/resolver.ts';
import { WellKnown } from '../remote/well-known.ts';
import { proxiesOf } from './proxies.ts';
import { readText } from './start-error.ts';
import { VERSION } from './version.ts';

/** The dialer and the discovery. Throws `StartError` for trust roots that cannot be read. */
export function reachOf(config: Config, clock: Clock, random: Random): { dialer: Dialer; discovery: SpecDiscovery } {
  const { federation } = config;
  const unverified = federation.unverifiedServers.map((pattern) => compileGlob(pattern, { ignoreCase: true }));
  const isVerified = (name: string): boolean => {
    const host = splitServerName(name)?.host ?? name;
    return federation.verifyCertificates && !unverified.some((matches) => matches(name) || matches(host));
  };
  const resolver = systemResolver();
  const dialer = new Dialer({
    guard: new AddressGuard({ blocked: federation.blockedRanges, allowed: federation.allowedRanges }),
    resolver,
    clock,
    tls: {
      versionMin: ({ '1': 'TLSv1', '1.1': 'TLSv1.1', '1.2': 'TLSv1.2', '1.3': 'TLSv1.3' } as const)[
        federation.tlsVersionMin
      ],
      trustRootsPem:
        federation.customCaFiles.length === 0
          ? null
          : federation.customCaFiles.map((path) => readText(path, 'trust root', 'federation_custom_ca_list')),
    },
    isVerified,
    userAgent: `Myelin/${VERSION}`,
    proxyFor: proxiesOf(config),
  });
  const wellKnown = new WellKnown({ dialer, clock });
  return { dialer, discovery: new SpecDiscovery({ wellKnown, resolver, clock, random, isVerified }) };
}

/** Whom the configuration lets us speak with; without a list, everybody. */
export function domainRule(list: readonly string[] | null): (server: ServerName) => boolean {
  if (list === null) return () => true;
  const names = new Set(list);
  return (server) => names.has(server);
}
