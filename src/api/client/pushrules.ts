/** Spec module "Push rules". */
import { invalidParam, notFound } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json-value.ts';
import { deletePushRule, putPushRule, setPushRuleActions, setPushRuleEnabled } from '../../core/push-rule-edit.ts';
import { getPushRule, isPushRuleKind, type PushRuleKind } from '../../core/push-rules.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyJson, anyObject, array, boolean, empty, object, optional, string } from '../../http/schema.ts';
import type { PushRules } from '../../services/push-rules.ts';

const V3 = '/_matrix/client/v3/pushrules';
const RULE = '/global/:kind/:ruleId';
const ruleParams = object({ kind: string, ruleId: string });

/** The kind of a rule that is asked for: of a kind that we do not know there can be none. */
function kindOf(text: string): PushRuleKind {
  if (!isPushRuleKind(text)) throw notFound('There is no such kind of push rule.');
  return text;
}

export const pushruleEndpoints = ({ pushRules }: { pushRules: PushRules }): Endpoint[] => [
  endpoint({
    name: 'getPushRules',
    method: 'GET',
    path: `${V3}/`,
    alsoAt: [V3],
    auth: 'user',
    reply: object({ global: anyObject }),
    async handler({ user }) {
      return { global: (await pushRules.get(user.userId)) as unknown as JsonObject };
    },
  }),
  endpoint({
    name: 'getPushRulesGlobal',
    method: 'GET',
    path: `${V3}/global/`,
    alsoAt: [`${V3}/global`],
    auth: 'user',
    reply: anyObject,
    async handler({ user }) {
      return (await pushRules.get(user.userId)) as unknown as JsonObject;
    },
  }),
  endpoint({
    name: 'getPushRule',
    method: 'GET',
    path: `${V3}${RULE}`,
    auth: 'user',
    params: ruleParams,
    reply: anyObject,
    async handler({ user, params }) {
      const rules = await pushRules.get(user.userId);
      return getPushRule(rules, kindOf(params.kind), params.ruleId) as unknown as JsonObject;
    },
  }),
  endpoint({
    name: 'setPushRule',
    method: 'PUT',
    path: `${V3}${RULE}`,
    auth: 'user',
    params: ruleParams,
    query: object({ before: optional(string), after: optional(string) }),
    body: anyObject,
    reply: empty,
    async handler({ user, params, query, body }) {
      const { kind } = params;
      if (!isPushRuleKind(kind)) throw invalidParam('kind: is no kind of push rule.');
      const { before, after } = query;
      await pushRules.change(user.userId, (stored) =>
        putPushRule(stored, {
          kind,
          ruleId: params.ruleId,
          body,
          ...(before === undefined ? {} : { before }),
          ...(after === undefined ? {} : { after }),
        }),
      );
      return {};
    },
  }),
  endpoint({
    name: 'deletePushRule',
    method: 'DELETE',
    path: `${V3}${RULE}`,
    auth: 'user',
    params: ruleParams,
    reply: empty,
    async handler({ user, params }) {
      const kind = kindOf(params.kind);
      await pushRules.change(user.userId, (stored) => deletePushRule(stored, kind, params.ruleId));
      return {};
    },
  }),
  endpoint({
    name: 'isPushRuleEnabled',
    method: 'GET',
    path: `${V3}${RULE}/enabled`,
    auth: 'user',
    params: ruleParams,
    reply: object({ enabled: boolean }),
    async handler({ user, params }) {
      const rules = await pushRules.get(user.userId);
      return { enabled: getPushRule(rules, kindOf(params.kind), params.ruleId).enabled };
    },
  }),
  endpoint({
    name: 'setPushRuleEnabled',
    method: 'PUT',
    path: `${V3}${RULE}/enabled`,
    auth: 'user',
    params: ruleParams,
    body: object({ enabled: boolean }),
    reply: empty,
    async handler({ user, params, body }) {
      const name = { userId: user.userId, kind: kindOf(params.kind), ruleId: params.ruleId };
      await pushRules.change(user.userId, (stored, options) => setPushRuleEnabled(stored, name, body.enabled, options));
      return {};
    },
  }),
  endpoint({
    name: 'getPushRuleActions',
    method: 'GET',
    path: `${V3}${RULE}/actions`,
    auth: 'user',
    params: ruleParams,
    reply: object({ actions: array(anyJson) }),
    async handler({ user, params }) {
      const rules = await pushRules.get(user.userId);
      return { actions: [...getPushRule(rules, kindOf(params.kind), params.ruleId).actions] };
    },
  }),
  endpoint({
    name: 'setPushRuleActions',
    method: 'PUT',
    path: `${V3}${RULE}/actions`,
    auth: 'user',
    params: ruleParams,
    body: object({ actions: array(anyJson) }),
    reply: empty,
    async handler({ user, params, body }) {
      const name = { userId: user.userId, kind: kindOf(params.kind), ruleId: params.ruleId };
      await pushRules.change(user.userId, (stored, options) => setPushRuleActions(stored, name, body.actions, options));
      return {};
    },
  }),
];
