/**
 * Forward proxies: which connections go through one, and the tunnel through it (HTTP CONNECT, RFC 9110, 9.3.6). The proxy
 * is the admin's choice, so it may lie in a network of theirs; where a tunnel leads is judged like all other connections.
 */
import { BlockList, isIP, type Socket } from 'node:net';
import { RemoteError } from './remote-error.ts';

export type ForwardProxy = {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  /** What it is shown; null where it asks for nothing. */
  readonly authorization: string | null;
};

/** The proxy that a connection goes through; null where it goes by itself. */
export type ProxyRule = (to: {
  readonly host: string;
  readonly port: number;
  readonly tls: object | null;
}) => ForwardProxy | null;

export type ProxySettings = {
  /** For connections without TLS, and for those with it. */
  readonly http: string | null;
  readonly https: string | null;
  /** Hosts, with their subdomains, addresses and ranges that are reached without; `*` stands for all. */
  readonly none: readonly string[];
};

/** Where a proxy's address names no port: Synapse's default. */
const PORT_DEFAULT = 1080;
const HEAD_BYTES_MAX = 16 * 1024;

/** Reads an address such as `http://user:password@proxy.example:3128`, whose scheme may be left out. Throws on others. */
export function readProxy(text: string): ForwardProxy {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(full) ? new URL(full) : null;
  const isTls = url?.protocol === 'https:';
  if (url === null || (!isTls && url.protocol !== 'http:') || url.hostname === '') {
    throw new Error('A proxy is said as http://proxy.example:3128 or https://proxy.example:3128.');
  }
  const { username, password, hostname } = url;
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  // A URL leaves out the port that is usual for its scheme.
  const said = /:(\d+)\/?$/.exec(full)?.[1];
  return {
    host: hostname.startsWith('[') ? hostname.slice(1, -1) : hostname,
    port: Number(said ?? PORT_DEFAULT),
    isTls,
    authorization: username === '' ? null : `Basic ${Buffer.from(login).toString('base64')}`,
  };
}

/** Which connections go through which proxy. Throws on what is no proxy's address. */
export function proxyRule({ http, https, none }: ProxySettings): ProxyRule {
  const plain = http === null ? null : readProxy(http);
  const secure = https === null ? null : readProxy(https);
  if (plain === null && secure === null) return () => null;
  const isExempt = exemption(none);
  return ({ host, port, tls }) => {
    const proxy = tls === null ? plain : secure;
    return proxy === null || isExempt(host, port) ? null : proxy;
  };
}

function exemption(entries: readonly string[]): (host: string, port: number) => boolean {
  const ranges = new BlockList();
  const names: { readonly name: string; readonly port: number | null }[] = [];
  let all = false;
  for (const entry of entries.map((one) => one.trim().toLowerCase()).filter((one) => one !== '')) {
    const [address = '', bits] = entry.split('/', 2);
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (entry === '*') all = true;
    else if (isIP(address) === 0) {
      const [, name = '', port] = /^\*?\.?(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      names.push({ name, port: port === undefined ? null : Number(port) });
    } else if (bits === undefined) ranges.addAddress(address, family);
    else if (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 'ipv6' ? 128 : 32)) {
      ranges.addSubnet(address, Number(bits), family);
    }
  }
  return (host, port) => {
    const literal = isIP(host);
    if (all || (literal !== 0 && ranges.check(host, literal === 6 ? 'ipv6' : 'ipv4'))) return true;
    const asked = host.toLowerCase();
    return names.some(
      ({ name, port: only }) => (only === null || only === port) && (asked === name || asked.endsWith(`.${name}`)),
    );
  };
}

/** Asks a proxy, over an open connection to it, for a tunnel. The socket then speaks to the far side. */
export function openTunnel(socket: Socket, { authorization }: ForwardProxy, host: string, port: number): Promise<void> {
  const to = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
  const head = [`CONNECT ${to} HTTP/1.1`, `Host: ${to}`];
  if (authorization !== null) head.push(`Proxy-Authorization: ${authorization}`);
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  return new Promise((resolve, reject) => {
    let read = Buffer.alloc(0);
    const settle = (error: Error | null): void => {
      socket.off('data', onData).off('error', settle).off('close', onClose);
      socket.pause();
      if (error === null) resolve();
      else reject(error);
    };
    const onClose = (): void => settle(new RemoteError('unreachable', `The proxy closed the connection to ${to}.`));
    const onData = (chunk: Buffer): void => {
      read = Buffer.concat([read, chunk]);
      const end = read.indexOf('\r\n\r\n');
      if (end < 0 && read.length <= HEAD_BYTES_MAX) return;
      const [, status] = /^HTTP\/1\.[01] (\d{3})/.exec(read.toString('latin1', 0, 64)) ?? [];
      if (end < 0 || status === undefined)
        settle(new RemoteError('unreachable', 'The proxy answers something else than HTTP.'));
      else if (!status.startsWith('2'))
        settle(new RemoteError('unreachable', `The proxy answers ${status} for ${to}.`));
      else {
        settle(null);
        // What the far side said at once comes after the head.
        if (read.length > end + 4) socket.unshift(read.subarray(end + 4));
      }
    };
    socket.on('data', onData).on('error', settle).on('close', onClose);
  });
}
