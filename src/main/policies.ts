/** What new users agree to: the configuration names it, and its pages are read once, at the start. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { escaped } from '../http/page.ts';
import { readTemplate, type Template } from '../kit/template.ts';
import { Policies } from '../services/policies.ts';
import type { Terms } from '../services/registration-stages.ts';
import { readText, StartError } from './start-error.ts';

const KEY = 'user_consent.template_dir';
const ENDING = '.html';

/** The terms that new users agree to; null where they are not asked. `publicBaseUrl` ends with a slash. */
export function termsOf({ consent }: Pick<Config, 'consent'>, publicBaseUrl: string): Terms | null {
  const { isRequiredAtRegistration, version, policyName: name, policyUrl, templateDir } = consent;
  if (!isRequiredAtRegistration || version === null) return null;
  if (policyUrl !== null) return { version, name, url: policyUrl };
  const url = `${publicBaseUrl}_matrix/consent?v=${encodeURIComponent(version)}`;
  return templateDir === null ? null : { version, name, url };
}

/**
 * The pages that the configuration names; null where it names none.
 *
 * @throws StartError where the page of the version in force is missing, or one cannot be understood
 */
export function readPolicies({ consent: { version, templateDir } }: Pick<Config, 'consent'>): Policies | null {
  if (version === null || templateDir === null) return null;
  const directory = join(templateDir, 'en');
  const pages = new Map<string, Template>();
  for (const file of filesOf(directory)) pages.set(file.slice(0, -ENDING.length), templateOf(join(directory, file)));
  if (!pages.has(version)) {
    throw new StartError(`There is no page ${join(directory, `${version}${ENDING}`)} (user_consent.version; ${KEY}).`);
  }
  return new Policies({ version, pages });
}

function filesOf(directory: string): string[] {
  try {
    return readdirSync(directory).filter((file) => file.endsWith(ENDING));
  } catch (error) {
    throw new StartError(`The directory ${directory} cannot be read (${KEY}).`, { cause: error });
  }
}

function templateOf(path: string): Template {
  const text = readText(path, 'page of a policy', KEY);
  try {
    return readTemplate(text, escaped);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`The page ${path} cannot be used: ${reason} (${KEY}).`, { cause: error });
  }
}
