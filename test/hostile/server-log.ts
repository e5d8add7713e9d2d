/** The log and the counters of a server under attack, as its operator has them. */
import { readFileSync } from 'node:fs';
import type { Clock } from '../../src/kit/clock.ts';
import { type LogRoot, openLog } from '../../src/kit/log.ts';
import type { TestServer } from '../../src/testing/test-server.ts';

/** A line as it is in the file: redacted, cut and escaped. */
export type LogLine = { readonly level: string; readonly namespace: string; readonly text: string };

export class ServerLog {
  readonly root: LogRoot;
  readonly #path: string;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.root = openLog(
      {
        rootLevel: 'info',
        levels: {},
        destinations: [{ sink: { to: 'file', path, rotation: null }, format: 'json', levelMin: 'debug' }],
      },
      clock,
    );
  }

  /** The lines after the first `from`. */
  lines(from = 0): LogLine[] {
    const lines = readFileSync(this.#path, 'utf8').split('\n').slice(from, -1);
    return lines.map((text) => {
      // Written as JSON, by the log itself.
      const { level, namespace } = JSON.parse(text) as LogLine;
      return { level, namespace, text };
    });
  }
}

/** Whether a line tells of something turned down: it names one of these, and no request that went well. */
export function tellsOfRefusal(line: LogLine, names: readonly string[]): boolean {
  if (!names.some((name) => line.text.includes(name))) return false;
  return line.namespace !== 'access' || /"status":[45]\d\d/.test(line.text);
}

/** The counters that tell of refusals, by name and labels. */
export async function refusalCounters(server: TestServer): Promise<ReadonlyMap<string, number>> {
  const text: string = (await server.get('/_synapse/metrics')).body;
  const found = [...text.matchAll(/^(myelin_\w+\{[^}]*outcome="(?:refused|dropped)"[^}]*\}) (\d+)$/gm)];
  return new Map(found.map(([, name, value]) => [name!, Number(value)]));
}
