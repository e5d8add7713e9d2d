/**
 * The log. Lines are redacted, escaped and truncated here, in the one place through which all of them go: no caller
 * can leak a token, forge a line or fill a disk with one message.
 */
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';
import { type LogSink, openSink, type SinkSettings } from './log-sink.ts';
import { escapeControls, isSecretName, redact, truncate } from './redact.ts';

/** What belongs to a line beside its message. Values of secret names are replaced, errors are given with their stack. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose name is this one's and `name`, joined by a dot. Levels are set by the beginnings of names. */
  child(name: string): Log;
  /** Whether lines of a level go anywhere: for what is costly to put together. */
  isEnabled(level: 'debug' | 'info' | 'warn' | 'error'): boolean;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'off';
export type LogFormat = 'text' | 'json';

export type LogDestination = {
  readonly sink: SinkSettings;
  readonly format: LogFormat;
  /** Lines below go elsewhere. */
  readonly levelMin: LogLevel;
};

export type LogSettings = {
  /** Level of everything that `levels` does not name. */
  readonly rootLevel: LogLevel;
  /** Level by the beginning of the log's name: `storage` is for `storage.sql` too. The longest match counts. */
  readonly levels: Readonly<Record<string, LogLevel>>;
  readonly destinations: readonly LogDestination[];
};

/** Info and above as text on standard error. */
export const DEFAULT_LOG_SETTINGS: LogSettings = {
  rootLevel: 'info',
  levels: { 'storage.sql': 'info' },
  destinations: [{ sink: { to: 'stderr' }, format: 'text', levelMin: 'debug' }],
};

/** The open log of a process. */
export interface LogRoot {
  readonly log: Log;
  /** Opens files anew: after something else has moved them away. */
  reopen(): void;
  /** Goes on with other settings. */
  reconfigure(settings: LogSettings): void;
  close(): void;
}

const RANKS: Readonly<Record<LogLevel, number>> = { debug: 10, info: 20, warn: 30, error: 40, off: 99 };
const LABELS = { debug: 'DEBUG', info: 'INFO', warn: 'WARNING', error: 'ERROR' } as const;

const MESSAGE_LENGTH_MAX = 4000;
const VALUE_LENGTH_MAX = 1000;
const STACK_FRAMES_MAX = 20;
const CAUSES_MAX = 3;

/**
 * Opens a log.
 *
 * @throws where a file cannot be opened
 */
export function openLog(settings: LogSettings, clock: Clock = systemClock()): LogRoot {
  const root = new Root(settings, clock);
  return {
    log: new NamedLog(root, ''),
    reopen: () => root.reopen(),
    reconfigure: (next) => root.reconfigure(next),
    close: () => root.close(),
  };
}

