/**
 * Schemas of requests and replies: small combinators whose static types follow. A schema is its own check, a closure
 * over those of its parts: nothing is compiled.
 */
import type { Readable } from 'node:stream';
import {
  type EventId,
  parseEventId,
  parseRoomAlias,
  parseRoomId,
  parseServerName,
  parseUserId,
  type RoomAlias,
  type RoomId,
  type ServerName,
  type UserId,
} from '../core/ids.ts';
import type { JsonObject, JsonValue } from '../core/json-value.ts';

/** One thing that is wrong with a value. */
export type Complaint = {
  /** `content.users[3]`; empty for the value itself. */
  readonly path: string;
  readonly kind: 'missing' | 'type' | 'value';
  /** Goes on after the path: "must be a string". */
  readonly sentence: string;
};

/** Gives null where a value has the shape, else the first thing that is wrong with it. */
export type Check = (value: unknown) => Complaint | null;

/** Where the body's bytes go: parsed as JSON, parsed as a form, handed over whole, or handed over as they come. */
export type BodyKind = 'json' | 'form' | 'bytes' | 'stream';

type JsonType = 'string' | 'integer' | 'boolean' | 'object' | 'array';

// Only for types: no value ever has it.
declare const VALUE: unique symbol;

/** The shape of a value of type `T`. */
export type Schema<T = unknown> = {
  readonly check: Check;
  /** What texts of a query are converted to; missing where any type will do. */
  readonly type?: JsonType;
  /** Of an object. */
  readonly properties?: Readonly<Record<string, Schema>>;
  /** Of an array. */
  readonly items?: Schema;
  readonly bodyKind?: BodyKind;
  readonly isOptional?: boolean;
  readonly [VALUE]?: T;
};

type OptionalSchema<T> = Schema<T> & { readonly isOptional: true };

/** The type of the values that a schema describes. */
export type Static<S extends Schema> = S extends Schema<infer T> ? T : never;

type Shape = Readonly<Record<string, Schema>>;
type OptionalKey<P extends Shape> = { [K in keyof P]: P[K] extends OptionalSchema<unknown> ? K : never }[keyof P];
type ObjectOf<P extends Shape> = { [K in Exclude<keyof P, OptionalKey<P>>]: Static<P[K]> } & {
  [K in OptionalKey<P>]?: Static<P[K]>;
};
// Shown in editors as one object instead of two.
type Flat<T> = { [K in keyof T]: T[K] };

const complaint = (kind: Complaint['kind'], sentence: string): Complaint => ({ path: '', kind, sentence });

const PATH_LENGTH_MAX = 100;

/** A complaint of a part, as one of the whole. */
function under(step: string, { path, kind, sentence }: Complaint): Complaint {
  const joined = path === '' || path.startsWith('[') ? `${step}${path}` : `${step}.${path}`;
  const isLong = joined.length > PATH_LENGTH_MAX;
  return { path: isLong ? `${joined.slice(0, PATH_LENGTH_MAX)}…` : joined, kind, sentence };
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const IS: Readonly<Record<JsonType, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  integer: Number.isInteger,
  boolean: (value) => typeof value === 'boolean',
  object: isObject,
  array: Array.isArray,
};

/** A schema of one JSON type; `further` looks at values that have it. */
function typed<T>(type: JsonType, further?: (value: T) => Complaint | null): Schema<T> {
  const is = IS[type];
  const wrong = complaint('type', `must be of type ${type}`);
  return {
    type,
    check(value) {
      if (!is(value)) return wrong;
      // It has the type now.
      return further === undefined ? null : further(value as T);
    },
  };
}

const within = (minimum: number, maximum: number): Schema<number> => {
  const wrong = complaint('value', `must be from ${minimum} to ${maximum}`);
  return typed<number>('integer', (value) => (value < minimum || value > maximum ? wrong : null));
};

