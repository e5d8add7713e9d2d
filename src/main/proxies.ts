/** The proxies of a configuration, and of the environment where that says nothing. */
import type { Config } from '../config/config.ts';
import { type ProxyRule, proxyRule } from '../remote/proxy.ts';
import { StartError } from './start-error.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Which connections go through which proxy. Throws `StartError` for what is no proxy's address. */
export function proxiesOf({ federation }: Pick<Config, 'federation'>, env: Environment = process.env): ProxyRule {
  const { httpProxy, httpsProxy, noProxyHosts } = federation;
  const settings = {
    // In capitals it could come from a request's header, where a web server starts programs (CVE-2016-5385).
    http: httpProxy ?? said(env['http_proxy']),
    https: httpsProxy ?? said(env['https_proxy']) ?? said(env['HTTPS_PROXY']),
    none: noProxyHosts ?? (said(env['no_proxy']) ?? said(env['NO_PROXY']) ?? '').split(','),
  };
  try {
    return proxyRule(settings);
  } catch (error) {
    throw new StartError(`http_proxy, https_proxy: ${(error as Error).message}`);
  }
}

const said = (text: string | undefined): string | null => (text === undefined || text === '' ? null : text);
