/**
 * What an event says that it relates to: edits, reactions, threads, references.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events
 */
import { type EventId, isWithinBytes, parseEventId } from './ids.ts';
import { isJsonObject, type JsonObject } from './json-value.ts';

/** A relation of the one form that the specification knows. */
export type Relation = {
  readonly relType: string;
  /** The parent: the event that is related to. Whether there is such an event is not known. */
  readonly target: EventId;
  /** What an annotation says, such as the emoji of a reaction; null where it says nothing, or too much. */
  readonly key: string | null;
};

/** The longest type of a relation. A longer one is no relation. */
const REL_TYPE_BYTES_MAX = 255;
/** The longest key of an annotation. */
export const ANNOTATION_KEY_BYTES_MAX = 500;

/** The relation in an event's content, or null. What does not have the form is no relation, as the specification says. */
export function relationOf(content: JsonObject): Relation | null {
  const relation = content['m.relates_to'];
  if (!isJsonObject(relation)) return null;
  const { rel_type: relType, key } = relation;
  if (typeof relType !== 'string' || relType === '' || !isWithinBytes(relType, REL_TYPE_BYTES_MAX)) return null;
  if (relType.includes('\0') || !relType.isWellFormed()) return null;
  const target = parseEventId(relation['event_id']);
  if (target === null) return null;
  const isKey = typeof key === 'string' && isWithinBytes(key, ANNOTATION_KEY_BYTES_MAX);
  return { relType, target, key: isKey ? key : null };
}

/** Whether an event has what an edit must have of itself; whether it fits its parent is another question. */
export function isWellFormedEdit(event: {
  readonly type: string;
  readonly stateKey: string | null;
  readonly content: JsonObject;
}): boolean {
  if (event.stateKey !== null) return false;
  // What an encrypted event replaces its parent's content with is inside.
  return event.type === 'm.room.encrypted' || isJsonObject(event.content['m.new_content']);
}
