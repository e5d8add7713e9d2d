/**
 * Many inserts as few statements: rows of one table travel as one JSON text, some hundred at a time. For batches of tens
 * of thousands of rows, where a statement a row would cost more than the rows.
 */
import { nextTurn } from '../kit/next-turn.ts';
import type { Reader } from './database.ts';
import { AnyOf, RowList, type RowType, type Statement } from './sql.ts';

const ROWS_MAX = 500;
const BYTES_MAX = 500_000;
/** Fewer rows than this go as they are. */
const ROWS_MIN = 3;
const STATEMENTS_PER_TURN = 1000;

type Shape = { readonly before: string; readonly columns: number; readonly tail: string; readonly keyColumns: number };
type Row = readonly (string | number | null | Uint8Array)[];

const shapes = new WeakMap<TemplateStringsArray, Shape | null>();
const templates = new Map<string, TemplateStringsArray>();

/** `insert into … (…) values (hole, hole, …) …` whose values are all holes; null for anything else. */
function shapeOf({ template }: Statement): Shape | null {
  const known = shapes.get(template);
  if (known !== undefined) return known;
  const before = /^(insert into \w+ \([^)]*\)\s+)values \($/.exec(template[0]!);
  const tail = /^\)(.*)$/s.exec(template.at(-1)!);
  const middle = template.slice(1, -1);
  const isPlain =
    before !== null && tail !== null && template.length > 2 && middle.every((part) => part.trim() === ',');
  const target = /on conflict \(([^)]*)\) do update/.exec(tail?.[1] ?? '');
  const shape = isPlain
    ? {
        before: before[1]!,
        columns: template.length - 1,
        tail: tail[1]!,
        keyColumns: target === null ? 0 : target[1]!.split(',').length,
      }
    : null;
  shapes.set(template, shape);
  return shape;
}

/** JSON as the databases read it back lacks NUL and halves of characters; rows with those go alone. */
const isPlainText = (value: unknown): boolean =>
  typeof value !== 'string' || (!value.includes('\0') && value.isWellFormed());

function rowOf({ holes }: Statement): Row | null {
  const row: (string | number | null | Uint8Array)[] = [];
  for (const hole of holes) {
    if (hole instanceof AnyOf || hole instanceof RowList || !isPlainText(hole)) return null;
    row.push(typeof hole === 'boolean' ? Number(hole) : hole);
  }
  return row;
}

/**
 * The same inserts in fewer statements; all else follows behind them, in its order. For batches in which no insert waits
 * for anything else. Where rows of one key come twice in an upsert, the last one counts. Lets others have their turn.
 */
export async function bulkInserts(statements: readonly Statement[], dialect: Reader['dialect']): Promise<Statement[]> {
  const groups = new Map<TemplateStringsArray, { shape: Shape; rows: Map<string | number, Row>; first: Statement[] }>();
  const others: Statement[] = [];
  for (const [index, statement] of statements.entries()) {
    if (index % STATEMENTS_PER_TURN === 0) await nextTurn();
    const shape = shapeOf(statement);
    const row = shape === null ? null : rowOf(statement);
    if (shape === null || row === null) {
      others.push(statement);
      continue;
    }
    let group = groups.get(statement.template);
    if (group === undefined) {
      group = { shape, rows: new Map(), first: [] };
      groups.set(statement.template, group);
    }
    // Leading columns are the key, as everywhere in this folder.
    const key = shape.keyColumns === 0 ? group.rows.size : row.slice(0, shape.keyColumns).join('\0');
    group.rows.set(key, row);
    if (group.first.length < ROWS_MIN) group.first.push(statement);
  }
  const bulk: Statement[] = [];
  for (const { shape, rows, first } of groups.values()) {
    if (rows.size < ROWS_MIN) {
      bulk.push(...first);
      continue;
    }
    for (const chunk of chunksOf([...rows.values()])) {
      await nextTurn();
      bulk.push(insertRows(shape, chunk, dialect));
    }
  }
  return [...bulk, ...others];
}

function chunksOf(rows: readonly Row[]): Row[][] {
  const chunks: Row[][] = [];
  let bytes = BYTES_MAX;
  for (const row of rows) {
    if (bytes >= BYTES_MAX || chunks.at(-1)!.length >= ROWS_MAX) {
      chunks.push([]);
      bytes = 0;
    }
    chunks.at(-1)!.push(row);
    for (const value of row) bytes += typeof value === 'string' ? value.length : 20;
  }
  return chunks;
}

function insertRows(shape: Shape, rows: readonly Row[], dialect: Reader['dialect']): Statement {
  const types = Array.from({ length: shape.columns }, (_, column): RowType => {
    const value = rows.find((row) => row[column] !== null)?.[column] ?? null;
    if (value === null) return 'null';
    return typeof value === 'number' ? 'number' : typeof value === 'string' ? 'text' : 'blob';
  });
  const name = `${shape.before}|${types.join()}|${shape.tail}`;
  let template = templates.get(name);
  if (template === undefined) {
    const parts = [shape.before, shape.tail];
    template = Object.assign(parts, { raw: parts }) as TemplateStringsArray;
    templates.set(name, template);
  }
  return { template, holes: [new RowList(types, rows, dialect)] };
}
