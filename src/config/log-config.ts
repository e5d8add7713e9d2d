/**
 * Reads the file behind `log_config`: Python's logging configuration, as Synapse generates it. Levels, destinations
 * with their rotation, and the choice between text and JSON are understood; the rest costs one warning.
 */
import { readFileSync } from 'node:fs';
import {
  DEFAULT_LOG_SETTINGS,
  type LogDestination,
  type LogFormat,
  type LogLevel,
  type LogSettings,
} from '../kit/log.ts';
import type { Rotation } from '../kit/log-sink.ts';
import { type Given, type GivenMap, parseGiven, plainValue, problem } from './given.ts';

/** What the beginnings of Synapse's logger names are called here. The longest match counts. */
const OUR_NAMES: Readonly<Record<string, readonly string[]>> = {
  'synapse.access': ['access'],
  'synapse.storage.SQL': ['storage.sql'],
  'synapse.storage.txn': ['storage.sql'],
  'synapse.storage': ['storage'],
  'synapse.federation.sender': ['senders.federation'],
  'synapse.federation.transport': ['inbound', 'remote'],
  'synapse.federation': ['inbound', 'remote', 'senders.federation'],
  'synapse.handlers.sync': ['sync'],
  'synapse.handlers': ['services', 'rooms', 'sync'],
  'synapse.state': ['rooms'],
  'synapse.http.matrixfederationclient': ['remote'],
  'synapse.http.client': ['remote'],
  'synapse.http': ['http'],
  'synapse.rest': ['api'],
  'synapse.push': ['senders.push'],
  'synapse.appservice': ['senders.appservice'],
  'synapse.crypto': ['remote'],
  'synapse.media': ['services.media'],
};

const LEVELS: Readonly<Record<string, LogLevel>> = {
  NOTSET: 'debug',
  DEBUG: 'debug',
  INFO: 'info',
  WARN: 'warn',
  WARNING: 'warn',
  ERROR: 'error',
  CRITICAL: 'error',
  FATAL: 'error',
};

export type LogChoices = {
  /** Path of the `log_config` file, or null. */
  readonly logConfigPath: string | null;
  /** Path of a plain log file, or null. */
  readonly logFile: string | null;
  /** 0, 1 (debug) or 2 (database statements too). */
  readonly verbosity: number;
  /** True once detached from the terminal: lines for the terminal are then not wanted. */
  readonly isDetached: boolean;
};

/**
 * The settings of the log that a configuration asks for.
 *
 * @throws ConfigError where the log's own file is wrong
 */
export function logSettingsFrom(choices: LogChoices): { settings: LogSettings; warnings: string[] } {
  const warnings: string[] = [];
  let settings: LogSettings = DEFAULT_LOG_SETTINGS;
  if (choices.logConfigPath !== null) {
    settings = readLogConfig(choices.logConfigPath, warnings);
  } else if (choices.logFile !== null) {
    const rotation: Rotation = { by: 'size', bytesMax: 100 * 1024 * 1024, keep: 10 };
    const file: LogDestination = {
      sink: { to: 'file', path: choices.logFile, rotation },
      format: 'text',
      levelMin: 'debug',
    };
    settings = { ...settings, destinations: choices.isDetached ? [file] : [...settings.destinations, file] };
  }
  if (choices.verbosity > 0) {
    settings = {
      rootLevel: 'debug',
      levels: { 'storage.sql': choices.verbosity > 1 ? 'debug' : 'info' },
      destinations: settings.destinations.map((one) => ({ ...one, levelMin: 'debug' })),
    };
  }
  return { settings, warnings };
}

/** Reads a log configuration file. */
function readLogConfig(path: string, warnings: string[]): LogSettings {
  const place = { file: path, line: 0, path: '' };
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw problem(place, `the log configuration cannot be read (${code}).`);
  }
  const given = parseGiven(text, path, warnings);
  if (given.kind !== 'map') throw problem(place, 'the log configuration must be a mapping.');

  const root = mapAt(given, 'root');
  const levels: Record<string, LogLevel> = {};
  const unknown: string[] = [];
  for (const [name, logger] of mapAt(given, 'loggers')?.entries ?? []) {
    const level = logger.kind === 'map' ? levelAt(logger) : null;
    if (logger.kind === 'map' && logger.entries.has('handlers') && logger.entries.get('propagate') !== undefined) {
      unknown.push(`handlers of the logger ${name}`);
    }
    if (level === null || name.startsWith('twisted')) continue;
    for (const ours of ourNames(name)) levels[ours] ??= level;
  }
  const names = root === undefined ? [] : listAt(root, 'handlers');
  const destinations = names.flatMap((name) => destinationFrom(given, name, unknown, 0));
  if (unknown.length > 0) warnings.push(`${path}: not understood and left out: ${[...new Set(unknown)].join(', ')}.`);
  return {
    rootLevel: levels[''] ?? (root === undefined ? null : levelAt(root)) ?? 'info',
    levels,
    destinations: destinations.length > 0 ? destinations : DEFAULT_LOG_SETTINGS.destinations,
  };
}

