/** The pages of this server's policies, in all their versions. */
import type { Template } from '../kit/template.ts';

export class Policies {
  readonly #pages: ReadonlyMap<string, Template>;
  readonly #version: string;

  /** `version` is the one in force. */
  constructor({ pages, version }: { pages: ReadonlyMap<string, Template>; version: string }) {
    this.#pages = pages;
    this.#version = version;
  }

  /** The page of a version, of the one in force where none is named; null where there is no such version. */
  pageOf(version: string | undefined): string | null {
    const wanted = version ?? this.#version;
    return this.#pages.get(wanted)?.({ version: wanted, public_version: true, has_consented: false }) ?? null;
  }
}
