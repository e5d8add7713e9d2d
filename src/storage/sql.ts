/** One SQL text for both databases: a tagged template whose holes become bound values. */
import { toPostgresText } from './postgres-text.ts';

export type SqlValue = string | number | null | Uint8Array;

/** A list bound as one value: `where id ${anyOf(ids)}`. */
export class AnyOf {
  readonly values: readonly (string | number)[];
  constructor(values: readonly (string | number)[]) {
    this.values = values;
  }
}

/** Matches any value of a list, bound as one parameter, so that the statement's text stays the same. */
export function anyOf(values: readonly (string | number)[]): AnyOf {
  return new AnyOf(values);
}

export type RowType = 'number' | 'text' | 'blob' | 'null';

/** Rows to insert into one of the databases, bound as one JSON text; see `bulk-insert.ts`. */
export class RowList {
  readonly types: readonly RowType[];
  readonly json: string;

  constructor(types: readonly RowType[], rows: readonly (readonly SqlValue[])[], dialect: 'sqlite' | 'postgres') {
    this.types = types;
    const toJson = (value: SqlValue): string | number | null => {
      if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length).toString('hex');
      return isText(value) && dialect === 'postgres' ? toPostgresText(value) : value;
    };
    this.json = JSON.stringify(rows.map((row) => row.map(toJson)));
  }

  /** What stands in the statement's text in place of `values (…)`. */
  text(dialect: 'sqlite' | 'postgres', parameter: string): string {
    const columns = this.types.map((type, index) => {
      if (type === 'null') return 'null';
      const value = `value->>${index}`;
      if (type === 'blob') return dialect === 'sqlite' ? `unhex(${value})` : `decode(${value}, 'hex')`;
      return dialect === 'postgres' && type === 'number' ? `(${value})::bigint` : value;
    });
    const list = columns.join(', ');
    return dialect === 'sqlite'
      ? `select ${list} from json_each(${parameter}) where true`
      : `select ${list} from jsonb_array_elements(${parameter}::jsonb)`;
  }
}

type Hole = SqlValue | AnyOf | RowList | boolean;

/** A statement with its values. `text` is shared by all statements from one place in the source. */
export type Statement = {
  readonly template: TemplateStringsArray;
  readonly holes: readonly Hole[];
};

/** `sql\`select … where a = ${a} and b ${anyOf(list)}\``. Booleans are bound as 0 and 1. */
export function sql(template: TemplateStringsArray, ...holes: Hole[]): Statement {
  return { template, holes };
}

type Texts = { sqlite: string; postgres: string };
const texts = new WeakMap<TemplateStringsArray, Texts>();

function render(statement: Statement): Texts {
  let sqlite = '';
  let postgres = '';
  statement.template.forEach((part, index) => {
    sqlite += part;
    postgres += part;
    if (index >= statement.holes.length) return;
    const hole = statement.holes[index];
    if (hole instanceof AnyOf) {
      sqlite += 'in (select value from json_each(?))';
      postgres += `= any($${index + 1})`;
    } else if (hole instanceof RowList) {
      sqlite += hole.text('sqlite', '?');
      postgres += hole.text('postgres', `$${index + 1}`);
    } else {
      sqlite += '?';
      postgres += `$${index + 1}`;
    }
  });
  return { sqlite, postgres };
}

/** The text of a statement for one database. A hole is always a list or never: the text is made once per place. */
export function textOf(statement: Statement, dialect: 'sqlite' | 'postgres'): string {
  let made = texts.get(statement.template);
  if (made === undefined) {
    made = render(statement);
    texts.set(statement.template, made);
  }
  return made[dialect];
}

/** The bound values of a statement for SQLite, in which a list travels as JSON. */
export function sqliteValues(statement: Statement): SqlValue[] {
  return statement.holes.map((hole) => {
    if (hole instanceof AnyOf) return JSON.stringify(hole.values);
    if (hole instanceof RowList) return hole.json;
    return typeof hole === 'boolean' ? Number(hole) : hole;
  });
}

/** The bound values of a statement for PostgreSQL, in which a list travels as an array. */
export function postgresValues(statement: Statement): unknown[] {
  return statement.holes.map((hole) => {
    if (hole instanceof AnyOf) return hole.values.map((value) => (isText(value) ? toPostgresText(value) : value));
    if (hole instanceof RowList) return hole.json;
    if (typeof hole === 'boolean') return Number(hole);
    if (isText(hole)) return toPostgresText(hole);
    return hole instanceof Uint8Array && !Buffer.isBuffer(hole) ? Buffer.from(hole) : hole;
  });
}

const isText = (value: unknown): value is string => typeof value === 'string';
