/**
 * What clients may relate to what. Of events that other servers send nothing of this is asked: relations that are none
 * are ignored there. Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events
 */
import { badJson, badRequest, invalidParam } from '../core/errors.ts';
import type { EventId, UserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject } from '../core/json-value.ts';
import { ANNOTATION_KEY_BYTES_MAX, type Relation, relationOf } from '../core/relation.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Database } from '../storage/database.ts';
import { hasAnnotation, hasChildren } from '../storage/relations.ts';

/** An event that is about to be sent, as far as relations go. */
export type Relating = {
  readonly type: string;
  readonly sender: UserId;
  readonly content: JsonObject;
  /** Which transaction it is: the same one may come twice. */
  readonly onceName: string;
};

export class RelationChecks {
  readonly #deps: { db: Database; events: EventStore };
  /** Annotations on their way, by what must not be there twice. */
  readonly #annotating = new Map<string, { readonly onceName: string; readonly sent: Promise<EventId> }>();

  constructor(deps: { db: Database; events: EventStore }) {
    this.#deps = deps;
  }

  /**
   * Sends an event if what it relates to allows that. A second annotation that says the same is refused, also while the
   * first one is still on its way.
   *
   * @throws MatrixError 400 M_DUPLICATE_ANNOTATION; M_BAD_JSON for a reaction without a key; M_INVALID_PARAM for a
   * parent that is not in the room; M_UNKNOWN, as the specification has it, for a thread that begins inside another
   */
  async send(live: LiveRoom, relating: Relating, send: () => Promise<EventId>): Promise<EventId> {
    const { type, sender, content, onceName } = relating;
    // What is no whole relation is none: readers pass over it, and so do we.
    const relation = relationOf(content);
    if (relation === null) return send();
    const { relType, target, key } = relation;
    if (relType !== 'm.annotation') {
      await this.#checkParent(live, relation);
      return send();
    }
    if (key === null) {
      // What an encrypted event says is nothing that we could read.
      if (type === 'm.room.encrypted') return send();
      throw badKey(content);
    }
    const name = [live.roomId, target, sender, type, key].join('\0');
    const running = this.#annotating.get(name);
    if (running !== undefined && running.onceName !== onceName) throw duplicate();
    if (running !== undefined) return running.sent;
    const sent = (async () => {
      await this.#checkParent(live, relation);
      if (await hasAnnotation(this.#deps.db, live.roomNo, { target, sender, eventType: type, key })) throw duplicate();
      return send();
    })();
    this.#annotating.set(name, { onceName, sent });
    try {
      return await sent;
    } finally {
      this.#annotating.delete(name);
    }
  }

  async #checkParent(live: LiveRoom, { relType, target }: Relation): Promise<void> {
    const { db, events } = this.#deps;
    const parent = await events.findById(target);
    if (parent === undefined) {
      // It may be an event from before our time that others of the room talk of.
      if (await hasChildren(db, live.roomNo, target)) return;
      throw invalidParam('m.relates_to.event_id: there is no such event in the room.');
    }
    if (parent.row.roomNo !== live.roomNo) {
      throw invalidParam('m.relates_to.event_id: there is no such event in the room.');
    }
    if (relType === 'm.thread' && parent.relation !== null) {
      throw badRequest('M_UNKNOWN', 'A thread cannot begin with an event that relates to another one.');
    }
  }
}

function badKey(content: JsonObject) {
  const relation = content['m.relates_to'];
  return isJsonObject(relation) && typeof relation['key'] === 'string'
    ? invalidParam(`m.relates_to.key: must not have more than ${ANNOTATION_KEY_BYTES_MAX} bytes.`)
    : badJson('m.relates_to.key: is missing.');
}

const duplicate = () => badRequest('M_DUPLICATE_ANNOTATION', 'You have said this of the event already.');