/** Any text. */
export const string = typed<string>('string');
/** A whole number that a double holds exactly, as the protocol's integers are. */
export const integer = within(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
export const boolean = typed<boolean>('boolean');
/** Any JSON value. */
export const anyJson: Schema<JsonValue> = { check: () => null };
/** Any JSON object. */
export const anyObject = typed<JsonObject>('object');

/** An object with these keys; keys that are not named are let through and reach the handler. */
export function object<P extends Shape>(properties: P): Schema<Flat<ObjectOf<P>>> {
  const parts = Object.entries(properties).map(([key, { check, isOptional }]) => ({
    key,
    check,
    missing: isOptional === true ? null : under(key, complaint('missing', 'is missing')),
  }));
  const { check } = typed<Readonly<Record<string, unknown>>>('object', (value) => {
    for (const part of parts) {
      const inner = Object.hasOwn(value, part.key) ? value[part.key] : undefined;
      if (inner === undefined) {
        if (part.missing !== null) return part.missing;
        continue;
      }
      const found = part.check(inner);
      if (found !== null) return under(part.key, found);
    }
    return null;
  });
  return { type: 'object', properties, check };
}

/** A key that may be missing. `null` is not a missing key: use `optional(orNull(…))` where clients send it. */
export const optional = <T>(schema: Schema<T>): OptionalSchema<T> => ({ ...schema, isOptional: true });

export const orNull = <T>({ check }: Schema<T>): Schema<T | null> => ({
  check: (value) => (value === null ? null : check(value)),
});

/** One of these texts. */
export function oneOf<const V extends readonly [string, ...string[]]>(...values: V): Schema<V[number]> {
  const allowed = new Set<string>(values);
  const wrong = complaint('value', `must be one of ${values.join(', ')}`);
  return typed<V[number]>('string', (value) => (allowed.has(value) ? null : wrong));
}

export function array<T>(items: Schema<T>, { maxItems = Number.POSITIVE_INFINITY } = {}): Schema<T[]> {
  const wrong = complaint('value', `must not have more than ${maxItems} items`);
  const { check } = typed<readonly unknown[]>('array', (value) => {
    if (value.length > maxItems) return wrong;
    for (let index = 0; index < value.length; index++) {
      const found = items.check(value[index]);
      if (found !== null) return under(`[${index}]`, found);
    }
    return null;
  });
  return { type: 'array', items, check };
}

/** Text with a length in UTF-16 units from 0 up to and including `maxLength`. */
export function stringUpTo(maxLength: number): Schema<string> {
  const wrong = complaint('value', `must not have more than ${maxLength} characters`);
  return typed<string>('string', ({ length }) => (length > maxLength ? wrong : null));
}

/** A whole number from `minimum` up to and including `maximum`. */
export const integerBetween = within;

/** An object with any keys, all values of one shape. */
export const record = <T>({ check }: Schema<T>): Schema<Readonly<Record<string, T>>> =>
  typed<Readonly<Record<string, T>>>('object', (value) => {
    for (const key of Object.keys(value)) {
      const found = check(value[key]);
      if (found !== null) return under(key, found);
    }
    return null;
  });

/** The reply `{}`. */
export const empty = object({});

function id<I extends string>(what: string, parse: (text: unknown) => I | null): Schema<I> {
  const wrong = complaint('value', `is not ${what}`);
  return typed<I>('string', (value) => (parse(value) === null ? wrong : null));
}

export const userId = id<UserId>('a user ID', parseUserId);
export const roomId = id<RoomId>('a room ID', parseRoomId);
export const eventId = id<EventId>('an event ID', parseEventId);
export const roomAlias = id<RoomAlias>('a room alias', parseRoomAlias);
export const serverName = id<ServerName>('a server name', parseServerName);
/** What `join` and `knock` take: an ID or an alias. */
export const roomIdOrAlias = id<RoomId | RoomAlias>('a room ID or alias', (text) =>
  typeof text === 'string' && text.startsWith('#') ? parseRoomAlias(text) : parseRoomId(text),
);

/** A request body that the handler reads as it arrives. Reading throws 413 past the endpoint's `bodyBytesMax`. */
export const byteStream: Schema<Readable> = { bodyKind: 'stream', check: () => null };
/** A request body of any type, whole. */
export const bytes: Schema<Buffer> = { bodyKind: 'bytes', check: () => null };
/** A body of type `application/x-www-form-urlencoded`; values are converted as a query's are. */
export const form = <P extends Shape>(properties: P): Schema<Flat<ObjectOf<P>>> => ({
  ...object(properties),
  bodyKind: 'form',
});

type Text = string | readonly string[] | undefined;

/**
 * Turns the texts of a query or a form into the types that a schema asks for. What cannot be turned stays text, so that
 * the check names it. A parameter that came several times is its first value, except where the schema asks for an array.
 */
export function converterOf({
  properties = {},
}: Schema): (texts: Readonly<Record<string, Text>>) => Record<string, unknown> {
  const steps = Object.entries(properties).map(([key, property]) => ({ key, convert: convert(property) }));
  return (texts) => {
    const out: Record<string, unknown> = {};
    for (const { key, convert } of steps) {
      const text = Object.hasOwn(texts, key) ? texts[key] : undefined;
      if (text !== undefined) out[key] = convert(text);
    }
    return out;
  };
}

function convert({ type, items }: Schema): (text: string | readonly string[]) => unknown {
  if (type === 'array') {
    const one = items === undefined ? (text: string | readonly string[]) => text : convert(items);
    return (text) => (typeof text === 'string' ? [one(text)] : text.map((each) => one(each)));
  }
  const single = (text: string | readonly string[]): string => (typeof text === 'string' ? text : (text[0] ?? ''));
  if (type === 'integer') {
    return (text) => (/^-?\d{1,17}(\.\d{1,17})?$/.test(single(text)) ? Number(single(text)) : single(text));
  }
  if (type === 'boolean') {
    return (text) => {
      const word = single(text);
      return word === 'true' ? true : word === 'false' ? false : word;
    };
  }
  return single;
}
