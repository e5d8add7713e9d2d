/** JSON that is too large to be held: an object whose named lists are handed on item by item while it arrives. */

import { parseJson } from '../core/json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { RemoteError } from './remote-error.ts';

export type JsonListsOptions = {
  /** Members of the outer object whose items are handed on. */
  readonly lists: readonly string[];
  readonly onItem: (list: string, item: JsonObject) => void | Promise<void>;
  readonly itemBytesMax: number;
  /** All that is in no list, together. */
  readonly restBytesMax: number;
};

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const BRACKET = 0x5b;
const BRACKET_END = 0x5d;
const BRACE = 0x7b;
const BRACE_END = 0x7d;

const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
const isOpening = (byte: number): boolean => byte === BRACE || byte === BRACKET;
const isClosing = (byte: number): boolean => byte === BRACE_END || byte === BRACKET_END;

/** What may come next. */
type Expected =
  | 'object'
  | 'first-key'
  | 'key'
  | 'colon'
  | 'value'
  | 'next-member'
  | 'first-item'
  | 'item'
  | 'next-item'
  | 'end';

/**
 * Reads such an object. Holds one item at a time, and all that is in no list. It finds where values begin and end;
 * whether they are JSON is up to `parseJson`.
 */
export class JsonLists {
  readonly #options: JsonListsOptions;
  readonly #seen = new Set<string>();
  readonly #rest: string[] = [];
  #restBytes = 0;
  #expected: Expected = 'object';
  #key = '';
  #list = '';
  /** What is being read now: the pieces that came in earlier chunks. */
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  #isInside = false;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;

  constructor(options: JsonListsOptions) {
    this.#options = options;
  }

  /** Takes the next bytes; resolves when all items that ended in them were taken. */
  async write(chunk: Buffer): Promise<void> {
    let at = 0;
    while (at < chunk.length) {
      if (!this.#isInside) {
        const byte = chunk[at]!;
        if (isSpace(byte)) at++;
        else if (this.#begins(byte)) this.#begin(byte);
        else {
          this.#punctuation(byte);
          at++;
        }
        continue;
      }
      const end = this.#scan(chunk, at);
      this.#keep(chunk.subarray(at, end ?? chunk.length));
      at = end ?? chunk.length;
      if (end === null) continue;
      const bytes = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
      this.#pieces = [];
      this.#pieceBytes = 0;
      this.#isInside = false;
      // Awaited only where there is something to wait for: an item a turn would be slow.
      const taken = this.#take(bytes);
      if (taken !== undefined) await taken;
    }
  }

  /** All that was in no list; the lists are empty. Throws where the object has not ended. */
  end(): JsonObject {
    if (this.#expected !== 'end') throw new RemoteError('bad-reply', 'The JSON ends in the middle.');
    const empty = [...this.#seen].map((name) => `${JSON.stringify(name)}:[]`);
    const rest = parse(`{${[...this.#rest, ...empty].join(',')}}`);
    return isJsonObject(rest) ? rest : {};
  }

  /** Whether a value, or a key, begins here. */
  #begins(byte: number): boolean {
    switch (this.#expected) {
      case 'first-key':
      case 'key':
        return byte === QUOTE;
      case 'value':
        return !(byte === BRACKET && this.#options.lists.includes(this.#key));
      case 'first-item':
        return byte !== BRACKET_END;
      case 'item':
        return true;
      default:
        return false;
    }
  }

  #begin(byte: number): void {
    const wrong = byte === COMMA || byte === COLON || isClosing(byte);
    if (wrong) throw notJson();
    this.#isInside = true;
    this.#depth = 0;
    this.#isInString = false;
    this.#isEscaped = false;
  }

  #punctuation(byte: number): void {
    const next = this.#after(byte);
    if (next === null) throw notJson();
    this.#expected = next;
  }

  #after(byte: number): Expected | null {
    switch (this.#expected) {
      case 'object':
        return byte === BRACE ? 'first-key' : null;
      case 'first-key':
        return byte === BRACE_END ? 'end' : null;
      case 'colon':
        return byte === COLON ? 'value' : null;
      case 'value':
        // Only a list that is handed on gets here.
        if (this.#seen.has(this.#key)) return null;
        this.#seen.add(this.#key);
        this.#list = this.#key;
        return 'first-item';
      case 'next-member':
        return byte === COMMA ? 'key' : byte === BRACE_END ? 'end' : null;
      case 'first-item':
        return byte === BRACKET_END ? 'next-member' : null;
      case 'next-item':
        return byte === COMMA ? 'item' : byte === BRACKET_END ? 'next-member' : null;
      default:
        return null;
    }
  }

  /** Where the value that is being read ends; null where it goes on in the next chunk. */
  #scan(chunk: Buffer, from: number): number | null {
    let depth = this.#depth;
    let isInString = this.#isInString;
    let isEscaped = this.#isEscaped;
    let at = from;
    let end: number | null = null;
    // The first byte of a string or a container opens it; other values have none that does.
    const isPlain = this.#pieceBytes > 0 ? depth === 0 && !isInString : false;
    const startsPlain = isPlain || (this.#pieceBytes === 0 && chunk[from] !== QUOTE && !isOpening(chunk[from]!));
    for (; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (isInString) {
        if (isEscaped) isEscaped = false;
        else if (byte === BACKSLASH) isEscaped = true;
        else if (byte === QUOTE) {
          isInString = false;
          if (depth === 0) {
            end = at + 1;
            break;
          }
        }
      } else if (startsPlain) {
        if (byte === COMMA || isClosing(byte) || isSpace(byte)) {
          end = at;
          break;
        }
      } else if (byte === QUOTE) isInString = true;
      else if (isOpening(byte)) depth++;
      else if (isClosing(byte)) {
        depth--;
        if (depth === 0) {
          end = at + 1;
          break;
        }
      }
    }
    this.#depth = depth;
    this.#isInString = isInString;
    this.#isEscaped = isEscaped;
    return end;
  }

  #keep(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#pieceBytes += piece.length;
    const isItem = this.#expected === 'first-item' || this.#expected === 'item';
    const bytesMax = isItem ? this.#options.itemBytesMax : this.#options.restBytesMax;
    if (this.#pieceBytes > bytesMax) throw new RemoteError('bad-reply', 'A part of the JSON is too large.');
  }

  #take(bytes: Buffer): Promise<void> | undefined {
    switch (this.#expected) {
      case 'first-key':
      case 'key': {
        const key = parse(bytes);
        this.#key = typeof key === 'string' ? key : '';
        this.#expected = 'colon';
        return undefined;
      }
      case 'value': {
        this.#restBytes += bytes.length + this.#key.length;
        if (this.#restBytes > this.#options.restBytesMax) {
          throw new RemoteError('bad-reply', 'The JSON outside its lists is too large.');
        }
        this.#rest.push(`${JSON.stringify(this.#key)}:${bytes.toString('utf8')}`);
        this.#expected = 'next-member';
        return undefined;
      }
      default: {
        const item = parse(bytes);
        if (!isJsonObject(item)) throw new RemoteError('bad-reply', `An item of ${this.#list} is no object.`);
        this.#expected = 'next-item';
        return this.#options.onItem(this.#list, item) ?? undefined;
      }
    }
  }
}

const notJson = (): RemoteError => new RemoteError('bad-reply', 'The text is not valid JSON.');

function parse(text: Buffer | string): JsonValue {
  try {
    return parseJson(text, { keepNumberText: true });
  } catch (error) {
    throw new RemoteError('bad-reply', 'The text is not valid JSON.', { cause: error });
  }
}
