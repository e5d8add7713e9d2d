/** The section "Listeners": on which ports and sockets we answer, and what is served there. */
import { problem } from './given.ts';
import { key, section } from './key.ts';
import { boolean, integer, type Kind, list, object, oneOf, orNull, text } from './kinds.ts';

export type ResourceName =
  | 'client'
  | 'federation'
  | 'consent'
  | 'keys'
  | 'media'
  | 'metrics'
  | 'openid'
  | 'static'
  | 'health'
  | 'webclient';

export type Listener = {
  readonly type: 'http' | 'metrics';
  /** null on a Unix socket. 0 lets the system choose. */
  readonly port: number | null;
  readonly bindAddresses: readonly string[];
  /** A Unix socket in place of the port. */
  readonly socketPath: string | null;
  readonly socketMode: number;
  readonly tls: boolean;
  /** Name in the access log; the port or path where it was not given. */
  readonly tag: string;
  readonly trustsForwardedFor: boolean;
  /** Lower-case name of the header that carries the request's ID. */
  readonly requestIdHeader: string | null;
  readonly resources: readonly ResourceName[];
  /** Resources whose answers are compressed. */
  readonly compressed: readonly ResourceName[];
};

const ALL_INTERFACES: readonly string[] = ['::', '0.0.0.0'];

const NAMES: readonly ResourceName[] = [
  'client',
  'federation',
  'consent',
  'keys',
  'media',
  'metrics',
  'openid',
  'static',
  'health',
  'webclient',
];

const resource = object({
  names: { yaml: 'names', kind: list(text), help: '' },
  compress: { yaml: 'compress', kind: boolean, fallback: { value: false }, help: '' },
});

const fields = object({
  port: { yaml: 'port', kind: orNull(integer(0, 65535)), fallback: { value: null }, help: '' },
  path: { yaml: 'path', kind: orNull(text), fallback: { value: null }, help: '' },
  mode: { yaml: 'mode', kind: integer(0, 0o777), fallback: { value: 0o666 }, help: '' },
  bindAddresses: { yaml: 'bind_addresses', kind: list(text), fallback: { value: null }, help: '' },
  bindAddress: { yaml: 'bind_address', kind: text, fallback: { value: null }, help: '' },
  type: {
    yaml: 'type',
    kind: oneOf('http', 'https', 'metrics', 'manhole', 'replication'),
    fallback: { value: 'http' as const },
    help: '',
  },
  tag: { yaml: 'tag', kind: orNull(text), fallback: { value: null }, help: '' },
  tls: { yaml: 'tls', kind: boolean, fallback: { value: false }, help: '' },
  xForwarded: { yaml: 'x_forwarded', kind: boolean, fallback: { value: false }, help: '' },
  requestIdHeader: { yaml: 'request_id_header', kind: orNull(text), fallback: { value: null }, help: '' },
  resources: { yaml: 'resources', kind: list(resource), fallback: { value: [] }, help: '' },
  additionalResources: {
    yaml: 'additional_resources',
    kind: { words: 'a mapping', takesNull: true, read: (given) => given } satisfies Kind<unknown>,
    fallback: { value: undefined },
    help: '',
  },
});

/** A listener; null for kinds that we do not have (manhole, replication), which are warned about. */
const listener: Kind<Listener | null> = {
  words:
    'a mapping of port or path, bind_addresses, type, tag, tls, x_forwarded, request_id_header and resources (names, compress)',
  takesNull: false,
  read(given, context) {
    const raw = fields.read(given, context);
    if (raw.type === 'manhole' || raw.type === 'replication') {
      context.warn(given.place, `there is no ${raw.type} listener; it is left out.`);
      return null;
    }
    if (raw.port === null && raw.path === null)
      throw problem(given.place, 'a listener needs a port, or the path of a socket.');
    if (raw.port !== null && raw.path !== null) throw problem(given.place, 'give either port or path, not both.');
    if (raw.additionalResources !== undefined) {
      context.warn(given.place, 'additional_resources names Python modules, which cannot be run; ignored.');
    }
    const resources: ResourceName[] = [];
    const compressed: ResourceName[] = [];
    for (const { names, compress } of raw.resources) {
      for (const name of names) {
        const known = NAMES.find((one) => one === name);
        if (known === undefined) {
          context.warn(given.place, `there is no resource "${name}"; it is left out.`);
          continue;
        }
        resources.push(known);
        if (compress) compressed.push(known);
      }
    }
    const addresses = raw.bindAddresses ?? (raw.bindAddress ? [raw.bindAddress] : ALL_INTERFACES);
    // An empty address was the seed's way to say "all".
    const bindAddresses = addresses.includes('') ? ALL_INTERFACES : addresses;
    return {
      type: raw.type === 'metrics' ? 'metrics' : 'http',
      port: raw.port,
      bindAddresses: bindAddresses.length === 0 ? ALL_INTERFACES : bindAddresses,
      socketPath: raw.path,
      socketMode: raw.mode,
      tls: raw.tls || raw.type === 'https',
      tag: raw.tag ?? String(raw.port ?? raw.path),
      trustsForwardedFor: raw.xForwarded,
      requestIdHeader: raw.requestIdHeader?.toLowerCase() ?? null,
      resources,
      compressed,
    };
  },
};

/** What answers where the file names no listener: as a fresh Synapse has it. */
export const DEFAULT_LISTENERS: readonly Listener[] = [
  {
    type: 'http',
    port: 8008,
    bindAddresses: ['::1', '127.0.0.1'],
    socketPath: null,
    socketMode: 0o666,
    tls: false,
    tag: '8008',
    trustsForwardedFor: true,
    requestIdHeader: null,
    resources: ['client', 'federation'],
    compressed: [],
  },
];

export const listenersSection = section(
  'Listeners',
  'On which ports and sockets we answer, and what is served there.',
  {
    listeners: key(
      'listeners',
      list(listener),
      null,
      'The listeners; null stands for port 8008 on loopback, plain, for a reverse proxy, with client and federation.',
    ),
  },
);
