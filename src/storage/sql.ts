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

type Hole = SqlValue | AnyOf | boolean;

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
    return typeof hole === 'boolean' ? Number(hole) : hole;
  });
}

/** The bound values of a statement for PostgreSQL, in which a list travels as an array. */
export function postgresValues(statement: Statement): unknown[] {
  return statement.holes.map((hole) => {
    if (hole instanceof AnyOf) return hole.values.map((value) => (isText(value) ? toPostgresText(value) : value));
    if (typeof hole === 'boolean') return Number(hole);
    if (isText(hole)) return toPostgresText(hole);
    return hole instanceof Uint8Array && !Buffer.isBuffer(hole) ? Buffer.from(hole) : hole;
  });
}

const isText = (value: unknown): value is string => typeof value === 'string';
