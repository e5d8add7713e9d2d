/** Configuration files as admins have them, old and new, and what we answer to mistakes in them. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ConfigError, defaultConfig, type LoadedConfig, type LoadOptions, loadConfig } from './config.ts';

/** Loads one file with this text; the path is `homeserver.yaml` in a directory that ends with the test. */
function load(t: TestContext, yaml: string, options?: LoadOptions): LoadedConfig & { directory: string } {
  const directory = mkdtempSync(join(tmpdir(), 'config-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'homeserver.yaml');
  writeFileSync(path, yaml.replaceAll('DIR', directory));
  return { ...loadConfig([path], options), directory };
}

/** The message with which a file is refused, without the directory. */
function refusal(t: TestContext, yaml: string, options?: LoadOptions): string {
  try {
    load(t, yaml, options);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message.replaceAll(/\S*\/homeserver\.yaml/g, 'homeserver.yaml');
  }
  assert.fail('the configuration was accepted');
}

const NAMED = 'server_name: example.org\n';

test('a configuration with only a server name has the defaults of Synapse', () => {
  const config = defaultConfig('example.org:8448');

  assert.equal(config.server.serverName, 'example.org:8448');
  assert.equal(config.rooms.defaultRoomVersion, '12');
  assert.equal(config.registration.isOpen, false);
  assert.equal(config.media.uploadBytesMax, 52_428_800);
  assert.equal(config.rooms.redactionRetentionMs, 604_800_000);
  assert.deepEqual(config.rateLimits.message, { perSecond: 0.2, burstCount: 10 });
  assert.deepEqual(config.database, { engine: 'sqlite', path: 'homeserver.db' });
  assert.equal(config.keys.signingKeyPath, 'example.org:8448.signing.key');
  assert.deepEqual(
    config.keys.trustedKeyServers.map((one) => one.serverName),
    ['matrix.org'],
  );
});

test('a file in the style of Synapse 1.163 loads without a warning', (t) => {
  const { config, warnings, notes } = load(
    t,
    `
server_name: "example.org"
pid_file: /var/run/homeserver.pid
listeners:
  - port: 8008
    tls: false
    type: http
    x_forwarded: true
    bind_addresses: ['::1', '127.0.0.1']
    resources:
      - names: [client, federation]
        compress: false
database:
  name: psycopg2
  args:
    user: synapse
    password: hunter2
    dbname: synapse
    host: db.example.org
    port: 5432
    cp_min: 2
    cp_max: 20
    keepalives_idle: 10
log_config: "/etc/example.org.log.config"
media_store_path: /var/media
registration_shared_secret: "abc"
report_stats: false
macaroon_secret_key: "def"
form_secret: "ghi"
signing_key_path: "/etc/example.org.signing.key"
max_upload_size: 100M
presence:
  enabled: untracked
rc_login:
  address:
    per_second: 0.15
retention:
  enabled: true
  default_policy:
    max_lifetime: 1y
trusted_key_servers:
  - server_name: "matrix.org"
redis:
  enabled: true
`,
  );

  assert.deepEqual(warnings, []);
  assert.equal(notes.length, 1);
  assert.match(notes[0] ?? '', /redis/);
  assert.deepEqual(config.listeners[0], {
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
  });
  assert.deepEqual(config.database, {
    engine: 'postgres',
    connection: { user: 'synapse', password: 'hunter2', dbname: 'synapse', host: 'db.example.org', port: '5432' },
    poolMin: 2,
    poolMax: 20,
    allowsUnsafeLocale: false,
  });
  assert.equal(config.presence.enabled, 'untracked');
  assert.deepEqual(config.rateLimits.loginAddress, { perSecond: 0.15, burstCount: 5 });
  assert.equal(config.retention.defaultLifetimeMaxMs, 31_536_000_000);
  assert.equal(config.media.uploadBytesMax, 104_857_600);
});

test('a file in the style of Synapse 0.12 loads, with one warning for each key of old', (t) => {
  const { config, warnings } = load(
    t,
    `
tls_certificate_path: "DIR/a.tls.crt"
tls_private_key_path: "DIR/a.tls.key"
tls_dh_params_path: "DIR/a.tls.dh"
no_tls: False
server_name: "a"
pid_file: DIR/homeserver.pid
web_client: True
soft_file_limit: 0
listeners:
  -
    port: 8448
    bind_address: ''
    type: http
    tls: true
    x_forwarded: false
    resources:
      - names: [client, webclient]
        compress: true
      - names: [federation]
        compress: false
  - port: 8008
    tls: false
    bind_address: ''
    type: http
    x_forwarded: false
    resources:
      - names: [client, webclient]
        compress: true
database:
  name: "sqlite3"
  args:
    database: "DIR/homeserver.db"
event_cache_size: "10K"
verbose: 0
log_file: "DIR/homeserver.log"
log_config: "DIR/a.log.config"
rc_messages_per_second: 0.2
rc_message_burst_count: 10.0
federation_rc_window_size: 1000
federation_rc_sleep_limit: 10
federation_rc_sleep_delay: 500
federation_rc_reject_limit: 50
federation_rc_concurrent: 3
media_store_path: "DIR/media_store"
uploads_path: "DIR/uploads"
max_upload_size: "10M"
max_image_pixels: "32M"
dynamic_thumbnails: false
thumbnail_sizes:
- width: 32
  height: 32
  method: crop
recaptcha_private_key: "YOUR_PRIVATE_KEY"
recaptcha_public_key: "YOUR_PUBLIC_KEY"
enable_registration_captcha: False
turn_uris: []
turn_shared_secret: "YOUR_SHARED_SECRET"
turn_user_lifetime: "1h"
enable_registration: False
registration_shared_secret: "secret"
macaroon_secret_key: "secret"
bcrypt_rounds: 12
allow_guest_access: False
enable_metrics: False
report_stats: False
app_service_config_files: []
signing_key_path: "DIR/a.signing.key"
old_signing_keys: {}
key_refresh_interval: "1d" # 1 Day.
perspectives:
  servers:
    "matrix.org":
      verify_keys:
        "ed25519:auto":
          key: "Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw"
password_config:
   enabled: true
`,
  );

  const named = warnings.map((line) => /: ([\w.]+): /.exec(line)?.[1]);
  assert.deepEqual(named.toSorted(), [
    'event_cache_size',
    'federation_rc_concurrent',
    'federation_rc_reject_limit',
    'federation_rc_sleep_delay',
    'federation_rc_sleep_limit',
    'federation_rc_window_size',
    'perspectives',
    'rc_message_burst_count',
    'rc_messages_per_second',
    'tls_dh_params_path',
    'uploads_path',
  ]);
  assert.deepEqual(config.listeners[0]?.bindAddresses, ['::', '0.0.0.0']);
  assert.deepEqual(config.listeners[0]?.compressed, ['client', 'webclient']);
  assert.deepEqual(config.keys.trustedKeyServers, [
    {
      serverName: 'matrix.org',
      verifyKeys: { 'ed25519:auto': 'Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw' },
      acceptKeysInsecurely: false,
    },
  ]);
});

test('ports of times before listeners become listeners', (t) => {
  const { config } = load(
    t,
    `${NAMED}tls_certificate_path: a
tls_private_key_path: b
bind_port: 8448
unsecure_port: 8008
bind_host: 127.0.0.1
metrics_port: 9090
`,
  );

  assert.deepEqual(
    config.listeners.map((one) => [one.type, one.port, one.tls, one.bindAddresses]),
    [
      ['http', 8448, true, ['127.0.0.1']],
      ['http', 8008, false, ['127.0.0.1']],
      ['metrics', 9090, false, ['127.0.0.1']],
    ],
  );
});

test('an unknown key is named with the nearest known one', (t) => {
  const { warnings } = load(t, `${NAMED}enable_registraton: false\npresence: {enabld: true}\nfrobnicate_quickly: 1\n`);

  assert.match(warnings[0] ?? '', /homeserver\.yaml:2: enable_registraton: unknown key.*mean enable_registration\?/);
  assert.match(warnings[1] ?? '', /presence\.enabld: unknown key.*mean presence\.enabled\?/);
  assert.match(warnings[2] ?? '', /frobnicate_quickly: unknown key, ignored\.$/);
});

test('everything that is wrong is told at once, with file, line and key', (t) => {
  const message = refusal(
    t,
    `${NAMED}
enable_search: "yes"
max_upload_size: large
listeners:
  - port: http
  - tls: false
key_refresh_interval: 1 fortnight
registration_shared_secret: [a]
`,
  );

  assert.deepEqual(message.split('\n'), [
    'homeserver.yaml:3: enable_search: must be true or false, not "yes".',
    'homeserver.yaml:4: max_upload_size: must be a size such as 512K, 50M, 2G (a bare number is bytes), not "large".',
    'homeserver.yaml:6: listeners[0].port: must be a whole number from 0 to 65535, not "http".',
    'homeserver.yaml:7: listeners[1]: a listener needs a port, or the path of a socket.',
    'homeserver.yaml:8: key_refresh_interval: must be a duration such as 30s, 5m, 1h, 7d (a bare number is milliseconds), not "1 fortnight".',
    'homeserver.yaml:9: registration_shared_secret: must be text, not a list.',
  ]);
});

test('a file without server_name, and text that is no YAML, are refused', (t) => {
  assert.match(refusal(t, 'report_stats: false\n'), /server_name: this key is missing/);
  assert.match(refusal(t, 'server_name: "a\nb: [\n'), /homeserver\.yaml:\d+: this is not YAML/);
  assert.match(refusal(t, '- a\n'), /must hold keys and values/);
  assert.throws(() => loadConfig(['does-not-exist.yaml']), /does-not-exist\.yaml: this file does not exist/);
});

test('a broken file is refused without quoting a secret', (t) => {
  const message = refusal(t, `${NAMED}registration_shared_secret: hunter2hunter2: [\nmacaroon_secret_key: 12345678\n`);

  assert.doesNotMatch(message, /hunter2|12345678/);
});

test('contradictions stop the start', (t) => {
  assert.match(refusal(t, `${NAMED}enable_registration: true\n`), /:2: enable_registration: .*open to bots/);
  assert.match(refusal(t, `${NAMED}url_preview_enabled: true\n`), /url_preview_ip_range_blacklist/);
  assert.match(refusal(t, `${NAMED}listeners: [{port: 1, tls: true}]\n`), /tls_certificate_path/);
  const terms =
    'enable_registration: true\nregistration_requires_token: true\nuser_consent: {require_at_registration: true}\n';
  assert.match(refusal(t, NAMED + terms), /user_consent\.version[\s\S]*user_consent\.policy_url/);
  assert.match(refusal(t, `${NAMED}autocreate_auto_join_room_preset: private_chat\n`), /auto_join_mxid_localpart/);
  assert.match(refusal(t, `${NAMED}session_lifetime: 1h\nrefresh_token_lifetime: 2h\n`), /:2: session_lifetime/);
  assert.match(refusal(t, `${NAMED}form_secret: a\nform_secret_path: b\n`), /either form_secret or form_secret_path/);
  assert.match(refusal(t, `${NAMED}invite_3pid_guest: true\n`), /was removed/);
  assert.match(refusal(t, `${NAMED}form_secret: a\n`, { allowsInlineSecrets: false }), /form_secret_path/);
});

test('open registration is accepted once it is confirmed or verified', (t) => {
  const open = load(t, `${NAMED}enable_registration: yes\nenable_registration_without_verification: on\n`);
  const byToken = load(t, `${NAMED}disable_registration: false\nregistration_requires_token: true\n`);

  assert.equal(open.config.registration.isOpen, true);
  assert.equal(byToken.config.registration.isOpen, true);
});

test('secrets come from files of their own, and the shared secret is made where it is absent', (t) => {
  const { config, directory } = load(t, `${NAMED}registration_shared_secret_path: DIR/shared\n`);

  const made = readFileSync(join(directory, 'shared'), 'utf8').trim();
  assert.ok(made.length >= 50);
  assert.equal(config.registration.sharedSecret, made);
  assert.equal(config.sessions.macaroonSecretKey, made, 'it stands in for the macaroon key');
});

test('later files replace whole top-level keys, and a directory means its yaml files in order', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'config-'));
  t.after(() => rmSync(directory, { recursive: true }));
  mkdirSync(join(directory, 'conf.d'));
  writeFileSync(
    join(directory, 'main.yaml'),
    `${NAMED}presence: {enabled: false, idle_timeout: 1m}\nbcrypt_rounds: 5\n`,
  );
  writeFileSync(join(directory, 'conf.d', 'b.yaml'), 'bcrypt_rounds: 7\n');
  writeFileSync(join(directory, 'conf.d', 'a.yaml'), 'bcrypt_rounds: 6\npresence: {idle_timeout: 2m}\n');
  writeFileSync(join(directory, 'conf.d', 'c.txt'), 'bcrypt_rounds: 8\n');

  const { config, files } = loadConfig([join(directory, 'main.yaml'), join(directory, 'conf.d')]);

  assert.equal(config.sessions.bcryptRounds, 7);
  assert.equal(config.presence.enabled, true);
  assert.equal(config.presence.idleTimeoutMs, 120_000);
  assert.equal(files.length, 3);
});

test('null means off where the documentation says so, and the default elsewhere', (t) => {
  const { config } = load(t, `${NAMED}redaction_retention_period: null\nbcrypt_rounds:\npresence:\nturn_uris:\n`);

  assert.equal(config.rooms.redactionRetentionMs, null);
  assert.equal(config.sessions.bcryptRounds, 12);
  assert.deepEqual(config.turn.uris, []);
});

test('flags win over files', (t) => {
  const { config } = load(t, `${NAMED}database: {name: psycopg2}\n`, {
    overrides: { database: { name: 'sqlite3', args: { database: ':memory:' } }, verbose: 2 },
  });

  assert.deepEqual(config.database, { engine: 'sqlite', path: ':memory:' });
  assert.equal(config.logging.verbosity, 2);
});