/** A log that goes nowhere. For tests. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
  isEnabled: () => false,
};

class Root {
  #settings: LogSettings;
  readonly #clock: Clock;
  #open: { destination: LogDestination; sink: LogSink }[];
  /** Counts reconfigurations, so that logs know when to look their level up again. */
  generation = 0;

  constructor(settings: LogSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    this.#open = openAll(settings, clock);
  }

  levelOf(name: string): number {
    const { levels, rootLevel } = this.#settings;
    for (let prefix = name; prefix !== ''; prefix = prefix.slice(0, Math.max(0, prefix.lastIndexOf('.')))) {
      const level = levels[prefix];
      if (level !== undefined) return RANKS[level];
    }
    return RANKS[rootLevel];
  }

  write(level: keyof typeof LABELS, name: string, message: string, fields: LogFields): void {
    const nowMs = this.#clock.now();
    let text: string | undefined;
    let json: string | undefined;
    for (const { destination, sink } of this.#open) {
      if (RANKS[level] < RANKS[destination.levelMin]) continue;
      if (destination.format === 'json') {
        json ??= formatJson(nowMs, level, name, message, fields);
        sink.write(json);
      } else {
        text ??= formatText(nowMs, level, name, message, fields);
        sink.write(text);
      }
    }
  }

  reopen(): void {
    for (const { sink } of this.#open) sink.reopen();
  }

  reconfigure(settings: LogSettings): void {
    const next = openAll(settings, this.#clock);
    this.close();
    this.#settings = settings;
    this.#open = next;
    this.generation++;
  }

  close(): void {
    for (const { sink } of this.#open) sink.close();
    this.#open = [];
  }
}

function openAll(settings: LogSettings, clock: Clock): { destination: LogDestination; sink: LogSink }[] {
  return settings.destinations.map((destination) => ({ destination, sink: openSink(destination.sink, clock) }));
}

class NamedLog implements Log {
  readonly #root: Root;
  readonly #name: string;
  #level = 0;
  #generation = -1;

  constructor(root: Root, name: string) {
    this.#root = root;
    this.#name = name;
  }

  #passes(rank: number): boolean {
    if (this.#generation !== this.#root.generation) {
      this.#level = this.#root.levelOf(this.#name);
      this.#generation = this.#root.generation;
    }
    return rank >= this.#level;
  }

  debug(message: string, fields: LogFields = {}): void {
    if (this.#passes(RANKS.debug)) this.#root.write('debug', this.#name, message, fields);
  }

  info(message: string, fields: LogFields = {}): void {
    if (this.#passes(RANKS.info)) this.#root.write('info', this.#name, message, fields);
  }

  warn(message: string, fields: LogFields = {}): void {
    if (this.#passes(RANKS.warn)) this.#root.write('warn', this.#name, message, fields);
  }

  error(message: string, fields: LogFields = {}): void {
    if (this.#passes(RANKS.error)) this.#root.write('error', this.#name, message, fields);
  }

  child(name: string): Log {
    return new NamedLog(this.#root, this.#name === '' ? name : `${this.#name}.${name}`);
  }

  isEnabled(level: keyof typeof LABELS): boolean {
    return this.#passes(RANKS[level]);
  }
}

function clean(text: string, lengthMax: number): string {
  return escapeControls(redact(truncate(text, lengthMax)));
}

/** `2026-11-23 20:15:00,123 - http - INFO - message key=value`, as Synapse dates its lines. In UTC. */
function formatText(
  nowMs: number,
  level: keyof typeof LABELS,
  name: string,
  message: string,
  fields: LogFields,
): string {
  const date = new Date(nowMs).toISOString().replace('T', ' ').replace('.', ',').slice(0, -1);
  let line = `${date} - ${name === '' ? 'myelin' : name} - ${LABELS[level]} - ${clean(message, MESSAGE_LENGTH_MAX)}`;
  let stacks = '';
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (value instanceof Error) {
      const { summary, frames } = describeError(value);
      line += ` ${key}=${JSON.stringify(summary)}`;
      stacks += frames.map((frame) => `\n    ${frame}`).join('');
    } else {
      const said = fieldText(key, value);
      line += ` ${key}=${/^[^\s"=]+$/.test(said) ? said : JSON.stringify(said)}`;
    }
  }
  return `${line}${stacks}\n`;
}

function formatJson(
  nowMs: number,
  level: keyof typeof LABELS,
  name: string,
  message: string,
  fields: LogFields,
): string {
  const out: Record<string, unknown> = {
    time: nowMs / 1000,
    level: LABELS[level],
    namespace: name === '' ? 'myelin' : name,
    log: clean(message, MESSAGE_LENGTH_MAX),
  };
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const free = key in out ? `${key}_` : key;
    if (value instanceof Error) {
      const { summary, frames } = describeError(value);
      out[free] = summary;
      out[`${free}_stack`] = frames;
    } else {
      out[free] = typeof value === 'number' || typeof value === 'boolean' ? value : fieldText(key, value);
    }
  }
  return `${JSON.stringify(out)}\n`;
}

function fieldText(key: string, value: unknown): string {
  if (isSecretName(key)) return '<redacted>';
  if (typeof value === 'string') return clean(value, VALUE_LENGTH_MAX);
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value);
  if (typeof value === 'bigint') return String(value);
  try {
    const json = JSON.stringify(value, (name, inner) => (name !== '' && isSecretName(name) ? '<redacted>' : inner));
    return clean(json ?? String(value), VALUE_LENGTH_MAX);
  } catch {
    // Circular, or with a getter that throws: not worth losing the line.
    return '<unprintable>';
  }
}

/** Messages of an error and its causes, and the frames. Frames are V8's own words, messages may be a stranger's. */
function describeError(error: Error): { summary: string; frames: string[] } {
  const parts: string[] = [];
  let at: unknown = error;
  for (let depth = 0; at instanceof Error && depth < CAUSES_MAX; depth++) {
    parts.push(`${at.name}: ${at.message}`);
    at = at.cause;
  }
  const frames = (error.stack ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith('at '))
    .slice(0, STACK_FRAMES_MAX)
    .map((line) => clean(line, VALUE_LENGTH_MAX));
  return { summary: clean(parts.join(': caused by '), VALUE_LENGTH_MAX), frames };
}
