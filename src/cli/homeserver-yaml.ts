/** The text of a fresh homeserver.yaml and of its log configuration. */
import { basename, join } from 'node:path';
import { sections } from '../config/sections.ts';
import { splitServerName } from '../core/ids.ts';
import type { Random } from '../kit/random.ts';

export type GenerateOptions = {
  readonly serverName: string;
  readonly reportStats: boolean;
  /** Absolute: keys and the log configuration go here. */
  readonly configDirectory: string;
  /** Absolute: database, media, log and pid file go here. */
  readonly dataDirectory: string;
  /** The plain listener answers on all interfaces, not only on loopback. */
  readonly opensPrivatePorts: boolean;
  /** No listener answers to other machines. */
  readonly isLoopbackOnly: boolean;
  readonly enablesRegistration: boolean;
  readonly enablesMetrics: boolean;
  /** Secrets go into files of their own. */
  readonly keepsSecretsApart: boolean;
};

const SECRET_LENGTH = 50;
const LOOPBACK = "['::1', '127.0.0.1']";
const EVERYWHERE = "['::', '0.0.0.0']";

const HELP = new Map(
  Object.values(sections).flatMap((section) => Object.values(section.keys).map((key) => [key.yaml, key.help] as const)),
);

/** Where the files of a server lie. Their names follow the server's name, as those of Synapse do. */
export function filesOf(options: Pick<GenerateOptions, 'serverName' | 'configDirectory' | 'dataDirectory'>) {
  const { serverName, configDirectory, dataDirectory } = options;
  const named = (suffix: string): string => join(configDirectory, `${serverName}.${suffix}`);
  return {
    signingKey: named('signing.key'),
    certificate: named('tls.crt'),
    certificateKey: named('tls.key'),
    logConfig: named('log.config'),
    sharedSecret: named('registration_shared_secret'),
    macaroonSecret: named('macaroon_secret_key'),
    formSecret: named('form_secret'),
    database: join(dataDirectory, 'homeserver.db'),
    media: join(dataDirectory, 'media_store'),
    log: join(dataDirectory, 'homeserver.log'),
    pid: join(dataDirectory, 'homeserver.pid'),
  };
}

/** TLS and plain port: from the server's name where it carries one (P and P - 400), else 8448 and 8008. */
export function portsOf(serverName: string): { tls: number; plain: number } {
  const port = splitServerName(serverName)?.port ?? null;
  return port === null || port <= 400 ? { tls: port ?? 8448, plain: 8008 } : { tls: port, plain: port - 400 };
}

/** A fresh homeserver.yaml: each key with one line on what it means. */
export function homeserverYaml(options: GenerateOptions, random: Random): string {
  const files = filesOf(options);
  const ports = portsOf(options.serverName);
  const plainAddresses = options.opensPrivatePorts ? EVERYWHERE : LOOPBACK;
  const tlsAddresses = options.isLoopbackOnly ? LOOPBACK : EVERYWHERE;
  const blocks: string[] = [
    '# The configuration of this Matrix homeserver. All keys: docs/config.md.',
    said('server_name', quote(options.serverName)),
    said('report_stats', String(options.reportStats)),
    said('pid_file', quote(files.pid)),
    `${comment('listeners', 'On which ports we answer, and what is served there.')}listeners:
  # For other servers and for clients without a reverse proxy. Replace the certificate by one that others trust.
  - port: ${ports.tls}
    type: http
    tls: true
    bind_addresses: ${tlsAddresses}
    resources:
      - names: [client, federation]
        compress: true
  # For a reverse proxy on this machine.
  - port: ${ports.plain}
    type: http
    tls: false
    x_forwarded: ${!options.opensPrivatePorts}
    bind_addresses: ${plainAddresses}
    resources:
      - names: [client, federation]
        compress: true${options.enablesMetrics ? METRICS_LISTENER : ''}`,
    said('tls_certificate_path', quote(files.certificate)),
    said('tls_private_key_path', quote(files.certificateKey)),
    `${comment('database', 'Where everything is kept; for PostgreSQL the name is psycopg2.')}database:
  name: sqlite3
  args:
    database: ${quote(files.database)}`,
    said('log_config', quote(files.logConfig)),
    said('media_store_path', quote(files.media)),
    said('enable_registration', String(options.enablesRegistration)),
    ...(options.enablesRegistration ? [said('enable_registration_without_verification', 'true')] : []),
    ...(options.enablesMetrics ? [said('enable_metrics', 'true')] : []),
    secretLine('registration_shared_secret', files.sharedSecret, options, random),
    secretLine('macaroon_secret_key', files.macaroonSecret, options, random),
    secretLine('form_secret', files.formSecret, options, random),
    said('signing_key_path', quote(files.signingKey)),
    `${comment('trusted_key_servers')}trusted_key_servers:\n  - server_name: "matrix.org"`,
  ];
  return `${blocks.join('\n\n')}\n`;
}

const METRICS_LISTENER = `
  # Figures for Prometheus.
  - port: 9000
    type: metrics
    bind_addresses: ['127.0.0.1']`;

/** The log configuration of a fresh server, in the form of Synapse's: a file that is turned over at midnight. */
export function logConfigYaml(logPath: string): string {
  return `# What is logged, and where to. Read again when the server gets the signal HUP.
version: 1

formatters:
  precise:
    format: '%(asctime)s - %(name)s - %(levelname)s - %(message)s'

handlers:
  # ${basename(logPath)}, a new one each midnight; three old ones are kept.
  file:
    class: logging.handlers.TimedRotatingFileHandler
    formatter: precise
    filename: ${quote(logPath)}
    when: midnight
    backupCount: 3
  # The terminal.
  console:
    class: logging.StreamHandler
    formatter: precise

# Levels of parts: DEBUG, INFO, WARNING or ERROR. "storage.sql" is every database statement.
loggers:
  storage.sql:
    level: INFO

# The level of everything else. Take "console" out to log to the file only.
root:
  level: INFO
  handlers: [file, console]
`;
}

function comment(yaml: string, text = HELP.get(yaml) ?? ''): string {
  return `# ${text}\n`;
}

function said(yaml: string, value: string): string {
  return `${comment(yaml)}${yaml}: ${value}`;
}

/** Text in double quotes: JSON is YAML. */
function quote(text: string): string {
  return JSON.stringify(text);
}

function secretLine(yaml: string, path: string, options: GenerateOptions, random: Random): string {
  if (options.keepsSecretsApart) return `${comment(yaml)}${yaml}_path: ${quote(path)}`;
  return `${comment(yaml)}${yaml}: ${quote(random.text(SECRET_LENGTH))}`;
}
