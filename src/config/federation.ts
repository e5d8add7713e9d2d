/** The section "Federation": with which servers we speak, and how patiently. */

import { problem } from './given.ts';
import { key, section } from './key.ts';
import { boolean, duration, integer, type Kind, list, number, orNull, text, textOrNumber } from './kinds.ts';

const tlsVersion: Kind<'1' | '1.1' | '1.2' | '1.3'> = {
  words: '"1", "1.1", "1.2" or "1.3"',
  takesNull: false,
  read(given, context) {
    const version = textOrNumber.read(given, context);
    if (version === '1' || version === '1.0') return '1';
    if (version === '1.1' || version === '1.2' || version === '1.3') return version;
    throw problem(given.place, 'must be "1", "1.1", "1.2" or "1.3".');
  },
};

export const federationSection = section('Federation', 'With which servers we speak, and how patiently.', {
  verifyCertificates: key(
    'federation_verify_certificates',
    boolean,
    true,
    'Check the certificates of other servers. Turn off in a lab only.',
  ),
  tlsVersionMin: key(
    'federation_client_minimum_tls_version',
    tlsVersion,
    '1',
    'Oldest TLS version that we speak to others.',
  ),
  unverifiedServers: key(
    'federation_certificate_verification_whitelist',
    list(text),
    [],
    'Names (with *) whose certificates are not checked.',
  ),
  customCaFiles: key(
    'federation_custom_ca_list',
    list(text),
    [],
    'PEM files with trust roots, in place of the usual ones.',
  ),
  domainWhitelist: key(
    'federation_domain_whitelist',
    orNull(list(text)),
    null,
    'The only servers to speak with; an empty list: none; null: all.',
  ),
  isWhitelistEndpointEnabled: key('federation_whitelist_endpoint_enabled', boolean, false, 'Show users that list.'),
  metricsServers: key(
    'federation_metrics_domains',
    list(text),
    [],
    'Servers of which the metrics tell from when the newest events are that came from there and went there.',
  ),
  allowDeviceNameLookup: key(
    'allow_device_name_lookup_over_federation',
    boolean,
    false,
    'Tell other servers the names of devices.',
  ),
  clientTimeoutMs: key('federation.client_timeout', duration, 60_000, 'How long a request may take.'),
  shortRetriesMax: key(
    'federation.max_short_retries',
    integer(),
    3,
    'Failures in a row that cost a server no pause yet.',
  ),
  destinationRetryMinMs: key(
    'federation.destination_min_retry_interval',
    duration,
    600_000,
    'First pause for a server that does not answer.',
  ),
  destinationRetryMultiplier: key('federation.destination_retry_multiplier', number, 2, 'How the pause grows.'),
  destinationRetryMaxMs: key('federation.destination_max_retry_interval', duration, 604_800_000, 'Longest pause.'),
  receiptTransactionsPerRoomPerSecond: key(
    'federation_rr_transactions_per_room_per_second',
    integer(1),
    50,
    'Throttles outgoing read receipts.',
  ),
  blockedRanges: key(
    'ip_range_blacklist',
    orNull(list(text)),
    null,
    'Address ranges that outgoing requests never reach; null: private, loopback and the like.',
  ),
  allowedRanges: key('ip_range_whitelist', list(text), [], 'Exceptions to it.'),
  httpProxy: key(
    'http_proxy',
    orNull(text),
    null,
    'Forward proxy for outgoing http requests, as http://user:password@host:port; null: the environment (http_proxy) decides.',
  ),
  httpsProxy: key(
    'https_proxy',
    orNull(text),
    null,
    'The same for https, which is almost all. It must let CONNECT through to any port of other servers. Where we can look a name up ourselves, ip_range_blacklist holds; else the proxy judges.',
  ),
  noProxyHosts: key(
    'no_proxy_hosts',
    orNull(list(text)),
    null,
    'Hosts (with their subdomains), addresses and ranges reached without a proxy; null: the environment (no_proxy) decides.',
  ),
});