/** Our names for a logger; '' stands for all. Names that are ours already stay. */
function ourNames(name: string): readonly string[] {
  if (name === 'synapse' || name === 'myelin') return [''];
  for (let prefix = name; prefix !== ''; prefix = prefix.slice(0, Math.max(0, prefix.lastIndexOf('.')))) {
    const found = OUR_NAMES[prefix];
    if (found !== undefined) return found;
  }
  return name.startsWith('synapse.') ? [] : [name.replace(/^myelin\./, '')];
}

function destinationFrom(given: GivenMap, name: string, unknown: string[], depth: number): LogDestination[] {
  const handler = mapAt(given, 'handlers');
  const one = handler === undefined ? undefined : mapAt(handler, name);
  if (one === undefined || depth > 3) {
    unknown.push(`the handler ${name}`);
    return [];
  }
  const kind = (textAt(one, 'class') ?? '').split('.').at(-1) ?? '';
  const levelMin = levelAt(one) ?? 'debug';
  const format = formatOf(given, textAt(one, 'formatter'));
  if (/MemoryHandler$/.test(kind)) {
    // Lines are not held back here; what counts is where the buffer empties to.
    const target = textAt(one, 'target');
    return target === undefined ? [] : destinationFrom(given, target, unknown, depth + 1);
  }
  if (kind === 'NullHandler') return [];
  if (kind === 'StreamHandler') {
    const to = textAt(one, 'stream') === 'ext://sys.stdout' ? 'stdout' : 'stderr';
    return [{ sink: { to }, format, levelMin }];
  }
  const path = textAt(one, 'filename');
  if (/FileHandler$/.test(kind) && path !== undefined) {
    return [{ sink: { to: 'file', path, rotation: rotationOf(one, kind) }, format, levelMin }];
  }
  unknown.push(`the handler ${name} (${kind})`);
  // systemd keeps standard error in its journal.
  return /Journal/.test(kind) ? [{ sink: { to: 'stderr' }, format, levelMin }] : [];
}

function rotationOf(handler: GivenMap, kind: string): Rotation | null {
  const keep = numberAt(handler, 'backupCount') ?? 0;
  if (kind === 'RotatingFileHandler') {
    const bytesMax = numberAt(handler, 'maxBytes') ?? 0;
    return bytesMax > 0 && keep > 0 ? { by: 'size', bytesMax, keep } : null;
  }
  if (kind !== 'TimedRotatingFileHandler') return null;
  const unit = (textAt(handler, 'when') ?? 'H').toUpperCase();
  const interval = numberAt(handler, 'interval') ?? 1;
  const hours = unit === 'H' ? interval : unit.startsWith('W') ? 24 * 7 : 24 * interval;
  // Python keeps all where no number is given.
  return { by: 'time', hours, keep: keep > 0 ? keep : Number.MAX_SAFE_INTEGER };
}

function formatOf(given: GivenMap, name: string | undefined): LogFormat {
  const formatters = mapAt(given, 'formatters');
  const formatter = formatters === undefined || name === undefined ? undefined : mapAt(formatters, name);
  if (formatter === undefined) return 'text';
  const type = textAt(formatter, 'class') ?? textAt(formatter, '()') ?? '';
  return /Json/i.test(type) ? 'json' : 'text';
}

function mapAt(given: GivenMap, name: string): GivenMap | undefined {
  const found = given.entries.get(name);
  return found?.kind === 'map' ? found : undefined;
}

function plainAt(given: GivenMap, name: string): unknown {
  const found: Given | undefined = given.entries.get(name);
  return found === undefined ? undefined : plainValue(found);
}

function textAt(given: GivenMap, name: string): string | undefined {
  const value = plainAt(given, name);
  return typeof value === 'string' ? value : undefined;
}

function numberAt(given: GivenMap, name: string): number | undefined {
  const value = plainAt(given, name);
  return typeof value === 'number' ? value : undefined;
}

function listAt(given: GivenMap, name: string): string[] {
  const value = plainAt(given, name);
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function levelAt(given: GivenMap): LogLevel | null {
  const value = plainAt(given, 'level');
  if (typeof value === 'number') return value >= 40 ? 'error' : value >= 30 ? 'warn' : value >= 20 ? 'info' : 'debug';
  if (typeof value !== 'string') return null;
  const level = LEVELS[value.toUpperCase()];
  if (level === undefined) throw problem(given.entries.get('level')?.place ?? given.place, `"${value}" is no level.`);
  return level;
}
