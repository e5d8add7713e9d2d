/** The operations of the specification, as spec/endpoints.tsv lists them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './sources.ts';

export type Operation = {
  /** `client-server`, `server-server`, `application-service`, `identity` or `push-gateway`. */
  readonly api: string;
  readonly module: string;
  readonly method: string;
  /** With the specification's parameters: `/_matrix/client/v3/rooms/{roomId}/…`. */
  readonly path: string;
  readonly operationId: string;
  readonly isDeprecated: boolean;
  readonly purpose: string;
};

/** Rows of tab-separated text below a heading, each by the heading's names. */
export function parseTable(text: string): Record<string, string>[] {
  const [heading = '', ...rows] = text.split('\n').filter((row) => row !== '');
  const names = heading.split('\t');
  return rows.map((row) => {
    const values = row.split('\t');
    return Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']));
  });
}

/** All operations, in the list's order. */
export function readOperations(): Operation[] {
  return parseTable(readFileSync(join(root, 'spec/endpoints.tsv'), 'utf8')).map((row) => ({
    api: row['api'] ?? '',
    module: row['module'] ?? '',
    method: row['method'] ?? '',
    path: row['path'] ?? '',
    operationId: row['operationId'] ?? '',
    isDeprecated: row['deprecated'] === 'y',
    purpose: row['purpose'] ?? '',
  }));
}
