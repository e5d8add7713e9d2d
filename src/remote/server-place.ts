/** Server names taken apart, as discovery needs them, and the place that a server is reached at. */
import { isIP } from 'node:net';
import { splitServerName } from '../core/ids.ts';
import type { Endpoint } from './connector.ts';

/** A place where a server may be reached: what to connect to, and what to say there. */
export type Place = {
  readonly endpoint: Endpoint;
  /** The value of the `Host` header. */
  readonly hostHeader: string;
};

export const FEDERATION_PORT = 8448;

export type NamedHost = {
  /** Without brackets. */
  readonly host: string;
  readonly isIp: boolean;
  readonly port: number | null;
};

/** Host and port of a server name; null for what is none, or has a port that there is not. */
export function parseNamedHost(name: string): NamedHost | null {
  const parts = splitServerName(name);
  if (parts === null || parts.port === 0 || (parts.port ?? 0) > 65_535) return null;
  const host = parts.host.startsWith('[') ? parts.host.slice(1, -1) : parts.host;
  const isBracketed = host !== parts.host;
  const version = isIP(host);
  if (isBracketed && version !== 6) return null;
  return { host, isIp: version !== 0, port: parts.port };
}
