/** `myelin config check` and `myelin config read`. */
import { loadConfig } from '../config/config.ts';
import { plainValue, readGivenFiles } from '../config/given.ts';
import { findAt, suggest } from '../config/kinds.ts';
import { sections } from '../config/sections.ts';
import { KNOWN_KEYS } from '../config/strangers.ts';
import { Failure } from './failure.ts';
import { say } from './terminal.ts';

/** Reads the configuration as a start would, and reports. */
export function checkConfig(paths: readonly string[]): void {
  const { warnings, notes, files } = loadConfig(paths);
  for (const line of [...notes, ...warnings]) say(line);
  say(`Config parses OK! (${files.join(', ')}${warnings.length > 0 ? `; ${warnings.length} warnings` : ''})`);
}

/** Prints one value: as the file has it, else its default. */
export function readConfigKey(asked: string, paths: readonly string[]): void {
  loadConfig(paths);
  const { given } = readGivenFiles(paths);
  // Synapse's helper puts the section first: server.server_name.
  const names = [asked, asked.replace(/^\w+\./, '')];
  for (const name of names) {
    const found = findAt(given, name);
    if (found !== undefined) {
      print(plainValue(found));
      return;
    }
  }
  for (const name of names) {
    const key = Object.values(sections)
      .flatMap((section) => Object.values(section.keys))
      .find((one) => one.yaml === name);
    if (key !== undefined) {
      print(key.fallback?.value);
      return;
    }
  }
  throw new Failure(`There is no key ${asked}${suggest(asked, [...KNOWN_KEYS])}`);
}

function print(value: unknown): void {
  say(typeof value === 'string' ? value : JSON.stringify(value ?? null));
}
