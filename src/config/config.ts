/** The configuration, read from homeserver.yaml once at start and checked as a whole. */
import type { ServerName } from '../core/ids.ts';
import { contradictions } from './checks.ts';
import { type DatabaseConfig, databaseFrom } from './database.ts';
import {
  ConfigError,
  describeProblem,
  type GivenMap,
  givenFrom,
  givenMap,
  type Place,
  problem,
  readGivenFiles,
} from './given.ts';
import { type Keys, readSection } from './key.ts';
import { collect, type ReadContext } from './kinds.ts';
import { modernize } from './legacy.ts';
import { DEFAULT_LISTENERS, type Listener } from './listeners.ts';
import { type Config, type SectionsRead, sections } from './sections.ts';
import { reportStrangers } from './strangers.ts';

export { ConfigError } from './given.ts';
export type { Config, DatabaseConfig, Listener };

export type LoadedConfig = {
  readonly config: Config;
  /** One line for each key that has no effect, is old, or is unknown. */
  readonly warnings: readonly string[];
  /** One line for each key of a mechanism that we do not have; of no concern to most. */
  readonly notes: readonly string[];
  /** The files that were read. */
  readonly files: readonly string[];
};

export type LoadOptions = {
  /** False refuses secrets that stand in the file itself. */
  readonly allowsInlineSecrets?: boolean;
  /** Values from command-line flags, by YAML key; they win over the files. */
  readonly overrides?: Readonly<Record<string, unknown>>;
};

/**
 * Reads configuration files (and directories of them) into a Config.
 *
 * @throws ConfigError naming file, line and key of everything that is wrong
 */
export function loadConfig(paths: readonly string[], options: LoadOptions = {}): LoadedConfig {
  const { given, files, warnings } = readGivenFiles(paths);
  const place: Place = { file: 'command line', line: 0, path: '' };
  for (const [name, value] of Object.entries(options.overrides ?? {})) {
    given.entries.set(name, givenFrom(value, { ...place, path: name }));
  }
  return { ...readConfig(given, options.allowsInlineSecrets ?? true, warnings), files };
}

/** The configuration of a server about which nothing but its name was said. For tests. */
export function defaultConfig(serverName = 'localhost'): Config {
  const given = givenMap();
  given.entries.set('server_name', givenFrom(serverName, given.place));
  return readConfig(given, true, []).config;
}

function readConfig(root: GivenMap, allowsInlineSecrets: boolean, warnings: string[]): Omit<LoadedConfig, 'files'> {
  const context: ReadContext = {
    allowsInlineSecrets,
    warn: (place, message) => void warnings.push(describeProblem({ place, message })),
  };
  modernize(root, context);
  const notes = reportStrangers(root, context);
  const values = readSections(root, context);
  const config: Config = {
    ...values,
    listeners: values.listeners.listeners?.filter((one) => one !== null) ?? DEFAULT_LISTENERS,
    database: databaseFrom(values.database),
    keys: {
      ...values.keys,
      signingKeyPath: values.keys.signingKeyPath ?? `${values.server.serverName}.signing.key`,
      trustedKeyServers: values.keys.trustedKeyServers ?? [
        // A name that stands in this file needs no parsing.
        { serverName: 'matrix.org' as ServerName, verifyKeys: null, acceptKeysInsecurely: false },
      ],
    },
    sessions: {
      ...values.sessions,
      macaroonSecretKey: values.sessions.macaroonSecretKey ?? values.registration.sharedSecret,
    },
  };
  const found = contradictions(config, root);
  if (found.length > 0) throw new ConfigError(found);
  return { config, warnings, notes };
}

/** Reads every section, and reports what is wrong in all of them at once. */
function readSections(root: GivenMap, context: ReadContext): SectionsRead {
  if (!root.entries.has('server_name')) {
    throw problem(
      { ...root.place, path: 'server_name' },
      'this key is missing; it must name the domain of this server.',
    );
  }
  try {
    const pairs = collect(Object.entries(sections), ([name, one]) => [name, readSection<Keys>(one, root, context)]);
    // Each pair was read by the section of its own name.
    return Object.fromEntries(pairs) as SectionsRead;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.problems.toSorted((a, b) => a.place.line - b.place.line));
  }
}
