/** The section "Server": who this server is and how the process runs. */
import { parseServerName, type ServerName } from '../core/ids.ts';
import { problem } from './given.ts';
import { key, required, section } from './key.ts';
import { boolean, duration, integer, type Kind, list, orNull, text } from './kinds.ts';

export const serverName: Kind<ServerName> = {
  words: 'a server name such as example.org or example.org:8448',
  takesNull: false,
  read(given, context) {
    const name = parseServerName(text.read(given, context));
    if (name === null) {
      throw problem(given.place, 'must be a host name with an optional port, such as example.org or example.org:8448.');
    }
    return name;
  },
};

export const serverSection = section('Server', 'Who this server is and how its process runs.', {
  serverName: required('server_name', serverName, 'Domain part of all IDs; cannot be changed once users exist.'),
  reportStats: key('report_stats', boolean, false, 'Opt in to daily usage statistics. Nothing is sent unless true.'),
  reportStatsEndpoint: key(
    'report_stats_endpoint',
    text,
    'https://matrix.org/report-usage-stats/push',
    'Where usage statistics go.',
  ),
  pidFile: key('pid_file', orNull(text), null, 'File that gets the process number when daemonized.'),
  daemonize: key('daemonize', boolean, false, 'Detach from the terminal at start.'),
  printPidFile: key('print_pidfile', boolean, false, 'Print the path of the pid file before detaching.'),
  userAgentSuffix: key('user_agent_suffix', orNull(text), null, 'Text added to our User-Agent.'),
  webClient: key('web_client', boolean, true, 'Serve the web client at the root of listeners with a client resource.'),
  webClientLocation: key(
    'web_client_location',
    orNull(text),
    null,
    'URL to which the root redirects, or a directory with another web client.',
  ),
  publicBaseUrl: key(
    'public_baseurl',
    orNull(text),
    null,
    'Address that clients use; null stands for https://<server_name>/.',
  ),
  enableSearch: key('enable_search', boolean, true, 'Full-text search of messages, and its index.'),
  adminContact: key('admin_contact', orNull(text), null, 'Shown to users in errors about resource limits.'),
  isDisabled: key('hs_disabled', boolean, false, 'Refuse all client requests with M_RESOURCE_LIMIT_EXCEEDED.'),
  disabledMessage: key('hs_disabled_message', text, '', 'The reason given while hs_disabled is true.'),
  maxEventDelayMs: key(
    'max_event_delay_duration',
    orNull(duration),
    null,
    'Longest delay of a delayed event (MSC4140); null turns them off.',
  ),
  deleteStaleDevicesAfterMs: key(
    'delete_stale_devices_after',
    orNull(duration),
    null,
    'Devices that were not used for this long are deleted daily; null keeps them.',
  ),
  userIpsMaxAgeMs: key('user_ips_max_age', orNull(duration), 2_419_200_000, 'How long addresses of clients are kept.'),
  statsEnabled: key('stats.enabled', boolean, true, 'Keep statistics on rooms and users.'),
  defaultUserType: key('user_types.default_user_type', orNull(text), null, 'Type of accounts made without one.'),
  extraUserTypes: key('user_types.extra_user_types', list(text), [], 'Account types beside "support" and "bot".'),
  limitUsageByMau: key('limit_usage_by_mau', boolean, false, 'Cap the number of monthly active users.'),
  maxMauValue: key('max_mau_value', integer(), 0, 'The cap on monthly active users.'),
  trackAppserviceUserIps: key('track_appservice_user_ips', boolean, false, 'Record addresses of bridges too.'),
  appserviceFiles: key('app_service_config_files', list(text), [], 'Registration files of application services.'),
  usesLegacyAppserviceAuth: key(
    'use_appservice_legacy_authorization',
    boolean,
    false,
    'Send hs_token in the query too, for old bridges.',
  ),
  autoAcceptInvites: key('auto_accept_invites.enabled', boolean, false, 'Accept invites on behalf of users.'),
  autoAcceptOnlyDirect: key(
    'auto_accept_invites.only_for_direct_messages',
    boolean,
    false,
    'Accept only invites to direct chats.',
  ),
  autoAcceptOnlyLocal: key(
    'auto_accept_invites.only_from_local_users',
    boolean,
    false,
    'Accept only from local users.',
  ),
});
