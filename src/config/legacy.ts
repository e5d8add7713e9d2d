/** Keys of earlier days that live on under another name: each is carried over to where it belongs today. */
import { type Given, type GivenMap, givenFrom, plainValue } from './given.ts';
import { findAt, type ReadContext } from './kinds.ts';

type Rename = {
  readonly old: string;
  readonly now: string;
  /** The value as the modern key takes it; as it stands where left out. */
  readonly convert?: (value: unknown) => unknown;
};

const RENAMES: readonly Rename[] = [
  { old: 'disable_registration', now: 'enable_registration', convert: (value) => !value || value === 'false' },
  { old: 'allow_underscore_prefixed_localpart', now: 'allow_underscore_prefixed_registration' },
  { old: 'rc_messages_per_second', now: 'rc_message.per_second' },
  { old: 'rc_message_burst_count', now: 'rc_message.burst_count' },
  { old: 'federation_rc_window_size', now: 'rc_federation.window_size' },
  { old: 'federation_rc_sleep_limit', now: 'rc_federation.sleep_limit' },
  { old: 'federation_rc_sleep_delay', now: 'rc_federation.sleep_delay' },
  { old: 'federation_rc_reject_limit', now: 'rc_federation.reject_limit' },
  { old: 'federation_rc_concurrent', now: 'rc_federation.concurrent' },
  { old: 'federation_ip_range_blacklist', now: 'ip_range_blacklist' },
  { old: 'use_presence', now: 'presence.enabled' },
  { old: 'email.redact_content', now: 'push.include_content', convert: (value) => value !== true },
  { old: 'push.redact_content', now: 'push.include_content', convert: (value) => value !== true },
  { old: 'perspectives', now: 'trusted_key_servers', convert: perspectives },
  {
    old: 'room_invite_state_types',
    now: 'room_prejoin_state',
    convert: (value) => ({ disable_default_event_types: true, additional_event_types: value }),
  },
  {
    old: 'database_path',
    now: 'database',
    convert: (value) => ({ name: 'sqlite3', args: { database: value } }),
  },
];

/**
 * Carries old keys over to modern ones, in place. Where the modern key is given too, it wins. Each old key costs one
 * warning that names its successor.
 */
export function modernize(root: GivenMap, context: ReadContext): void {
  for (const { old, now, convert } of RENAMES) {
    const given = take(root, old);
    if (given === undefined) continue;
    if (findAt(root, now) !== undefined) {
      context.warn(given.place, `is the old name of ${now}, which is given too; ignored.`);
      continue;
    }
    context.warn(given.place, `is the old name of ${now}; read as that.`);
    // The place stays: an error must point at the line that the admin can see.
    put(root, now, convert === undefined ? given : givenFrom(convert(plainValue(given)), given.place));
  }
  modernizeListeners(root, context);
  modernizeDatabases(root, context);
}

/** `perspectives: {servers: {name: {verify_keys: {id: {key}}}}}` of the seed. */
function perspectives(value: unknown): unknown {
  const servers = entriesOf(fieldOf(value, 'servers'));
  return servers.map(([name, server]) => ({
    server_name: name,
    verify_keys: Object.fromEntries(
      entriesOf(fieldOf(server, 'verify_keys')).map(([id, key]) => [id, fieldOf(key, 'key') ?? key]),
    ),
  }));
}

/** `bind_port`, `unsecure_port` and `metrics_port` of times before `listeners`. */
function modernizeListeners(root: GivenMap, context: ReadContext): void {
  const old = new Map<string, Given>();
  for (const name of [
    'bind_port',
    'bind_host',
    'unsecure_port',
    'gzip_responses',
    'metrics_port',
    'metrics_bind_host',
  ]) {
    const given = take(root, name);
    if (given !== undefined) old.set(name, given);
  }
  if (old.size === 0) return;
  const plainOf = (name: string): unknown => {
    const given = old.get(name);
    return given === undefined ? undefined : plainValue(given);
  };
  const host = plainOf('bind_host');
  const compress = plainOf('gzip_responses') !== false;
  const resources = [
    { names: ['client', 'webclient'], compress },
    { names: ['federation'], compress: false },
  ];
  const made: unknown[] = [];
  const listeners = root.entries.get('listeners');
  if (listeners === undefined) {
    const bindAddresses = typeof host === 'string' && host !== '' ? [host] : undefined;
    const noTls = plainValue(root.entries.get('no_tls') ?? givenFrom(false, root.place)) === true;
    if (plainOf('bind_port') && !noTls) {
      made.push({ port: plainOf('bind_port'), tls: true, bind_addresses: bindAddresses, resources });
    }
    if (plainOf('unsecure_port'))
      made.push({ port: plainOf('unsecure_port'), bind_addresses: bindAddresses, resources });
  }
  if (plainOf('metrics_port')) {
    made.push({
      port: plainOf('metrics_port'),
      type: 'metrics',
      bind_addresses: [plainOf('metrics_bind_host') ?? '127.0.0.1'],
    });
  }
  for (const given of old.values()) {
    const isShadowed = listeners !== undefined && !given.place.path.startsWith('metrics_');
    context.warn(
      given.place,
      `is an old key; ${isShadowed ? 'listeners is given too, so it is ignored' : 'read as an entry of listeners'}.`,
    );
  }
  const [first] = old.values();
  if (made.length === 0 || first === undefined) return;
  const items = made.map((one) => givenFrom(one, first.place));
  root.entries.set('listeners', {
    kind: 'list',
    place: listeners?.place ?? first.place,
    items: listeners?.kind === 'list' ? [...listeners.items, ...items] : items,
  });
}

/** `databases` with one entry is `database`; more of them are refused by `checks.ts`. */
function modernizeDatabases(root: GivenMap, context: ReadContext): void {
  const given = root.entries.get('databases');
  if (given?.kind !== 'map' || given.entries.size !== 1 || root.entries.has('database')) return;
  root.entries.delete('databases');
  context.warn(given.place, 'holds one database; read as database.');
  const [only] = given.entries.values();
  if (only?.kind !== 'map') return;
  only.entries.delete('data_stores');
  root.entries.set('database', only);
}

/** Takes a key out of the map that holds it. */
function take(root: GivenMap, path: string): Given | undefined {
  const given = findAt(root, path);
  if (given === undefined) return undefined;
  const names = path.split('.');
  const last = names.pop();
  const holder = names.length === 0 ? root : findAt(root, names.join('.'));
  if (holder?.kind === 'map' && last !== undefined) holder.entries.delete(last);
  return given;
}

function put(root: GivenMap, path: string, given: Given): void {
  const [first = '', ...rest] = path.split('.');
  if (rest.length === 0) {
    root.entries.set(first, given);
    return;
  }
  let inner = root.entries.get(first);
  if (inner?.kind !== 'map') {
    inner = { kind: 'map', place: { ...given.place, path: first }, entries: new Map() };
    root.entries.set(first, inner);
  }
  put(inner, rest.join('.'), given);
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).find(([key]) => key === name)?.[1]
    : undefined;
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}
