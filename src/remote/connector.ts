/** Opens one guarded connection: the name is resolved once, each address is judged, and only those are connected to. */
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import {
  checkServerIdentity,
  connect as connectTls,
  createSecureContext,
  type SecureContext,
  type SecureVersion,
  type ConnectionOptions as TlsOptions,
} from 'node:tls';
import type { Clock } from '../kit/clock.ts';
import type { AddressGuard } from './address-guard.ts';
import type { Address } from './hosts-file.ts';
import { type ForwardProxy, openTunnel, type ProxyRule } from './proxy.ts';
import { RemoteError, reasonOf } from './remote-error.ts';
import type { Resolver } from './resolver.ts';

/** Where a connection goes, and whom its certificate must name. */
export type Endpoint = {
  /** A host name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly tls: {
    /** The name, or the address, that the certificate must be for. */
    readonly certificateName: string;
    readonly isVerified: boolean;
  } | null;
};

export type ConnectorDeps = {
  readonly guard: AddressGuard;
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly tls: TlsSettings;
  readonly timeoutMs: number;
  readonly proxyFor: ProxyRule;
};

export type TlsSettings = {
  readonly versionMin: SecureVersion;
  /** Trust roots in PEM, in place of those that come with Node; null: those. */
  readonly trustRootsPem: readonly string[] | null;
};

/** How long an address gets before the next one of the same host is tried beside it. */
const ATTEMPT_MS = 400;

/** A function that connects, for a pool that keeps the connections. Rejects with `RemoteError`. */
export function makeConnector(deps: ConnectorDeps): (endpoint: Endpoint) => Promise<Socket> {
  const { guard, resolver, clock, timeoutMs } = deps;
  // Made once: reading all trust roots takes milliseconds.
  let context: SecureContext | null = null;
  const secureContext = (): SecureContext => {
    const { versionMin, trustRootsPem } = deps.tls;
    context ??= createSecureContext({
      minVersion: versionMin,
      ...(trustRootsPem === null ? {} : { ca: [...trustRootsPem] }),
    });
    return context;
  };

  async function allowedAddresses(host: string): Promise<readonly Address[]> {
    const literal = isIP(host);
    let found: readonly Address[];
    if (literal !== 0) found = [{ address: host, family: literal === 6 ? 6 : 4 }];
    else {
      try {
        found = await resolver.addresses(host);
      } catch (error) {
        throw new RemoteError('unreachable', `${host} has no address: ${reasonOf(error)}.`, {
          isUnsent: true,
          cause: error,
        });
      }
    }
    const allowed = found.filter(({ address }) => guard.mayReach(address));
    if (found.length === 0) throw new RemoteError('unreachable', `${host} has no address.`, { isUnsent: true });
    // Which addresses those were is told to nobody: it would map our own network for strangers.
    if (allowed.length === 0)
      throw new RemoteError('blocked', `${host} leads to addresses that may not be reached.`, { isUnsent: true });
    return allowed;
  }

  function openDirect({ host, port, tls }: Endpoint, addresses: readonly Address[]): Socket {
    // What is connected to is just what was judged: no second look-up can give another address (DNS rebinding).
    const lookup: LookupFunction = (_host, options, done) => {
      if (options.all === true) done(null, [...addresses]);
      else done(null, addresses[0]!.address, addresses[0]!.family);
    };
    const to = { host, port, lookup, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: ATTEMPT_MS };
    return tls === null ? connectTcp(to) : connectTls({ ...to, ...secured(tls) });
  }

  const secured = ({ certificateName, isVerified }: NonNullable<Endpoint['tls']>): TlsOptions => ({
    secureContext: secureContext(),
    // An address is no name that could be indicated.
    servername: isIP(certificateName) === 0 ? certificateName : '',
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: isVerified,
    checkServerIdentity: (_name, certificate) => checkServerIdentity(certificateName, certificate),
  });

  /** Waits until a socket is through, or destroys it. */
  function ready<S extends Socket>(socket: S, event: 'connect' | 'secureConnect', where: string): Promise<S> {
    return new Promise((resolve, reject) => {
      const timer = clock.after(timeoutMs, () => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)));
      const fail = (error: Error): void => {
        timer.cancel();
        socket.destroy();
        reject(
          new RemoteError('unreachable', `${where} cannot be reached: ${reasonOf(error)}.`, {
            isUnsent: true,
            cause: error,
          }),
        );
      };
      socket.once('error', fail);
      socket.once(event, () => {
        timer.cancel();
        socket.off('error', fail);
        resolve(socket);
      });
    });
  }

  async function direct(endpoint: Endpoint): Promise<Socket> {
    const { host, port, tls } = endpoint;
    const addresses = await withDeadline(clock, timeoutMs, allowedAddresses(host), `${host}: resolving the name`);
    const event = tls === null ? 'connect' : 'secureConnect';
    const socket = await ready(openDirect(endpoint, addresses), event, `${host}:${port}`);
    const { remoteAddress } = socket;
    if (remoteAddress === undefined || !guard.mayReach(remoteAddress)) {
      socket.destroy();
      throw new RemoteError('blocked', `${host} leads to addresses that may not be reached.`, { isUnsent: true });
    }
    return socket;
  }

  async function through(proxy: ForwardProxy, { host, port, tls }: Endpoint): Promise<Socket> {
    await judgeForProxy(host);
    const where = `The proxy ${proxy.host}:${proxy.port}`;
    const at = { host: proxy.host, port: proxy.port, autoSelectFamily: true };
    const asked = proxy.isTls
      ? ready(
          connectTls({ ...at, ...secured({ certificateName: proxy.host, isVerified: true }) }),
          'secureConnect',
          where,
        )
      : ready(connectTcp(at), 'connect', where);
    const socket = await asked;
    try {
      await withDeadline(clock, timeoutMs, openTunnel(socket, proxy, host, port), `${where}: opening a tunnel`);
      if (tls === null) return socket;
      return await ready(connectTls({ socket, ...secured(tls) }), 'secureConnect', `${host}:${port}`);
    } catch (error) {
      socket.destroy();
      // Nothing was asked of the far side yet.
      if (!(error instanceof RemoteError) || error.isUnsent) throw error;
      throw new RemoteError(error.fault, error.message, { isUnsent: true, cause: error });
    }
  }

  /**
   * A proxy looks names up itself. Those that we can look up too are judged by what we find; others are left to the proxy,
   * since many a network lets only that one ask.
   */
  async function judgeForProxy(host: string): Promise<void> {
    try {
      await withDeadline(clock, timeoutMs, allowedAddresses(host), `${host}: resolving the name`);
    } catch (error) {
      if (!(error instanceof RemoteError) || error.fault === 'blocked') throw error;
    }
  }

  return async (endpoint) => {
    const proxy = deps.proxyFor(endpoint);
    const socket = await (proxy === null ? direct(endpoint) : through(proxy, endpoint));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    return socket;
  };
}

/** The outcome of work, or `RemoteError` where it takes longer; the work itself cannot be stopped. */
export function withDeadline<T>(clock: Clock, timeoutMs: number, work: Promise<T>, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(timeoutMs, () => {
      reject(new RemoteError('unreachable', `${what} took longer than ${timeoutMs} ms.`, { isUnsent: true }));
    });
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}
