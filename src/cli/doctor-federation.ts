/** `myelin doctor federation NAME`: walks the way to another server, and says at each step how to mend what is wrong. */
import { defaultConfig, loadConfig } from '../config/config.ts';
import { parseServerName, type ServerName } from '../core/ids.ts';
import { parseJson } from '../core/json.ts';
import { isJsonObject, type JsonObject } from '../core/json-value.ts';
import { readServerKeys } from '../core/server-keys.ts';
import { type Clock, systemClock } from '../kit/clock.ts';
import { systemRandom } from '../kit/random.ts';
import { domainRule, reachOf } from '../main/reach.ts';
import type { Dialer } from '../remote/dialer.ts';
import type { SpecDiscovery } from '../remote/discovery.ts';
import { RemoteError, reasonOf } from '../remote/remote-error.ts';
import type { Place } from '../remote/server-place.ts';
import { Failure } from './failure.ts';
import { type Finding, tell } from './finding.ts';

const REPLY_BYTES_MAX = 256 * 1024;
const TIMEOUT_MS = 10_000;

/** What the walk uses. */
export type Way = {
  readonly dialer: Pick<Dialer, 'request'>;
  readonly discovery: Pick<SpecDiscovery, 'trace'>;
  readonly clock: Clock;
  /** Whether the configuration lets us speak with a server. */
  readonly mayFederateWith: (server: ServerName) => boolean;
};

/** Prints each step to a server. The exit code is 1 where it cannot be reached. */
export async function doctorFederation(name: string, paths: readonly string[]): Promise<void> {
  const serverName = parseServerName(name);
  if (serverName === null) throw new Failure(`${name} is no server name: say it as in @user:NAME.`);
  const config = paths.length === 0 ? defaultConfig('localhost') : loadConfig(paths).config;
  const clock = systemClock();
  const { dialer, discovery } = reachOf(config, clock, systemRandom());
  // An open handle of its own: the clock's timers let the process end in the middle of a wait.
  const awake = setInterval(() => {}, 60_000);
  try {
    const mayFederateWith = domainRule(config.federation.domainWhitelist);
    let isReached = false;
    for await (const finding of walk(serverName, { dialer, discovery, clock, mayFederateWith })) {
      tell(finding);
      isReached ||= finding.isEnd === true;
    }
    if (!isReached) process.exitCode = 1;
  } finally {
    clearInterval(awake);
    await dialer.close();
  }
}

/** The steps to a server, the last one marked where it leads there. */
export async function* walk(
  serverName: ServerName,
  { dialer, discovery, clock, mayFederateWith }: Way,
): AsyncGenerator<Finding & { readonly isEnd?: boolean }> {
  if (!mayFederateWith(serverName)) {
    yield {
      what: `the configuration does not let us speak with ${serverName}`,
      standing: 'bad',
      fix: 'add it to federation_domain_whitelist.',
    };
  }
  const steps: Finding[] = [];
  let places: readonly Place[] = [];
  try {
    places = await discovery.trace(serverName, ({ what, isGood }) =>
      // A domain may do without: it is no fault by itself.
      steps.push({ what, standing: isGood ? 'good' : 'poor' }),
    );
  } catch (error) {
    steps.push({ what: reasonOf(error), standing: 'bad', fix: 'correct the name, or the SRV records of its domain.' });
  }
  yield* steps;
  for (const place of places) {
    const { host, port, tls } = place.endpoint;
    const at = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const ask = async (path: string): Promise<JsonObject> => askPlace(dialer, place, path);
    try {
      const { server } = await ask('/_matrix/federation/v1/version');
      const software = isJsonObject(server) ? `${server['name']} ${server['version']}` : 'software without a name';
      const trust =
        tls === null ? 'without TLS' : tls.isVerified ? 'its certificate is good' : 'its certificate is not checked';
      yield { what: `${at} answers (${software}), ${trust}`, standing: 'good' };
    } catch (error) {
      yield { what: reasonOf(error), standing: 'bad', fix: cureOf(error, place) };
      continue;
    }
    try {
      const said = await ask('/_matrix/key/v2/server');
      const read = readServerKeys(serverName, said, clock.now());
      if (read.allowed) {
        const keys = read.keys.map((key) => key.keyId).join(', ');
        yield { what: `it is ${serverName}, and signs with ${keys}`, standing: 'good', isEnd: true };
        return;
      }
      const isOther = said['server_name'] !== serverName;
      yield {
        what: isOther
          ? `the server there calls itself ${said['server_name']}`
          : `its keys cannot be used: ${read.reason}`,
        standing: 'bad',
        fix: isOther
          ? 'set server_name there to the name that is looked up, or correct m.server or the SRV record.'
          : 'look at signing_key_path and the clock there.',
      };
    } catch (error) {
      yield { what: `its keys cannot be read: ${reasonOf(error)}`, standing: 'bad', fix: cureOf(error, place) };
    }
  }
}

async function askPlace(dialer: Way['dialer'], { endpoint, hostHeader }: Place, path: string): Promise<JsonObject> {
  const reply = await dialer.request({
    method: 'GET',
    url: new URL(path, `https://${hostHeader}`),
    endpoint,
    headers: { host: hostHeader },
    bodyBytesMax: REPLY_BYTES_MAX,
    timeoutMs: TIMEOUT_MS,
    totalTimeoutMs: TIMEOUT_MS,
  });
  const bytes = await reply.bytes();
  if (reply.status !== 200) {
    throw new RemoteError('refused', `${path} there answers ${reply.status}`, { remoteStatus: reply.status });
  }
  let body: unknown = null;
  try {
    body = parseJson(bytes);
  } catch {
    // Told below.
  }
  if (!isJsonObject(body)) throw new RemoteError('bad-reply', `${path} there answers with something that is no JSON`);
  return body;
}

/** What to do about an error, by what OpenSSL and the network call it. */
function cureOf(error: unknown, { endpoint: { host, port, tls } }: Place): string {
  const proxy = 'let the proxy in front pass /_matrix on to the homeserver, unchanged.';
  if (!(error instanceof RemoteError)) return 'see the message.';
  if (error.fault === 'blocked') return 'if it is a server of your own network, add its address to ip_range_whitelist.';
  if (error.fault === 'refused' || error.fault === 'bad-reply') return proxy;
  const code = codeOf(error);
  switch (code) {
    case 'ECONNREFUSED':
      return `nobody listens there: start the server, open a listener on port ${port}, or delegate to another port.`;
    case 'ENOTFOUND':
    case 'ENODATA':
      return `give ${host} an A or AAAA record, or correct the name.`;
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return 'renew the certificate there, and set the clocks.';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `the certificate there must be for ${tls?.certificateName ?? host}: get one for that name.`;
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return 'serve a certificate of a public authority with its whole chain; in a lab, add the authority to federation_custom_ca_list.';
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
      return `something else than TLS is spoken on port ${port}: set tls: true for the listener there, or put a proxy with TLS in front.`;
    default:
      return `see whether a firewall lets port ${port} through, and whether it speaks TLS there.`;
  }
}

/** The code of the first error in the chain of causes that has one. */
function codeOf(error: unknown): string | null {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code;
    if (at instanceof AggregateError && at.errors.length > 0) return codeOf(at.errors[0]);
  }
  return null;
}
