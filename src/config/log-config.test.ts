import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { logSettingsFrom } from './log-config.ts';

function read(t: TestContext, yaml: string, verbosity = 0) {
  const directory = mkdtempSync(join(tmpdir(), 'log-config-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'log.config');
  writeFileSync(path, yaml);
  return logSettingsFrom({ logConfigPath: path, logFile: null, verbosity, isDetached: false });
}

const MODERN = `
version: 1
formatters:
  precise:
    format: '%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s'
handlers:
  file:
    class: logging.handlers.TimedRotatingFileHandler
    formatter: precise
    filename: /var/log/homeserver.log
    when: midnight
    backupCount: 3
    encoding: utf8
  buffer:
    class: synapse.logging.handlers.PeriodicallyFlushingMemoryHandler
    target: file
    capacity: 10
    flushLevel: 30
    period: 5
  console:
    class: logging.StreamHandler
    formatter: precise
loggers:
  synapse.storage.SQL:
    level: INFO
  twisted:
    handlers: [file]
    propagate: false
root:
  level: INFO
  handlers: [buffer]
disable_existing_loggers: false
`;

test('the log configuration that Synapse generates is understood', (t) => {
  const { settings, warnings } = read(t, MODERN);

  assert.deepEqual(settings, {
    rootLevel: 'info',
    levels: { 'storage.sql': 'info' },
    destinations: [
      {
        sink: { to: 'file', path: '/var/log/homeserver.log', rotation: { by: 'time', hours: 24, keep: 3 } },
        format: 'text',
        levelMin: 'debug',
      },
    ],
  });
  assert.deepEqual(warnings.length, 1);
});

test('the log configuration of the seed is understood: a file by size and the console', (t) => {
  const { settings, warnings } = read(
    t,
    `
version: 1
formatters:
  precise:
   format: '%(message)s'
filters:
  context:
    (): synapse.util.logcontext.LoggingContextFilter
    request: ""
handlers:
  file:
    class: logging.handlers.RotatingFileHandler
    formatter: precise
    filename: /a.log
    maxBytes: 104857600
    backupCount: 10
    filters: [context]
    level: INFO
  console:
    class: logging.StreamHandler
    formatter: precise
loggers:
    synapse:
        level: DEBUG
    synapse.storage.SQL:
        level: WARNING
root:
    level: INFO
    handlers: [file, console]
`,
  );

  assert.equal(settings.rootLevel, 'debug');
  assert.equal(settings.levels['storage.sql'], 'warn');
  assert.deepEqual(
    settings.destinations.map((one) => [one.sink, one.levelMin]),
    [
      [{ to: 'file', path: '/a.log', rotation: { by: 'size', bytesMax: 104_857_600, keep: 10 } }, 'info'],
      [{ to: 'stderr' }, 'debug'],
    ],
  );
  assert.deepEqual(warnings, []);
});

test('JSON formatters give JSON, and unknown handlers cost one warning', (t) => {
  const { settings, warnings } = read(
    t,
    `
version: 1
formatters: {structured: {class: synapse.logging.TerseJsonFormatter}}
handlers:
  console: {class: logging.StreamHandler, formatter: structured, stream: 'ext://sys.stdout'}
  far: {class: synapse.logging.RemoteHandler, host: a, port: 1}
root: {level: WARNING, handlers: [console, far]}
`,
  );

  assert.deepEqual(settings.destinations, [{ sink: { to: 'stdout' }, format: 'json', levelMin: 'debug' }]);
  assert.equal(settings.rootLevel, 'warn');
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /the handler far \(RemoteHandler\)/);
});

test('verbosity wins over the file: once for debug lines, twice for database statements', (t) => {
  const once = read(t, MODERN, 1).settings;
  const twice = read(t, MODERN, 2).settings;

  assert.deepEqual([once.rootLevel, once.levels['storage.sql']], ['debug', 'info']);
  assert.deepEqual([twice.rootLevel, twice.levels['storage.sql']], ['debug', 'debug']);
});

test('a level that does not exist is refused with its line', (t) => {
  assert.throws(() => read(t, 'version: 1\nroot:\n  level: LOUD\n'), /log\.config:3: root\.level: "LOUD" is no level/);
});
