/** The bench's table, for people and for docs/performance.md. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Aim } from './aims.ts';
import type { Figure } from './meter.ts';

/** What was measured for an aim: a figure of many operations, or one number in the aim's unit. */
export type Measured = ReadonlyMap<string, Figure | number>;

/** What a table of the report is about. */
export type Subject = {
  /** By which its place in a page is known. */
  readonly mark: string;
  readonly aims: Readonly<Record<string, Aim>>;
};

export type DatabaseKind = 'sqlite' | 'postgres';

type Line = { title: string; aim: string; figure: string; p50: string; p95: string; met: boolean; ours: Aim };

const POSTGRES_FACTOR = 2;

function shown(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

function lineOf(aim: Aim, measured: Figure | number, database: DatabaseKind): Line {
  if (typeof measured === 'number') {
    const bound = aim.value ?? Number.POSITIVE_INFINITY;
    const unit = ` ${aim.unit ?? ''}`;
    return {
      title: aim.title,
      aim: `≤ ${bound.toLocaleString('en-US')}${unit}`,
      figure: `${shown(measured)}${unit}`,
      p50: '',
      p95: '',
      met: measured <= bound,
      ours: aim,
    };
  }
  const cpuAim = (aim.cpuMs ?? Number.POSITIVE_INFINITY) * (database === 'postgres' ? POSTGRES_FACTOR : 1);
  const wishes = [`${cpuAim} ms CPU`];
  if (aim.p50Ms !== undefined) wishes.push(`p50 < ${aim.p50Ms} ms`);
  if (aim.p95Ms !== undefined) wishes.push(`p95 < ${aim.p95Ms} ms`);
  return {
    title: aim.title,
    aim: wishes.join(', '),
    figure: `${shown(measured.cpuMs)} ms CPU`,
    p50: `${shown(measured.p50Ms)} ms`,
    p95: `${shown(measured.p95Ms)} ms`,
    met:
      measured.cpuMs <= cpuAim &&
      measured.p50Ms < (aim.p50Ms ?? Number.POSITIVE_INFINITY) &&
      measured.p95Ms < (aim.p95Ms ?? Number.POSITIVE_INFINITY),
    ours: aim,
  };
}

function linesOf({ aims }: Subject, measured: Measured, database: DatabaseKind): Line[] {
  const lines: Line[] = [];
  for (const aim of Object.values(aims)) {
    const value = measured.get(aim.id);
    if (value !== undefined) lines.push(lineOf(aim, value, database));
  }
  return lines;
}

/** The table for a terminal. */
export function textTable(subject: Subject, measured: Measured, database: DatabaseKind): string {
  const lines = linesOf(subject, measured, database);
  const rows = [
    ['', 'aim', 'figure', 'p50', 'p95', ''],
    ...lines.map(({ title, aim, figure, p50, p95, met }) => [title, aim, figure, p50, p95, met ? 'met' : 'MISSED']),
  ];
  const widths = [0, 1, 2, 3, 4, 5].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const table = rows.map((row) =>
    row
      .map((cell, column) =>
        column >= 2 && column <= 4 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  return [...table, '', `${lines.filter(({ met }) => met).length} of ${lines.length} met (${database})`].join('\n');
}

/** The same for a page of the docs, beside the figures of other servers; rows that were not measured stay as they were. */
function markdownTable(subject: Subject, measured: Measured, database: DatabaseKind, before: string): string {
  const rows = new Map(
    linesOf(subject, measured, database).map(({ title, aim, figure, p50, p95, met, ours }) => [
      title,
      `| ${[title, aim, figure, p50, p95, met ? 'met' : '**missed**', ...ours.others].join(' | ')} |`,
    ]),
  );
  const kept = new Map(before.split('\n').map((line) => [line.split(' | ', 1)[0]?.slice(2), line]));
  return [
    '| operation | aim | Myelin | p50 | p95 | | Synapse | Dendrite | Tuwunel |',
    '|---|---|---:|---:|---:|---|---:|---:|---:|',
    ...Object.values(subject.aims).flatMap(({ title }) => rows.get(title) ?? kept.get(title) ?? []),
  ].join('\n');
}

/**
 * Puts what was measured into the table between the markers of its subject and database in a page, and leaves the rest as it is.
 *
 * @throws Error where the page lacks the markers
 */
export function writeTable(page: URL, subject: Subject, measured: Measured, database: DatabaseKind): void {
  const [begin, end] = [`<!-- ${subject.mark}:${database} -->`, `<!-- /${subject.mark}:${database} -->`];
  const text = readFileSync(page, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${page.pathname} has no markers ${begin} … ${end}`);
  const table = markdownTable(subject, measured, database, text.slice(from + begin.length, to).trim());
  writeFileSync(page, `${text.slice(0, from + begin.length)}\n${table}\n${text.slice(to)}`);
}
